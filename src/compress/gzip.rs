//! A gzip writer that uses several threads and whose bytes do not depend on how many.
//!
//! The input is cut into blocks of [`BLOCK`] bytes. Each block is deflated on its own with the last 32 KiB of the
//! block before as its dictionary, and ends with a sync flush, so that the pieces join to one deflate stream; the
//! last one ends the stream. It is one gzip member with mtime 0 and operating system 255 (unknown). This is how pigz
//! works; the bytes depend on [`BLOCK`], [`LEVEL`] and the version of the deflate library.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Bytes of one block. On a layer, sizes from 64 KiB to 4 MiB gave the same length within 0.1 % and the same time.
const BLOCK: usize = 256 * 1024;
/// Bytes of history deflate can refer to (RFC 1951).
const WINDOW: usize = 32 * 1024;
/// The deflate level: gzip's own default.
const LEVEL: u32 = 6;
/// The most threads: each holds about a MiB, and more would outrun whoever gives and takes the bytes.
const THREADS: usize = 16;
/// ID, deflate, no flags, no time, no extra flags, unknown operating system (RFC 1952).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A block on its way to a thread: its dictionary, then its bytes.
struct Job {
    bytes: Vec<u8>,
    dictionary: usize,
    last: bool,
    answer: SyncSender<io::Result<Packed>>,
}

/// A deflated block with the checksum of its bytes.
struct Packed {
    bytes: Vec<u8>,
    crc: Crc,
}

/// Writes one gzip member. Memory is about a MiB for each worker, whatever the length of the stream.
///
/// [`GzipWriter::finish`] ends the stream; a writer that is only dropped leaves a stream that no reader accepts.
pub struct GzipWriter<W: Write> {
    inner: W,
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    waiting: VecDeque<Receiver<io::Result<Packed>>>,
    block: Vec<u8>,
    dictionary: usize,
    crc: Crc,
    headed: bool,
}

impl<W: Write> GzipWriter<W> {
    /// Starts a stream on `inner` with `workers` threads, from one to `THREADS`.
    pub fn new(inner: W, workers: usize) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..workers.clamp(1, THREADS)).map(|_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || work(&queue))
        });
        GzipWriter {
            inner,
            jobs: Some(jobs),
            threads: threads.collect(),
            waiting: VecDeque::new(),
            block: Vec::with_capacity(WINDOW + BLOCK),
            dictionary: 0,
            crc: Crc::new(),
            headed: false,
        }
    }

    /// Ends the stream and returns what it was written to.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        self.jobs = None;
        while !self.waiting.is_empty() {
            self.collect()?;
        }
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        for thread in std::mem::take(&mut self.threads) {
            thread.join().map_err(|_| lost())?;
        }
        Ok(self.inner)
    }

    /// Hands the current block to a thread and starts the next with its end as dictionary.
    fn submit(&mut self, last: bool) -> io::Result<()> {
        if !self.headed {
            self.inner.write_all(&HEADER)?;
            self.headed = true;
        }
        let window = self.block.len().min(WINDOW);
        let mut next = Vec::with_capacity(WINDOW + BLOCK);
        next.extend_from_slice(&self.block[self.block.len() - window..]);
        let bytes = std::mem::replace(&mut self.block, next);
        let dictionary = std::mem::replace(&mut self.dictionary, window);
        let (answer, answered) = sync_channel(1);
        let job = Job { bytes, dictionary, last, answer };
        self.jobs.as_ref().ok_or_else(lost)?.send(job).map_err(|_| lost())?;
        self.waiting.push_back(answered);
        // One block in work and one ready for each thread keeps all of them busy and the memory bounded.
        if self.waiting.len() > 2 * self.threads.len() {
            self.collect()?;
        }
        Ok(())
    }

    /// Writes the oldest block, when it is done.
    fn collect(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.waiting.pop_front() {
            let packed = oldest.recv().map_err(|_| lost())??;
            self.crc.combine(&packed.crc);
            self.inner.write_all(&packed.bytes)?;
        }
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full block waits for the next byte: only then is it known that it is not the last.
        if self.block.len() - self.dictionary == BLOCK && !bytes.is_empty() {
            self.submit(false)?;
        }
        let room = BLOCK - (self.block.len() - self.dictionary);
        let count = room.min(bytes.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Blocks have a fixed size, so nothing is written before its time.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lost() -> io::Error {
    io::Error::other("a compressing thread ended early")
}

/// A thread's life: takes blocks until the writer is gone.
fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let Ok(Ok(job)) = queue.lock().map(|queue| queue.recv()) else { return };
        let packed = pack(&job);
        // A writer that does not wait any more has failed and says so itself.
        let _ = job.answer.send(packed);
    }
}

