//! The door to registries over HTTP. Everything that oci-client knows stops here: it speaks the protocol and fetches
//! tokens; what it brings is hashed again on its way into the store.

use super::credentials::{self, Credentials};
use super::{Registry, Wanted, is_loopback, object};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::fetch::{Settings, is_certificate, trusted};
use crate::oci::manifest::{ACCEPTED, DOCUMENT_MAX};
use crate::reference::Reference;
use crate::report::{Report, Unit, number_of};
use crate::store::Store;
use futures_util::StreamExt;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{RegistryOperation, client::AsLayerDescriptor};
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::sync::Arc;

/// Attempts at one thing.
const TRIES: u32 = 4;
/// Bytes between two reports of progress.
const STEP: u64 = 1 << 20;
/// Hosts that no proxy is asked for, whatever the environment says.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";
/// All hosts, by name and by number.
const EVERYWHERE: &str = "*,0.0.0.0/0,::/0";

/// The door. Works on a multi-threaded runtime; its calls block, so they must come from threads that are not the
/// runtime's own.
pub struct Client {
    runtime: tokio::runtime::Handle,
    store: Store,
    report: Arc<dyn Report>,
    settings: Settings,
    environment: Environment,
}

/// One registry while it is asked about one image.
struct Desk<'a> {
    client: oci_client::Client,
    auth: RegistryAuth,
    image: &'a Reference,
    name: oci_client::Reference,
    settings: &'a Settings,
}

/// What went wrong, and whether asking again may help.
struct Trouble {
    error: Error,
    again: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble { error, again: false }
    }
}

impl Client {
    /// A door whose proxies, trust roots and waiting times are those of `settings`, and whose credentials come from the
    /// files that `environment` names.
    pub fn new(
        runtime: tokio::runtime::Handle,
        store: Store,
        report: Arc<dyn Report>,
        settings: Settings,
        environment: Environment,
    ) -> Self {
        Client { runtime, store, report, settings, environment }
    }

    fn desk<'a>(&'a self, image: &'a Reference) -> Result<Desk<'a>> {
        // The library takes the one of the process; a second call changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = oci_client::Client::try_from(self.configuration(image.registry())?).map_err(|error| {
            Error::new(Kind::Usage, "registry client", chain(&error))
                .remedy("check http_proxy and https_proxy; install ca-certificates or set SSL_CERT_FILE")
        })?;
        let auth = match credentials::of(&self.environment, image.registry())? {
            None => RegistryAuth::Anonymous,
            Some(Credentials::Basic(name, password)) => RegistryAuth::Basic(name, password),
            Some(Credentials::Token(token)) => RegistryAuth::Bearer(token),
        };
        // Without the tag: it is never asked for.
        let name = oci_client::Reference::with_digest(
            image.registry().to_owned(),
            image.repository().to_owned(),
            image.digest().oci(),
        );
        Ok(Desk { client, auth, image, name, settings: &self.settings })
    }

    fn configuration(&self, registry: &str) -> Result<ClientConfig> {
        let certificate = |data| Certificate { encoding: CertificateEncoding::Der, data };
        let (http_proxy, https_proxy) = (self.settings.http_proxy.clone(), self.settings.https_proxy.clone());
        let no_proxy =
            self.settings.no_proxy.iter().map(String::as_str).chain([LOOPBACK]).collect::<Vec<_>>().join(",");
        // Without any proxy the library would look at the process environment by itself.
        let none = http_proxy.is_none() && https_proxy.is_none();
        Ok(ClientConfig {
            protocol: if is_loopback(registry) { ClientProtocol::Http } else { ClientProtocol::Https },
            tls_certs_only: trusted(&self.settings)?.into_iter().map(certificate).collect(),
            platform_resolver: None,
            read_timeout: Some(self.settings.idle),
            connect_timeout: Some(self.settings.connect),
            user_agent: concat!("snpforge/", env!("CARGO_PKG_VERSION")),
            http_proxy: if none { Some("http://127.0.0.1:9".into()) } else { http_proxy },
            https_proxy,
            no_proxy: Some(if none { EVERYWHERE.into() } else { no_proxy }),
            ..ClientConfig::default()
        })
    }

    /// Runs `work` to its end or until the user stops it; what was written of a blob goes with it.
    fn until_cancelled<T>(&self, cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(Error::new(Kind::Interrupted, "registry", "interrupted")),
                result = work => result,
            }
        })
    }
}

