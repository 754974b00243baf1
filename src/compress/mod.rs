//! Compressed streams: readers for what others packed, writers for what this tool packs. Knows nothing of what the
//! streams hold.
//!
//! Readers are chosen by the first bytes, held to what a file's name promised, and bounded in what they give and in
//! the memory they take. Writers give the same bytes for any number of threads; still, the bytes of a compressed
//! stream belong to the version of the compressor, so nothing takes its identity from them.

mod gzip;

pub use gzip::GzipWriter;

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// The .xz container.
    Xz,
    /// RFC 8878.
    Zstd,
    /// bzip2's own form. Only read: old release tarballs have it.
    Bzip2,
}

/// The longest magic number below.
const MAGIC_BYTES: u64 = 6;
/// Memory of one decoder. `xz -9` takes 65 MiB, the largest zstd window of a distribution's packages 8 MiB; a stream
/// that wants more is refused.
const MEMORY: u64 = 128 << 20;
/// The same for zstd, as the logarithm of its window.
const WINDOW_LOG: u32 = 27;
/// Bytes asked of the inner reader at once.
const INPUT_BUFFER: usize = 64 * 1024;

impl Format {
    /// What the ending of a file's name promises: `.xz`, `.zst`, `.gz`, `.bz2`; anything else is plain.
    pub fn of_name(name: &str) -> Format {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("gz" | "tgz") => Format::Gzip,
            Some("xz" | "txz") => Format::Xz,
            Some("zst" | "zstd") => Format::Zstd,
            Some("bz2" | "tbz2") => Format::Bzip2,
            _ => Format::Plain,
        }
    }

    /// What the first bytes of a stream say.
    pub fn of_magic(head: &[u8]) -> Format {
        match head {
            [0x1f, 0x8b, ..] => Format::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Format::Zstd,
            // The block size, and the start of a block or of the end mark.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => {
                Format::Bzip2
            }
            _ => Format::Plain,
        }
    }

    /// The format's name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Format::Plain => "uncompressed data",
            Format::Gzip => "gzip",
            Format::Xz => "xz",
            Format::Zstd => "zstd",
            Format::Bzip2 => "bzip2",
        }
    }
}

/// Reads `input` uncompressed, whatever its format: `promised`, if given, must be the one its first bytes show. The
/// reader fails once it has given `limit` bytes and more would come.
///
/// # Errors
/// `InvalidData` for a broken promise, an unknown or damaged stream; whatever `input` fails with. The reader itself
/// gives `InvalidData` or `UnexpectedEof` for damage and `FileTooLarge` at the limit.
pub fn reader<'a>(
    mut input: Box<dyn Read + Send + 'a>,
    promised: Option<Format>,
    limit: u64,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::new();
    input.by_ref().take(MAGIC_BYTES).read_to_end(&mut head)?;
    let found = Format::of_magic(&head);
    if let Some(promised) = promised.filter(|promised| *promised != found) {
        return Err(damaged(format!("the name promises {}, the bytes are {}", promised.name(), found.name())));
    }
    let whole = BufReader::with_capacity(INPUT_BUFFER, io::Cursor::new(head).chain(input));
    Ok(Box::new(Bounded { inner: decoder(found, whole)?, left: limit, limit }))
}

fn decoder<'a>(format: Format, input: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match format {
        Format::Plain => Box::new(input),
        Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Format::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
        Format::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
    })
}

fn damaged(cause: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

/// A reader that fails instead of giving more than it may.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                let cause = format!("holds more than the {} bytes allowed for it", self.limit);
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, cause));
            }
        }
        Ok(count)
    }
}

/// Compresses all of `input` into `output`; the bytes do not depend on `workers`.
///
/// # Errors
/// Whatever `input` or `output` fails with; `Unsupported` for xz and bzip2, which are only read here.
pub fn compress(format: Format, input: &mut dyn Read, output: &mut dyn Write, workers: usize) -> io::Result<()> {
    match format {
        Format::Plain => io::copy(input, output).map(drop),
        Format::Gzip => {
            let mut writer = GzipWriter::new(output, workers);
            io::copy(input, &mut writer)?;
            writer.finish().map(drop)
        }
        Format::Zstd => {
            let mut writer = zstd_writer(output, workers)?;
            io::copy(input, &mut writer)?;
            writer.finish().map(drop)
        }
        Format::Xz | Format::Bzip2 => {
            let cause = format!("{} is only read, never written", format.name());
            Err(io::Error::new(io::ErrorKind::Unsupported, cause))
        }
    }
}

/// The zstd level: the program's own default, at which a layer takes a third of its size.
const ZSTD_LEVEL: i32 = 3;

/// Bytes that a zstd thread compresses at once. The library's own choice, 8 MiB, takes 60 MiB of memory with two threads;
/// a layer becomes less than 1 % longer.
const ZSTD_JOB: u32 = 2 << 20;
/// More threads would take more memory than a run may have.
const ZSTD_THREADS: usize = 4;

