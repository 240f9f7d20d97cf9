//! What one directory that COPY takes contributes to the step's key: its entries in the order of their names.

use super::hashing::MOST_NAMED;
use super::names::{self, Names, os};
use super::selection::Selection;
use super::survey::Survey;
use crate::copy::{self, Choice, ListedDirectory};
use crate::error::{Error, IoExt, Result};
use crate::hashes::{self, ContentHash, Hashed, same_file};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, openat, openat2};
use std::ffi::CStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Directories with longer paths are opened from the one above: the kernel takes no more than a page.
const LONG: usize = 3000;

/// Memory that serves many files.
#[derive(Default)]
pub(super) struct Scratch {
    names: Vec<u8>,
    contents: Vec<u8>,
}

/// One directory, with those below it that are only needed for something in them.
#[derive(Default)]
pub(super) struct Part {
    /// Below the top.
    pub(super) path: Vec<u8>,
    /// Where it stands: after an error, where that happened.
    pub(super) at: Vec<u8>,
    /// What goes into the key, each part framed by its length.
    inputs: Vec<u8>,
    /// What the file system said.
    stats: Vec<u8>,
    /// The hashes of both, once all is in them.
    pub(super) hashes: (ContentHash, ContentHash),
    /// Directories that count only once something in them does.
    pending: Vec<Vec<u8>>,
    /// Files by name, as long as they are few.
    pub(super) files: Vec<(String, String)>,
    /// How many there are.
    nameable: usize,
    /// The list to copy by, where one is wanted.
    pub(super) listed: Vec<ListedDirectory>,
    /// Directories to go through.
    pub(super) below: Vec<Vec<u8>>,
    /// How many entries were met.
    pub(super) entries: usize,
    /// Something was met that can't be listed.
    pub(super) is_too_deep: bool,
}

/// A directory being gone through.
struct Here<'h> {
    fd: BorrowedFd<'h>,
    table: Option<hashes::Directory<'h>>,
    /// Which of the listed ones.
    list: Option<usize>,
}

/// An entry with its status.
#[derive(Clone, Copy)]
struct Entry<'e> {
    name: &'e CStr,
    stat: &'e Stat,
}

impl Part {
    pub(super) fn new(path: Vec<u8>) -> Self {
        Self {
            at: path.clone(),
            path,
            ..Self::default()
        }
    }

