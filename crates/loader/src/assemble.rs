//! Puts a closure together from the files found: directories above each, symlinks crossed, and who needs what.

use crate::closure::{Closure, Entry, EntryKind, Need, NeedKind, NeededBy, Object, Program};
use crate::elf;
use crate::error::Error;
use crate::link::{EdgeKind, Linked};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use wiac_sys::root::{FileKind, Link, Metadata, Resolved, Walk};

/// A closure under way.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    entries: BTreeMap<PathBuf, Entry>,
    objects: Vec<Object>,
    indices: HashMap<PathBuf, usize>,
    pub programs: Vec<Program>,
    pub needs_ldconfig: Vec<PathBuf>,
    pub incomplete: Vec<Error>,
}

impl Assembly {
    pub fn finish(self) -> Closure {
        Closure {
            entries: self.entries.into_values().collect(),
            programs: self.programs,
            objects: self.objects,
            needs_ldconfig: self.needs_ldconfig,
            incomplete: self.incomplete,
        }
    }

    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Adds what a lookup found, the symlinks on its way, and all directories above.
    pub fn resolved(&mut self, walk: &mut Walk<'_>, resolved: &Resolved, by: NeededBy, variant: Option<&str>) {
        for link in &resolved.links {
            self.link(walk, link, by, variant);
        }
        for directory in &resolved.left {
            self.directory(walk, directory);
        }
        match resolved.metadata.kind {
            FileKind::File => self.insert(
                walk,
                &resolved.path,
                EntryKind::File,
                resolved.metadata,
                Some(by),
                variant,
            ),
            FileKind::Directory => self.directory(walk, &resolved.path),
            FileKind::Symlink | FileKind::Special => {}
        }
    }

    pub fn link(&mut self, walk: &mut Walk<'_>, link: &Link, by: NeededBy, variant: Option<&str>) {
        let kind = EntryKind::Symlink(link.target.clone());
        self.insert(walk, &link.path, kind, link.metadata, Some(by), variant);
    }

    /// The object of a resolved path, made where it's new.
    pub fn object(&mut self, resolved: &Resolved, variant: Option<&str>) -> usize {
        if let Some(&index) = self.indices.get(&resolved.path) {
            if variant.is_none() {
                self.objects[index].variant = None;
            }
            return index;
        }
        let index = self.objects.len();
        self.indices.insert(resolved.path.clone(), index);
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
        for edge in &linked.edges {
            let kind = match edge.kind {
                EdgeKind::Interpreter => NeedKind::Interpreter,
                EdgeKind::Library(elf::NeedKind::Needed) => NeedKind::Library,
                EdgeKind::Library(elf::NeedKind::Filter) => NeedKind::Filter,
                EdgeKind::Library(elf::NeedKind::Auxiliary) => NeedKind::Auxiliary,
            };
            self.need(indices[edge.from], &edge.name, kind, indices[edge.to]);
            let member = &linked.members[edge.to];
            let by = NeededBy::Object(indices[edge.from]);
            self.resolved(walk, &member.resolved, by, member.variant.as_deref());
        }
        for (from, resolved) in &linked.aliases {
            let variant = linked.members[*from].variant.as_deref();
            self.resolved(walk, resolved, NeededBy::Object(indices[*from]), variant);
        }
        indices[0]
    }

    /// Adds the root's own symlinks to directories that are here (`/bin -> usr/bin`): a program found by one of its
    /// names can be started by all of them, as in the source.
    pub fn top_level_links(&mut self, walk: &mut Walk<'_>) {
        for entry in walk.root().read_dir("/").unwrap_or_default() {
            let path = Path::new("/").join(&entry.name);
            if entry.kind != Some(FileKind::Symlink) || self.entries.contains_key(&path) {
                continue;
            }
            let Ok(resolved) = walk.resolve(&path) else { continue };
            let leads_here = self
                .entries
                .get(&resolved.path)
                .is_some_and(|entry| entry.kind == EntryKind::Directory);
            if let Some(link) = resolved.links.first().filter(|_| leads_here) {
                let kind = EntryKind::Symlink(link.target.clone());
                self.insert(walk, &link.path, kind, link.metadata, None, None);
            }
        }
    }

    fn directory(&mut self, walk: &mut Walk<'_>, path: &Path) {
        if path == Path::new("/") || self.entries.contains_key(path) {
            return;
        }
        if let Ok(resolved) = walk.resolve(path) {
            self.insert(walk, path, EntryKind::Directory, resolved.metadata, None, None);
        }
    }

    fn insert(
        &mut self,
        walk: &mut Walk<'_>,
        path: &Path,
        kind: EntryKind,
        metadata: Metadata,
        by: Option<NeededBy>,
        variant: Option<&str>,
    ) {
        if let Some(entry) = self.entries.get_mut(path) {
            if variant.is_none() {
                entry.variant = None;
            }
            entry.needed_by.extend(by.filter(|by| !entry.needed_by.contains(by)));
            return;
        }
        if let Some(parent) = path.parent() {
            self.directory(walk, parent);
        }
        let entry = Entry {
            path: path.to_owned(),
            kind,
            metadata,
            needed_by: by.into_iter().collect(),
            variant: variant.map(str::to_owned),
        };
        self.entries.insert(path.to_owned(), entry);
    }
}
