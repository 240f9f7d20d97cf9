//! Goes through a directory that COPY takes, by several threads where it is large.
//!
//! The work is divided into directories. What one gives depends on nothing but what is in it, and the results are put in the
//! order of the directories' paths: so keys, lists and messages don't depend on who came first. Of several errors the one
//! counts that a walk from the first name to the last would have met first.

use super::part::{Part, Scratch};
use super::selection::Selection;
use super::worker::lock;
use crate::error::{Error, Result};
use rustix::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{Builder, Scope};

/// So many entries take less time than another thread costs.
const FEW: usize = 3000;

/// As many threads as are of use: more wait for each other in the kernel.
const MOST: usize = 4;

/// What is to be found out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    /// What the files are; else nothing but how the file system describes them.
    pub(super) contents: bool,
    /// Owners count.
    pub(super) owners: bool,
    /// The files by name, as far as they are few.
    pub(super) names: bool,
    /// A list to copy by.
    pub(super) list: bool,
    /// Nobody else works on these files at the same time, so that further threads are of use.
    pub(super) threads: bool,
}

/// One directory under way, with all below it.
pub(super) struct Survey<'s> {
    pub(super) selection: Selection<'s>,
    /// The directory.
    pub(super) top: BorrowedFd<'s>,
    pub(super) wants: Wants,
    /// Files of which a name is kept, or would be.
    pub(super) named: &'s AtomicUsize,
    /// Entries met, and those that an earlier build met.
    entries: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Directories nobody has begun with: paths below the top.
    waiting: Vec<Vec<u8>>,
    /// How many are under way.
    busy: usize,
    done: Vec<Part>,
    /// The first error in the order of paths, and where it happened.
    failed: Option<(Vec<u8>, Error)>,
}

impl<'s> Survey<'s> {
    pub(super) fn new(selection: Selection<'s>, top: BorrowedFd<'s>, wants: Wants, named: &'s AtomicUsize) -> Self {
        Self {
            selection,
            top,
            wants,
            named,
            entries: AtomicUsize::new(selection.known()),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Goes through the directory: what each directory in it gave, in the order of their paths, itself first.
    ///
    /// # Errors
    /// The first entry that can't be read, or isn't to be taken.
    pub(super) fn run(self) -> Result<Vec<Part>> {
        lock(&self.state).waiting.push(Vec::new());
        std::thread::scope(|scope| {
            let survey = &self;
            let mut start = self.wants.threads.then_some(|| survey.start_others(scope));
            self.work(&mut || {
                if survey.is_large()
                    && let Some(start) = start.take()
                {
                    start();
                }
            });
        });
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = state.failed {
            return Err(error);
        }
        let mut done = state.done;
        done.sort_unstable_by(|a, b| path(&a.path).cmp(path(&b.path)));
        Ok(done)
    }

    /// Whether others could help.
    fn is_large(&self) -> bool {
        self.entries.load(Ordering::Relaxed) > FEW && lock(&self.state).waiting.len() > 1
    }

    fn start_others<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 1..processors.min(MOST) {
            // Without another thread it takes longer.
            let _ = Builder::new()
                .name("survey".to_owned())
                .spawn_scoped(scope, || self.work(&mut || {}));
        }
    }

    /// Goes through one directory after the other, until there is none left.
    fn work(&self, after_each: &mut dyn FnMut()) {
        let mut scratch = Scratch::default();
        while let Some(directory) = self.next() {
            let mut part = Part::new(directory);
            let result = part.run(self, &mut scratch);
            self.entries.fetch_add(part.entries, Ordering::Relaxed);
            self.finish(part, result);
            after_each();
        }
    }

    fn next(&self) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        loop {
            while let Some(next) = state.waiting.pop() {
                // What comes behind an error counts for nothing.
                let is_behind = |(at, _): &(Vec<u8>, Error)| path(at) < path(&next);
                if !state.failed.as_ref().is_some_and(is_behind) {
                    state.busy += 1;
                    return Some(next);
                }
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn finish(&self, mut part: Part, result: Result<()>) {
        let mut state = lock(&self.state);
        state.busy -= 1;
        state.waiting.append(&mut part.below);
        match result {
            Ok(()) => state.done.push(part),
            Err(error) => {
                let at = part.at;
                if state.failed.as_ref().is_none_or(|(first, _)| path(&at) < path(first)) {
                    state.failed = Some((at, error));
                }
            }
        }
        self.changed.notify_all();
    }
}

fn path(bytes: &[u8]) -> &Path {
    super::names::path(bytes)
}
