//! A pipe between two threads: a few large buffers that go back and forth, so that memory is bounded and nothing is
//! allocated on the way. Who reads sees them where they lie: nothing is copied out of them.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use wiac_sys::error::words;

/// Large enough that handing one over costs nothing beside filling it.
const BUFFER: usize = 256 << 10;

/// Buffers of one pipe: a fast writer is that far ahead of a slow reader.
const BUFFERS: usize = 4;

/// A buffer and how much of it is filled. Its length never changes: nothing is cleared on the way.
struct Filled {
    buffer: Vec<u8>,
    length: usize,
}

/// The end that is written to. Dropping it ends the stream.
pub(super) struct PipeWriter {
    full: SyncSender<io::Result<Filled>>,
    empty: Receiver<Vec<u8>>,
    current: Filled,
}

/// The end that is read from.
pub(super) struct PipeReader {
    full: Receiver<io::Result<Filled>>,
    empty: SyncSender<Vec<u8>>,
    current: Filled,
    position: usize,
}

/// A new pipe.
pub(super) fn pipe() -> (PipeWriter, PipeReader) {
    let (full_sender, full) = sync_channel(BUFFERS);
    let (empty, empty_receiver) = sync_channel(BUFFERS + 1);
    for _ in 0..BUFFERS {
        // The channel has room for all of them.
        let _ = empty.send(vec![0; BUFFER]);
    }
    let writer = PipeWriter {
        full: full_sender,
        empty: empty_receiver,
        current: Filled {
            buffer: vec![0; BUFFER],
            length: 0,
        },
    };
    let reader = PipeReader {
        full,
        empty,
        current: Filled {
            buffer: Vec::new(),
            length: 0,
        },
        position: 0,
    };
    (writer, reader)
}

fn reader_is_gone<E>(_: E) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the reader has stopped")
}

impl PipeWriter {
    /// Copies `source` to its end, each piece shown to `seen` as soon as it comes. What goes wrong is told to the reader
    /// too.
    pub(super) fn copy(
        mut self,
        source: &mut impl Read,
        mut seen: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let Filled { buffer, length } = &mut self.current;
            let result = source.read(&mut buffer[*length..]).and_then(|read| {
                seen(&buffer[*length..*length + read])?;
                *length += read;
                Ok(read == 0)
            });
            match result {
                Ok(true) => return self.flush(),
                Ok(false) if self.current.length == BUFFER => self.hand_over()?,
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let _ = self.full.send(Err(io::Error::new(error.kind(), words(&error))));
                    return Err(error);
                }
            }
        }
    }

    /// Tells the reader what went wrong.
    pub(super) fn fail(self, error: io::Error) -> io::Result<()> {
        self.full.send(Err(error)).map_err(reader_is_gone)
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let next = Filled {
            buffer: self.empty.recv().map_err(reader_is_gone)?,
            length: 0,
        };
        let full = std::mem::replace(&mut self.current, next);
        self.full.send(Ok(full)).map_err(reader_is_gone)
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Filled { buffer, length } = &mut self.current;
        let taken = bytes.len().min(BUFFER - *length);
        buffer[*length..*length + taken].copy_from_slice(&bytes[..taken]);
        *length += taken;
        if *length == BUFFER {
            self.hand_over()?;
        }
        Ok(taken)
    }

    /// Hands over what there is; needed after the last write.
    fn flush(&mut self) -> io::Result<()> {
        if self.current.length == 0 {
            Ok(())
        } else {
            self.hand_over()
        }
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position == self.current.length {
            match self.full.recv() {
                Ok(Ok(next)) => {
                    let used = std::mem::replace(&mut self.current, next);
                    self.position = 0;
                    if !used.buffer.is_empty() {
                        // A writer that is gone needs no buffers.
                        let _ = self.empty.try_send(used.buffer);
                    }
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(&[]),
            }
        }
        Ok(&self.current.buffer[self.position..self.current.length])
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.current.length.min(self.position + amount);
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let (writer, mut reader) = pipe();
        let mut out = Vec::new();
        let mut seen = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer
                    .copy(&mut &bytes[..], |piece| {
                        seen += piece.len();
                        Ok(())
                    })
                    .expect("copied");
            });
            reader.read_to_end(&mut out).expect("read");
        });
        assert!(out == bytes);
        assert_eq!(seen, bytes.len());
    }

    #[test]
    fn a_reader_that_stops_ends_the_writer() {
        let (writer, reader) = pipe();
        drop(reader);
        assert!(writer.copy(&mut io::repeat(1), |_| Ok(())).is_err());
    }

    #[test]
    fn an_error_reaches_the_reader() {
        let (writer, mut reader) = pipe();
        std::thread::scope(|scope| {
            scope.spawn(|| writer.copy(&mut io::repeat(1).take(300_000), |_| Err(io::Error::other("full"))));
            let error = reader.read_to_end(&mut Vec::new()).expect_err("the writer's error");
            assert_eq!(error.to_string(), "full");
        });
    }
}
