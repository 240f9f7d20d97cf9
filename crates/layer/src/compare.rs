//! Two layer directories side by side: what one has and the other hasn't, and in what else they differ.
//!
//! Deletion marks are compared as what they are: a whiteout is an entry of its own kind, an opaque mark an aspect of its
//! directory, whichever form the two layers have.

use crate::error::{IoExt, Result};
use crate::marks::{PREFIXES, is_opaque};
use crate::xattrs;
use rustix::fs::{AtFlags, CWD, FileType, Stat};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of a file read at a time.
const CHUNK: usize = 128 << 10;

/// What two entries of one path differ in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// Only the first layer has it.
    OnlyInFirst,
    /// Only the second layer has it.
    OnlyInSecond,
    /// One is a directory and the other a file, and so on.
    Kind,
    /// The bytes of a file, the text of a symlink, the number of a device.
    Content,
    /// The permissions.
    Mode,
    /// Owner or group.
    Owner,
    /// How many names the file has.
    Links,
    /// An extended attribute.
    Attribute(String),
    /// Whether the directory hides what lies below it.
    Opaque,
    /// The time of modification.
    Time,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyInFirst => "only in the first",
            Self::OnlyInSecond => "only in the second",
            Self::Kind => "type",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Links => "hard links",
            Self::Attribute(name) => return write!(f, "attribute {name}"),
            Self::Opaque => "opaque mark",
            Self::Time => "time",
        })
    }
}

/// A path and what differs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// From the layer's root, with a slash in front.
    pub path: PathBuf,
    /// At least one, sorted.
    pub aspects: Vec<Aspect>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries that both have.
    pub entries: u64,
    /// By path.
    pub differences: Vec<Difference>,
}

/// Compares two layer directories. `clamp`: later times count as this one (seconds since 1970), as when they are packed.
///
/// # Errors
/// What can't be read.
pub fn compare(first: &Path, second: &Path, clamp: Option<i64>) -> Result<Comparison> {
    let mut comparing = Comparing {
        roots: [first, second],
        clamp,
        result: Comparison::default(),
    };
    comparing.entry(Path::new(""))?;
    Ok(comparing.result)
}

struct Comparing<'c> {
    roots: [&'c Path; 2],
    clamp: Option<i64>,
    result: Comparison,
}

impl Comparing<'_> {
    /// An entry that both have, and what is below it.
    fn entry(&mut self, relative: &Path) -> Result<()> {
        self.result.entries += 1;
        let paths = self.roots.map(|root| root.join(relative));
        let first = rustix::fs::statat(CWD, &paths[0], AtFlags::SYMLINK_NOFOLLOW).on("look at", &paths[0])?;
        let second = rustix::fs::statat(CWD, &paths[1], AtFlags::SYMLINK_NOFOLLOW).on("look at", &paths[1])?;
        let (kind, other) = (
            FileType::from_raw_mode(first.st_mode),
            FileType::from_raw_mode(second.st_mode),
        );
        if kind != other {
            self.found(relative, vec![Aspect::Kind]);
            return Ok(());
        }
        let mut aspects = self.statuses(kind, &first, &second);
        if contents_differ(kind, [&first, &second], &paths)? {
            aspects.push(Aspect::Content);
        }
        aspects.extend(attributes(kind, &paths)?);
        if !aspects.is_empty() {
            aspects.sort();
            self.found(relative, aspects);
        }
        if kind == FileType::Directory {
            self.directory(relative, &paths)?;
        }
        Ok(())
    }

    fn directory(&mut self, relative: &Path, paths: &[PathBuf; 2]) -> Result<()> {
        let (first, second) = (names(&paths[0])?, names(&paths[1])?);
        for name in first.union(&second) {
            let path = relative.join(name);
            match (first.contains(name), second.contains(name)) {
                (true, true) => self.entry(&path)?,
                (true, false) => self.found(&path, vec![Aspect::OnlyInFirst]),
                _ => self.found(&path, vec![Aspect::OnlyInSecond]),
            }
        }
        Ok(())
    }

    fn statuses(&self, kind: FileType, first: &Stat, second: &Stat) -> Vec<Aspect> {
        let mut aspects = Vec::new();
        if first.st_mode != second.st_mode {
            aspects.push(Aspect::Mode);
        }
        if (first.st_uid, first.st_gid) != (second.st_uid, second.st_gid) {
            aspects.push(Aspect::Owner);
        }
        if kind != FileType::Directory && first.st_nlink != second.st_nlink {
            aspects.push(Aspect::Links);
        }
        if self.time(first) != self.time(second) {
            aspects.push(Aspect::Time);
        }
        aspects
    }

    fn time(&self, stat: &Stat) -> (i64, u64) {
        match self.clamp {
            Some(most) if stat.st_mtime >= most => (most, 0),
            _ => (stat.st_mtime, stat.st_mtime_nsec),
        }
    }

    fn found(&mut self, relative: &Path, aspects: Vec<Aspect>) {
        let path = Path::new("/").join(relative);
        self.result.differences.push(Difference { path, aspects });
    }
}

fn names(path: &Path) -> Result<BTreeSet<OsString>> {
    let entries = fs::read_dir(path).on("read", path)?;
    entries.map(|entry| Ok(entry.on("read", path)?.file_name())).collect()
}

