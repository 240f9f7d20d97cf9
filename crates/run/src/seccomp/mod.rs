//! Our own compiler from OCI seccomp profiles to classic BPF (runtime-spec, config-linux.md, "Seccomp").
//!
//! [`compile`] takes any profile; [`default_program`] is docker's default profile without the detour through the
//! document, for every container's start. Nothing is loaded here: see `wiac_sys::seccomp::load`.
//!
//! A filter is, for each architecture, a binary search over ranges of call numbers: neighbours with the same outcome
//! are one range, so docker's default takes about seven comparisons a call.
//!
//! Calls newer than the profile fail with ENOSYS, as under runc: on each architecture those with numbers above every
//! one the profile names, unless the default action lets calls through (ALLOW, LOG, TRACE). A program then falls back
//! as it would on an older kernel, instead of giving up on EPERM.

mod arch;
mod assembler;
mod default;
mod multiplex;
mod policy;
mod search;
mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub use default::{default_profile, default_program};
pub use wiac_sys::seccomp::Instruction;

use wiac_oci::runtime::{LinuxSeccomp, SeccompAction, SeccompSyscall};

use arch::Abi;
use policy::Policy;

/// The most instructions that the kernel takes (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;
/// The most arguments that a call has.
const MAX_ARGUMENTS: u32 = 6;

/// Flags of seccomp(2) by their names in profiles. TSYNC is read and left out: the filter is loaded by a process
/// with one thread.
const FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE_RECV),
];
/// No speculation barriers for the filtered process: what runc sets where a profile has no flags.
const SPEC_ALLOW: u64 = 1 << 2;
const NEW_LISTENER: u64 = 1 << 3;
const WAIT_KILLABLE_RECV: u64 = 1 << 5;

/// A filter ready to load: plain instructions, in the kernel's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The instructions, at most 4096.
    pub instructions: Vec<Instruction>,
    /// Flags for seccomp(2); with NEW_LISTENER where `notify` is set.
    pub flags: u64,
    /// True if some call waits for a listener: loading then yields a descriptor that must reach it.
    pub notify: bool,
}

/// Why a profile can't be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// NOTIFY as the default action: the runtime itself could no longer hand the descriptor over.
    #[error("SCMP_ACT_NOTIFY can't be the default action")]
    NotifyByDefault,
    /// NOTIFY for `write`, for the same reason.
    #[error("SCMP_ACT_NOTIFY can't be the action for write")]
    NotifyOnWrite,
    /// A flag that seccomp(2) or we don't know.
    #[error("unknown flag {0:?}")]
    UnknownFlag(String),
    /// A condition on an argument that no call has.
    #[error("a condition for {call} is on argument {index}, but arguments are numbered 0 to 5")]
    ArgumentIndex {
        /// The first call of the rule.
        call: String,
        /// The number.
        index: u32,
    },
    /// A rule for a call without a name.
    #[error("a rule names a call with an empty name")]
    EmptyName,
    /// An errno of more than 16 bits.
    #[error("errnoRet {0} is out of range: expected 0 to 65535")]
    ErrnoRange(u32),
    /// More instructions than the kernel takes.
    #[error("the profile takes {0} instructions, the kernel allows {MAX_INSTRUCTIONS}")]
    TooLong(usize),
    /// No table of calls for this machine.
    #[error("no table of system calls for this machine's architecture")]
    UnsupportedMachine,
}

/// Compiles a profile for this machine. Unknown calls and architectures that this machine can't run are left out, as
/// runc does; the machine's own architecture is always covered.
///
/// # Errors
/// See [`Error`].
pub fn compile(profile: &LinuxSeccomp) -> Result<Program, Error> {
    let native = Abi::native().ok_or(Error::UnsupportedMachine)?;
    compile_for(native, profile, NewerCalls::Enosys)
}

/// What calls with numbers above every one in the profile lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NewerCalls {
    /// ENOSYS, unless the default action lets calls through.
    Enosys,
    /// The default action, as libseccomp does alone.
    #[cfg(test)]
    Default,
}

fn compile_for(native: Abi, profile: &LinuxSeccomp, newer: NewerCalls) -> Result<Program, Error> {
    let default = verdict::of(profile.default_action, profile.default_errno_ret)?;
    if profile.default_action == SeccompAction::Notify {
        return Err(Error::NotifyByDefault);
    }
    let mut policy = Policy::new(default);
    for rule in &profile.syscalls {
        add_rule(&mut policy, rule)?;
    }
    let mut abis = vec![native];
    for abi in profile.architectures.iter().filter_map(|&arch| Abi::from_oci(arch)) {
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    let notify = profile.syscalls.iter().any(|rule| rule.action == SeccompAction::Notify);
    finish(&mut policy, &abis, newer, flags(profile, notify)?, notify)
}

fn finish(
    policy: &mut Policy<'_>,
    abis: &[Abi],
    newer: NewerCalls,
    flags: u64,
    notify: bool,
) -> Result<Program, Error> {
    let is_refused = newer == NewerCalls::Enosys && !verdict::is_permissive(policy.default_verdict());
    let instructions = search::assemble(policy, abis, is_refused.then_some(verdict::NO_SUCH_CALL));
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(Error::TooLong(instructions.len()));
    }
    Ok(Program {
        instructions,
        flags,
        notify,
    })
}

fn add_rule<'a>(policy: &mut Policy<'a>, rule: &'a SeccompSyscall) -> Result<(), Error> {
    let verdict = verdict::of(rule.action, rule.errno_ret)?;
    if let Some(argument) = rule.args.iter().find(|argument| argument.index >= MAX_ARGUMENTS) {
        let call = rule.names.first().cloned().unwrap_or_default();
        return Err(Error::ArgumentIndex {
            call,
            index: argument.index,
        });
    }
    for name in &rule.names {
        if name.is_empty() {
            return Err(Error::EmptyName);
        }
        if name == "write" && rule.action == SeccompAction::Notify {
            return Err(Error::NotifyOnWrite);
        }
        if let Some(row) = table::find(name) {
            policy.add(row, verdict, &rule.args);
        }
    }
    Ok(())
}

fn flags(profile: &LinuxSeccomp, notify: bool) -> Result<u64, Error> {
    let mut flags = if notify { NEW_LISTENER } else { 0 };
    let Some(names) = &profile.flags else {
        return Ok(flags | SPEC_ALLOW);
    };
    for name in names {
        let known = FLAGS.iter().find(|(known, _)| known == name);
        flags |= known.ok_or_else(|| Error::UnknownFlag(name.clone()))?.1;
    }
    // The kernel takes this one only together with a listener.
    Ok(if notify { flags } else { flags & !WAIT_KILLABLE_RECV })
}