    /// Goes through the directory.
    pub(super) fn run(&mut self, survey: &Survey<'_>, scratch: &mut Scratch) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = if self.path.is_empty() {
            b".".as_slice()
        } else {
            &self.path
        };
        let directory = openat2(survey.top, path, flags, Mode::empty(), inside);
        let directory = directory.on_path("open", || self.place(&survey.selection))?;
        self.directory(survey, &directory, scratch)?;
        self.finish(survey);
        Ok(())
    }

    /// Hashes what was gathered, which then needs no memory any more.
    fn finish(&mut self, survey: &Survey<'_>) {
        self.hashes = (hashes::whole(&self.inputs), hashes::whole(&self.stats));
        (self.inputs, self.stats) = (Vec::new(), Vec::new());
        survey.named.fetch_add(self.nameable, Ordering::Relaxed);
    }

    /// One entry that was picked itself.
    pub(super) fn single(&mut self, survey: &Survey<'_>, name: &CStr) -> Result<()> {
        let parent = survey.selection.base.parent().unwrap_or(Path::new(""));
        let table = survey.selection.source.hashes.as_ref();
        let mut here = Here {
            fd: survey.top,
            table: table.map(|table| table.directory(parent.as_os_str().as_encoded_bytes())),
            list: None,
        };
        self.entry(survey, &mut here, name, &mut Scratch::default())?;
        self.finish(survey);
        Ok(())
    }

    fn directory(&mut self, survey: &Survey<'_>, directory: &OwnedFd, scratch: &mut Scratch) -> Result<()> {
        let selection = &survey.selection;
        if survey.wants.contents && self.pending.is_empty() && !self.at.is_empty() {
            let attributes = crate::directory::attributes(directory.as_fd());
            for (name, value) in attributes.on_path("read the attributes of", || self.place(selection))? {
                if name != "security.selinux" {
                    self.add(name.as_encoded_bytes());
                    self.add(&value);
                }
            }
        }
        let names = Names::read(directory.as_fd(), &mut scratch.names, &|| self.place(selection))?;
        let table = selection.source.hashes.as_ref().filter(|_| survey.wants.contents);
        let mut here = Here {
            fd: directory.as_fd(),
            table: table.map(|table| table.directory(self.full_path(selection).as_os_str().as_encoded_bytes())),
            list: survey.wants.list.then_some(self.listed.len()),
        };
        if survey.wants.list {
            self.listed.push(ListedDirectory::new(&self.at));
        }
        let above = self.at.len();
        for name in names.iter() {
            if above > 0 {
                self.at.push(b'/');
            }
            self.at.extend(name.to_bytes());
            self.entry(survey, &mut here, name, scratch)?;
            self.at.truncate(above);
        }
        Ok(())
    }

    /// An entry that may be taken.
    fn entry(&mut self, survey: &Survey<'_>, here: &mut Here<'_>, name: &CStr, scratch: &mut Scratch) -> Result<()> {
        let selection = &survey.selection;
        self.entries += 1;
        let stat = rustix::fs::statat(here.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.on_path("look at", || self.place(selection))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let choice = if self.at.is_empty() {
            Choice::Include
        } else {
            selection.choose(names::path(&self.at), copy::kind(kind))
        };
        let entry = Entry { name, stat: &stat };
        match choice {
            Choice::Exclude => return Ok(()),
            Choice::Descend => return self.descend(survey, here, entry, scratch),
            Choice::Include => {}
        }
        for above in std::mem::take(&mut self.pending) {
            frame(&mut self.inputs, &above);
        }
        let header = self.header(&stat, survey.wants.owners);
        self.add(&header);
        self.stats.extend(same_file(&stat));
        let mut is_known = false;
        match kind {
            FileType::Directory => {
                self.name(survey, &stat, &[]);
                self.list(here, entry, choice, false);
                return self.below(survey, here, name, scratch);
            }
            FileType::RegularFile if survey.wants.contents => {
                let hashed = self.hash(selection, here, entry, scratch)?;
                self.add(&hashed.hash);
                self.name(survey, &stat, &hashed.hash);
                is_known = hashed.was_known;
            }
            FileType::RegularFile => {}
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(here.fd, name, Vec::new());
                let text = text.on_path("read", || self.place(selection))?;
                self.add(text.as_bytes());
                self.name(survey, &stat, &hashes::short(text.as_bytes()));
            }
            // Another stage may have them; in a build context they are there by accident.
            _ if !selection.source.is_local => self.add(stat.st_rdev.to_string().as_bytes()),
            _ => return Err(special(&self.place(selection))),
        }
        self.list(here, entry, choice, is_known);
        Ok(())
    }

    fn list(&mut self, here: &Here<'_>, entry: Entry<'_>, choice: Choice, is_known: bool) {
        if let Some(list) = here.list.and_then(|at| self.listed.get_mut(at)) {
            list.add(entry.name, entry.stat, choice, is_known);
        }
    }

    /// A directory that is taken: somebody goes through it later, or it is done now where nobody could open it.
    fn below(&mut self, survey: &Survey<'_>, here: &Here<'_>, name: &CStr, scratch: &mut Scratch) -> Result<()> {
        if self.at.len() < LONG {
            self.below.push(self.at.clone());
            return Ok(());
        }
        self.is_too_deep = true;
        self.at_once(survey, here, name, scratch)
    }

    fn at_once(&mut self, survey: &Survey<'_>, here: &Here<'_>, name: &CStr, scratch: &mut Scratch) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(here.fd, name, flags, Mode::empty());
        let directory = directory.on_path("open", || self.place(&survey.selection))?;
        self.directory(survey, &directory, scratch)
    }

    /// A directory that counts only where something in it does.
    fn descend(&mut self, survey: &Survey<'_>, here: &Here<'_>, entry: Entry<'_>, scratch: &mut Scratch) -> Result<()> {
        let outer = self.pending.len();
        let header = self.header(entry.stat, survey.wants.owners);
        self.pending.push(header);
        self.list(here, entry, Choice::Descend, false);
        let listed = self.listed.len();
        self.at_once(survey, here, entry.name, scratch)?;
        if self.pending.len() > outer {
            // Nothing came of it.
            self.listed.truncate(listed);
            if let Some(list) = here.list.and_then(|at| self.listed.get_mut(at)) {
                list.remove_last();
            }
        }
        self.pending.truncate(outer);
        Ok(())
    }

    fn hash(
        &self,
        selection: &Selection<'_>,
        here: &mut Here<'_>,
        entry: Entry<'_>,
        scratch: &mut Scratch,
    ) -> Result<Hashed> {
        let source = selection.source;
        let name = os(entry.name);
        let fd = here.fd;
        let mut read = || hashes::hash_file(fd, name, &mut scratch.contents, &|| source.goes_on());
        let hashed = match &mut here.table {
            Some(table) => table.hash(name, entry.stat, read),
            None => read().map(|hash| Hashed { hash, was_known: false }),
        };
        hashed.or_else(|error| {
            source.check()?;
            Err(error).on("read", &self.place(selection))
        })
    }

    /// Path, type and mode, and the owner where that counts.
    fn header(&self, stat: &Stat, owners: bool) -> Vec<u8> {
        let mut header = Vec::with_capacity(self.at.len() + 16);
        header.extend(stat.st_mode.to_le_bytes());
        if owners {
            header.extend(stat.st_uid.to_le_bytes());
            header.extend(stat.st_gid.to_le_bytes());
        }
        header.extend(&self.at);
        header
    }

    /// For who asks later what changed.
    fn name(&mut self, survey: &Survey<'_>, stat: &Stat, content: &[u8]) {
        /// Enough to tell a change by.
        const BYTES: usize = 8;
        self.nameable += 1;
        if !survey.wants.names || survey.named.load(Ordering::Relaxed) + self.nameable > MOST_NAMED {
            return;
        }
        let mut what = format!("{:o}", stat.st_mode);
        if survey.wants.owners {
            let _ = write!(what, " {}:{}", stat.st_uid, stat.st_gid);
        }
        what.push(' ');
        for byte in content.iter().take(BYTES) {
            let _ = write!(what, "{byte:02x}");
        }
        let path = self.full_path(&survey.selection).to_string_lossy().into_owned();
        self.files.push((path, what));
    }

    fn add(&mut self, part: &[u8]) {
        frame(&mut self.inputs, part);
    }

    /// Below the root of the tree.
    fn full_path(&self, selection: &Selection<'_>) -> PathBuf {
        if self.at.is_empty() {
            return selection.base.to_owned();
        }
        selection.base.join(names::path(&self.at))
    }

    /// For messages.
    fn place(&self, selection: &Selection<'_>) -> PathBuf {
        selection.source.place.join(self.full_path(selection))
    }
}

fn frame(inputs: &mut Vec<u8>, part: &[u8]) {
    inputs.extend((part.len() as u64).to_le_bytes());
    inputs.extend(part);
}

fn special(place: &Path) -> Error {
    Error::wrong_with_hint(
        format!(
            "{} is a device, FIFO or socket, which COPY doesn't take",
            place.display()
        ),
        "leave it out by a line in .dockerignore",
    )
}
