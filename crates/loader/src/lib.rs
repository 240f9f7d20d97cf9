//! What the kernel and the dynamic loader need to start a program, inside any root: the closure of programs,
//! and why one can't start. Files are only read, never executed.
//!
//! [`Collector`] computes a [`Closure`]: programs with their interpreters (ELF and `#!`), libraries by the rules of
//! glibc's ld.so(8) or of musl's loader, and every symlink and directory on the way. [`explain()`] turns a failed start
//! into a [`Diagnosis`].
//!
//! # Decisions
//! - **Variants for certain hardware are additions.** Whatever this machine's processor is, the baseline library is
//!   taken, and every glibc-hwcaps (or older) variant of it beside it, marked with [`Entry::variant`]. A closure
//!   doesn't depend on the machine it's computed on, and works on any.
//! - **ld.so.conf is read only where there's no cache**, as ldconfig would; the real loader never reads it. What
//!   depends on it is named in [`Closure::needs_ldconfig`].
//! - **The cache comes along** where a library is found by nothing else.
//! - LD_LIBRARY_PATH, LD_PRELOAD and /etc/ld.so.preload belong to a run, not to a program: they're ignored. So is what
//!   a program opens by name at run time (dlopen), but for the [`Set`]s.

mod arch;
mod assemble;
mod cache;
mod closure;
mod collect;
mod conf;
mod diagnosis;
mod dialect;
mod elf;
mod error;
mod explain;
mod files;
mod link;
mod nearest;
mod search;
mod sets;
mod shebang;
mod tokens;

pub use arch::Architecture;
pub use closure::{Closure, Entry, EntryKind, Need, NeedKind, NeededBy, Object, Program, Set};
pub use collect::{Collector, DEFAULT_PATH};
pub use diagnosis::Diagnosis;
pub use elf::{Elf, ElfError, ElfKind, NeedKind as NeededKind, NeededName, Source};
pub use error::{Error, InterpreterProblem, MissingLibrary, Tried, TriedResult};
pub use explain::{FailedStart, explain};

/// Entry points for the fuzzer and for property tests: the pure readers of untrusted bytes that aren't public.
#[doc(hidden)]
pub mod untrusted {
    /// Reads an ld.so.cache and looks every name of `names` up in it.
    pub fn cache(data: &[u8], names: &[&[u8]], architecture: crate::Architecture) -> usize {
        let cache = crate::cache::Cache::parse(data.to_vec(), !architecture.little_endian);
        let hits = |cache: &crate::cache::Cache| names.iter().map(|name| cache.lookup(name, architecture).len()).sum();
        cache.as_ref().map_or(0, hits)
    }

    /// Reads a `#!` line and what env(1) would start.
    pub fn shebang(head: &[u8]) -> Option<Vec<u8>> {
        crate::shebang::parse(head)?.env_program()
    }
}
