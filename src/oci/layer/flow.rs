//! Packages are read by several threads and written by one, in a fixed order and in bounded memory. The threads work
//! ahead of the writer until [`AHEAD`] bytes wait in memory; what comes then goes to a scratch file, which the kernel
//! keeps in memory of its own while there is some, and comes back when its turn is. Large packages take long to read:
//! that the other threads may put so much aside keeps them busy meanwhile. A thread waits when the scratch file has no
//! room either; the package that the writer is at waits only while the writer has something of it to take.

use super::decode::Event;
use crate::error::{Error, Kind};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes in memory up to which events may wait for the writer, with one or two threads that read. With a third, which
/// takes another 8 MiB for its decoder, it is half of that.
const AHEAD: usize = 8 << 20;
/// The most bytes of a file that travel together.
pub(super) const CHUNK: usize = 64 * 1024;
/// Bytes more up to which events of the package that the writer is at may.
const FRONT: usize = 2 << 20;
/// The most bytes of the scratch file: the read-ahead that one package of gcc's size makes use of.
const SCRATCH: u64 = 256 << 20;
/// Bytes of the smallest place in it, a page; a place is that times a power of two, so that the next piece of about the
/// same length can have it.
const PLACE: usize = 4096;
/// Fewer bytes are not put away: they are not worth two system calls.
const SMALL: usize = 1024;

/// Events of many packages on their way to the writer.
pub(super) struct Flow<'a> {
    scratch: &'a File,
    ahead: usize,
    state: Mutex<State>,
    /// The writer took something, went on to another package or is gone.
    room: Condvar,
    /// The package that the writer is at has something.
    filled: Condvar,
}

struct State {
    queues: Vec<VecDeque<Waiting>>,
    /// About the memory that the events of all queues hold; of what is away, that of the rest of the event.
    held: usize,
    /// The package that the writer is at.
    front: usize,
    /// The next package that nobody reads yet.
    next: usize,
    stopped: bool,
    /// Chunks that were emptied, by the writer or into the scratch file. Used again they cost neither zeroing nor scattered
    /// memory.
    spare: Vec<Vec<u8>>,
    /// Places of the scratch file that are free again, by their size.
    free: BTreeMap<usize, Vec<u64>>,
    /// The end of what was ever used of it.
    end: u64,
}

/// An event, with the place of its bytes if they are in the scratch file.
struct Waiting {
    event: Event,
    away: Option<Place>,
}

/// Where in the scratch file bytes are, and how many.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    length: usize,
}

impl Place {
    fn size(length: usize) -> usize {
        length.next_power_of_two().max(PLACE)
    }
}

impl State {
    /// Room in the scratch file, if there is some left.
    fn place(&mut self, length: usize) -> Option<Place> {
        let size = Place::size(length);
        let used = self.free.get_mut(&size).and_then(Vec::pop);
        let at = used.or_else(|| {
            let at = self.end;
            self.end = Some(at + size as u64).filter(|end| *end <= SCRATCH)?;
            Some(at)
        })?;
        Some(Place { at, length })
    }

    fn give_back(&mut self, place: Place) {
        self.free.entry(Place::size(place.length)).or_default().push(place.at);
    }
}

/// The writer is gone: nothing that is read any more will be used.
pub(super) struct Stopped;

impl<'a> Flow<'a> {
    /// For `packages` packages that `workers` threads read. What is in `scratch` may be overwritten.
    pub(super) fn new(packages: usize, workers: usize, scratch: &'a File) -> Self {
        let ahead = if workers > 2 { AHEAD / 2 } else { AHEAD };
        let queues = (0..packages).map(|_| VecDeque::new()).collect();
        let (spare, free) = (Vec::new(), BTreeMap::new());
        let state = State { queues, held: 0, front: 0, next: 0, stopped: false, spare, free, end: 0 };
        Flow { scratch, ahead, state: Mutex::new(state), room: Condvar::new(), filled: Condvar::new() }
    }

