//! Packages are read by several threads and written by one, in a fixed order and in bounded memory. A thread works
//! ahead of the writer until [`AHEAD`] bytes wait; what comes then goes to a scratch file, which the kernel keeps in
//! memory of its own while there is some, and comes back when its turn is. Large packages take long to read: what the
//! other threads put aside meanwhile keeps them busy. Only the package that the writer is at may always go on.

use super::decode::Event;
use crate::error::{Error, Kind};
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes in memory that may wait for the writer from packages it is not at yet.
const AHEAD: usize = 4 << 20;
/// Bytes of a file that travel together, and of a place in the scratch file.
pub(super) const CHUNK: usize = 64 * 1024;
/// Bytes more for the package that the writer is at.
const FRONT: usize = 2 << 20;
/// Places in the scratch file: 256 MiB, the read-ahead that one package of gcc's size makes use of.
const PLACES: u64 = 4096;
/// Fewer bytes are not worth two system calls.
const SMALL: usize = 1024;

/// Events of many packages on their way to the writer.
pub(super) struct Flow<'a> {
    scratch: &'a File,
    state: Mutex<State>,
    /// The writer took something.
    room: Condvar,
    /// The package that the writer is at has something.
    filled: Condvar,
}

struct State {
    queues: Vec<VecDeque<Waiting>>,
    /// Bytes of all queues in memory.
    held: usize,
    front: usize,
    next: usize,
    stopped: bool,
    /// Chunks that the writer has emptied. Used again they cost neither zeroing nor scattered memory.
    spare: Vec<Vec<u8>>,
    /// Places of the scratch file that are free again, and how many of its places were ever used.
    free: Vec<u64>,
    places: u64,
}

/// An event, with the place and length of its bytes if they are in the scratch file.
struct Waiting {
    event: Event,
    away: Option<(u64, usize)>,
}

impl State {
    /// A place of the scratch file.
    fn place(&mut self) -> Option<u64> {
        let fresh = (self.places < PLACES).then_some(self.places);
        self.free.pop().or_else(|| {
            self.places += u64::from(fresh.is_some());
            fresh
        })
    }
}

/// The writer is gone: nothing that is read any more will be used.
pub(super) struct Stopped;

impl<'a> Flow<'a> {
    /// For `packages` packages. What is in `scratch` is overwritten.
    pub(super) fn new(packages: usize, scratch: &'a File) -> Self {
        let queues = (0..packages).map(|_| VecDeque::new()).collect();
        let (spare, free) = (Vec::new(), Vec::new());
        let state = State { queues, held: 0, front: 0, next: 0, stopped: false, spare, free, places: 0 };
        Flow { scratch, state: Mutex::new(state), room: Condvar::new(), filled: Condvar::new() }
    }

    /// The next package that nobody reads yet.
    pub(super) fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        let next = (!state.stopped && state.next < state.queues.len()).then_some(state.next)?;
        state.next += 1;
        Some(next)
    }

    /// Queues an event of a package; waits until there is room.
    pub(super) fn send(&self, package: usize, mut event: Event) -> Result<(), Stopped> {
        let mut away = None;
        let mut may_leave = event.content().is_some_and(|content| content.len() >= SMALL);
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let bytes = event.bytes();
            let front = state.front == package;
            let limit = if front { AHEAD + FRONT } else { AHEAD };
            // What waits of other packages is never more than AHEAD, so the front's turn comes; an event that is
            // larger than all room goes when it is alone. What has left memory needs room for its name only.
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
            match may_leave.then(|| state.place()).flatten() {
                Some(place) => {
                    drop(state);
                    away = self.put_away(place, &mut event);
                    // No room on the disk: then it waits here.
                    may_leave = away.is_some();
                    state = self.lock();
                }
                None => state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Writes an event's bytes into the scratch file and takes them out of memory.
    fn put_away(&self, place: u64, event: &mut Event) -> Option<(u64, usize)> {
        let content = event.content()?;
        let written = content.len() <= CHUNK && self.scratch.write_all_at(content, place * CHUNK as u64).is_ok();
        if !written {
            self.lock().free.push(place);
            return None;
        }
        let content = std::mem::take(content);
        let length = content.len();
        self.recycle(content);
        Some((place, length))
    }

    /// Reads the bytes of an event back.
    fn bring_back(&self, mut event: Event, (place, length): (u64, usize)) -> Event {
        let mut content = self.chunk(length);
        let read = self.scratch.read_exact_at(&mut content, place * CHUNK as u64);
        self.lock().free.push(place);
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

    /// The next event of a package: the writer's side, packages in order.
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

    /// Takes a chunk back; smaller ones are dropped.
    pub(super) fn recycle(&self, chunk: Vec<u8>) {
        if chunk.len() == CHUNK {
            self.lock().spare.push(chunk);
        }
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

/// One package's way into the flow. Dropped before its last event, it says so to the writer, which would wait for ever.
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
        let flow = Flow::new(20, &scratch);
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
            // Until two threads can only go on through the scratch file.
            while flow.lock().places == 0 {
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
        assert_eq!(state.free.len() as u64, state.places, "every place is free again");
    }

    #[test]
    fn without_a_scratch_file_all_goes_on_in_memory() {
        // Opened for reading only: writing fails as on a full disk.
        let file = tempfile::NamedTempFile::new().unwrap();
        let scratch = File::open(file.path()).unwrap();
        let flow = Flow::new(2, &scratch);
        std::thread::scope(|scope| {
            let ahead = scope.spawn(|| (0..200).all(|_| flow.send(1, Event::Chunk(vec![1; CHUNK])).is_ok()));
            scope.spawn(|| (0..200).all(|_| flow.send(0, Event::Chunk(vec![0; CHUNK])).is_ok()));
            for package in [0, 1] {
                for _ in 0..200 {
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
        let flow = Flow::new(2, &scratch);
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
        let flow = Flow::new(2, &scratch);
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
        let flow = Flow::new(1, &scratch);
        drop(Sender::new(&flow, 0));
        assert!(matches!(flow.receive(0), Event::Failed(_)));
    }
}
