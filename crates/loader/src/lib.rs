//! What the kernel and the dynamic loader need to start a program, inside any root: the closure of programs,
//! and why one can't start. Files are only read, never executed.
//!
//! [`Collector`] computes a [`Closure`]: programs with their interpreters (ELF and `#!`), libraries by the rules of
//! glibc's ld.so(8) or of musl's loader, and every symlink and directory on the way.
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
mod dialect;
mod elf;
mod error;
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
pub use elf::{Elf, ElfError, ElfKind, NeedKind as NeededKind, NeededName, Source};
pub use error::{Error, InterpreterProblem, MissingLibrary, Tried, TriedResult};
