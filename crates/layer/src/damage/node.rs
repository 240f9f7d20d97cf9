//! One path of a layer: what it is, and in what it differs from another one.

use super::content;
use super::difference::{Difference, Kind};
use crate::Form;
use crate::error::{IoExt, Result};
use crate::marks::{PREFIXES, is_whiteout, status};
use crate::owners::Intended;
use crate::pack::OF_THE_MACHINE;
use crate::path::magic_path;
use crate::tar::{Time, shown};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Stat};
use std::ffi::OsStr;

/// Where something is in one of the two layers, and what was meant for it beside what is on disk.
pub(super) struct Spot<'p> {
    pub parent: &'p OwnedFd,
    pub name: &'p OsStr,
    pub intended: Option<&'p Intended>,
}

/// What is there.
pub(super) struct Node {
    pub kind: Kind,
    pub inode: u64,
    pub links: u64,
    mode: u32,
    /// On disk.
    owner: (u32, u32),
    size: u64,
    modified: Time,
}

/// Looks at a spot; `None` where there is nothing.
pub(super) fn look(spot: &Spot<'_>, path: &[u8]) -> Result<Option<Node>> {
    let stat = status(spot.parent, spot.name).at("look at", path)?;
    Ok(stat.map(|stat| Node {
        kind: kind(&stat, spot.intended),
        inode: stat.st_ino,
        links: stat.st_nlink,
        mode: stat.st_mode & 0o7777,
        owner: (stat.st_uid, stat.st_gid),
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        modified: Time {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        },
    }))
}

fn kind(stat: &Stat, intended: Option<&Intended>) -> Kind {
    let numbers = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => match intended.and_then(|intended| intended.device) {
            // An empty file that stands for a device.
            Some(device) if stat.st_size == 0 && device.block => Kind::BlockDevice(device.major, device.minor),
            Some(device) if stat.st_size == 0 => Kind::CharacterDevice(device.major, device.minor),
            _ => Kind::File,
        },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice if is_whiteout(stat) => Kind::Whiteout,
        FileType::CharacterDevice => Kind::CharacterDevice(numbers.0, numbers.1),
        FileType::BlockDevice => Kind::BlockDevice(numbers.0, numbers.1),
        FileType::Fifo => Kind::Pipe,
        _ => Kind::Socket,
    }
}

/// In what two nodes differ: the one that was found, and the one that is meant.
pub(super) fn compare(spots: &[Spot<'_>; 2], nodes: &[Node; 2], path: &[u8]) -> Result<Vec<Difference>> {
    let [found, meant] = nodes;
    if found.kind != meant.kind {
        return Ok(vec![Difference::Kind(found.kind, meant.kind)]);
    }
    let mut differences = Vec::new();
    match meant.kind {
        // It has nothing but its place.
        Kind::Whiteout => return Ok(differences),
        Kind::File if found.size != meant.size => differences.push(Difference::Size(found.size, meant.size)),
        Kind::File if content::differs(spots, meant.size, path)? => differences.push(Difference::Content),
        Kind::Symlink => differences.extend(targets(spots, path)?),
        _ => {}
    }
    if found.mode != meant.mode && meant.kind != Kind::Symlink {
        differences.push(Difference::Mode(found.mode, meant.mode));
    }
    differences.extend(owners(spots, nodes));
    if found.modified != meant.modified {
        differences.push(Difference::Time(found.modified, meant.modified));
    }
    attributes(spots, path, &mut differences)?;
    Ok(differences)
}

fn owners(spots: &[Spot<'_>; 2], [found, meant]: &[Node; 2]) -> Option<Difference> {
    let recorded = |spot: &Spot<'_>| spot.intended.map(|intended| (intended.uid, intended.gid));
    let records = [recorded(&spots[0]), recorded(&spots[1])];
    let [one, other] = [records[0].unwrap_or(found.owner), records[1].unwrap_or(meant.owner)];
    if one != other {
        return Some(Difference::Owner(one, other));
    }
    // Where one of them is only written down the other may be on disk: this user got ids of its own since.
    let is_same_way = records[0].is_some() == records[1].is_some();
    (is_same_way && found.owner != meant.owner).then_some(Difference::Owner(found.owner, meant.owner))
}

fn targets(spots: &[Spot<'_>; 2], path: &[u8]) -> Result<Option<Difference>> {
    let read = |spot: &Spot<'_>| {
        let target = rustix::fs::readlinkat(spot.parent, spot.name, Vec::new());
        target.at("read the link", path)
    };
    let [found, meant] = [read(&spots[0])?, read(&spots[1])?];
    let is_other = found != meant;
    Ok(is_other.then(|| Difference::Target(shown(found.as_bytes()), shown(meant.as_bytes()))))
}

/// An attribute's name and value.
type Attribute = (Vec<u8>, Vec<u8>);

/// Finds attributes that differ. Overlayfs's own are among them: an opaque mark in another form than the store's is
/// none, and others may make something else of the file.
fn attributes(spots: &[Spot<'_>; 2], path: &[u8], differences: &mut Vec<Difference>) -> Result<()> {
    let [found, meant] = [all(&spots[0], path)?, all(&spots[1], path)?];
    let value = |of: &[Attribute], name: &[u8]| of.iter().position(|(other, _)| other == name);
    for (name, wanted) in &meant {
        match value(&found, name).map(|place| &found[place].1) {
            Some(value) if value == wanted => {}
            _ if is_opaque_mark(name) => differences.push(Difference::Opaque(false)),
            Some(_) => differences.push(Difference::Attribute(shown(name))),
            None => differences.push(Difference::AttributeMissing(shown(name))),
        }
    }
    for (name, _) in found.iter().filter(|(name, _)| value(&meant, name).is_none()) {
        differences.push(if is_opaque_mark(name) {
            Difference::Opaque(true)
        } else {
            Difference::AttributeAdded(shown(name))
        });
    }
    Ok(())
}

/// The attributes that count, with those that couldn't be put on disk.
fn all(spot: &Spot<'_>, path: &[u8]) -> Result<Vec<Attribute>> {
    let magic = magic_path(spot.parent, spot.name);
    let mut all = crate::xattrs::all(&magic, false).at("read the attributes of", path)?;
    all.retain(|(name, _)| !OF_THE_MACHINE.contains(&name.as_slice()) && !is_origin(name));
    for missing in spot.intended.iter().flat_map(|intended| &intended.xattrs) {
        all.retain(|(name, _)| *name != missing.0);
        all.push(missing.clone());
    }
    Ok(all)
}

fn is_opaque_mark(name: &[u8]) -> bool {
    [Form::Trusted, Form::User]
        .iter()
        .any(|form| form.attribute("opaque").as_bytes() == name)
}

/// Which directories have it depends on the version of wiac that unpacked them.
fn is_origin(name: &[u8]) -> bool {
    let rest = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix.as_bytes()));
    rest == Some(b"origin")
}
