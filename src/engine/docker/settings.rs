//! The build contract as a create request, and whether the engine kept to it. A service has settings of its own
//! (containers.conf, daemon.json) that add variables, mounts or rights to every container; such an engine is refused.
//!
//! What was tried on Docker 20.10 and Podman 4.3 stands behind each line that looks odd:
//! - A volume beats the read-only root, so /src, /build and /out are anonymous volumes, which also take uploads before
//!   the start; both engines copy the owner of the layer's folder into them.
//! - Podman writes the host's own /etc/hosts (its names, its address) into a container without network, Docker the
//!   host's DNS servers into resolv.conf. `/dev/null` exists on every host, also a remote one, and covers all three.
//! - Podman mounts /run and /var/tmp on its own when the root is read-only, so both engines are told to.
//! - Podman 4.3 sets TERM and `container`, unless they are set: the contract sets them.

use crate::engine::contract;
use crate::engine::owner::Owner;
use crate::engine::{LABEL_BUILD, LABEL_OWNER, Spec};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig, MountPoint, ResourcesUlimits,
};
use std::collections::BTreeMap;

/// Files the engines would fill with facts of the host.
const EMPTIED: [&str; 3] = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"];
const NOTHING: &str = "/dev/null";
/// The contract's user in the form of the API.
fn user() -> String {
    format!("{0}:{0}", contract::UID)
}

/// The create request for `spec` on the image with the engine's own id `image`.
pub(super) fn request(image: &str, spec: &Spec, owner: &Owner) -> ContainerCreateBody {
    let folders = [contract::SRC, contract::BUILD, contract::OUT].map(str::to_owned);
    let labels = [(LABEL_BUILD, spec.name.clone()), (LABEL_OWNER, owner.to_string())];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        user: Some(user()),
        hostname: Some(contract::HOSTNAME.to_owned()),
        // The whole command is the entry point: it then replaces the image's, and nothing is appended to it.
        entrypoint: Some(spec.command.clone()),
        env: Some(environment(spec).into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: Some(spec.workdir.clone()),
        volumes: Some(folders.to_vec()),
        labels: Some(labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host(spec)),
        ..ContainerCreateBody::default()
    }
}

/// What the build sees: the contract's variables, then its own.
fn environment(spec: &Spec) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        contract::ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.extend(spec.environment.clone());
    all
}

fn host(spec: &Spec) -> HostConfig {
    let tmpfs = [
        ("/tmp", format!("exec,mode=1777,size={}", contract::TMP_BYTES)),
        ("/var/tmp", format!("exec,mode=1777,size={}", contract::VAR_TMP_BYTES)),
        ("/run", "mode=755,size=1m".to_owned()),
    ];
    HostConfig {
        readonly_rootfs: Some(true),
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        init: Some(false),
        ipc_mode: Some("private".to_owned()),
        binds: Some(EMPTIED.iter().map(|path| format!("{NOTHING}:{path}:ro")).collect()),
        tmpfs: Some(tmpfs.into_iter().map(|(path, options)| (path.to_owned(), options)).collect()),
        shm_size: i64::try_from(contract::SHM_BYTES).ok(),
        memory: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
        pids_limit: i64::try_from(contract::PIDS).ok(),
        ulimits: Some(vec![
            ulimit("nofile", contract::NOFILE),
            ulimit("nproc", contract::NPROC),
            ulimit("core", (0, 0)),
        ]),
        // The log goes to the caller; the engine would keep a second, unbounded copy.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    }
}

fn ulimit(name: &str, (soft, hard): (u64, u64)) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: i64::try_from(soft).ok(), hard: i64::try_from(hard).ok() }
}

