//! Deflating in parallel: blocks go to threads, members come back in order.

use super::Compression;
use super::block::{BlockEncoder, block_size};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Blocks under way for each thread: one at work, one waiting.
const AHEAD: usize = 2;

/// Deflates what is written to it. The result depends on the input, the compression and the level only.
///
/// [`Self::finish`] must be called: what is dropped before is incomplete.
pub struct Encoder<W: Write> {
    out: W,
    block: Vec<u8>,
    size: usize,
    /// Whether a member was made: an empty input is one empty member.
    begun: bool,
    workers: Workers,
}

enum Workers {
    /// The caller's own thread.
    Here(BlockEncoder),
    Threads {
        jobs: Option<SyncSender<Job>>,
        /// Members to come, in order.
        waiting: VecDeque<Receiver<Done>>,
        most: usize,
        threads: Vec<JoinHandle<()>>,
    },
}

struct Job {
    block: Vec<u8>,
    reply: SyncSender<Done>,
}

struct Done {
    member: io::Result<Vec<u8>>,
    /// The job's buffer, to be used again.
    block: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    /// An encoder that writes to `out`; `level` in the format's own scale, its usual one where `None`.
    ///
    /// # Errors
    /// A level that the format hasn't ([`io::ErrorKind::InvalidInput`]); threads or memory are missing.
    pub fn new(out: W, compression: Compression, level: Option<i32>, threads: usize) -> io::Result<Self> {
        Self::with_blocks_of(block_size(compression), out, compression, level, threads)
    }

    pub(super) fn with_blocks_of(
        size: usize,
        out: W,
        compression: Compression,
        level: Option<i32>,
        threads: usize,
    ) -> io::Result<Self> {
        let here = BlockEncoder::new(compression, level)?;
        let workers = if threads <= 1 || compression == Compression::None {
            Workers::Here(here)
        } else {
            Workers::start(compression, level, threads)?
        };
        Ok(Self {
            out,
            block: Vec::with_capacity(size),
            size,
            begun: false,
            workers,
        })
    }

    /// Writes what is left and gives the writer back.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() || !self.begun {
            self.send()?;
        }
        if let Workers::Threads {
            jobs, waiting, threads, ..
        } = &mut self.workers
        {
            jobs.take();
            while let Some(next) = waiting.pop_front() {
                self.out.write_all(&receive(&next)?.member?)?;
            }
            for thread in threads.drain(..) {
                thread.join().map_err(|_| gone())?;
            }
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// Hands the current block over.
    fn send(&mut self) -> io::Result<()> {
        self.begun = true;
        match &mut self.workers {
            Workers::Here(encoder) => {
                self.out.write_all(&encoder.encode(&self.block)?)?;
                self.block.clear();
            }
            Workers::Threads {
                jobs, waiting, most, ..
            } => {
                let mut fresh = Vec::new();
                if waiting.len() >= *most
                    && let Some(next) = waiting.pop_front()
                {
                    let done = receive(&next)?;
                    self.out.write_all(&done.member?)?;
                    fresh = done.block;
                    fresh.clear();
                }
                fresh.reserve_exact(self.size);
                let block = std::mem::replace(&mut self.block, fresh);
                let (reply, done) = sync_channel(1);
                let jobs = jobs.as_ref().ok_or_else(gone)?;
                jobs.send(Job { block, reply }).map_err(|_| gone())?;
                waiting.push_back(done);
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.size - self.block.len());
        self.block.extend_from_slice(&bytes[..length]);
        if self.block.len() == self.size {
            self.send()?;
        }
        Ok(length)
    }

    /// Does nothing: a block that isn't full stays here until [`Encoder::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Workers {
    fn start(compression: Compression, level: Option<i32>, count: usize) -> io::Result<Self> {
        let most = count * AHEAD;
        let (jobs, queue) = sync_channel::<Job>(most);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(count);
        for _ in 0..count {
            let encoder = BlockEncoder::new(compression, level)?;
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("deflate".into());
            threads.push(thread.spawn(move || work(encoder, &queue))?);
        }
        Ok(Self::Threads {
            jobs: Some(jobs),
            waiting: VecDeque::new(),
            most,
            threads,
        })
    }
}

/// What a thread does until there are no more jobs.
fn work(mut encoder: BlockEncoder, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, reply }) = job else { return };
        let member = encoder.encode(&block);
        // Nobody waits any more where the encoder was dropped.
        let _ = reply.send(Done { member, block });
    }
}

fn receive(reply: &Receiver<Done>) -> io::Result<Done> {
    reply.recv().map_err(|_| gone())
}

fn gone() -> io::Error {
    io::Error::other("a compressing thread ended early")
}
