//! The default seccomp filter, compiled with the crate for the capabilities a container has unless it asks for
//! others: compiling it costs more than anything else that is decided before a container starts.

use crate::seccomp::{self, Instruction};
use std::borrow::Cow;

/// A filter made by the build script.
struct Embedded {
    /// The bounding set it is for.
    bounding: u64,
    /// `SECCOMP_FILTER_FLAG_*`.
    flags: u64,
    instructions: &'static [Instruction],
}

#[expect(clippy::unreadable_literal, reason = "written by the build script, for no reader")]
mod embedded {
    use super::{Embedded, Instruction};
    include!(concat!(env!("OUT_DIR"), "/default_filter.rs"));
}

/// docker's default filter for a container with these capabilities in its bounding set, and the flags to load it with.
///
/// # Errors
/// On a machine the compiler has no table of system calls for.
pub(crate) fn default_filter(bounding: u64) -> Result<(Cow<'static, [Instruction]>, u64), seccomp::Error> {
    match embedded::EMBEDDED {
        Some(embedded) if embedded.bounding == bounding => Ok((embedded.instructions.into(), embedded.flags)),
        _ => seccomp::default_program(bounding).map(|program| (program.instructions.into(), program.flags)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_what_is_compiled() {
        let embedded = embedded::EMBEDDED.expect("built on the machine it is for");
        let compiled = seccomp::default_program(embedded.bounding).expect("a known machine");
        assert_eq!(embedded.instructions, compiled.instructions);
        assert_eq!(embedded.flags, compiled.flags);
    }
}