    /// The next package that nobody reads yet, which the caller reads now.
    pub(super) fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        let next = (!state.stopped && state.next < state.queues.len()).then_some(state.next)?;
        state.next += 1;
        Some(next)
    }

    /// Queues an event of a package, if need be with its bytes in the scratch file; waits until there is room.
    pub(super) fn send(&self, package: usize, mut event: Event) -> Result<(), Stopped> {
        let mut away = None;
        let mut leaving = event.content().map_or(0, |content| content.len());
        if !(SMALL..=CHUNK).contains(&leaving) {
            leaving = 0;
        }
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let bytes = event.bytes();
            let front = state.front == package;
            let limit = if front { self.ahead + FRONT } else { self.ahead };
            // The writer waits only while the front's queue is empty, and then whatever is next of it is let in: so the
            // flow never stops, nor at an event that is larger than all room. What has left memory is let in always,
            // although the rest of the event, a name at most, counts.
            let alone = front && state.queues[package].is_empty();
            if state.held + bytes <= limit || alone || away.is_some() {
                state.held += bytes;
                state.queues[package].push_back(Waiting { event, away });
                drop(state);
                if front {
                    self.filled.notify_one();
                }
                return Ok(());
            }
            match (leaving > 0).then(|| state.place(leaving)).flatten() {
                Some(place) => {
                    drop(state);
                    away = self.put_away(place, &mut event);
                    // No room on the disk: then it waits here.
                    leaving = if away.is_some() { leaving } else { 0 };
                    state = self.lock();
                }
                None => state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Writes an event's bytes into the scratch file and takes them out of memory; if that fails, the event keeps them.
    fn put_away(&self, place: Place, event: &mut Event) -> Option<Place> {
        let content = event.content()?;
        if self.scratch.write_all_at(content, place.at).is_err() {
            self.lock().give_back(place);
            return None;
        }
        self.recycle(std::mem::take(content));
        Some(place)
    }

    /// The event with its bytes, read back; [`Event::Failed`] when that fails.
    fn bring_back(&self, mut event: Event, place: Place) -> Event {
        let mut content = self.chunk(place.length);
        let read = self.scratch.read_exact_at(&mut content, place.at);
        self.lock().give_back(place);
        match (read, event.content()) {
            (Ok(()), Some(empty)) => *empty = content,
            (Ok(()), None) => {}
            (Err(error), _) => {
                let cause = format!("cannot read what was put aside: {error}");
                return Event::Failed(Error::new(Kind::Io, "image layer", cause).because(error));
            }
        }
        event
    }

    /// The next event of a package; waits for it. The writer's side: one package after the other.
    pub(super) fn receive(&self, package: usize) -> Event {
        let mut state = self.lock();
        if state.front != package {
            state.front = package;
            self.room.notify_all();
        }
        loop {
            if let Some(Waiting { event, away }) = state.queues[package].pop_front() {
                state.held -= event.bytes();
                drop(state);
                let event = match away {
                    Some(away) => self.bring_back(event, away),
                    None => event,
                };
                self.room.notify_all();
                return event;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Room for `length` bytes, whose content is anything.
    fn chunk(&self, length: usize) -> Vec<u8> {
        let spare = if length == CHUNK { self.lock().spare.pop() } else { None };
        spare.unwrap_or_else(|| vec![0; length])
    }

    /// Takes a chunk back; one of another length is dropped.
    pub(super) fn recycle(&self, chunk: Vec<u8>) {
        if chunk.len() == CHUNK {
            self.lock().spare.push(chunk);
        }
    }

    /// Frees what was kept to be used again: no package is left.
    pub(super) fn let_go(&self) {
        self.lock().spare = Vec::new();
    }

    /// The writer goes away when this is dropped, by whatever way: the reading threads end.
    pub(super) fn stopper(&self) -> Stopper<'_, 'a> {
        Stopper(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change above is complete before the lock is let go, so a poisoned state is still a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the flow when dropped.
pub(super) struct Stopper<'f, 'a>(&'f Flow<'a>);

impl Drop for Stopper<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.room.notify_all();
    }
}

/// One package's way into the flow. Dropped before its last event, it says so to the writer, which else would wait for
/// ever.
pub(super) struct Sender<'a> {
    flow: &'a Flow<'a>,
    package: usize,
    ended: bool,
}

impl<'a> Sender<'a> {
    /// The way of the package that [`Flow::take`] gave.
    pub(super) fn new(flow: &'a Flow<'a>, package: usize) -> Self {
        Sender { flow, package, ended: false }
    }

    /// Room for the next `left` bytes of a file, or for as many as travel together.
    pub(super) fn chunk(&self, left: u64) -> Vec<u8> {
        self.flow.chunk(usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK)))
    }

    /// Queues an event.
    pub(super) fn send(&mut self, event: Event) -> Result<(), Stopped> {
        self.ended |= matches!(event, Event::End(_) | Event::Failed(_));
        self.flow.send(self.package, event)
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let error = Error::new(Kind::Io, "image layer", "a reading thread ended early")
                .remedy("run the command again; if it happens twice, report it");
            let _ = self.flow.send(self.package, Event::Failed(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> File {
        tempfile::tempfile().unwrap()
    }

    #[test]
    fn order_and_bytes_hold_whatever_thread_is_faster() {
        let scratch = scratch();
        let flow = Flow::new(20, 3, &scratch);
        let chunk = |package: usize, n: usize| vec![(package * 7 + n) as u8; [10, SMALL, CHUNK][n % 3]];
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(package) = flow.take() {
                        for n in 0..90 {
                            assert!(flow.send(package, Event::Chunk(chunk(package, n))).is_ok());
                        }
                    }
                });
            }
            // The writer begins when a thread has had to put something into the scratch file.
            while flow.lock().end == 0 {
                std::thread::yield_now();
            }
            for package in 0..20 {
                for n in 0..90 {
                    let Event::Chunk(bytes) = flow.receive(package) else { panic!("another event") };
                    assert!(bytes == chunk(package, n), "chunk {n} of {package}");
                    flow.recycle(bytes);
                }
            }
        });
        let state = flow.lock();
        assert_eq!(state.held, 0);
        let free: u64 = state.free.iter().map(|(size, places)| (size * places.len()) as u64).sum();
        assert_eq!(free, state.end, "every place is free again");
    }

    #[test]
    fn without_a_scratch_file_all_goes_on_in_memory() {
        // Opened for reading only: writing fails as on a full disk.
        let file = tempfile::NamedTempFile::new().unwrap();
        let scratch = File::open(file.path()).unwrap();
        let flow = Flow::new(2, 2, &scratch);
        std::thread::scope(|scope| {
            let ahead = scope.spawn(|| (0..300).all(|_| flow.send(1, Event::Chunk(vec![1; CHUNK])).is_ok()));
            scope.spawn(|| (0..300).all(|_| flow.send(0, Event::Chunk(vec![0; CHUNK])).is_ok()));
            for package in [0, 1] {
                for _ in 0..300 {
                    let Event::Chunk(bytes) = flow.receive(package) else { panic!("another event") };
                    assert_eq!((bytes.len(), usize::from(bytes[0])), (CHUNK, package));
                }
            }
            assert!(ahead.join().unwrap());
        });
    }

    #[test]
    fn an_event_larger_than_all_room_passes() {
        let scratch = scratch();
        let flow = Flow::new(2, 2, &scratch);
        std::thread::scope(|scope| {
            scope.spawn(|| flow.send(1, Event::Chunk(vec![1; AHEAD + FRONT + 1])).is_ok());
            scope.spawn(|| flow.send(0, Event::Chunk(vec![0; AHEAD + FRONT + 1])).is_ok());
            for package in 0..2u8 {
                let Event::Chunk(bytes) = flow.receive(package.into()) else { panic!("another event") };
                assert_eq!(bytes[0], package);
            }
        });
    }

    #[test]
    fn stopping_frees_a_waiting_thread() {
        let scratch = scratch();
        let flow = Flow::new(2, 2, &scratch);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let filled = flow.send(1, Event::Chunk(vec![0; AHEAD - 1000])).is_ok();
                (filled, flow.send(1, Event::Chunk(vec![0; SMALL - 1])).is_ok())
            });
            while flow.lock().held == 0 {
                std::thread::yield_now();
            }
            drop(flow.stopper());
            assert_eq!(waiting.join().unwrap(), (true, false));
        });
        assert!(flow.take().is_none());
    }

    #[test]
    fn a_dropped_sender_is_an_error_for_the_writer() {
        let scratch = scratch();
        let flow = Flow::new(1, 1, &scratch);
        drop(Sender::new(&flow, 0));
        assert!(matches!(flow.receive(0), Event::Failed(_)));
    }
}
