//! The outer container of a .deb: a Unix ar archive of a few members, read in sequence. Only the form that deb(5)
//! allows: short names, no index, no name table.

use std::io::{self, Read};

/// The first bytes of every ar archive.
const MAGIC: &[u8; 8] = b"!<arch>\n";
/// Bytes of a member's header: name 16, mtime 12, owner 6, group 6, mode 8, size 10, end 2.
const HEADER: usize = 60;

/// An ar archive; it reads as the member last asked for with [`Ar::next`].
pub struct Ar<R> {
    input: R,
    left: u64,
    padded: bool,
}

impl<R: Read> Ar<R> {
    /// Reads the magic number.
    ///
    /// # Errors
    /// `InvalidData` when it is something else.
    pub fn open(mut input: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(damaged("is no ar archive"));
        }
        Ok(Ar { input, left: 0, padded: false })
    }

    /// Skips what is left of the current member and gives the name of the next; `None` at the end.
    ///
    /// # Errors
    /// `InvalidData` or `UnexpectedEof` for a damaged archive.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        self.skip()?;
        let mut header = Vec::new();
        self.input.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(None);
        }
        if header.len() != HEADER || &header[58..] != b"`\n" {
            return Err(damaged("an ar header is damaged"));
        }
        let text = |range: std::ops::Range<usize>| {
            std::str::from_utf8(&header[range]).map(str::trim_end).map_err(|_| damaged("an ar header is not text"))
        };
        self.left = text(48..58)?.parse().map_err(|_| damaged("an ar header has no size"))?;
        self.padded = self.left % 2 == 1;
        // GNU ar ends names with a slash, dpkg does not.
        let name = text(0..16)?;
        Ok(Some(name.strip_suffix('/').unwrap_or(name).to_owned()))
    }

    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left + u64::from(self.padded);
        let skipped = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        // Some writers leave the padding of the last member out.
        if skipped < self.left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.left, self.padded) = (0, false);
        Ok(())
    }
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.input.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn damaged(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let mut made =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).into_bytes();
        made.extend_from_slice(content);
        if content.len() % 2 == 1 {
            made.push(b'\n');
        }
        made
    }

    #[test]
    fn members_in_sequence_read_or_skipped() {
        let bytes = [MAGIC.to_vec(), member("a", b"one"), member("b/", b"two!"), member("c", b"3")].concat();
        for cut in [bytes.len(), bytes.len() - 1] {
            let mut ar = Ar::open(&bytes[..cut]).unwrap();
            assert_eq!(ar.next().unwrap().unwrap(), "a");
            assert_eq!(ar.next().unwrap().unwrap(), "b");
            let mut content = String::new();
            ar.read_to_string(&mut content).unwrap();
            assert_eq!(content, "two!");
            assert_eq!(ar.next().unwrap().unwrap(), "c");
            assert_eq!(ar.next().unwrap(), None);
        }
    }

    #[test]
    fn damage_is_noticed() {
        assert!(Ar::open(&b"!<arch>"[..]).is_err());
        assert!(Ar::open(&b"!<thin>\n"[..]).is_err());
        let bytes = [MAGIC.to_vec(), member("a", b"one two three")].concat();
        for cut in 9..bytes.len() - 1 {
            let mut ar = Ar::open(&bytes[..cut]).unwrap();
            let read = ar.next().and_then(|_| io::copy(&mut ar, &mut io::sink()).map(drop)).and_then(|()| ar.next());
            assert!(read.is_err(), "cut to {cut}");
        }
        let huge = [MAGIC.to_vec(), format!("{:<48}{:<10}`\n", "a", "99999999999").into_bytes()].concat();
        assert!(Ar::open(huge.as_slice()).unwrap().next().is_err());
    }
}
