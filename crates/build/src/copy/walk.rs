//! Copies a directory with everything below it, by a stack of open directories.
//!
//! No path is ever looked up: each step opens one name in an open directory without following symlinks, so that nobody
//! who changes the tree meanwhile can lead the copy elsewhere. In deep trees the directories far up are closed, and
//! opened again from below by "..", which must lead to the same directory.

use super::directory::{Parent, Source, Target, reopen_parent};
use super::engine::{Engine, Facts};
use super::entry::{At, FileKind, Identity, file_type, identity, kind};
use super::error::{Fault, Side};
use super::links::Spot;
use super::listing::{Buffer, Entry, Listing};
use super::options::Choice;
use rustix::fs::{AtFlags, FileType, statat};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many directories are kept open on each side.
const OPEN: usize = 64;

/// Says what becomes of an entry, by its path below the directory that is copied.
pub(super) type Filter<'f> = &'f mut dyn FnMut(&Path, FileKind) -> Choice;

/// The copy of one directory.
pub(super) struct Walk<'a, 'f> {
    engine: &'a mut Engine,
    to: At<'a>,
    facts: Facts,
    filter: Option<Filter<'f>>,
    frames: Vec<Frame>,
    buffer: Buffer,
    /// The path of the entry in hand below the top; empty for the top itself.
    relative: Vec<u8>,
    /// The directory that the top is copied to, once it's there.
    top: Option<Identity>,
}

/// A directory on the way to the entry in hand.
struct Frame {
    source: Source,
    /// Where it's copied to; none as long as nothing below it is.
    target: Option<Target>,
    listing: Listing,
    name: CString,
    /// The length of the path above it.
    above: usize,
}

impl<'a, 'f> Walk<'a, 'f> {
    pub(super) fn new(engine: &'a mut Engine, to: At<'a>, facts: Facts, filter: Option<Filter<'f>>) -> Self {
        Self {
            engine,
            to,
            facts,
            filter,
            frames: Vec::new(),
            buffer: Buffer::new(),
            relative: Vec::new(),
            top: None,
        }
    }

