//! The objects that one process consists of: what the dynamic loader would map, breadth first, by its own rules for
//! names it has already loaded (glibc's `_dl_map_object_deps`, musl's `load_deps`). Nothing is executed.

use crate::dialect::Dialect;
use crate::elf::{NeedKind, NeededName};
use crate::error::{Error, MissingLibrary};
use crate::files::Files;
use crate::search::{Candidate, Member, Place, Search, chain};
use crate::tokens::Expanded;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wiac_sys::map::HashMap;
use wiac_sys::root::Resolved;

/// More objects than any real program has.
const MAX_MEMBERS: usize = 8192;
/// The names that musl's own libraries had before they became one with its loader.
const MUSL_LIBRARIES: [&str; 8] = ["c", "pthread", "rt", "m", "dl", "util", "xnet", "crypt"];

/// What one process consists of; the program is the first member.
#[derive(Debug)]
pub(crate) struct Linked {
    pub members: Vec<Member>,
    pub edges: Vec<Edge>,
    /// Other ways to members that came up, with who took them.
    pub aliases: Vec<(usize, Rc<Resolved>)>,
    pub missing: Vec<MissingLibrary>,
    /// Members that are found by nothing but the cache, or wouldn't be without a run of ldconfig.
    pub by_cache: Vec<usize>,
    pub by_configuration: Vec<usize>,
}

/// `from` needs `to` under this name.
#[derive(Debug)]
pub(crate) struct Edge {
    pub from: usize,
    pub to: usize,
    pub name: Vec<u8>,
    pub kind: EdgeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    Interpreter,
    Library(NeedKind),
}

/// The dynamic loader that puts a process together.
pub(crate) struct Loader {
    /// The program's own word for it; `None` where the program is a library and names none.
    name: Option<Vec<u8>>,
    pub candidate: Candidate,
}

impl Loader {
    pub fn named(name: Vec<u8>, candidate: Candidate) -> Self {
        Self {
            name: Some(name),
            candidate,
        }
    }

    pub fn assumed(candidate: Candidate) -> Self {
        Self { name: None, candidate }
    }
}

/// One process being put together.
pub(crate) struct Linker<'s, 'r> {
    search: Search<'s, 'r>,
    linked: Linked,
    loader: Option<usize>,
    names: HashMap<Vec<u8>, usize>,
    identities: HashMap<(u64, u64), usize>,
    queue: VecDeque<usize>,
    /// Variants found on the way, with who needs them and under which name; they come last.
    variants: VecDeque<(usize, NeededName, Candidate)>,
}

impl<'s, 'r> Linker<'s, 'r> {
    pub fn new(
        files: &'s mut Files<'r>,
        dialect: &'s Dialect,
        cwd: &'s Path,
        hardware: &'s mut HashMap<PathBuf, Rc<Vec<Expanded>>>,
    ) -> Self {
        Self {
            search: Search {
                files,
                dialect,
                cwd,
                hardware,
            },
            linked: Linked {
                members: Vec::new(),
                edges: Vec::new(),
                aliases: Vec::new(),
                missing: Vec::new(),
                by_cache: Vec::new(),
                by_configuration: Vec::new(),
            },
            loader: None,
            names: HashMap::default(),
            identities: HashMap::default(),
            queue: VecDeque::new(),
            variants: VecDeque::new(),
        }
    }

    /// Everything that `program` needs, as this loader finds it. A loader that nobody names is a member, but without an
    /// edge to it.
    ///
    /// # Errors
    /// A damaged library. One that's missing is no error here but noted in [`Linked::missing`].
    pub fn run(mut self, program: Candidate, loader: Option<Loader>) -> Result<Linked, Error> {
        let program = self.add(program, None, None, None);
        if let Some(Loader { name, candidate }) = loader {
            let to = self.add(candidate, None, None, name.as_deref());
            self.loader = Some(to);
            self.linked.edges.extend(name.map(|name| Edge {
                from: program,
                to,
                name,
                kind: EdgeKind::Interpreter,
            }));
        }
        self.queue.push_back(program);
        while self.linked.members.len() < MAX_MEMBERS {
            if let Some(member) = self.queue.pop_front() {
                self.needs_of(member)?;
            } else if let Some((by, need, candidate)) = self.variants.pop_front() {
                self.variant(by, &need, candidate);
            } else {
                return Ok(self.linked);
            }
        }
        Err(Error::TooMany(self.linked.members[0].found.clone()))
    }

    fn needs_of(&mut self, by: usize) -> Result<(), Error> {
        let elf = Rc::clone(&self.linked.members[by].elf);
        let mut filters = Vec::new();
        for need in &elf.needs {
            if let Some(new) = self.need(by, need)? {
                match need.kind {
                    NeedKind::Needed => self.queue.push_back(new),
                    NeedKind::Filter | NeedKind::Auxiliary => filters.push(new),
                }
            }
        }
        // Filters stand before the object that names them, so what they need comes next.
        for filter in filters.into_iter().rev() {
            self.queue.push_front(filter);
        }
        Ok(())
    }

