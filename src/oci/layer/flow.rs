//! Packages are read by several threads and written by one, in a fixed order and in bounded memory. A thread works
//! ahead of the writer until [`AHEAD`] bytes wait; only the package that the writer is at may always go on.

use super::decode::Event;
use crate::error::{Error, Kind};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that may wait for the writer from packages it is not at yet. Large packages take long to read: what the
/// other threads put aside meanwhile keeps them busy.
const AHEAD: usize = 28 << 20;
/// Bytes of a file that travel together.
pub(super) const CHUNK: usize = 64 * 1024;
/// Bytes more for the package that the writer is at.
const FRONT: usize = 2 << 20;

/// Events of many packages on their way to the writer.
pub(super) struct Flow {
    state: Mutex<State>,
    /// The writer took something.
    room: Condvar,
    /// The package that the writer is at has something.
    filled: Condvar,
}

struct State {
    queues: Vec<VecDeque<Event>>,
    held: usize,
    front: usize,
    next: usize,
    stopped: bool,
    /// Chunks that the writer has emptied. Used again they cost neither zeroing nor scattered memory.
    spare: Vec<Vec<u8>>,
}

/// The writer is gone: nothing that is read any more will be used.
pub(super) struct Stopped;

impl Flow {
    /// For `packages` packages.
    pub(super) fn new(packages: usize) -> Self {
        let queues = (0..packages).map(|_| VecDeque::new()).collect();
        let state = State { queues, held: 0, front: 0, next: 0, stopped: false, spare: Vec::new() };
        Flow { state: Mutex::new(state), room: Condvar::new(), filled: Condvar::new() }
    }

    /// The next package that nobody reads yet.
    pub(super) fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        let next = (!state.stopped && state.next < state.queues.len()).then_some(state.next)?;
        state.next += 1;
        Some(next)
    }

    /// Queues an event of a package; waits until there is room.
    pub(super) fn send(&self, package: usize, event: Event) -> Result<(), Stopped> {
        let bytes = event.bytes();
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let front = state.front == package;
            let limit = if front { AHEAD + FRONT } else { AHEAD };
            // What waits of other packages is never more than AHEAD, so the front's turn comes; an event that is
            // larger than all room goes when it is alone.
            if state.held + bytes <= limit || (front && state.queues[package].is_empty()) {
                break;
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.held += bytes;
        let front = state.front == package;
        state.queues[package].push_back(event);
        drop(state);
        if front {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The next event of a package: the writer's side, packages in order.
    pub(super) fn receive(&self, package: usize) -> Event {
        let mut state = self.lock();
        if state.front != package {
            state.front = package;
            self.room.notify_all();
        }
        loop {
            if let Some(event) = state.queues[package].pop_front() {
                state.held -= event.bytes();
                drop(state);
                self.room.notify_all();
                return event;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A full chunk, whose content is anything.
    pub(super) fn chunk(&self) -> Vec<u8> {
        let spare = self.lock().spare.pop();
        spare.unwrap_or_else(|| vec![0; CHUNK])
    }

    /// Takes a chunk back; smaller ones are dropped.
    pub(super) fn recycle(&self, chunk: Vec<u8>) {
        if chunk.len() == CHUNK {
            self.lock().spare.push(chunk);
        }
    }

    /// The writer goes away when this is dropped, by whatever way: the reading threads end.
    pub(super) fn stopper(&self) -> Stopper<'_> {
        Stopper(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change above is complete before the lock is let go, so a poisoned state is still a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the flow when dropped.
pub(super) struct Stopper<'a>(&'a Flow);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.room.notify_all();
    }
}

/// One package's way into the flow. Dropped before its last event, it says so to the writer, which would wait for ever.
pub(super) struct Sender<'a> {
    flow: &'a Flow,
    package: usize,
    ended: bool,
}

impl<'a> Sender<'a> {
    /// The way of the package that [`Flow::take`] gave.
    pub(super) fn new(flow: &'a Flow, package: usize) -> Self {
        Sender { flow, package, ended: false }
    }

    /// Room for the next `left` bytes of a file, or for as many as travel together.
    pub(super) fn chunk(&self, left: u64) -> Vec<u8> {
        match usize::try_from(left) {
            Ok(left) if left < CHUNK => vec![0; left],
            _ => self.flow.chunk(),
        }
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

    #[test]
    fn order_holds_whatever_thread_is_faster() {
        let flow = Flow::new(20);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(package) = flow.take() {
                        for n in 0..50u8 {
                            assert!(flow.send(package, Event::Chunk(vec![n; 100_000])).is_ok());
                        }
                    }
                });
            }
            for package in 0..20 {
                for n in 0..50u8 {
                    let Event::Chunk(bytes) = flow.receive(package) else { panic!("another event") };
                    assert_eq!(bytes[0], n);
                }
            }
        });
        assert_eq!(flow.lock().held, 0);
    }

    #[test]
    fn an_event_larger_than_all_room_passes() {
        let flow = Flow::new(2);
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
        let flow = Flow::new(2);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let filled = flow.send(1, Event::Chunk(vec![0; AHEAD - 1000])).is_ok();
                (filled, flow.send(1, Event::Chunk(vec![0; 1000])).is_ok())
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
        let flow = Flow::new(1);
        drop(Sender::new(&flow, 0));
        assert!(matches!(flow.receive(0), Event::Failed(_)));
    }
}
