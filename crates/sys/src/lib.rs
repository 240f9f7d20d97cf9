//! Thin safe calls into the Linux kernel that rustix lacks, and to instructions that only some processors have. This is the
//! only crate of wiac with unsafe code.
//!
//! Each wrapper sets the safe flags itself (close-on-exec, empty path) and reports an [`Error`] that shows the call
//! that failed with its arguments, as strace would.
//!
//! Functions marked "child-safe" neither allocate nor take locks: they may run between a clone and an exec.

pub mod entry;
pub mod error;
pub mod map;
pub mod mapped;
pub mod mount;
pub mod network;
pub mod open_files;
pub mod process;
pub mod root;
pub mod seccomp;
pub mod sha256;
pub mod sharing;
pub mod signal;
pub mod times;
pub mod userns;

pub use error::{Error, Result, ResultExt};