    /// Finds what a member needs; gives the new member unless it's there already.
    fn need(&mut self, by: usize, need: &NeededName) -> Result<Option<usize>, Error> {
        let mut tried = Vec::new();
        for name in self.search.dialect.names(&need.name, &self.linked.members[by]) {
            if let Some(to) = self.loaded(&name) {
                self.edge(by, to, need);
                return Ok(None);
            }
            let answer = match self.search.run(&name, &self.linked.members, by) {
                Err(_) if need.kind == NeedKind::Auxiliary => return Ok(None),
                answer => answer?,
            };
            for variant in answer.variants {
                self.variants.push_back((by, need.clone(), variant));
            }
            if let Some(candidate) = answer.library {
                return Ok(self.take(by, need, &name, candidate));
            }
            tried.extend(answer.tried);
        }
        if need.kind != NeedKind::Auxiliary && self.linked.members[by].variant.is_none() {
            self.linked.missing.push(MissingLibrary {
                name: String::from_utf8_lossy(&need.name).into_owned(),
                needed_by: chain(&self.linked.members, by),
                tried,
            });
        }
        Ok(None)
    }

    fn take(&mut self, by: usize, need: &NeededName, name: &[u8], candidate: Candidate) -> Option<usize> {
        let identity = candidate.resolved.metadata.identity;
        if let Some(&known) = self.identities.get(&identity) {
            self.names.insert(name.to_vec(), known);
            self.note_source(&candidate, known);
            self.linked.aliases.push((by, candidate.resolved));
            self.edge(by, known, need);
            return None;
        }
        let variant = self.linked.members[by]
            .variant
            .clone()
            .or_else(|| candidate.variant.clone());
        let new = self.add(candidate, Some(by), variant, Some(name));
        self.edge(by, new, need);
        Some(new)
    }

    /// Adds a variant beside the baseline. It answers to no name of its own: others meet the baseline.
    fn variant(&mut self, by: usize, need: &NeededName, candidate: Candidate) {
        let identity = candidate.resolved.metadata.identity;
        let new = if let Some(&known) = self.identities.get(&identity) {
            self.linked.aliases.push((by, candidate.resolved));
            known
        } else {
            let variant = candidate.variant.clone();
            let new = self.insert(candidate, Some(by), variant);
            self.queue.push_back(new);
            new
        };
        self.edge(by, new, need);
    }

    fn add(
        &mut self,
        candidate: Candidate,
        loader: Option<usize>,
        variant: Option<String>,
        name: Option<&[u8]>,
    ) -> usize {
        use std::os::unix::ffi::OsStrExt;
        let index = self.linked.members.len();
        let glibc = matches!(self.search.dialect, Dialect::Glibc(_));
        let path = candidate.found.as_os_str().as_bytes().to_vec();
        let soname = candidate.elf.soname.clone().filter(|_| glibc);
        for name in [name.map(<[u8]>::to_vec), Some(path), soname].into_iter().flatten() {
            self.names.entry(name).or_insert(index);
        }
        self.insert(candidate, loader, variant)
    }

    fn insert(&mut self, candidate: Candidate, loader: Option<usize>, variant: Option<String>) -> usize {
        let index = self.linked.members.len();
        self.identities
            .entry(candidate.resolved.metadata.identity)
            .or_insert(index);
        self.note_source(&candidate, index);
        let member = Member::new(candidate, loader, variant, self.search.dialect, self.search.cwd);
        self.linked.members.push(member);
        index
    }

    fn note_source(&mut self, candidate: &Candidate, index: usize) {
        match candidate.source {
            Place::Cache if !self.is_default(candidate) => self.linked.by_cache.push(index),
            Place::Configured if !self.is_default(candidate) => self.linked.by_configuration.push(index),
            _ => {}
        }
    }

    /// Whether the default directories (for variants: those below them) would do, should there be no cache.
    fn is_default(&self, candidate: &Candidate) -> bool {
        let Dialect::Glibc(glibc) = self.search.dialect else {
            return true;
        };
        glibc.directories.iter().any(|directory| match candidate.variant {
            None => candidate.found.parent() == Some(directory),
            Some(_) => candidate.found.starts_with(directory),
        })
    }

    /// The member that answers to a name already.
    fn loaded(&self, name: &[u8]) -> Option<usize> {
        if let Some(&known) = self.names.get(name) {
            return Some(known);
        }
        let musl = matches!(self.search.dialect, Dialect::Musl(_));
        let own = musl && MUSL_LIBRARIES.iter().any(|library| is_library(name, library));
        self.loader.filter(|_| own)
    }

    fn edge(&mut self, from: usize, to: usize, need: &NeededName) {
        let kind = EdgeKind::Library(need.kind);
        let name = need.name.clone();
        self.linked.edges.push(Edge { from, to, name, kind });
    }
}

/// Whether `name` is "lib", then `library`, then a dot and anything.
fn is_library(name: &[u8], library: &str) -> bool {
    let rest = name
        .strip_prefix(b"lib")
        .and_then(|rest| rest.strip_prefix(library.as_bytes()));
    rest.is_some_and(|rest| rest.starts_with(b"."))
}
