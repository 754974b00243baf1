//! Where a Docker or Podman service may answer. The environment and the user's configuration come in as arguments;
//! out goes an ordered list of places, and of trying them the first that answers with what each of the others said.
//!
//! The order: `--host`, DOCKER_HOST, CONTAINER_HOST, the current Docker context, then the usual sockets. A `--host` is
//! taken at its word: nothing else is tried.

use super::docker::{Docker, Flavour, Timeouts};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A service's address and what TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix:///path` or `tcp://host:port`.
    pub address: String,
    /// The client's certificates, where the service wants TLS.
    pub tls: Option<Tls>,
}

/// Files of a TLS client, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate of the authority that signed the service's.
    pub authority: PathBuf,
    /// The client's own certificate.
    pub certificate: PathBuf,
    /// The client's private key.
    pub key: PathBuf,
}

impl Tls {
    /// Docker's file names in `folder`.
    fn in_folder(folder: &Path) -> Self {
        let [authority, certificate, key] = ["ca.pem", "cert.pem", "key.pem"].map(|name| folder.join(name));
        Tls { authority, certificate, key }
    }
}

/// A place where a service may answer.
#[derive(Debug)]
pub struct Candidate {
    /// Who names it: `--host`, a variable, a context, `usual socket`.
    pub origin: String,
    /// The place, unless what names it cannot be understood.
    pub endpoint: Result<Endpoint>,
}

/// A place that was tried in vain.
#[derive(Debug)]
pub struct Tried {
    /// Who named it.
    pub origin: String,
    /// What was wrong.
    pub failure: Error,
}

/// What a search found.
pub struct Search {
    /// The first service that answered and is of the wanted flavour, with who named it.
    pub found: Option<(String, Docker)>,
    /// All that were tried before.
    pub tried: Vec<Tried>,
}

/// Whether `--host` has an address that can be meant. Opens no socket.
///
/// # Errors
/// [`Kind::Usage`] when it is of an unknown kind.
pub fn check(host: &str) -> Result<()> {
    // What becomes of each is up to the line to the service.
    if ["unix", "tcp", "http", "https", "ssh"].iter().any(|kind| host.starts_with(&format!("{kind}://"))) {
        return Ok(());
    }
    Err(unknown(host))
}

/// An address that no engine can be at.
pub(super) fn unknown(address: &str) -> Error {
    Error::new(Kind::Usage, format!("engine address `{address}`"), "is of an unknown kind")
        .remedy("write unix:///path/to/socket or tcp://host:port")
}

/// All places, in the order in which they are to be tried. Reads the Docker client's configuration, opens no socket.
pub fn candidates(environment: &Environment, host: Option<&str>) -> Vec<Candidate> {
    if let Some(host) = host {
        return vec![Candidate { origin: "--host".to_owned(), endpoint: Ok(with_tls(environment, host)) }];
    }
    let mut found = Vec::new();
    for name in ["DOCKER_HOST", "CONTAINER_HOST"] {
        if let Some(address) = environment.get(name) {
            found.push(Candidate { origin: name.to_owned(), endpoint: Ok(with_tls(environment, address)) });
        }
    }
    found.extend(context(environment));
    for socket in sockets(environment) {
        let address = format!("unix://{}", socket.display());
        let known = |other: &Candidate| other.endpoint.as_ref().is_ok_and(|endpoint| endpoint.address == address);
        if !found.iter().any(known) {
            found.push(Candidate { origin: "usual socket".to_owned(), endpoint: Ok(Endpoint { address, tls: None }) });
        }
    }
    found
}

/// Tries the places in order until one answers and is what was `wanted`.
pub fn search(candidates: Vec<Candidate>, wanted: Option<Flavour>, timeouts: Timeouts) -> Search {
    let mut tried = Vec::new();
    for Candidate { origin, endpoint } in candidates {
        let answered = endpoint.and_then(|endpoint| {
            let docker = Docker::connect(&endpoint, timeouts)?;
            match wanted.filter(|flavour| *flavour != docker.flavour()) {
                Some(flavour) => Err(Error::new(
                    Kind::Engine,
                    format!("engine at {}", endpoint.address),
                    format!("it is {}, not {}", docker.flavour().name(), flavour.name()),
                )),
                None => Ok(docker),
            }
        });
        match answered {
            Ok(docker) => return Search { found: Some((origin, docker)), tried },
            Err(failure) => tried.push(Tried { origin, failure }),
        }
    }
    Search { found: None, tried }
}

