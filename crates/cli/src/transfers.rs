//! How far transfers are: one line that changes on a terminal, a line for each finished blob elsewhere.

use crate::format;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the line changes.
const TICK: Duration = Duration::from_millis(100);

/// Shows a line that changes, instead of this module; an empty one takes it away.
pub(crate) type Note = Arc<dyn Fn(&str) + Send + Sync>;

/// Who has the terminal: a build's progress, which shows how far its transfers are by itself.
static TAKEN: Mutex<Option<Note>> = Mutex::new(None);

/// Gives the terminal to `note`, or back.
pub(crate) fn take_terminal(note: Option<Note>) {
    *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = note;
}

/// Transfers of one image.
pub(crate) struct Transfers {
    /// Who shows it.
    note: Option<Note>,
    quiet: bool,
    terminal: bool,
    /// Bytes of everything, as far as it isn't here yet.
    total: AtomicU64,
    done: AtomicU64,
    start: Instant,
    shown: Mutex<Instant>,
}

impl Transfers {
    /// None yet.
    pub(crate) fn new(quiet: bool, total: u64) -> Self {
        let now = Instant::now();
        let note = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self {
            quiet: quiet || note.is_some(),
            note,
            terminal: io::stderr().is_terminal(),
            total: AtomicU64::new(total),
            done: AtomicU64::new(0),
            start: now,
            shown: Mutex::new(now),
        }
    }

    /// Counts what is read of a blob; `from`: so much of it was here.
    pub(crate) fn watch<R: Read>(&self, name: &str, size: u64, from: u64, blob: R) -> Watched<'_, R> {
        if from > 0 && !self.quiet && !self.terminal {
            eprintln!(
                "{name}: going on after {} of {}",
                format::size(from),
                format::size(size)
            );
        }
        self.done.fetch_add(from, Ordering::Relaxed);
        Watched {
            transfers: self,
            name: name.to_owned(),
            read: 0,
            rest: size.saturating_sub(from),
            start: Instant::now(),
            blob,
        }
    }

    /// What was here of a blob is damaged, and it comes anew: all of it is still to come.
    pub(crate) fn again(&self, name: &str, size: u64) {
        self.total.fetch_add(size, Ordering::Relaxed);
        if !self.quiet {
            self.line(&format!("{name}: what was here of it is damaged; getting all of it"));
        }
    }

    /// A line of its own, above the one that changes.
    pub(crate) fn line(&self, text: &str) {
        if self.terminal {
            eprintln!("\r{text}\x1b[K");
        } else {
            eprintln!("{text}");
        }
    }

    /// Counts bytes that came or went.
    pub(crate) fn count(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.note.is_none() && (self.quiet || !self.terminal) {
            return;
        }
        // Whoever has the line now writes it; the next tick comes soon.
        let Ok(mut shown) = self.shown.try_lock() else { return };
        if shown.elapsed() >= TICK {
            *shown = Instant::now();
            let rate = rate(done, self.start);
            let total = self.total.load(Ordering::Relaxed);
            let left = total.saturating_sub(done).checked_div(rate).unwrap_or(0);
            let line = format!(
                "{} of {}  {}/s  {left} s left",
                format::size(done),
                format::size(total),
                format::size(rate)
            );
            match &self.note {
                Some(note) => note(&line),
                None => drop(write!(io::stderr(), "\r{line}\x1b[K")),
            }
        }
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        if let Some(note) = &self.note {
            note("");
        }
        if self.terminal && !self.quiet {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Bytes in a second.
fn rate(bytes: u64, since: Instant) -> u64 {
    let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(1000) / milliseconds
}

/// A blob whose bytes are counted.
pub(crate) struct Watched<'t, R> {
    transfers: &'t Transfers,
    name: String,
    read: u64,
    rest: u64,
    start: Instant,
    blob: R,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.blob.read(into)?;
        self.read += read as u64;
        self.transfers.count(read as u64);
        let is_end = self.read == self.rest && read > 0;
        if is_end && !self.transfers.quiet && !self.transfers.terminal {
            let speed = format::size(rate(self.read, self.start));
            eprintln!("{}: {} at {speed}/s", self.name, format::size(self.read));
        }
        Ok(read)
    }
}