/// The first rule of the contract that the created container does not keep, in words.
pub(super) fn broken_rule(made: &ContainerInspectResponse, spec: &Spec) -> Option<String> {
    let config = made.config.as_ref()?;
    let host = made.host_config.as_ref()?;
    let wanted = environment(spec);
    for variable in config.env.iter().flatten() {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        if wanted.get(name).is_none_or(|wish| wish != value) {
            return Some(format!("it sets the environment variable {name}"));
        }
    }
    for mount in made.mounts.iter().flatten() {
        if !expected(mount) {
            return Some(format!("it mounts {} of the host", mount.destination.as_deref().unwrap_or("a folder")));
        }
    }
    let rules = [
        ("it does not run as 1000:1000", config.user.as_deref() == Some(user().as_str())),
        ("it has a network", host.network_mode.as_deref() == Some("none")),
        ("its root is writable", host.readonly_rootfs == Some(true)),
        ("it is privileged", host.privileged != Some(true)),
        ("it has capabilities", host.cap_add.iter().flatten().next().is_none()),
        ("it has devices of the host", host.devices.iter().flatten().next().is_none()),
        (
            "it may gain privileges",
            host.security_opt.iter().flatten().any(|option| {
                option.split(['=', ':']).next() == Some("no-new-privileges") && !option.ends_with("false")
            }),
        ),
    ];
    rules.into_iter().find(|(_, kept)| !kept).map(|(words, _)| words.to_owned())
}

fn expected(mount: &MountPoint) -> bool {
    let at = mount.destination.as_deref().unwrap_or_default();
    match mount.typ.as_deref() {
        Some("volume") => [contract::SRC, contract::BUILD, contract::OUT].contains(&at),
        Some("bind") => EMPTIED.contains(&at) && mount.source.as_deref() == Some(NOTHING),
        Some("tmpfs") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ContainerConfig;

    fn spec() -> Spec {
        Spec {
            name: "ovmf-1".into(),
            command: vec!["/src/build".into()],
            environment: BTreeMap::from([("PATH".into(), "/bin".into()), ("JOBS".into(), "2".into())]),
            workdir: "/build".into(),
            memory: Some(1 << 30),
        }
    }

    /// What an engine that changes nothing would tell about the request.
    fn made() -> ContainerInspectResponse {
        let owner = Owner::parse("m/b/1/2/3").unwrap();
        let asked = request("sha256:x", &spec(), &owner);
        let volume = |at: &str| MountPoint {
            typ: Some("volume".into()),
            destination: Some(at.into()),
            source: Some("/var/lib/docker/volumes/x".into()),
            ..MountPoint::default()
        };
        ContainerInspectResponse {
            config: Some(ContainerConfig { env: asked.env, user: asked.user, ..ContainerConfig::default() }),
            host_config: asked.host_config,
            mounts: Some(asked.volumes.iter().flatten().map(|at| volume(at)).collect()),
            ..ContainerInspectResponse::default()
        }
    }

    #[test]
    fn own_variables_win_over_the_contract() {
        let all = environment(&spec());
        assert_eq!((all["PATH"].as_str(), all["HOME"].as_str(), all["JOBS"].as_str()), ("/bin", "/build", "2"));
    }

    #[test]
    fn a_container_as_asked_for_is_fine() {
        assert_eq!(broken_rule(&made(), &spec()), None);
    }

    #[test]
    fn whatever_a_service_adds_is_refused() {
        type Change = fn(&mut ContainerInspectResponse);
        fn host(made: &mut ContainerInspectResponse) -> &mut HostConfig {
            made.host_config.as_mut().unwrap()
        }
        let changes: [(&str, Change); 9] = [
            ("variable LEAK", |made| made.config.as_mut().unwrap().env.as_mut().unwrap().push("LEAK=secret".into())),
            ("variable HOME", |made| made.config.as_mut().unwrap().env.as_mut().unwrap().push("HOME=/x".into())),
            ("mounts /home", |made| {
                let typ = Some("bind".into());
                let (source, destination) = (Some("/home".into()), Some("/home".into()));
                made.mounts.as_mut().unwrap().push(MountPoint { typ, source, destination, ..MountPoint::default() });
            }),
            ("1000:1000", |made| made.config.as_mut().unwrap().user = Some("0".into())),
            ("network", |made| host(made).network_mode = Some("bridge".into())),
            ("writable", |made| host(made).readonly_rootfs = None),
            ("privileged", |made| host(made).privileged = Some(true)),
            ("capabilities", |made| host(made).cap_add = Some(vec!["SYS_ADMIN".into()])),
            ("gain privileges", |made| host(made).security_opt = Some(vec!["no-new-privileges=false".into()])),
        ];
        for (word, change) in changes {
            let mut other = made();
            change(&mut other);
            let rule = broken_rule(&other, &spec()).unwrap_or_default();
            assert!(rule.contains(word), "{word}: {rule}");
            assert!(!rule.contains("secret"), "a value is never shown: {rule}");
        }
    }
}
