//! A reader that is opened when it is first read.

use std::io::{self, Read};

/// Bytes from somewhere, that nobody is asked for before they are wanted.
pub(super) enum Late<'s, O> {
    Waiting(O),
    Open(Box<dyn Read + Send + 's>),
}

impl<'s, O: Fn() -> io::Result<Box<dyn Read + Send + 's>>> Late<'s, O> {
    /// What `open` gives.
    pub(super) fn new(open: O) -> Self {
        Self::Waiting(open)
    }
}

impl<'s, O: Fn() -> io::Result<Box<dyn Read + Send + 's>>> Read for Late<'s, O> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Open(reader) => reader.read(into),
            Self::Waiting(open) => {
                let mut reader = open()?;
                let read = reader.read(into);
                *self = Self::Open(reader);
                read
            }
        }
    }
}