impl Registry for Client {
    fn manifest(&self, image: &Reference, cancel: &Cancel) -> Result<Vec<u8>> {
        if self.store.contains(&image.digest()) {
            return self.store.read(&image.digest());
        }
        let desk = self.desk(image)?;
        let bytes = self.until_cancelled(cancel, async {
            desk.knock().await?;
            desk.patiently(async || desk.manifest().await).await
        })?;
        self.store.put(&bytes)?;
        Ok(bytes)
    }

    fn blobs(&self, image: &Reference, wanted: &[Wanted], cancel: &Cancel) -> Result<()> {
        let mut missing: BTreeMap<Digest, &Wanted> = BTreeMap::new();
        for blob in wanted {
            if super::is_there(image, blob, &self.store)? {
                continue;
            }
            missing.insert(blob.sha256, blob);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let task = format!("fetch {} of {}/{}", number_of(missing.len(), "blob"), image.registry(), image.repository());
        self.report.begin(&task, Some(missing.values().map(|blob| blob.size).sum()), Unit::Bytes);
        let desk = self.desk(image)?;
        let mut done = 0;
        self.until_cancelled(cancel, async {
            desk.knock().await?;
            for blob in missing.into_values() {
                let tell = |so_far| self.report.progress(&task, done + so_far);
                desk.patiently(async || desk.blob(blob, &self.store, &tell).await).await?;
                done += blob.size;
            }
            Ok(())
        })?;
        self.report.progress(&task, done);
        self.report.end(&task, format!("{done} bytes"));
        Ok(())
    }
}

impl Desk<'_> {
    /// The first question, which gets the token if one is wanted. A registry that does not answer it is not asked again.
    async fn knock(&self) -> Result<()> {
        let first = async || {
            let asked = self.client.auth(&self.name, &self.auth, RegistryOperation::Pull);
            match tokio::time::timeout(self.settings.first_answer, asked).await {
                Ok(Ok(token)) if !token.as_deref().is_none_or(credentials::is_token) => {
                    Err(self.lied("a token that no header can carry".into()).into())
                }
                Ok(answer) => answer.map(drop).map_err(|error| self.trouble(error)),
                Err(_) => Err(self.unavailable("does not answer in time").into()),
            }
        };
        self.patiently(first).await
    }

    /// The library takes an answer in whole before anybody can look at its length.
    async fn manifest(&self) -> std::result::Result<Vec<u8>, Trouble> {
        let (bytes, _) = self
            .client
            .pull_manifest_raw(&self.name, &self.auth, &ACCEPTED)
            .await
            .map_err(|error| self.trouble(error))?;
        let found = Digest::of(&bytes);
        if found != self.image.digest() || bytes.len() as u64 > DOCUMENT_MAX {
            return Err(self.lied(format!("{} bytes with sha256 {found}", bytes.len())).into());
        }
        Ok(bytes.to_vec())
    }

