//! An initramfs in the newc form. Nothing of this machine is in it but the bytes it is given: owners, times and numbers
//! are fixed, so the same files make the same archive.

/// What an entry is, with its permissions.
pub enum Kind<'a> {
    Folder,
    Program(&'a [u8]),
    File(&'a [u8]),
    /// A character device: major, minor.
    Device(u32, u32),
}

#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    pub fn add(&mut self, name: &str, kind: Kind) {
        let (mode, data, (major, minor)): (u32, &[u8], _) = match kind {
            Kind::Folder => (0o040_755, &[], (0, 0)),
            Kind::Program(data) => (0o100_755, data, (0, 0)),
            Kind::File(data) => (0o100_644, data, (0, 0)),
            Kind::Device(major, minor) => (0o020_600, &[], (major, minor)),
        };
        self.entries += 1;
        self.entry(name, [self.entries, mode], data, [major, minor]);
    }

    /// inode, mode, uid, gid, links, time, size, device (two numbers), node (two), length of the name, checksum.
    fn entry(&mut self, name: &str, [inode, mode]: [u32; 2], data: &[u8], [major, minor]: [u32; 2]) {
        let size = u32::try_from(data.len()).unwrap();
        let length = u32::try_from(name.len() + 1).unwrap();
        self.bytes.extend(b"070701");
        for field in [inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, length, 0] {
            self.bytes.extend(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(data);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", [0, 0], &[], [0, 0]);
        self.bytes
    }
}
