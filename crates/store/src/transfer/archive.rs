//! The files that an image is made of, in a directory or in a tar: found by name, read at any place.

use crate::error::{Error, IoExt, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tar_core::parse::{Limits, ParseEvent, Parser};

/// An image has some dozens of files, a layout of many images some thousands.
const MOST_MEMBERS: usize = 100_000;

/// The longest name of a member that is taken.
const LONGEST_NAME: u32 = 4096;

/// Links followed from one member to another: docker once wrote repeated layers as links.
const MOST_LINKS: usize = 8;

/// A directory or a tar.
#[derive(Debug)]
pub struct Archive {
    /// How it is called in messages.
    shown: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory(File),
    Tar {
        file: File,
        members: HashMap<String, Member>,
    },
}

#[derive(Debug)]
enum Member {
    File { offset: u64, size: u64 },
    Link(String),
}

/// One file of it, open.
#[derive(Debug)]
pub struct Content<'a> {
    /// Its length in bytes.
    pub size: u64,
    file: Handle<'a>,
    position: u64,
    end: u64,
}

#[derive(Debug)]
enum Handle<'a> {
    Own(File),
    Tar(&'a File),
}

impl Archive {
    /// A directory.
    pub fn directory(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).on("open", path)?;
        Ok(Self {
            shown: path.to_owned(),
            kind: Kind::Directory(directory.into()),
        })
    }

    /// An uncompressed tar that can be read at any place. `shown`: its name in messages.
    ///
    /// # Errors
    /// What isn't a tar, is cut off, or has too many members.
    pub fn tar(file: File, shown: &Path) -> Result<Self> {
        let members = index(&file, shown)?;
        Ok(Self {
            shown: shown.to_owned(),
            kind: Kind::Tar { file, members },
        })
    }

    /// Its name in messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Opens the file called `name`; `None` where there is none. Nothing outside is ever opened.
    pub fn open(&self, name: &str) -> Result<Option<Content<'_>>> {
        match &self.kind {
            Kind::Directory(directory) => self.open_in(directory, name),
            Kind::Tar { file, members } => Ok(find(members, name).map(|(offset, size)| Content {
                size,
                file: Handle::Tar(file),
                position: offset,
                end: offset + size,
            })),
        }
    }

    fn open_in(&self, directory: &File, name: &str) -> Result<Option<Content<'_>>> {
        let path = self.shown.join(name);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = match rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            result => File::from(result.on("open", &path)?),
        };
        let meta = file.metadata().on("look at", &path)?;
        if !meta.is_file() {
            return Err(Error::archive(&self.shown, format!("{name} is no regular file")));
        }
        Ok(Some(Content {
            size: meta.len(),
            file: Handle::Own(file),
            position: 0,
            end: meta.len(),
        }))
    }

    /// Reads a small file whole; `None` where there is none.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(mut content) = self.open(name)? else {
            return Ok(None);
        };
        if content.size > limit {
            return Err(Error::archive(
                &self.shown,
                format!("{name} has {} bytes; such a document has {limit} at most", content.size),
            ));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).on("read", &self.shown.join(name))?;
        Ok(Some(bytes))
    }
}

fn find(members: &HashMap<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = normal(name);
    for _ in 0..MOST_LINKS {
        match members.get(&name)? {
            Member::File { offset, size } => return Some((*offset, *size)),
            Member::Link(target) => name = target.clone(),
        }
    }
    None
}

/// A name without `./`, `//` and `..`, as the index has it.
fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Reads all headers of a tar; contents are skipped.
fn index(file: &File, shown: &Path) -> Result<HashMap<String, Member>> {
    let mut members = HashMap::new();
    let mut parser = Parser::new(Limits {
        max_path_len: Some(LONGEST_NAME),
        ..Limits::default()
    });
    let length = file.metadata().on("look at", shown)?.len();
    let mut position = 0;
    let mut window = Vec::new();
    let wrong = |reason: String| Error::archive(shown, reason);
    loop {
        match parser
            .parse(&window)
            .map_err(|error| wrong(format!("it is no tar that can be read: {error}")))?
        {
            ParseEvent::NeedData { min_bytes } => {
                if !fill(file, &mut window, position, min_bytes).on("read", shown)? {
                    // Some writers leave the end-of-archive mark out.
                    if window.is_empty() && !members.is_empty() {
                        return Ok(members);
                    }
                    return Err(wrong("it ends in the middle of a header".to_owned()));
                }
            }
            ParseEvent::Entry { consumed, entry } => {
                let offset = position + consumed as u64;
                if offset.saturating_add(entry.size) > length {
                    return Err(wrong(format!("it ends in the middle of {}", entry.path_lossy())));
                }
                let next = offset.saturating_add(entry.padded_size());
                add(&mut members, &entry, offset);
                if members.len() > MOST_MEMBERS {
                    return Err(wrong(format!("it has more than {MOST_MEMBERS} members")));
                }
                position = next;
                window.clear();
            }
            ParseEvent::GlobalExtensions { consumed, .. } => {
                position += consumed as u64;
                window.clear();
            }
            ParseEvent::SparseEntry { entry, .. } => {
                return Err(wrong(format!("{} is sparse: no image has that", entry.path_lossy())));
            }
            ParseEvent::End { .. } => return Ok(members),
        }
    }
}

