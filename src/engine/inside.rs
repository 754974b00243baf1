//! The build contract seen from inside. A service has settings of its own (containers.conf, daemon.json) that add
//! mounts, variables or rights to every container and that it does not always tell about: Podman 4.3 lists no volume of
//! containers.conf. So the first container of an engine and image only prints what it sees, and this module says which
//! rules that breaks. Knows no engine; works on text alone.

use super::{Spec, contract};
use std::collections::BTreeMap;

/// What the look prints. The variables are those of the shell itself as the engine started it: it adds some of its own
/// for its children.
const SCRIPT: &str = r#"for file; do printf '\n==> %s <==\n' "$file"; cat "$file" 2>/dev/null; done
printf '\n==> environ <==\n'; cat /proc/$$/environ; printf '\n==> /dev <==\n'; ls /dev"#;
const SEEN: [&str; 9] = [
    "/proc/self/mountinfo",
    "/proc/self/status",
    "environ",
    "/dev",
    "/proc/net/dev",
    "/proc/net/route",
    "/proc/sys/kernel/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
];

/// Files that would tell of the host, and what they must hold.
const HOST_FACTS: [(&str, &str); 3] =
    [("/proc/sys/kernel/hostname", contract::HOSTNAME), ("/etc/hosts", ""), ("/etc/resolv.conf", "")];
/// Folders in which mounts of the kernel's own file systems are nothing of the host's.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];
/// The kernel's own file systems.
const PSEUDO: [&str; 8] = ["cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "proc", "sysfs", "tmpfs"];
/// Files that an engine may cover: those checked to be empty, and a mark of Podman's without content of the host.
const COVERED: [&str; 4] = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv"];
/// Folders that are memory.
const MEMORY: [&str; 4] = ["/tmp", "/var/tmp", "/run", "/run/secrets"];
/// What stands in /dev without anybody asking for it.
const DEVICES: [&str; 16] = [
    "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
    "tty", "urandom", "zero",
];
/// Devices that the kernel adds to every network namespace when a tunnel module is loaded (`fb_tunnels_only_for_init_net`
/// in the kernel's sysctl documentation). They are down and lead nowhere without a route.
const FALLBACK: [&str; 9] =
    ["tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"];

/// What to run for a look: nothing but a shell, `cat` and `ls`.
pub fn look() -> Spec {
    let mut command: Vec<String> = ["/bin/sh", "-c", SCRIPT, "look"].map(str::to_owned).into();
    command.extend(SEEN.iter().filter(|name| name.matches('/').count() > 1).map(|name| (*name).to_owned()));
    let (name, workdir) = ("look".to_owned(), contract::BUILD.to_owned());
    Spec { name, command, environment: BTreeMap::new(), workdir, memory: None }
}

/// The rules that a container breaks whose [`look`] printed `seen`, in words; values of variables are not repeated.
pub fn broken_rules(seen: &str) -> Vec<String> {
    let files = sections(seen);
    let mut broken = Vec::new();
    for file in SEEN {
        let Some(text) = files.get(file) else {
            broken.push(format!("its {file} cannot be read"));
            continue;
        };
        broken.extend(match file {
            "/proc/self/mountinfo" => mounts(text),
            "/proc/self/status" => rights(text),
            "environ" => variables(text),
            "/dev" => devices(text),
            "/proc/net/dev" => interfaces(text),
            "/proc/net/route" if text.lines().nth(1).is_some() => vec!["it has a network route".to_owned()],
            "/proc/net/route" => Vec::new(),
            _ if HOST_FACTS.iter().any(|(name, fixed)| *name == file && *fixed == text.trim()) => Vec::new(),
            _ => vec![format!("its {file} tells of the host")],
        });
    }
    broken
}

/// The parts of the output, each after its `==> NAME <==`.
fn sections(seen: &str) -> BTreeMap<&str, &str> {
    let starts: Vec<(usize, usize, &str)> = SEEN
        .iter()
        .filter_map(|file| {
            let title = format!("==> {file} <==\n");
            let at = seen.find(&title)?;
            Some((at, at + title.len(), *file))
        })
        .collect();
    let content = |begin: usize| match starts.iter().map(|(at, ..)| *at).filter(|at| *at >= begin).min() {
        // A line end stands between two files.
        Some(end) => seen[begin..end].strip_suffix('\n').unwrap_or(&seen[begin..end]),
        None => &seen[begin..],
    };
    starts.iter().map(|(_, begin, file)| (*file, content(*begin))).collect()
}

/// Fields of mountinfo as proc(5) has them: 5 the place, 6 its options, and after ` - ` the file system's type.
fn mounts(text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (mount, system) = line.split_once(" - ").unwrap_or((line, ""));
        let mut fields = mount.split(' ').skip(4);
        let (place, options) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let kind = system.split(' ').next().unwrap_or_default();
        let below =
            |folder: &str| place.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let fine = match place {
            "/" => options.split(',').any(|option| option == "ro"),
            contract::SRC | contract::BUILD | contract::OUT => true,
            _ if COVERED.contains(&place) => true,
            _ if MEMORY.contains(&place) => kind == "tmpfs",
            _ => PSEUDO.contains(&kind) && KERNEL.iter().any(|folder| below(folder)),
        };
        match (fine, place) {
            (true, _) => {}
            (false, "/") => broken.push("its root is writable".to_owned()),
            (false, place) => broken.push(format!("it mounts {place} ({kind})")),
        }
    }
    broken
}

