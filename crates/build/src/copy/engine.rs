//! Copies one entry that isn't a directory: a file, a symlink, a device, or a further name of a file.

use super::data::{Contents, Pair, devices};
use super::dress::{Copy, To};
use super::entry::{At, FileKind, Identity, Wanted, file_type, identity, kind, mode};
use super::error::{Fault, Side};
use super::links::{self, Links, Spot};
use super::made::{Made, Original};
use super::options::{Options, Report};
use super::xattrs::{Subject, Xattrs};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, mknodat, openat, readlinkat, statat, symlinkat};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// What all entries of a copy share.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) options: Options,
    pub(super) report: Report,
    pub(super) links: Links,
    contents: Contents,
    pub(super) xattrs: Xattrs,
    /// The bits that the kernel takes from the mode of new files; `None` where /proc doesn't say.
    umask: Option<u32>,
}

/// What is known of the directory that a copy is made in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// Owner, group and device of new files there, once one has been made.
    new: Option<NewFile>,
    /// Whether new files inherit an ACL.
    pub(super) default_acl: bool,
}

#[derive(Debug, Clone, Copy)]
struct NewFile {
    owner: (u32, u32),
    device: u64,
}

impl Facts {
    /// Of a directory that was there already.
    pub(super) fn of(dir: BorrowedFd<'_>) -> Self {
        Self {
            new: None,
            default_acl: Subject::Open(dir).has_default_acl(),
        }
    }
}