fn add(members: &mut HashMap<String, Member>, entry: &tar_core::parse::ParsedEntry<'_>, offset: u64) {
    let name = normal(&entry.path_lossy());
    let target = entry.link_target_lossy();
    if entry.is_file() {
        members.insert(
            name,
            Member::File {
                offset,
                size: entry.size,
            },
        );
    } else if let (true, Some(target)) = (entry.is_symlink(), &target) {
        let base = name.rsplit_once('/').map_or("", |(directory, _)| directory);
        let target = normal(&format!("{base}/{target}"));
        members.insert(name, Member::Link(target));
    } else if let (true, Some(target)) = (entry.is_hard_link(), &target) {
        members.insert(name, Member::Link(normal(target)));
    }
}

/// Makes `window` hold at least `wanted` bytes from `position`; `false` where the file ends before.
fn fill(file: &File, window: &mut Vec<u8>, position: u64, wanted: usize) -> io::Result<bool> {
    /// Headers with their extensions mostly come in pairs.
    const STEP: usize = 2048;
    let mut have = window.len();
    window.resize(wanted.next_multiple_of(STEP), 0);
    while have < window.len() {
        match file.read_at(&mut window[have..], position + have as u64)? {
            0 => break,
            length => have += length,
        }
    }
    window.truncate(have);
    Ok(have >= wanted)
}

impl Content<'_> {
    /// The file that holds it, and where in it: for copies within the kernel.
    pub fn place(&self) -> (&File, u64) {
        let file = match &self.file {
            Handle::Own(file) => file,
            Handle::Tar(file) => *file,
        };
        (file, self.position)
    }
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = rest.min(into.len());
        let read = self.place().0.read_at(&mut into[..wanted], self.position)?;
        if read == 0 && wanted > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        self.position += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::Command;

    fn packed(make: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("tempdir");
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).expect("mkdir");
        make(&tree);
        let tar = dir.path().join("x.tar");
        let status = Command::new("tar")
            .arg("-cf")
            .arg(&tar)
            .arg("-C")
            .arg(&tree)
            .arg(".")
            .status();
        assert!(status.expect("tar runs").success());
        (dir, tar)
    }

    fn read(archive: &Archive, name: &str) -> Option<String> {
        let bytes = archive.read(name, 1000).expect("readable")?;
        Some(String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn members_are_found_by_name_and_through_links() {
        let long = "n".repeat(150);
        let (dir, tar) = packed(|tree| {
            std::fs::create_dir(tree.join("a")).expect("mkdir");
            std::fs::write(tree.join("a/layer.tar"), "one").expect("write");
            std::fs::write(tree.join(&long), "two").expect("write");
            std::fs::create_dir(tree.join("b")).expect("mkdir");
            std::os::unix::fs::symlink("../a/layer.tar", tree.join("b/layer.tar")).expect("symlink");
            std::os::unix::fs::symlink("loop", tree.join("loop")).expect("symlink");
        });
        let archives = [
            Archive::tar(File::open(&tar).expect("open"), &tar).expect("indexed"),
            Archive::directory(&dir.path().join("tree")).expect("opened"),
        ];
        for archive in &archives {
            assert_eq!(read(archive, "a/layer.tar").as_deref(), Some("one"));
            assert_eq!(read(archive, &long).as_deref(), Some("two"));
            assert_eq!(read(archive, "b/layer.tar").as_deref(), Some("one"));
            assert_eq!(read(archive, "c"), None);
        }
        assert_eq!(read(&archives[0], "loop"), None);
    }

    #[test]
    fn nothing_outside_a_directory_is_opened() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(dir.path().join("in")).expect("mkdir");
        std::fs::write(dir.path().join("secret"), "s").expect("write");
        std::os::unix::fs::symlink("../secret", dir.path().join("in/link")).expect("symlink");
        let archive = Archive::directory(&dir.path().join("in")).expect("opened");
        assert!(archive.open("link").is_err());
        assert!(archive.open("../secret").is_err());
    }

    #[test]
    fn a_tar_that_is_cut_off_is_refused() {
        let (_dir, tar) = packed(|tree| std::fs::write(tree.join("big"), vec![7; 100_000]).expect("write"));
        let bytes = std::fs::read(&tar).expect("read");
        for length in [100, 700, 50_000] {
            let mut cut = tempfile::tempfile().expect("tempfile");
            cut.write_all(&bytes[..length]).expect("written");
            assert!(Archive::tar(cut, Path::new("cut")).is_err(), "{length}");
        }
    }
}
