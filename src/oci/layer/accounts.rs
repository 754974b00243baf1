//! The account tables. base-passwd installs its master tables when it is configured, which never happens here; the
//! layer gets them directly, with the one user builds run as. Without masters they are those of the base, if there is one;
//! of these, entries of that user's name or number give way to it.

use super::Contract;
use super::decode::CAPTURED;

/// The least a system needs, for roots without base-passwd.
const PASSWD: &str = "root:*:0:0:root:/root:/bin/sh\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:*:0:\nnogroup:*:65534:\n";

/// The tables of a base.
#[derive(Clone, Copy, Default)]
pub(super) struct Tables<'a> {
    pub(super) passwd: Option<&'a [u8]>,
    pub(super) group: Option<&'a [u8]>,
}

/// A table without the entries that would be the build user's a second time, every line ended.
fn without(table: &[u8], contract: &Contract<'_>) -> Vec<u8> {
    let id = contract.id.to_string();
    let is_other = |line: &&[u8]| {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, number) = (fields.next(), fields.nth(1));
        !line.is_empty() && name != Some(contract.user.as_bytes()) && number != Some(id.as_bytes())
    };
    let lines = table.split(|byte| *byte == b'\n').filter(is_other);
    lines.flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

/// etc/group and etc/passwd. Passwords are locked: nobody logs in.
pub(super) fn tables(
    contract: &Contract<'_>,
    captured: &[(&str, Vec<u8>)],
    base: Tables<'_>,
) -> [(&'static str, Vec<u8>); 2] {
    let Contract { user, id, home, .. } = contract;
    let master = |name: &str, base: Option<&[u8]>, least: &str| {
        let found = captured.iter().find(|(path, _)| *path == name);
        let base = || base.map_or_else(|| least.as_bytes().to_vec(), |table| without(table, contract));
        found.map_or_else(base, |(_, content)| content.clone())
    };
    let [passwd, group] = CAPTURED;
    let mut passwd = master(passwd, base.passwd, PASSWD);
    passwd.extend_from_slice(format!("{user}:*:{id}:{id}:{user}:{home}:/bin/sh\n").as_bytes());
    let mut group = master(group, base.group, GROUP);
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
        let [(_, group), (_, passwd)] = tables(&CONTRACT, &captured, Tables::default());
        let passwd = String::from_utf8(passwd).unwrap();
        assert_eq!(passwd, "root:*:0:0:root:/root:/bin/bash\nbuilder:*:1000:1000:builder:/b:/bin/sh\n");
        assert_eq!(String::from_utf8(group).unwrap(), format!("{GROUP}builder:*:1000:\n"));
    }

    #[test]
    fn the_build_user_is_there_once() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/sh\nbuilder:x:7:7::/:/x\nlast:x:9:9::/:/x";
        let base = Tables { passwd: Some(passwd), group: Some(b"root:x:0:\nubuntu:x:1000:\nadm:x:4:ubuntu\n") };
        let [(_, group), (_, passwd)] = tables(&CONTRACT, &[], base);
        let passwd = String::from_utf8(passwd).unwrap();
        let expected = "root:x:0:0:root:/root:/bin/sh\nlast:x:9:9::/:/x\nbuilder:*:1000:1000:builder:/b:/bin/sh\n";
        assert_eq!(passwd, expected);
        assert_eq!(String::from_utf8(group).unwrap(), "root:x:0:\nadm:x:4:ubuntu\nbuilder:*:1000:\n");
    }
}