/// A zstd stream with a checksum. With no worker at all zstd cuts its input differently, so there is at least one.
fn zstd_writer<W: Write>(output: W, workers: usize) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(output, ZSTD_LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.multithread(u32::try_from(workers.clamp(1, ZSTD_THREADS)).unwrap_or(1))?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB))?;
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn text(bytes: usize) -> Vec<u8> {
        let mut made = Vec::with_capacity(bytes + 80);
        let mut line = 0u64;
        while made.len() < bytes {
            made.extend_from_slice(format!("{line} {}\n", line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40).as_bytes());
            line += 1;
        }
        made.truncate(bytes);
        made
    }

    fn pack(format: Format, input: &[u8]) -> Vec<u8> {
        match format {
            Format::Xz => {
                let mut packed = Vec::new();
                liblzma::read::XzEncoder::new(input, 6).read_to_end(&mut packed).unwrap();
                packed
            }
            Format::Bzip2 => {
                let mut packed = Vec::new();
                bzip2::read::BzEncoder::new(input, bzip2::Compression::new(9)).read_to_end(&mut packed).unwrap();
                packed
            }
            other => {
                let mut packed = Vec::new();
                compress(other, &mut &input[..], &mut packed, 2).unwrap();
                packed
            }
        }
    }

    fn unpack(packed: &[u8], promised: Option<Format>, limit: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        reader(Box::new(packed), promised, limit)?.read_to_end(&mut content)?;
        Ok(content)
    }

    const ALL: [Format; 5] = [Format::Plain, Format::Gzip, Format::Xz, Format::Zstd, Format::Bzip2];

    #[test]
    fn every_format_is_known_by_its_bytes() {
        let content = text(300_000);
        for format in ALL {
            let packed = pack(format, &content);
            assert_eq!(Format::of_magic(&packed), format);
            assert_eq!(unpack(&packed, None, 300_000).unwrap(), content, "{format:?}");
            assert_eq!(unpack(&packed, Some(format), 300_000).unwrap(), content, "{format:?}");
        }
        assert_eq!(unpack(b"", None, 0).unwrap(), b"");
        assert_eq!(unpack(b"abc", Some(Format::Plain), 3).unwrap(), b"abc");
    }

    #[test]
    fn streams_one_after_the_other_are_one() {
        let content = text(300_000);
        let (one, other) = content.split_at(100_001);
        for format in [Format::Gzip, Format::Xz, Format::Zstd, Format::Bzip2] {
            let packed = [pack(format, one), pack(format, b""), pack(format, other)].concat();
            assert_eq!(unpack(&packed, None, 300_000).unwrap(), content, "{format:?}");
            let cut = &packed[..packed.len() - 1];
            assert!(unpack(cut, None, 300_000).is_err(), "{format:?}: the last stream is cut");
        }
        assert_eq!(Format::of_magic(&pack(Format::Bzip2, b"")), Format::Bzip2);
        assert_eq!(Format::of_magic(b"BZh9 is how a text may begin"), Format::Plain);
    }

    #[test]
    fn the_limit_holds_and_names_itself() {
        let content = text(300_000);
        for format in ALL {
            let error = unpack(&pack(format, &content), None, 299_999).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            assert!(error.to_string().contains("299999"), "{error}");
        }
    }

    #[test]
    fn a_truncated_stream_is_an_error() {
        let content = text(300_000);
        for format in [Format::Gzip, Format::Xz, Format::Zstd, Format::Bzip2] {
            let packed = pack(format, &content);
            for length in [7, packed.len() / 2, packed.len() - 1] {
                assert!(unpack(&packed[..length], None, 300_000).is_err(), "{format:?} cut to {length}");
            }
        }
    }

    #[test]
    fn a_broken_promise_names_both() {
        let error = unpack(&pack(Format::Gzip, b"x"), Some(Format::Xz), 10).unwrap_err();
        assert!(error.to_string().contains("promises xz, the bytes are gzip"), "{error}");
    }

    #[test]
    fn names_promise_formats() {
        let names = ["data.tar.xz", "data.tar.zst", "data.tar.gz", "x.orig.tar.bz2", "data.tar", "data"];
        let formats = [Format::Xz, Format::Zstd, Format::Gzip, Format::Bzip2, Format::Plain, Format::Plain];
        assert_eq!(names.map(Format::of_name), formats);
    }

    #[test]
    fn zstd_bytes_do_not_depend_on_threads() {
        let content = text(5_000_000);
        let digests = [0, 1, 2, 3, 8].map(|workers| {
            let mut packed = Vec::new();
            compress(Format::Zstd, &mut content.as_slice(), &mut packed, workers).unwrap();
            Digest::of(&packed)
        });
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    }

    #[test]
    fn a_decoder_with_a_huge_window_is_refused() {
        // A zstd frame whose header asks for a window of 2^31 bytes (RFC 8878, 3.1.1.1.2: exponent 21).
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        assert!(unpack(&frame, None, 1000).is_err());
    }
}
