//! The account tables. base-passwd installs its master tables when it is configured, which never happens here; the
//! layer gets them directly, with the one user builds run as.

use super::Contract;
use super::decode::CAPTURED;

/// The least a system needs, for roots without base-passwd.
const PASSWD: &str = "root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:*:0:\nnogroup:*:65534:\n";

/// etc/group and etc/passwd. Passwords are locked: nobody logs in.
pub(super) fn tables(contract: &Contract<'_>, captured: &[(&str, Vec<u8>)]) -> [(&'static str, Vec<u8>); 2] {
    let Contract { user, id, home, .. } = contract;
    let master = |name: &str, least: &str| {
        let found = captured.iter().find(|(path, _)| *path == name);
        found.map_or_else(|| least.as_bytes().to_vec(), |(_, content)| content.clone())
    };
    let [passwd, group] = CAPTURED;
    let mut passwd = master(passwd, PASSWD);
    passwd.extend_from_slice(format!("{user}:*:{id}:{id}:{user}:{home}:/bin/sh\n").as_bytes());
    let mut group = master(group, GROUP);
    group.extend_from_slice(format!("{user}:*:{id}:\n").as_bytes());
    [("etc/group", group), ("etc/passwd", passwd)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: Contract<'static> = Contract { folders: &[], owned: &[], id: 1000, user: "builder", home: "/b" };

    #[test]
    fn the_master_tables_are_used_where_there_are_any() {
        let captured = [(CAPTURED[0], b"root:*:0:0:root:/root:/bin/bash\n".to_vec())];
        let [(_, group), (_, passwd)] = tables(&CONTRACT, &captured);
        let passwd = String::from_utf8(passwd).unwrap();
        assert_eq!(passwd, "root:*:0:0:root:/root:/bin/bash\nbuilder:*:1000:1000:builder:/b:/bin/sh\n");
        assert_eq!(String::from_utf8(group).unwrap(), format!("{GROUP}builder:*:1000:\n"));
    }
}
