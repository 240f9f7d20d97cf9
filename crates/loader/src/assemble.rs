//! Puts a closure together from the files found: directories above each, symlinks crossed, and who needs what.

use crate::closure::{Closure, Entry, EntryKind, Need, NeedKind, NeededBy, Object, Program};
use crate::elf;
use crate::error::Error;
use crate::link::{EdgeKind, Linked};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wiac_sys::map::HashMap;
use wiac_sys::root::{FileKind, Link, Metadata, Resolved, Walk};

/// The directories of a root that may be symlinks into its /usr (file-hierarchy(7), and what Debian's usrmerge moves there).
const MERGED: [&str; 7] = ["/bin", "/lib", "/lib32", "/lib64", "/libo32", "/libx32", "/sbin"];

/// A closure under way.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    entries: Vec<Entry>,
    /// Where in `entries` a path is, by its bytes.
    places: HashMap<OsString, usize>,
    objects: Vec<Object>,
    /// Where in `objects` a path is.
    indices: HashMap<OsString, usize>,
    pub programs: Vec<Program>,
    pub needs_ldconfig: Vec<PathBuf>,
    pub needs_proc: Vec<PathBuf>,
    pub incomplete: Vec<Error>,
}

impl Assembly {
    pub fn finish(mut self) -> Closure {
        self.entries.sort_unstable_by(|a, b| order(&a.path).cmp(order(&b.path)));
        Closure {
            entries: self.entries,
            programs: self.programs,
            objects: self.objects,
            needs_ldconfig: self.needs_ldconfig,
            needs_proc: self.needs_proc,
            incomplete: self.incomplete,
        }
    }

    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Adds what a lookup found, the symlinks on its way, and all directories above.
    pub fn resolved(&mut self, walk: &mut Walk<'_>, resolved: &Resolved, by: NeededBy, variant: Option<&str>) {
        let places = self.found(walk, resolved, variant);
        self.needed(&places, by);
    }

    /// The same but for who needs it. Gives the entries that somebody needs.
    fn found(&mut self, walk: &mut Walk<'_>, resolved: &Resolved, variant: Option<&str>) -> Vec<usize> {
        let links = resolved.links.iter();
        let mut places: Vec<usize> = links.map(|link| self.insert_link(walk, link, variant)).collect();
        for directory in &resolved.left {
            self.directory(walk, directory);
        }
        match resolved.metadata.kind {
            FileKind::File => {
                places.push(self.insert(walk, &resolved.path, EntryKind::File, resolved.metadata, variant));
            }
            FileKind::Directory => self.directory(walk, &resolved.path),
            FileKind::Symlink | FileKind::Special => {}
        }
        places
    }

    fn needed(&mut self, places: &[usize], by: NeededBy) {
        for place in places {
            let needed_by = &mut self.entries[*place].needed_by;
            if !needed_by.contains(&by) {
                needed_by.push(by);
            }
        }
    }

    pub fn link(&mut self, walk: &mut Walk<'_>, link: &Link, by: NeededBy) {
        let place = self.insert_link(walk, link, None);
        self.needed(&[place], by);
    }

    fn insert_link(&mut self, walk: &mut Walk<'_>, link: &Link, variant: Option<&str>) -> usize {
        let kind = EntryKind::Symlink(link.target.clone());
        self.insert(walk, &link.path, kind, link.metadata, variant)
    }

    /// The object of a resolved path, made where it's new.
    pub fn object(&mut self, resolved: &Resolved, variant: Option<&str>) -> usize {
        if let Some(&index) = self.indices.get(resolved.path.as_os_str()) {
            if variant.is_none() {
                self.objects[index].variant = None;
            }
            return index;
        }
        let index = self.objects.len();
        self.indices.insert(resolved.path.clone().into(), index);
        self.objects.push(Object {
            path: resolved.path.clone(),
            architecture: None,
            variant: variant.map(str::to_owned),
            needs: Vec::new(),
        });
        index
    }

    pub fn need(&mut self, from: usize, name: &[u8], kind: NeedKind, object: usize) {
        let name = String::from_utf8_lossy(name).into_owned();
        let need = Need { name, kind, object };
        let needs = &mut self.objects[from].needs;
        if !needs.contains(&need) {
            needs.push(need);
        }
    }