impl Engine {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            report: Report::default(),
            links: Links::default(),
            contents: Contents::new(),
            xattrs: Xattrs::new(),
            umask: umask(),
        }
    }

    pub(super) fn until(&mut self, goes_on: super::data::GoesOn) {
        self.contents.until(goes_on);
    }

    /// Says whether to go on, where somebody may want it ended.
    pub(super) fn stop(&self) -> Option<super::data::GoesOn> {
        self.contents.stop()
    }

    pub(super) fn report(&self) -> Report {
        Report {
            xattrs_lost: self.xattrs.lost,
            ..self.report.clone()
        }
    }

    /// Copies what `from` names, which isn't a directory: `expected` is what its directory says it is.
    pub(super) fn copy(
        &mut self,
        from: At<'_>,
        expected: FileType,
        to: At<'_>,
        facts: &mut Facts,
        spot: Spot<'_>,
    ) -> Result<(), Fault> {
        if expected == FileType::RegularFile {
            return self.file(from, to, facts, spot);
        }
        let stat = statat(from.dir, from.name, AtFlags::SYMLINK_NOFOLLOW).reading("fstatat", || from.show())?;
        match file_type(&stat) {
            found if found != expected => Err(Fault::Changed),
            _ if self.linked(&stat, to)? => Ok(()),
            FileType::Symlink => self.symlink(from, &stat, to, facts, spot),
            _ => self.special(from, &stat, to, facts, spot),
        }
    }

    fn file(&mut self, from: At<'_>, to: At<'_>, facts: &mut Facts, spot: Spot<'_>) -> Result<(), Fault> {
        // O_NONBLOCK: should something else have taken the name, nothing waits for it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let source = match openat(from.dir, from.name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NXIO) => return Err(Fault::Changed),
            result => result.reading("openat", || from.show())?,
        };
        let stat = fstat(&source).reading("fstat", || from.show())?;
        if file_type(&stat) != FileType::RegularFile {
            return Err(Fault::Changed);
        }
        if self.linked(&stat, to)? {
            return Ok(());
        }
        let wanted = Wanted::new(&stat, &self.options);
        let first = first_mode(&wanted, *facts);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (copy, made) = Made::new(to, original(&stat), self.options.conflict, "openat", |name| {
            openat(to.dir, name, flags, mode(first))
        })?;
        let new = learn(facts, || fstat(&copy)).writing("fstat", || to.show())?;
        let pair = Pair {
            from: source.as_fd(),
            to: copy.as_fd(),
            devices: devices(identity(&stat), Some(new.device)),
        };
        self.report.bytes += self.contents.copy(pair, &stat)?;
        self.dress(&Copy {
            from: Subject::Open(source.as_fd()),
            to: To::Open(copy.as_fd()),
            wanted: &wanted,
            owner: new.owner,
            mode: self.mode_given(first, *facts),
            inherits_acl: facts.default_acl,
        })?;
        self.remember(&stat, spot, || fstat(&copy))?;
        made.finish(self.options.conflict)?;
        self.report.files += 1;
        Ok(())
    }

    fn symlink(
        &mut self,
        from: At<'_>,
        stat: &Stat,
        to: At<'_>,
        facts: &mut Facts,
        spot: Spot<'_>,
    ) -> Result<(), Fault> {
        let text = readlinkat(from.dir, from.name, Vec::new()).reading("readlinkat", || from.show())?;
        let ((), made) = Made::new(to, original(stat), self.options.conflict, "symlinkat", |name| {
            symlinkat(&text, to.dir, name)
        })?;
        self.node(from, stat, &made, facts, spot)?;
        made.finish(self.options.conflict)?;
        self.report.symlinks += 1;
        Ok(())
    }

    fn special(
        &mut self,
        from: At<'_>,
        stat: &Stat,
        to: At<'_>,
        facts: &mut Facts,
        spot: Spot<'_>,
    ) -> Result<(), Fault> {
        let file_type = file_type(stat);
        let device = matches!(file_type, FileType::CharacterDevice | FileType::BlockDevice);
        if file_type == FileType::CharacterDevice && stat.st_rdev == 0 && !self.options.whiteouts {
            return Err(Fault::Whiteout);
        }
        let bits = mode(self.options.mode.apply(FileKind::Special, stat.st_mode & 0o7777) & 0o600);
        let result = Made::new(to, original(stat), self.options.conflict, "mknodat", |name| {
            mknodat(to.dir, name, file_type, bits, stat.st_rdev)
        });
        let ((), made) = match result {
            Err(Fault::Write(error)) if device && error.errno() == Errno::PERM => return Err(Fault::Device(error)),
            result => result?,
        };
        self.node(from, stat, &made, facts, spot)?;
        made.finish(self.options.conflict)?;
        self.report.specials += 1;
        Ok(())
    }

    /// What a symlink and a special file have in common once they're made.
    fn node(
        &mut self,
        from: At<'_>,
        stat: &Stat,
        made: &Made<'_>,
        facts: &mut Facts,
        spot: Spot<'_>,
    ) -> Result<(), Fault> {
        let at = made.at();
        let look = || statat(at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW);
        let new = learn(facts, look).writing("fstatat", || at.show())?;
        self.dress(&Copy {
            from: Subject::named(from),
            to: To::Node(at, file_type(stat)),
            wanted: &Wanted::new(stat, &self.options),
            owner: new.owner,
            mode: None,
            inherits_acl: facts.default_acl && file_type(stat) != FileType::Symlink,
        })?;
        self.remember(stat, spot, look)
    }

    /// The mode that the kernel gave a file created with `first`, where that's sure.
    fn mode_given(&self, first: u32, facts: Facts) -> Option<u32> {
        let umask = self.umask?;
        (!facts.default_acl).then_some(first & !umask)
    }

    /// Makes `to` another name of the copy there is of this file, if there is one.
    fn linked(&mut self, stat: &Stat, to: At<'_>) -> Result<bool, Fault> {
        if !self.options.hard_links || stat.st_nlink < 2 {
            return Ok(false);
        }
        let Some((file, copy)) = self.links.find(identity(stat)) else {
            return Ok(false);
        };
        if links::identity_at(to) != Some(copy) {
            let made = Made::new(to, original(stat), self.options.conflict, "linkat", |name| {
                links::link(file.as_fd(), to.dir, name)
            });
            match made {
                Ok(((), made)) => made.finish(self.options.conflict)?,
                Err(Fault::Write(error)) if links::is_impossible(error.errno()) => return Ok(false),
                Err(fault) => return Err(fault),
            }
        }
        self.report.links += 1;
        Ok(true)
    }

    fn remember(
        &mut self,
        stat: &Stat,
        spot: Spot<'_>,
        look: impl FnOnce() -> rustix::io::Result<Stat>,
    ) -> Result<(), Fault> {
        if !self.options.hard_links || stat.st_nlink < 2 {
            return Ok(());
        }
        let copy = look().writing("fstat", String::new)?;
        #[allow(clippy::unnecessary_cast, reason = "the width differs between architectures")]
        let names = stat.st_nlink as u64;
        let result = self.links.remember(identity(stat), names, spot, identity(&copy));
        result.writing("fcntl", || "F_DUPFD_CLOEXEC")
    }
}

fn original(stat: &Stat) -> Original {
    Original {
        kind: kind(file_type(stat)),
        identity: identity(stat),
    }
}

/// Owner and device of new files in a directory, looked up at the first one.
fn learn(facts: &mut Facts, look: impl FnOnce() -> rustix::io::Result<Stat>) -> rustix::io::Result<NewFile> {
    if let Some(new) = facts.new {
        return Ok(new);
    }
    let stat = look()?;
    let (device, _): Identity = identity(&stat);
    let new = NewFile {
        owner: (stat.st_uid, stat.st_gid),
        device,
    };
    facts.new = Some(new);
    Ok(new)
}

/// The mode to create a file with: its own where that needs no further call, else one that lets nobody but the caller
/// look into it before it has its owner (and lets the caller set attributes).
fn first_mode(wanted: &Wanted, facts: Facts) -> u32 {
    let keeps_owner = wanted
        .owner
        .is_none_or(|owner| facts.new.is_some_and(|new| new.owner == owner));
    if keeps_owner && wanted.mode & 0o200 != 0 {
        wanted.mode & 0o777
    } else {
        0o600
    }
}

/// The umask of this process, without changing it: proc_pid_status(5).
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}