    /// Brings one blob into the store. Only the registry itself is asked, no other URL that a manifest may name.
    async fn blob(&self, blob: &Wanted, store: &Store, tell: &dyn Fn(u64)) -> std::result::Result<(), Trouble> {
        let digest = blob.sha256.oci();
        let mut stream =
            self.client.pull_blob_stream(&self.name, AsDigest(&digest)).await.map_err(|error| self.trouble(error))?;
        let mut writer = store.writer()?;
        let (mut received, mut told) = (0, 0);
        while let Some(bytes) = stream.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                // The library compares the digest at the end.
                Err(error) if received == blob.size && is_other(&error) => {
                    return Err(self.lied(format!("other bytes for {digest}")).into());
                }
                Err(error) => {
                    let cause =
                        format!("the connection was cut after {received} of {} bytes: {}", blob.size, chain(&error));
                    return Err(Trouble { error: self.unavailable(&cause), again: true });
                }
            };
            received += bytes.len() as u64;
            if received > blob.size {
                return Err(self.lied(format!("more than {} bytes for {digest}", blob.size)).into());
            }
            writer.write_all(&bytes).map_err(|error| Error::io(store.root(), "write in", error))?;
            if received - told >= STEP {
                tell(received);
                told = received;
            }
        }
        if received != blob.size {
            return Err(self.lied(format!("{received} bytes, not {}, for {digest}", blob.size)).into());
        }
        let committed = writer.commit(Some(&blob.sha256));
        committed.map(drop).map_err(|error| match error.kind() {
            Kind::Trust => self.lied(format!("other bytes for {digest}")).into(),
            _ => error.into(),
        })
    }

    /// Tries a few times, as long as that may help.
    async fn patiently<T>(&self, attempt: impl AsyncFn() -> std::result::Result<T, Trouble>) -> Result<T> {
        let mut wait = self.settings.backoff;
        for _ in 1..TRIES {
            match attempt().await {
                Err(Trouble { again: true, .. }) => {}
                done => return done.map_err(|trouble| trouble.error),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        attempt().await.map_err(|trouble| trouble.error)
    }

    /// What the library's error means.
    fn trouble(&self, error: OciDistributionError) -> Trouble {
        let registry = self.image.registry();
        let settled = |error| Trouble { error, again: false };
        match error {
            OciDistributionError::RegistryError { envelope, .. } => {
                let codes = || envelope.errors.iter().map(|error| &error.code);
                let gone = |code: &OciErrorCode| {
                    matches!(
                        code,
                        OciErrorCode::ManifestUnknown
                            | OciErrorCode::BlobUnknown
                            | OciErrorCode::NameUnknown
                            | OciErrorCode::NotFound
                    )
                };
                let denied = |code: &OciErrorCode| matches!(code, OciErrorCode::Unauthorized | OciErrorCode::Denied);
                let words: Vec<&str> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
                let again = codes().any(|code| matches!(code, OciErrorCode::Toomanyrequests));
                let words = words.join(", ");
                if codes().any(gone) {
                    return settled(self.gone(&words));
                }
                if codes().any(denied) {
                    return settled(self.denied(&words));
                }
                Trouble { error: self.unavailable(&format!("answers: {words}")), again }
            }
            OciDistributionError::ServerError { code: 404 | 410, .. } => settled(self.gone("answers 404")),
            OciDistributionError::ServerError { code: 401 | 403, .. }
            | OciDistributionError::UnauthorizedError { .. } => settled(self.denied("answers 401")),
            OciDistributionError::AuthenticationFailure(_) => settled(self.denied("gives no token")),
            OciDistributionError::ServerError { code, .. } => {
                let again = code >= 500 || code == 429 || code == 408;
                Trouble { error: self.unavailable(&format!("answers {code}")), again }
            }
            OciDistributionError::DigestError(error) => settled(self.lied(error.to_string())),
            OciDistributionError::RequestError(error) => self.unanswered(error),
            other => settled(self.unavailable(&format!("{registry} cannot be understood: {}", chain(&other)))),
        }
    }

    /// A question without an answer. What no patience changes is not asked again.
    fn unanswered(&self, error: reqwest::Error) -> Trouble {
        let distrusted = is_certificate(&error);
        let silent = error.is_connect() && error.is_timeout();
        let again = !(distrusted || silent || error.is_builder() || error.is_redirect());
        let mut error = self.unavailable(&chain(&error.without_url()));
        if distrusted {
            error = error.adding("; trusted are the distribution's ca-certificates, or SSL_CERT_FILE");
        }
        Trouble { error, again }
    }

    fn gone(&self, words: &str) -> Error {
        let cause = format!("is gone: the registry {} does not have it ({words})", self.image.registry());
        Error::new(Kind::Gone, object(self.image), cause)
            .remedy("write the digest of an image that the registry has in base.image, or push this one there again")
    }

    fn denied(&self, words: &str) -> Error {
        let who = match self.auth {
            RegistryAuth::Anonymous => "anonymously, which",
            RegistryAuth::Basic(..) | RegistryAuth::Bearer(_) => "with the credentials of config.json, which",
        };
        let cause = format!("the registry {} was asked {who} it refuses ({words})", self.image.registry());
        Error::new(Kind::Unavailable, object(self.image), cause).remedy(format!(
            "check the name; `docker login {}` without a credential helper writes what is read under `auths` of \
             ~/.docker/config.json or $DOCKER_CONFIG/config.json",
            self.image.registry()
        ))
    }

    fn unavailable(&self, cause: &str) -> Error {
        let cause = format!("cannot be fetched from the registry {}: {cause}", self.image.registry());
        Error::new(Kind::Unavailable, object(self.image), cause)
            .remedy("check the network and http_proxy/https_proxy, or try again")
    }

    fn lied(&self, what: String) -> Error {
        let cause = format!("the registry {} gives something else than was asked for: {what}", self.image.registry());
        Error::new(Kind::Trust, object(self.image), cause)
            .remedy("a damaged or hostile registry or proxy does that: name another registry")
    }
}

/// A blob by nothing but its digest.
struct AsDigest<'a>(&'a str);

impl AsLayerDescriptor for AsDigest<'_> {
    fn as_layer_descriptor(&self) -> oci_client::client::LayerDescriptor<'_> {
        oci_client::client::LayerDescriptor { digest: self.0, urls: &None }
    }
}

/// Whether an I/O error only carries that the digest was another one.
fn is_other(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<DigestError>())
}

fn chain(error: &dyn std::error::Error) -> String {
    crate::fetch::chain(error)
}
