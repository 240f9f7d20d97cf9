//! The closure as plain data: what to copy so that programs start elsewhere, and who needs what.

use crate::arch::Architecture;
use crate::error::Error;
use std::path::PathBuf;
use wiac_sys::root::Metadata;

/// Everything that the programs asked for need, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// What to create, parents before children (sorted by path). The root directory itself isn't among them.
    pub entries: Vec<Entry>,
    /// The programs and files asked for, as indices into `objects`.
    pub programs: Vec<Program>,
    /// The scripts and ELF files, with what each one needs: the tree behind `--list`.
    pub objects: Vec<Object>,
    /// Libraries found only through ld.so.conf, in a root without a cache: they won't be found before ldconfig has run
    /// there (in the source root no more than in the result).
    pub needs_ldconfig: Vec<PathBuf>,
    /// Programs that have libraries found by where they lie themselves (`$ORIGIN`): their loader reads /proc/self/exe for
    /// that, and finds nothing where no /proc is mounted.
    pub needs_proc: Vec<PathBuf>,
    /// What ELF files below an added directory lack to start. The files themselves are in the closure: such a tree often
    /// holds plugins for other systems, which nobody means to use.
    pub incomplete: Vec<Error>,
}

/// A file, directory or symlink of the closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Absolute in the root; no directory of it is a symlink.
    pub path: PathBuf,
    /// What to create there.
    pub kind: EntryKind,
    /// As it is in the source.
    pub metadata: Metadata,
    /// Who needs it, in the order found. Empty for directories, which are there for what they hold, and for the
    /// root's symlinks that merge such directories with those of /usr.
    pub needed_by: Vec<NeededBy>,
    /// Set where it's needed on certain hardware only, in addition to a file that runs everywhere.
    pub variant: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A symlink with this text.
    Symlink(PathBuf),
    /// A regular file.
    File,
}

/// Who needs an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeededBy {
    /// It was asked for by name.
    User,
    /// It belongs to a set.
    Set(Set),
    /// The object of this index in [`Closure::objects`].
    Object(usize),
}

/// Files that programs need at run time without saying so anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// Names of users and hosts: glibc's NSS modules, those that nsswitch.conf names among them, and nsswitch.conf.
    Nss,
    /// Certificates of authorities, and openssl.cnf.
    Certs,
    /// Time zones.
    Tzdata,
}

/// A program or file asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// As asked for.
    pub name: String,
    /// Where it was found: absolute, symlinks as they are.
    pub found: PathBuf,
    /// Its index in [`Closure::objects`].
    pub object: usize,
}

/// A script or ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Absolute, without symlinks.
    pub path: PathBuf,
    /// `None` for a script.
    pub architecture: Option<Architecture>,
    /// Set where it's needed on certain hardware only.
    pub variant: Option<String>,
    /// What it needs, in order.
    pub needs: Vec<Need>,
}

/// An object that another one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The name it's asked for by: `libc.so.6`, a path, or the name that env(1) looks up.
    pub name: String,
    /// What for.
    pub kind: NeedKind,
    /// Its index in [`Closure::objects`].
    pub object: usize,
}

/// What one object needs another one for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedKind {
    /// A script's interpreter, named behind `#!`.
    Script,
    /// The program that a script has env(1) start.
    Env,
    /// The dynamic loader, PT_INTERP.
    Interpreter,
    /// DT_NEEDED.
    Library,
    /// DT_FILTER.
    Filter,
    /// DT_AUXILIARY.
    Auxiliary,
}

impl Closure {
    /// The object at an index taken from this closure.
    pub fn object(&self, index: usize) -> Option<&Object> {
        self.objects.get(index)
    }

    /// The sum of the files' sizes in bytes.
    pub fn size(&self) -> u64 {
        let files = self.entries.iter().filter(|entry| entry.kind == EntryKind::File);
        files.fold(0, |sum, entry| sum.saturating_add(entry.metadata.size))
    }
}

impl Set {
    /// Every set, in the order of its declaration.
    pub const ALL: [Self; 3] = [Self::Nss, Self::Certs, Self::Tzdata];

    /// The set of this name: `nss`, `certs` or `tzdata`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nss => "nss",
            Self::Certs => "certs",
            Self::Tzdata => "tzdata",
        }
    }
}