    /// The path of the entry in hand below the top.
    pub(super) fn relative(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.relative))
    }

    /// Copies the directory that `from` names. After an error, [`Walk::relative`] tells where it stopped.
    pub(super) fn run(&mut self, from: At<'_>) -> Result<(), Fault> {
        self.enter(from.dir, self.to.name.to_owned(), from.name, 0)?;
        self.materialise()?;
        while let Some(frame) = self.frames.last_mut() {
            let entry = frame.listing.next(frame.source.fd()?, &mut self.buffer);
            match entry.reading("getdents64", String::new)? {
                Some(entry) => self.entry(&entry)?,
                None => self.leave()?,
            }
        }
        Ok(())
    }

    /// Gives the directories that were begun their metadata, as far as that goes.
    pub(super) fn abandon(&mut self) {
        // The error that led here is the one to report.
        while !self.frames.is_empty() && self.leave().is_ok() {}
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Fault> {
        let above = self.relative.len();
        if above > 0 {
            self.relative.push(b'/');
        }
        self.relative.extend_from_slice(entry.name.as_bytes());
        let file_type = self.file_type(entry)?;
        let choice = self.choose(kind(file_type));
        match (file_type, choice) {
            (_, Choice::Exclude) => {}
            (FileType::Directory, _) => {
                self.child(&entry.name, above)?;
                if choice == Choice::Include {
                    self.materialise()?;
                }
                return Ok(());
            }
            (_, Choice::Descend) => {}
            (_, Choice::Include) => self.leaf(&entry.name, file_type)?,
        }
        self.relative.truncate(above);
        Ok(())
    }

    fn file_type(&self, entry: &Entry) -> Result<FileType, Fault> {
        if entry.file_type != FileType::Unknown {
            return Ok(entry.file_type);
        }
        let dir = self.last()?.source.fd()?;
        let stat = statat(dir, &entry.name, AtFlags::SYMLINK_NOFOLLOW);
        Ok(file_type(&stat.reading("fstatat", || format!("{:?}", entry.name))?))
    }

    fn choose(&mut self, kind: FileKind) -> Choice {
        let path = Path::new(OsStr::from_bytes(&self.relative));
        self.filter
            .as_mut()
            .map_or(Choice::Include, |filter| filter(path, kind))
    }

    fn last(&self) -> Result<&Frame, Fault> {
        self.frames.last().ok_or(Fault::Changed)
    }

    /// Copies an entry of the last directory that isn't one itself.
    fn leaf(&mut self, name: &CStr, file_type: FileType) -> Result<(), Fault> {
        self.materialise()?;
        let Some(Frame {
            source,
            target: Some(target),
            ..
        }) = self.frames.last_mut()
        else {
            return Err(Fault::Changed);
        };
        let from = At {
            dir: source.fd()?,
            name,
        };
        let spot = Spot {
            base: self.to.dir,
            name: Path::new(OsStr::from_bytes(self.to.name.to_bytes())),
            relative: Path::new(OsStr::from_bytes(&self.relative)),
        };
        let mut facts = target.facts;
        let to = At {
            dir: target.fd()?,
            name,
        };
        let result = self.engine.copy(from, file_type, to, &mut facts, spot);
        target.facts = facts;
        result
    }

    /// Goes into a directory of the last one.
    fn child(&mut self, name: &CStr, above: usize) -> Result<(), Fault> {
        let dir = self.last()?.source.fd()?;
        let source = Source::open(At { dir, name })?;
        self.push(source, name.to_owned(), above)
    }

    fn enter(&mut self, dir: BorrowedFd<'_>, name: CString, from: &CStr, above: usize) -> Result<(), Fault> {
        let source = Source::open(At { dir, name: from })?;
        self.push(source, name, above)
    }

    fn push(&mut self, source: Source, name: CString, above: usize) -> Result<(), Fault> {
        if self.top == Some(identity(&source.stat)) {
            return Err(Fault::IntoItself);
        }
        self.frames.push(Frame {
            source,
            target: None,
            listing: Listing::default(),
            name,
            above,
        });
        if let Some(far) = self.frames.len().checked_sub(OPEN + 1) {
            self.frames[far].source.close();
            self.close_target(far);
        }
        Ok(())
    }

    /// Closes a directory that is made already, unless the one below it has yet to be made in it.
    fn close_target(&mut self, index: usize) {
        if self.frames.get(index + 1).is_some_and(|below| below.target.is_some())
            && let Some(target) = &mut self.frames[index].target
        {
            target.close();
        }
    }

    /// Makes the directories on the way to the entry in hand that aren't made yet.
    fn materialise(&mut self) -> Result<(), Fault> {
        let made = self.frames.iter().rposition(|frame| frame.target.is_some());
        for index in made.map_or(0, |made| made + 1)..self.frames.len() {
            let (above, rest) = self.frames.split_at_mut(index);
            let Some(frame) = rest.first_mut() else { break };
            let parent = match above.last().map(|parent| parent.target.as_ref()) {
                None => Parent {
                    dir: self.to.dir,
                    facts: self.facts,
                    top: true,
                },
                Some(None) => return Err(Fault::Changed),
                Some(Some(target)) => Parent {
                    dir: target.fd()?,
                    facts: target.facts,
                    top: false,
                },
            };
            let target = Target::make(&self.engine.options, &parent, &frame.name, &frame.source.stat)?;
            if index == 0 {
                self.top = Some(target.identity());
            }
            frame.target = Some(target);
            if index > 0 && index + OPEN < self.frames.len() {
                self.close_target(index - 1);
            }
        }
        Ok(())
    }

    /// Leaves the last directory: everything below it is there.
    fn leave(&mut self) -> Result<(), Fault> {
        let Some(mut frame) = self.frames.pop() else {
            return Ok(());
        };
        self.finish(&mut frame)?;
        self.relative.truncate(frame.above);
        Ok(())
    }

    fn finish(&mut self, frame: &mut Frame) -> Result<(), Fault> {
        if let Some(parent) = self.frames.last_mut() {
            if parent.source.is_closed() {
                let dir = reopen_parent(frame.source.fd()?, identity(&parent.source.stat)).ok_or(Fault::Changed)?;
                parent.listing.resume(dir.as_fd()).reading("lseek", String::new)?;
                parent.source.give(dir);
            }
            if let (Some(parent), Some(target)) = (&mut parent.target, &frame.target)
                && parent.is_closed()
            {
                let dir = reopen_parent(target.fd()?, parent.identity()).ok_or(Fault::Changed)?;
                parent.give(dir);
            }
        }
        if let Some(target) = &mut frame.target {
            target.dress(self.engine, &frame.source)?;
            self.engine.report.directories += 1;
        }
        Ok(())
    }
}
