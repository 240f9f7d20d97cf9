//! A pipe between two threads: a few large buffers that go back and forth, so that memory is bounded and nothing is
//! allocated on the way. Who reads sees them where they lie: nothing is copied out of them.

use super::hashing::HashedStream;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use wiac_oci::digest::Digest;
use wiac_sys::error::words;

/// Large enough that handing one over costs nothing beside filling it.
const BUFFER: usize = 256 << 10;

/// Buffers of one pipe: a fast writer is that far ahead of a slow reader, and a few pieces may wait to be hashed.
const BUFFERS: usize = 12;

/// A buffer and how much of it is filled. Its length never changes: nothing is cleared on the way. It goes back to its
/// writer when the last who has it lets it go.
pub(super) struct Piece {
    buffer: Vec<u8>,
    length: usize,
    home: Option<SyncSender<Vec<u8>>>,
}

/// The end that is written to. Dropping it ends the stream.
pub(super) struct PipeWriter {
    full: SyncSender<io::Result<Arc<Piece>>>,
    empty: Receiver<Vec<u8>>,
    current: Piece,
    hashes: Vec<HashedStream>,
}

/// The end that is read from.
pub(super) struct PipeReader {
    full: Receiver<io::Result<Arc<Piece>>>,
    current: Option<Arc<Piece>>,
    position: usize,
}

/// A new pipe.
pub(super) fn pipe() -> (PipeWriter, PipeReader) {
    hashed_pipe(Vec::new())
}

/// One whose pieces are hashed on their way, for [`PipeWriter::copy`] to tell.
pub(super) fn hashed_pipe(hashes: Vec<HashedStream>) -> (PipeWriter, PipeReader) {
    let (full_sender, full) = sync_channel(BUFFERS);
    let (home, empty) = sync_channel(BUFFERS);
    for _ in 1..BUFFERS {
        // The channel has room for all of them.
        let _ = home.send(vec![0; BUFFER]);
    }
    let writer = PipeWriter {
        full: full_sender,
        empty,
        current: Piece {
            buffer: vec![0; BUFFER],
            length: 0,
            home: Some(home),
        },
        hashes,
    };
    let reader = PipeReader {
        full,
        current: None,
        position: 0,
    };
    (writer, reader)
}

impl Piece {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// One that came through no pipe.
    #[cfg(test)]
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self {
            length: bytes.len(),
            buffer: bytes,
            home: None,
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            // A writer that is gone needs no buffers.
            let _ = home.try_send(std::mem::take(&mut self.buffer));
        }
    }
}

fn reader_is_gone<E>(_: E) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the reader has stopped")
}

impl PipeWriter {
    /// Copies `source` to its end, what comes shown to `seen` at once, and gives the digests, of a [`hashed_pipe`]. What goes
    /// wrong is told to the reader too.
    pub(super) fn copy(
        mut self,
        source: &mut impl Read,
        mut seen: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Vec<Digest>> {
        loop {
            let Piece { buffer, length, .. } = &mut self.current;
            let result = source.read(&mut buffer[*length..]).and_then(|read| {
                seen(&buffer[*length..*length + read])?;
                *length += read;
                Ok(read == 0)
            });
            match result {
                Ok(true) => {
                    self.flush()?;
                    return Ok(self.hashes.into_iter().map(HashedStream::finish).collect());
                }
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
        let next = Piece {
            buffer: self.empty.recv().map_err(reader_is_gone)?,
            length: 0,
            home: self.current.home.clone(),
        };
        let full = Arc::new(std::mem::replace(&mut self.current, next));
        self.full.send(Ok(Arc::clone(&full))).map_err(reader_is_gone)?;
        for hash in &self.hashes {
            hash.update(&full);
        }
        Ok(())
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Piece { buffer, length, .. } = &mut self.current;
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
        while self.current.as_ref().is_none_or(|piece| self.position == piece.length) {
            // The writer may need its buffer.
            self.current = None;
            self.position = 0;
            match self.full.recv() {
                Ok(next) => self.current = Some(next?),
                Err(_) => break,
            }
        }
        let piece = self.current.as_ref();
        Ok(piece.map_or(&[], |piece| &piece.bytes()[self.position..]))
    }

    fn consume(&mut self, amount: usize) {
        let length = self.current.as_ref().map_or(0, |piece| piece.length);
        self.position = length.min(self.position + amount);
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
