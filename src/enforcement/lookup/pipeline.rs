//! Reader, workers and writer of a batch: every worker takes the next chunk, answers it, and writes
//! it in its turn. There is never more in memory than one chunk per worker.

use super::records::{Chunk, Cut, Records};
use crate::error::{Fault, FaultKind, Result};
use std::io::{Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

struct Input<R, C> {
    records: Records<R, C>,
    next_chunk: u64,
}

struct Output<W> {
    writer: W,
    next_chunk: u64,
    fault: Option<Fault>,
}

/// The first fault wins; a panicking worker leaves one behind, so nobody waits for its chunk.
struct Turns<W> {
    output: Mutex<Output<W>>,
    changed: Condvar,
}

impl<W: Write> Turns<W> {
    fn lock(&self) -> MutexGuard<'_, Output<W>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, fault: Fault) {
        self.lock().fault.get_or_insert(fault);
        self.changed.notify_all();
    }

    /// Writes a chunk's answer when all before it are written; false when the batch has failed.
    fn write(&self, chunk: u64, answer: &[u8]) -> bool {
        let mut output = self.lock();
        while output.next_chunk != chunk && output.fault.is_none() {
            output = self.changed.wait(output).unwrap_or_else(PoisonError::into_inner);
        }
        if output.fault.is_some() {
            return false;
        }
        if let Err(error) = output.writer.write_all(answer) {
            output.fault = Some(unwritable(&error));
        }
        output.next_chunk += 1;
        let fine = output.fault.is_none();
        drop(output);
        self.changed.notify_all();
        fine
    }
}

struct FailOnPanic<'a, W: Write>(&'a Turns<W>);

impl<W: Write> Drop for FailOnPanic<'_, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Fault::internal("a worker of a batch panicked"));
        }
    }
}

/// What a worker does to a chunk: appends its answer.
pub type Answer<'a> = Box<dyn FnMut(&Chunk, &mut Vec<u8>) + 'a>;

/// Runs a batch to its end. `worker` is called once on each thread.
pub fn run<'a, R: Read + Send, C: Cut + Send, W: Write + Send>(
    records: Records<R, C>,
    writer: W,
    threads: usize,
    worker: impl Fn() -> Result<Answer<'a>> + Sync,
) -> Result<(Records<R, C>, W)> {
    let input = Mutex::new(Input { records, next_chunk: 0 });
    let turns = Turns {
        output: Mutex::new(Output { writer, next_chunk: 0, fault: None }),
        changed: Condvar::new(),
    };
    let work = || -> Result<()> {
        let _guard = FailOnPanic(&turns);
        let mut answer = worker()?;
        let (mut chunk, mut out) = (Chunk::default(), Vec::new());
        loop {
            let number = {
                let Ok(mut input) = input.lock() else { return Ok(()) };
                if turns.lock().fault.is_some() || !input.records.next(&mut chunk)? {
                    return Ok(());
                }
                input.next_chunk += 1;
                input.next_chunk - 1
            };
            out.clear();
            answer(&chunk, &mut out);
            if !turns.write(number, &out) {
                return Ok(());
            }
        }
    };
    std::thread::scope(|scope| {
        let work = || work().unwrap_or_else(|fault| turns.fail(fault));
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            // A panic has left its fault behind; joined here, it goes no further.
            let _ = worker.join();
        }
    });
    let output = turns.output.into_inner().unwrap_or_else(PoisonError::into_inner);
    match output.fault {
        Some(fault) => Err(fault),
        None => {
            let input = input.into_inner().map_err(|_| Fault::internal("batch input poisoned"))?;
            Ok((input.records, output.writer))
        }
    }
}

pub fn unwritable(error: &std::io::Error) -> Fault {
    let (zh, en) = (format!("写入失败：{error}"), format!("writing failed: {error}"));
    Fault::new(FaultKind::Internal, "unwritable", zh, en)
}
