//! Random profiles: few calls and few values, so that rules meet.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use wiac_oci::runtime::{LinuxSeccomp, SeccompAction, SeccompArch, SeccompArg, SeccompOperator, SeccompSyscall};

/// Calls that x86's `socketcall` and `ipc` hide, and those two.
pub const HIDDEN: [&str; 5] = ["socket", "accept", "semop", "socketcall", "ipc"];

const NAMES: [&str; 22] = [
    "read",
    "write",
    "open",
    "openat2",
    "ioctl",
    "clone",
    "clone3",
    "personality",
    "rt_sigaction",
    "execve",
    "mmap",
    "mmap2",
    "_llseek",
    "cacheflush",
    "set_tls",
    "no_such_call",
    "futex_waitv",
    HIDDEN[0],
    HIDDEN[1],
    HIDDEN[2],
    HIDDEN[3],
    HIDDEN[4],
];

const ACTIONS: [SeccompAction; 8] = [
    SeccompAction::Kill,
    SeccompAction::KillProcess,
    SeccompAction::KillThread,
    SeccompAction::Trap,
    SeccompAction::Errno,
    SeccompAction::Trace,
    SeccompAction::Allow,
    SeccompAction::Log,
];

const ARCHES: [SeccompArch; 6] = [
    SeccompArch::X86_64,
    SeccompArch::X32,
    SeccompArch::X86,
    SeccompArch::Aarch64,
    SeccompArch::Arm,
    SeccompArch::S390x,
];

const OPERATORS: [SeccompOperator; 7] = [
    SeccompOperator::NotEqual,
    SeccompOperator::Less,
    SeccompOperator::LessEqual,
    SeccompOperator::Equal,
    SeccompOperator::GreaterEqual,
    SeccompOperator::Greater,
    SeccompOperator::MaskedEqual,
];

/// Values whose halves coincide in every way.
pub const VALUES: [u64; 12] = [
    0,
    1,
    2,
    5,
    0x7e02_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x5_0000_0005,
    0xffff_ffff_0000_0000,
    u64::MAX - 1,
    u64::MAX,
];

fn argument() -> impl Strategy<Value = SeccompArg> {
    (
        0..6_u32,
        select(&VALUES[..]),
        select(&VALUES[..]),
        select(&OPERATORS[..]),
    )
        .prop_map(|(index, value, two, op)| {
            let is_masked = op == SeccompOperator::MaskedEqual;
            SeccompArg {
                index,
                value,
                value_two: if is_masked { two } else { 0 },
                op,
            }
        })
}

fn rule() -> impl Strategy<Value = SeccompSyscall> {
    let names = subsequence(NAMES.to_vec(), 1..4);
    let args = prop_oneof![Just(Vec::new()), proptest::collection::vec(argument(), 0..4)];
    (names, select(&ACTIONS[..]), proptest::option::of(0..40_u32), args).prop_map(|(names, action, errno_ret, args)| {
        let names = names.into_iter().map(str::to_owned).collect();
        SeccompSyscall {
            names,
            action,
            errno_ret,
            args,
        }
    })
}

/// A profile that compiles.
pub fn profile() -> impl Strategy<Value = LinuxSeccomp> {
    let rules = proptest::collection::vec(rule(), 0..12);
    let arches = subsequence(ARCHES.to_vec(), 0..=ARCHES.len());
    (select(&ACTIONS[..]), proptest::option::of(0..40_u32), arches, rules).prop_map(
        |(action, errno, architectures, syscalls)| LinuxSeccomp {
            default_errno_ret: errno,
            architectures,
            syscalls,
            ..LinuxSeccomp::new(action)
        },
    )
}