fn rights(text: &str) -> Vec<String> {
    let user = contract::UID.to_string();
    let four = [user.as_str(); 4].join(" ");
    let mut broken = Vec::new();
    for line in text.lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        let fine = match key {
            "Uid" | "Gid" => value == four,
            "Groups" => value.is_empty() || value == user,
            "CapInh" | "CapPrm" | "CapEff" | "CapBnd" | "CapAmb" => value.chars().all(|digit| digit == '0'),
            "NoNewPrivs" => value == "1",
            "Umask" => value == "0022",
            _ => true,
        };
        if !fine {
            broken.push(format!("{key} is {value}"));
        }
    }
    broken
}

fn variables(text: &str) -> Vec<String> {
    let wanted = BTreeMap::from(contract::ENVIRONMENT);
    let found: BTreeMap<&str, &str> = text.split('\0').filter_map(|variable| variable.split_once('=')).collect();
    let added = found.iter().filter(|(name, value)| wanted.get(*name) != Some(value));
    let missing = wanted.keys().filter(|name| !found.contains_key(*name));
    added
        .map(|(name, _)| format!("it sets the environment variable {name}"))
        .chain(missing.map(|name| format!("it does not set the environment variable {name}")))
        .collect()
}

fn devices(text: &str) -> Vec<String> {
    let added = text.split_whitespace().filter(|name| !DEVICES.contains(name));
    added.map(|name| format!("it has the device {name}")).collect()
}

/// Two lines of titles, then `NAME: counters`.
fn interfaces(text: &str) -> Vec<String> {
    let names = text.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names
        .filter(|name| *name != "lo" && !FALLBACK.contains(name))
        .map(|name| format!("it has the network interface {name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Umask:\t0022\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000 \n\
                          CapInh:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    const MOUNTS: &str = "30 1 0:45 / / ro,relatime - overlay overlay rw,lowerdir=/x\n\
                          31 30 0:46 / /proc rw,nosuid - proc proc rw\n31 30 0:46 / /proc/kcore rw - tmpfs tmpfs rw\n\
                          32 30 254:0 /var/lib/volumes/x/_data /out rw - ext4 /dev/vda rw\n\
                          33 30 0:47 / /tmp rw - tmpfs tmpfs rw\n34 30 0:6 /null /etc/hosts ro - devtmpfs devtmpfs rw\n";

    /// What a good container prints, with one file replaced.
    fn seen(replaced: &str, content: &str) -> String {
        let environ: String = contract::ENVIRONMENT.map(|(name, value)| format!("{name}={value}\0")).concat();
        let net = "Inter-| Receive\n face |bytes\n    lo:       0\n  sit0: 0\n";
        let good = [MOUNTS, STATUS, &environ, "fd\nnull\n", net, "Iface\tDestination\n", "snpforge\n", "", ""];
        let part = |(file, good): (&&str, &&str)| {
            let content = if *file == replaced { content } else { good };
            format!("==> {file} <==\n{content}")
        };
        SEEN.iter().zip(&good).map(part).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_sealed_container_breaks_nothing() {
        assert_eq!(broken_rules(&seen("", "")), Vec::<String>::new());
    }

    #[test]
    fn every_leak_is_named() {
        let mount = |line: &str| format!("{MOUNTS}{line}\n");
        let with = |from: &str, to: &str| STATUS.replace(from, to);
        for (file, content, word) in [
            (0, MOUNTS.replace(" ro,relatime", " rw,relatime"), "root is writable"),
            (0, mount("40 30 254:0 /home /home rw - ext4 /dev/vda rw"), "mounts /home"),
            (0, mount("40 30 254:0 /s /run/secrets ro - ext4 /dev/vda rw"), "mounts /run/secrets"),
            (0, mount("40 30 254:0 /x /procx rw - tmpfs tmpfs rw"), "mounts /procx"),
            (0, mount("40 30 254:0 /x /dev/disk rw - ext4 /dev/vda rw"), "mounts /dev/disk"),
            (1, with("CapEff:\t0", "CapEff:\t1"), "CapEff"),
            (1, with("NoNewPrivs:\t1", "NoNewPrivs:\t0"), "NoNewPrivs"),
            (1, with("Groups:\t1000", "Groups:\t0 1000"), "Groups"),
            (1, with("Umask:\t0022", "Umask:\t0077"), "Umask"),
            (1, with("Uid:\t1000", "Uid:\t0"), "Uid"),
            (2, "HOME=/build\0HTTP_PROXY=http://secret\0".to_owned(), "variable HTTP_PROXY"),
            (2, "HOME=/build\0".to_owned(), "not set the environment variable PATH"),
            (3, "null\nkvm\n".to_owned(), "device kvm"),
            (4, "a\nb\n  lo: 0\neth0: 0\n".to_owned(), "eth0"),
            (5, "Iface\tDestination\neth0\t0\n".to_owned(), "route"),
            (6, "mybox\n".to_owned(), "kernel/hostname"),
            (7, "127.0.0.1 mybox\n".to_owned(), "/etc/hosts"),
        ] {
            let told = broken_rules(&seen(SEEN[file], &content)).join("; ");
            assert!(told.contains(word), "{word}: {told}");
            assert!(!told.contains("secret:") && !told.contains("http:"), "a value is never shown: {told}");
        }
    }

    #[test]
    fn silence_is_no_proof() {
        assert_eq!(broken_rules("").len(), SEEN.len(), "what was not seen is not taken for granted");
    }
}