/// A new deflater for each block: one that is reset keeps traces of the block before, which then depends on the thread
/// that took it (seen on a kernel's tree: 3 bytes more or less).
fn pack(job: &Job) -> io::Result<Packed> {
    let (dictionary, block) = job.bytes.split_at(job.dictionary);
    let mut deflater = Compress::new(Compression::new(LEVEL), false);
    if !dictionary.is_empty() {
        deflater.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    let flush = if job.last { FlushCompress::Finish } else { FlushCompress::Sync };
    let mut bytes = Vec::with_capacity(block.len() / 2 + 1024);
    loop {
        let done = usize::try_from(deflater.total_in()).map_err(io::Error::other)?;
        let status = deflater.compress_vec(&block[done..], &mut bytes, flush).map_err(io::Error::other)?;
        // Space left over means that the flush is complete; asking again would add an empty block.
        if status == Status::StreamEnd || (!job.last && bytes.len() < bytes.capacity()) {
            break;
        }
        bytes.reserve(bytes.len() / 2 + 1024);
    }
    let mut crc = Crc::new();
    crc.update(block);
    Ok(Packed { bytes, crc })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use std::io::Read;
    use std::process::{Command, Stdio};

    /// Half well compressible, half not, and not periodic.
    fn sample(bytes: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut made = Vec::with_capacity(bytes + 16);
        while made.len() < bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state & 0x1000 == 0 {
                made.extend_from_slice(&state.to_le_bytes());
            } else {
                made.extend_from_slice(b"the same words again ");
            }
        }
        made.truncate(bytes);
        made
    }

    fn packed(input: &[u8], workers: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), workers);
        // Uneven pieces: the cuts must not follow the caller's writes.
        for piece in input.chunks(100_003) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    const LENGTHS: [usize; 8] = [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 7 * BLOCK + 12_345];

    #[test]
    fn same_bytes_for_any_number_of_threads() {
        for length in LENGTHS {
            let input = sample(length);
            let alone = packed(&input, 1);
            for workers in [0, 2, 3, 8] {
                assert_eq!(packed(&input, workers), alone, "{length} bytes, {workers} threads");
            }
        }
    }

    #[test]
    fn no_block_remembers_what_its_thread_packed_before() {
        // A program has what made the difference: long runs of almost equal bytes.
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(program.len() > 8 * BLOCK);
        let alone: Vec<u8> = packed(&program, 1);
        for workers in [2, 3, 5, 8] {
            assert!(packed(&program, workers) == alone, "{workers} threads");
        }
    }

    #[test]
    fn golden_bytes() {
        // A change here (a new deflate library, another block size) changes every .tar.gz: it belongs under "Changes
        // the product's bytes" in CHANGELOG.md.
        assert_eq!(
            Digest::of(&packed(&sample(3 * BLOCK + 1), 2)).to_string(),
            "cbb5188e1b763c10f2376204f55eb14e8c8f8bdbf55925bc73b36735de5a5529"
        );
    }

    #[test]
    fn flate2_reads_one_member_back() {
        for length in LENGTHS {
            let input = sample(length);
            let stream = packed(&input, 2);
            assert_eq!(stream[..10], HEADER);
            let mut rest = stream.as_slice();
            let mut content = Vec::new();
            flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut content).unwrap();
            assert_eq!(content, input, "{length} bytes");
            assert!(rest.is_empty(), "more than one member");
            assert_eq!(stream[stream.len() - 4..], u32::try_from(length).unwrap().to_le_bytes());
        }
    }

    #[test]
    fn the_gzip_program_reads_it_back() {
        for length in LENGTHS {
            let input = sample(length);
            let stream = packed(&input, 3);
            let mut child =
                Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            let feeder = std::thread::spawn(move || stdin.write_all(&stream).unwrap());
            let output = child.wait_with_output().unwrap();
            feeder.join().unwrap();
            assert!(output.status.success());
            assert_eq!(output.stdout, input, "{length} bytes");
        }
    }

    #[test]
    fn blocks_cost_little_size() {
        let input = sample(4 * BLOCK);
        let mut whole = Vec::new();
        flate2::read::GzEncoder::new(input.as_slice(), Compression::new(LEVEL)).read_to_end(&mut whole).unwrap();
        assert!(packed(&input, 2).len() < whole.len() + whole.len() / 500);
    }

    #[test]
    fn a_failing_output_is_reported() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = GzipWriter::new(Full, 2);
        let error = writer.write_all(&sample(9 * BLOCK)).and_then(|()| writer.finish().map(drop)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
