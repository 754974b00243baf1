//! The build contract as a create request.
//!
//! What was tried on Docker 20.10 and Podman 4.3 stands behind each line that looks odd:
//! - A volume beats the read-only root, so /src, /build and /out are anonymous volumes, which also take uploads before
//!   the start; both engines copy the owner of the layer's folder into them.
//! - Podman writes the host's own /etc/hosts (its names, its address) into a container without network, Docker the
//!   host's DNS servers into resolv.conf. `/dev/null` exists on every host, also a remote one, and covers all three.
//! - Podman mounts /run and /var/tmp on its own when the root is read-only, so both engines are told to.
//! - Podman of Red Hat's family mounts the host's subscription secrets on /run/secrets, unless something is there.
//! - Podman mounts an /etc/passwd and /etc/group of its own when the layer's lack the user: the layer has both.
//! - Podman 4.3 sets TERM and `container`, unless they are set: the contract sets them.

use crate::engine::contract;
use crate::engine::owner::Owner;
use crate::engine::{LABEL_BUILD, LABEL_OWNER, Spec};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, ResourcesUlimits};
use std::collections::BTreeMap;

/// Files the engines would fill with facts of the host.
const EMPTIED: [&str; 3] = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"];
const NOTHING: &str = "/dev/null";

/// The create request for `spec` on the image with the engine's own id `image`.
pub(super) fn request(image: &str, spec: &Spec, owner: &Owner) -> ContainerCreateBody {
    let folders = [contract::SRC, contract::BUILD, contract::OUT].map(str::to_owned);
    let labels = [(LABEL_BUILD, spec.name.clone()), (LABEL_OWNER, owner.to_string())];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        user: Some(format!("{0}:{0}", contract::UID)),
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
        ("/run/secrets", "mode=755,size=4k".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: "ovmf-1".into(),
            command: vec!["/src/build".into()],
            environment: BTreeMap::from([("PATH".into(), "/bin".into()), ("JOBS".into(), "2".into())]),
            workdir: "/build".into(),
            memory: Some(1 << 30),
        }
    }

    #[test]
    fn own_variables_win_over_the_contract() {
        let all = environment(&spec());
        assert_eq!((all["PATH"].as_str(), all["HOME"].as_str(), all["JOBS"].as_str()), ("/bin", "/build", "2"));
    }
}
