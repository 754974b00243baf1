//! Whether a tar was there to its end. Its end is blocks of zeros, after which a reader stops; one that meets the end of the
//! stream instead takes that for a normal end, too.

use std::io::{self, Read};

/// The stream a tar is read from. Ask it when the reader has stopped.
pub(crate) struct Whole<R> {
    inner: R,
    has_ended: bool,
}

impl<R: Read> Whole<R> {
    pub(crate) fn new(inner: R) -> Self {
        Whole { inner, has_ended: false }
    }

    /// Whether the reader met the end of the stream: whoever writes it gave up half-way.
    pub(crate) fn is_cut(&self) -> bool {
        self.has_ended
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.has_ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}