fn contents_differ(kind: FileType, stats: [&Stat; 2], paths: &[PathBuf; 2]) -> Result<bool> {
    match kind {
        FileType::RegularFile if stats[0].st_size != stats[1].st_size => Ok(true),
        FileType::RegularFile => files_differ(paths),
        FileType::Symlink => {
            let text = |path: &PathBuf| fs::read_link(path).on("read the symlink", path);
            Ok(text(&paths[0])? != text(&paths[1])?)
        }
        FileType::CharacterDevice | FileType::BlockDevice => Ok(stats[0].st_rdev != stats[1].st_rdev),
        _ => Ok(false),
    }
}

/// Two files of one length.
fn files_differ(paths: &[PathBuf; 2]) -> Result<bool> {
    let [mut first, mut second] = [
        File::open(&paths[0]).on("open", &paths[0])?,
        File::open(&paths[1]).on("open", &paths[1])?,
    ];
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let length = first.read(&mut one).on("read", &paths[0])?;
        if length == 0 {
            return Ok(false);
        }
        match second.read_exact(&mut other[..length]) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(true),
            result => result.on("read", &paths[1])?,
        }
        if one[..length] != other[..length] {
            return Ok(true);
        }
    }
}

/// Attributes that differ; of overlayfs's own, the opaque mark counts alone.
fn attributes(kind: FileType, paths: &[PathBuf; 2]) -> Result<Vec<Aspect>> {
    let own = |path: &PathBuf| -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut all = xattrs::all(path, false).on("read the attributes of", path)?;
        all.retain(|(name, _)| !PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes())));
        Ok(all)
    };
    let (first, second) = (own(&paths[0])?, own(&paths[1])?);
    let lone = first.iter().filter(|pair| !second.contains(pair));
    let names: BTreeSet<&[u8]> = lone
        .chain(second.iter().filter(|pair| !first.contains(pair)))
        .map(|(name, _)| name.as_slice())
        .collect();
    let shown = |name: &[u8]| std::ffi::OsStr::from_bytes(name).to_string_lossy().into_owned();
    let mut aspects: Vec<Aspect> = names.into_iter().map(|name| Aspect::Attribute(shown(name))).collect();
    if kind == FileType::Directory {
        let opaque = |path: &PathBuf| is_opaque(File::open(path).on("open", path)?);
        if opaque(&paths[0])? != opaque(&paths[1])? {
            aspects.push(Aspect::Opaque);
        }
    }
    Ok(aspects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, UNIX_EPOCH};

    fn differences(change: impl FnOnce(&Path), clamp: Option<i64>) -> Vec<(String, String)> {
        let dir = tempfile::tempdir().expect("tempdir");
        let roots = ["first", "second"].map(|name| dir.path().join(name));
        for root in &roots {
            fs::create_dir_all(root.join("d/empty")).expect("mkdir");
            fs::write(root.join("d/file"), "text").expect("write");
            symlink("file", root.join("d/link")).expect("symlink");
        }
        change(&roots[1]);
        for root in &roots {
            for path in ["d/empty", "d", ""] {
                let time = UNIX_EPOCH + Duration::from_secs(1000);
                let directory = File::open(root.join(path)).expect("open");
                directory.set_modified(time).expect("times");
            }
        }
        for path in ["d/file"].iter().filter(|path| roots[1].join(path).is_file()) {
            let time = |root: usize| UNIX_EPOCH + Duration::from_secs(1000 * (root as u64 + 1));
            for (number, root) in roots.iter().enumerate() {
                File::open(root.join(path))
                    .expect("open")
                    .set_modified(time(number))
                    .expect("times");
            }
        }
        let found = compare(&roots[0], &roots[1], clamp).expect("compared").differences;
        let aspects = |difference: &Difference| {
            let aspects: Vec<String> = difference.aspects.iter().map(ToString::to_string).collect();
            aspects.join(", ")
        };
        let lines = found.iter().map(|one| (one.path.display().to_string(), aspects(one)));
        lines.filter(|(path, _)| path != "/d/link").collect()
    }

    fn pair(path: &str, aspects: &str) -> Vec<(String, String)> {
        vec![(path.to_owned(), aspects.to_owned())]
    }

    #[test]
    fn each_aspect_is_seen() {
        let clamp = Some(500);
        assert_eq!(differences(|_| {}, clamp), []);
        assert_eq!(differences(|_| {}, None), pair("/d/file", "time"));
        assert_eq!(
            differences(|root| fs::write(root.join("d/file"), "tent").expect("write"), clamp),
            pair("/d/file", "content")
        );
        let chmod = |root: &Path| {
            fs::set_permissions(root.join("d/empty"), fs::Permissions::from_mode(0o700)).expect("chmod");
        };
        assert_eq!(differences(chmod, clamp), pair("/d/empty", "mode"));
        let remove = |root: &Path| fs::remove_file(root.join("d/file")).expect("remove");
        assert_eq!(differences(remove, clamp), pair("/d/file", "only in the first"));
        let add = |root: &Path| fs::create_dir(root.join("d/more")).expect("mkdir");
        assert_eq!(differences(add, clamp), pair("/d/more", "only in the second"));
        let kind = |root: &Path| {
            fs::remove_dir(root.join("d/empty")).expect("remove");
            fs::create_dir(root.join("d/tmp")).expect("mkdir");
            fs::rename(root.join("d/tmp"), root.join("d/empty")).expect("rename");
            let name = root.join("d/empty");
            rustix::fs::setxattr(&name, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
                .expect("setxattr");
            rustix::fs::setxattr(&name, "user.word", b"y", rustix::fs::XattrFlags::empty()).expect("setxattr");
        };
        assert_eq!(
            differences(kind, clamp),
            pair("/d/empty", "attribute user.word, opaque mark")
        );
    }
}
