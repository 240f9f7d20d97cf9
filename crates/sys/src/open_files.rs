//! The limit of open files: raised for images of very many layers, and not passed on to containers.
//!
//! A layer in use keeps descriptors open. The soft limit is mostly 1024, for the sake of programs that use select(2); this
//! isn't one, a container may be.

use rustix::io::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::OnceLock;

/// The limit before it was raised.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard one. Where that isn't possible it stays: who then needs more files says so.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let highest = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Known before it is raised: another thread may be cloning a container.
        let _ = BEFORE.set(limit);
        let _ = setrlimit(Resource::Nofile, highest);
    }
}

/// Gives the calling process the limit from before [`raise`]. Child-safe.
pub fn restore() -> Result<()> {
    BEFORE.get().map_or(Ok(()), |limit| {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.current,
                maximum: limit.maximum,
            },
        )
    })
}