    /// Adds the objects of one process; gives the index of its program.
    pub fn linked(&mut self, walk: &mut Walk<'_>, linked: &Linked) -> usize {
        let mut needed = vec![false; linked.members.len()];
        needed[0] = true;
        for edge in &linked.edges {
            needed[edge.to] = true;
        }
        // A member that nobody needs (a loader that was assumed) has no edge either, so its index is never used.
        let mut indices = vec![0; linked.members.len()];
        for (place, member) in linked.members.iter().enumerate().filter(|(place, _)| needed[*place]) {
            let index = self.object(&member.resolved, member.variant.as_deref());
            self.objects[index].architecture = Some(member.elf.architecture);
            indices[place] = index;
        }
        // Many need the same: where a member's entries are is looked up once.
        let mut places: Vec<Option<Vec<usize>>> = vec![None; linked.members.len()];
        for edge in &linked.edges {
            let kind = match edge.kind {
                EdgeKind::Interpreter => NeedKind::Interpreter,
                EdgeKind::Library(elf::NeedKind::Needed) => NeedKind::Library,
                EdgeKind::Library(elf::NeedKind::Filter) => NeedKind::Filter,
                EdgeKind::Library(elf::NeedKind::Auxiliary) => NeedKind::Auxiliary,
            };
            self.need(indices[edge.from], &edge.name, kind, indices[edge.to]);
            let member = &linked.members[edge.to];
            let places =
                places[edge.to].get_or_insert_with(|| self.found(walk, &member.resolved, member.variant.as_deref()));
            self.needed(places, NeededBy::Object(indices[edge.from]));
        }
        for (from, resolved) in &linked.aliases {
            let variant = linked.members[*from].variant.as_deref();
            self.resolved(walk, resolved, NeededBy::Object(indices[*from]), variant);
        }
        indices[0]
    }

    /// Adds the root's symlinks that merge directories with those of /usr (`/bin -> usr/bin`), as far as they lead to
    /// directories that are here: a program found by one of its names can be started by all of them, as in the source.
    pub fn merged_directories(&mut self, walk: &mut Walk<'_>) {
        for path in MERGED.map(Path::new) {
            if self.entry(path).is_some() {
                continue;
            }
            let Ok(resolved) = walk.trace(path) else { continue };
            let target = self.entry(&resolved.path);
            if target.is_some_and(|entry| entry.kind == EntryKind::Directory) {
                for link in &resolved.links {
                    self.insert_link(walk, link, None);
                }
            }
        }
    }

    fn entry(&self, path: &Path) -> Option<&Entry> {
        self.places.get(path.as_os_str()).map(|place| &self.entries[*place])
    }

    fn directory(&mut self, walk: &mut Walk<'_>, path: &Path) {
        if path.as_os_str() == "/" || self.entry(path).is_some() {
            return;
        }
        if let Ok(resolved) = walk.resolve(path) {
            self.insert(walk, path, EntryKind::Directory, resolved.metadata, None);
        }
    }

    /// The entry of a path, made where it's new, with the directories above.
    fn insert(
        &mut self,
        walk: &mut Walk<'_>,
        path: &Path,
        kind: EntryKind,
        metadata: Metadata,
        variant: Option<&str>,
    ) -> usize {
        if let Some(place) = self.places.get(path.as_os_str()) {
            if variant.is_none() {
                self.entries[*place].variant = None;
            }
            return *place;
        }
        if let Some(parent) = path.parent() {
            self.directory(walk, parent);
        }
        let place = self.entries.len();
        self.entries.push(Entry {
            path: path.to_owned(),
            kind,
            metadata,
            needed_by: Vec::new(),
            variant: variant.map(str::to_owned),
        });
        self.places.insert(path.as_os_str().to_owned(), place);
        place
    }
}

/// The order of paths, of canonical ones told by their bytes: a slash comes before all that a name may hold, so that what is in
/// a directory stands behind it, and nothing else between.
fn order(path: &Path) -> impl Iterator<Item = u8> {
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.map(|byte| if *byte == b'/' { 0 } else { *byte })
}