/// The usual sockets: Docker's, rootless Docker's, rootless Podman's, Podman's.
fn sockets(environment: &Environment) -> Vec<PathBuf> {
    let runtime = environment.get("XDG_RUNTIME_DIR").map(Path::new).filter(|path| path.is_absolute());
    let own = |name: &str| runtime.map(|folder| folder.join(name));
    [
        Some(PathBuf::from("/var/run/docker.sock")),
        own("docker.sock"),
        own("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The Docker client's folder: DOCKER_CONFIG, else ~/.docker.
fn configuration(environment: &Environment) -> Option<PathBuf> {
    let named = environment.get("DOCKER_CONFIG").map(PathBuf::from);
    named.or_else(|| environment.get("HOME").map(|home| Path::new(home).join(".docker")))
}

/// An address from a variable or the command line: DOCKER_TLS_VERIFY asks for TLS, as it does of Docker's client.
fn with_tls(environment: &Environment, address: &str) -> Endpoint {
    let asked = !address.starts_with("unix:") && environment.get("DOCKER_TLS_VERIFY").is_some();
    let folder = environment.get("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| configuration(environment));
    Endpoint { address: address.to_owned(), tls: folder.filter(|_| asked).map(|folder| Tls::in_folder(&folder)) }
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: DockerEndpoint,
}

#[derive(Deserialize)]
struct DockerEndpoint {
    #[serde(rename = "Host")]
    host: String,
}

/// The current Docker context: DOCKER_CONTEXT, else `currentContext` of config.json. `default` means the usual places.
fn context(environment: &Environment) -> Option<Candidate> {
    let folder = configuration(environment)?;
    let file = folder.join("config.json");
    let configured = || match file.exists().then(|| read::<Config>(&file)) {
        Some(Ok(config)) => Ok(config.current),
        Some(Err(error)) => Err(error),
        None => Ok(None),
    };
    let named = environment.get("DOCKER_CONTEXT").map_or_else(configured, |name| Ok(Some(name.to_owned())));
    match named {
        Ok(name) => {
            let name = name.filter(|name| !name.is_empty() && name != "default")?;
            Some(Candidate { origin: format!("Docker context `{name}`"), endpoint: of_context(&folder, &name) })
        }
        Err(error) => Some(Candidate { origin: "Docker context".to_owned(), endpoint: Err(error) }),
    }
}

/// Docker's client keeps a context's files in folders named by the SHA-256 of the context's name.
fn of_context(folder: &Path, name: &str) -> Result<Endpoint> {
    let id = Digest::of(name.as_bytes()).to_string();
    let meta: Meta = read(&folder.join("contexts/meta").join(&id).join("meta.json"))?;
    let certificates = folder.join("contexts/tls").join(&id).join("docker");
    let tls = certificates.is_dir().then(|| Tls::in_folder(&certificates));
    Ok(Endpoint { address: meta.endpoints.docker.host, tls })
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read(path).map_err(|error| Error::io(path, "read", error))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::new(Kind::Document, path.display(), format!("cannot be understood: {error}"))
            .remedy("see `docker context ls`, or name the engine with --host")
            .because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::files::write_whole;

    fn list(variables: &[(&str, &str)], host: Option<&str>) -> Vec<(String, String)> {
        let environment = Environment::from_iter(variables.iter().copied());
        let all = candidates(&environment, host);
        all.into_iter().map(|found| (found.origin, found.endpoint.unwrap().address)).collect()
    }

    fn addresses(variables: &[(&str, &str)]) -> Vec<String> {
        list(variables, None).into_iter().map(|(_, address)| address).collect()
    }

    /// A Docker client's folder whose current context is `name` at `host`.
    fn client(name: &str, host: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let id = Digest::of(name.as_bytes()).to_string();
        let meta = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
        let config = format!(r#"{{"auths":{{}},"currentContext":"{name}"}}"#);
        write_whole(&folder.path().join("config.json"), config.as_bytes()).unwrap();
        write_whole(&folder.path().join("contexts/meta").join(id).join("meta.json"), meta.as_bytes()).unwrap();
        folder
    }

    #[test]
    fn a_bare_machine_has_two_usual_places() {
        assert_eq!(addresses(&[]), ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"]);
    }

    #[test]
    fn everything_in_its_order() {
        let folder = client("work", "unix:///ctx.sock");
        let variables = [
            ("DOCKER_HOST", "tcp://a:1"),
            ("CONTAINER_HOST", "unix:///b.sock"),
            ("DOCKER_CONFIG", folder.path().to_str().unwrap()),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
        ];
        let order = [
            "tcp://a:1",
            "unix:///b.sock",
            "unix:///ctx.sock",
            "unix:///var/run/docker.sock",
            "unix:///run/user/7/docker.sock",
            "unix:///run/user/7/podman/podman.sock",
            "unix:///run/podman/podman.sock",
        ];
        assert_eq!(addresses(&variables), order);
        assert_eq!(list(&variables, None)[2].0, "Docker context `work`");
        let only = [("--host".to_owned(), "unix:///x".to_owned())];
        assert_eq!(list(&variables, Some("unix:///x")), only, "--host is taken at its word");
    }

    #[test]
    fn no_place_is_tried_twice() {
        let all = addresses(&[("DOCKER_HOST", "unix:///var/run/docker.sock")]);
        assert_eq!(all, ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"]);
    }

    #[test]
    fn contexts_from_home_by_variable_and_default() {
        let folder = client("work", "unix:///ctx.sock");
        let config = folder.path().to_str().unwrap();
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(config, home.path().join(".docker")).unwrap();
        assert_eq!(addresses(&[("HOME", home.path().to_str().unwrap())])[0], "unix:///ctx.sock");
        let chosen = [("DOCKER_CONFIG", config), ("DOCKER_CONTEXT", "default")];
        assert_eq!(addresses(&chosen)[0], "unix:///var/run/docker.sock");
        write_whole(&folder.path().join("config.json"), b"{}").unwrap();
        let chosen = [("DOCKER_CONFIG", config), ("DOCKER_CONTEXT", "work")];
        assert_eq!(addresses(&chosen)[0], "unix:///ctx.sock");
    }

    #[test]
    fn a_broken_context_is_named_and_the_rest_still_tried() {
        let folder = client("work", "unix:///ctx.sock");
        let environment = Environment::from_iter([("DOCKER_CONFIG", folder.path().to_str().unwrap())]);
        write_whole(&folder.path().join("config.json"), b"{\"currentContext\":\"lost\"}").unwrap();
        let all = candidates(&environment, None);
        let error = all[0].endpoint.as_ref().unwrap_err();
        assert_eq!((error.kind(), all.len()), (Kind::Io, 3));
        write_whole(&folder.path().join("config.json"), b"{").unwrap();
        let all = candidates(&environment, None);
        let error = all[0].endpoint.as_ref().unwrap_err();
        assert_eq!((error.kind(), all.len()), (Kind::Document, 3));
        assert!(error.object().ends_with("config.json") && error.remedy_text().is_some(), "{error:?}");
    }

    #[test]
    fn tls_by_variable_and_by_context() {
        let folder = client("far", "tcp://far:2376");
        let config = folder.path().to_str().unwrap();
        let by_variable = Environment::from_iter([
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", "/certs"),
            ("DOCKER_HOST", "tcp://a:2376"),
        ]);
        let endpoint = candidates(&by_variable, None).remove(0).endpoint.unwrap();
        assert_eq!(endpoint.tls.unwrap().key, Path::new("/certs/key.pem"));
        let local = candidates(&by_variable, Some("unix:///x")).remove(0).endpoint.unwrap();
        assert_eq!(local.tls, None);
        let id = Digest::of(b"far").to_string();
        write_whole(&folder.path().join("contexts/tls").join(id).join("docker/ca.pem"), b"x").unwrap();
        let by_context = Environment::from_iter([("DOCKER_CONFIG", config)]);
        assert!(candidates(&by_context, None).remove(0).endpoint.unwrap().tls.is_some());
    }

    #[test]
    fn what_was_tried_is_told() {
        let host = |address: &str| Candidate {
            origin: address.to_owned(),
            endpoint: Ok(Endpoint { address: address.to_owned(), tls: None }),
        };
        let all = ["unix:///nowhere/x.sock", "tcp://127.0.0.1:1", "ssh://host", "gopher://x"].map(host).into();
        let search = search(all, None, Timeouts::default());
        assert!(search.found.is_none());
        let told: Vec<String> = search.tried.iter().map(|tried| tried.failure.to_string()).collect();
        for (line, word) in told.iter().zip(["nothing answers", "nothing answers", "ssh", "unknown kind"]) {
            assert!(line.contains(word), "{line}");
        }
        assert!(search.tried.iter().all(|tried| tried.failure.remedy_text().is_some()));
        // The only one that nobody needs to try.
        let unknown = check("gopher://x").unwrap_err();
        assert_eq!((unknown.kind(), unknown.to_string()), (Kind::Usage, told[3].clone()));
        for good in ["unix:///nowhere/x.sock", "tcp://127.0.0.1:1", "ssh://host"] {
            assert!(check(good).is_ok(), "{good}");
        }
    }
}
