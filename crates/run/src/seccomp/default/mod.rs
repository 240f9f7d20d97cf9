//! docker's default profile as a table: what every container may call, and what depends on capabilities, arguments
//! and the machine. Everything else fails with EPERM.

mod always;

use wiac_oci::runtime::{LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompSyscall};

use super::arch::Abi;
use super::policy::Policy;
use super::verdict::{self, ENOSYS, EPERM};
use super::{Error, NewerCalls, Program, SPEC_ALLOW, finish, table};

/// Calls with the same outcome.
struct Group {
    when: When,
    action: SeccompAction,
    errno: Option<u16>,
    /// All must hold.
    conditions: &'static [SeccompArg],
    calls: &'static [u16],
}

/// When a group counts.
enum When {
    Always,
    /// With this capability in the bounding set.
    With(u32),
    /// Without it.
    Without(u32),
    /// If the machine is one of these.
    On(&'static [Abi]),
}

impl When {
    fn holds(&self, native: Abi, bounding: u64) -> bool {
        match *self {
            Self::Always => true,
            Self::With(capability) => bounding & (1 << capability) != 0,
            Self::Without(capability) => bounding & (1 << capability) == 0,
            Self::On(machines) => machines.contains(&native),
        }
    }
}

// Numbers of capabilities (linux/capability.h).
const DAC_READ_SEARCH: u32 = 2;
const SYS_MODULE: u32 = 16;
const SYS_RAWIO: u32 = 17;
const SYS_CHROOT: u32 = 18;
const SYS_PTRACE: u32 = 19;
const SYS_PACCT: u32 = 20;
const SYS_ADMIN: u32 = 21;
const SYS_BOOT: u32 = 22;
const SYS_NICE: u32 = 23;
const SYS_TIME: u32 = 25;
const SYS_TTY_CONFIG: u32 = 26;
const SYSLOG: u32 = 34;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// Every flag of clone(2) that makes a namespace: mount, cgroup, UTS, IPC, user, PID, network.
const NAMESPACE_FLAGS: u64 =
    0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;

/// The address family of virtual machine sockets: it knows no network namespaces and would reach the hypervisor.
const AF_VSOCK: u64 = 40;
/// The address family of the kernel's cryptography, which has been a way in too often.
const AF_ALG: u64 = 38;
/// The address family between those two.
const AF_NFC: u64 = 39;

const fn first_argument(op: SeccompOperator, value: u64) -> [SeccompArg; 1] {
    [SeccompArg {
        index: 0,
        value,
        value_two: 0,
        op,
    }]
}

static BELOW_AF_ALG: [SeccompArg; 1] = first_argument(SeccompOperator::Less, AF_ALG);
static IS_AF_NFC: [SeccompArg; 1] = first_argument(SeccompOperator::Equal, AF_NFC);
static ABOVE_AF_VSOCK: [SeccompArg; 1] = first_argument(SeccompOperator::Greater, AF_VSOCK);
static NO_NEW_NAMESPACE: [SeccompArg; 1] = first_argument(SeccompOperator::MaskedEqual, NAMESPACE_FLAGS);

// personality(2): the ordinary domain, the 32-bit one, both reporting version 2.6, and the question which it is.
static PER_LINUX: [SeccompArg; 1] = first_argument(SeccompOperator::Equal, 0);
static PER_LINUX32: [SeccompArg; 1] = first_argument(SeccompOperator::Equal, 0x0008);
static PER_UNAME26: [SeccompArg; 1] = first_argument(SeccompOperator::Equal, 0x0002_0000);
static PER_LINUX32_UNAME26: [SeccompArg; 1] = first_argument(SeccompOperator::Equal, 0x0002_0008);
static PER_QUERY: [SeccompArg; 1] = first_argument(SeccompOperator::Equal, 0xffff_ffff);

/// Allows calls when something holds.
macro_rules! allow {
    ($when:expr, $($call:literal),+ $(,)?) => {{
        const CALLS: &[u16] = &table::rows([$($call),+]);
        Group { when: $when, action: SeccompAction::Allow, errno: None, conditions: &[], calls: CALLS }
    }};
}

/// Allows calls under conditions on their arguments.
macro_rules! allow_if {
    ($conditions:expr, $($call:literal),+) => {
        Group { conditions: $conditions, ..allow!(When::Always, $($call),+) }
    };
}

const fn always(calls: &'static [u16]) -> Group {
    Group {
        when: When::Always,
        action: SeccompAction::Allow,
        errno: None,
        conditions: &[],
        calls,
    }
}

/// The profile.
static GROUPS: [Group; 37] = [
    always(&always::FILES),
    always(&always::IPC),
    always(&always::MEMORY),
    always(&always::POLL),
    always(&always::PROCESSES),
    always(&always::SIGNALS),
    always(&always::SOCKETS),
    always(&always::TIME),
    always(&always::USERS),
    // Safe since Linux 4.8, where ptrace could no longer change a call after the filter had passed it.
    allow!(When::Always, "process_vm_readv", "process_vm_writev", "ptrace"),
    // Every family but AF_ALG and AF_VSOCK.
    allow_if!(&BELOW_AF_ALG, "socket"),
    allow_if!(&IS_AF_NFC, "socket"),
    allow_if!(&ABOVE_AF_VSOCK, "socket"),
    allow_if!(&PER_LINUX, "personality"),
    allow_if!(&PER_LINUX32, "personality"),
    allow_if!(&PER_UNAME26, "personality"),
    allow_if!(&PER_LINUX32_UNAME26, "personality"),
    allow_if!(&PER_QUERY, "personality"),
    // What only one family of machines has.
    allow!(
        When::On(&[Abi::Arm, Abi::Aarch64]),
        "arm_fadvise64_64",
        "arm_sync_file_range",
        "breakpoint",
        "cacheflush",
        "set_tls",
    ),
    allow!(When::On(&[Abi::X86_64, Abi::X32]), "arch_prctl"),
    allow!(When::On(&[Abi::X86_64, Abi::X32, Abi::X86]), "modify_ldt"),
    // Opens files by handle, past the directories that should hide them.
    allow!(When::With(DAC_READ_SEARCH), "open_by_handle_at"),
    // Namespaces, mounts and whatever else only an administrator of the container does.
    allow!(
        When::With(SYS_ADMIN),
        "bpf",
        "clone",
        "clone3",
        "fanotify_init",
        "fsconfig",
        "fsmount",
        "fsopen",
        "fspick",
        "lookup_dcookie",
        "lsm_get_self_attr",
        "lsm_list_modules",
        "lsm_set_self_attr",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_tree",
        "perf_event_open",
        "quotactl",
        "quotactl_fd",
        "setdomainname",
        "sethostname",
        "setns",
        "syslog",
        "umount",
        "umount2",
        "unshare",
    ),
    // Threads and children, but no namespaces.
    Group {
        conditions: &NO_NEW_NAMESPACE,
        ..allow!(When::Without(SYS_ADMIN), "clone")
    },
    // Its flags lie in memory, where no filter sees them: the C library falls back to clone.
    Group {
        action: SeccompAction::Errno,
        errno: Some(ENOSYS),
        ..allow!(When::Without(SYS_ADMIN), "clone3")
    },
    allow!(When::With(SYS_BOOT), "reboot"),
    allow!(When::With(SYS_CHROOT), "chroot"),
    allow!(When::With(SYS_MODULE), "delete_module", "finit_module", "init_module"),
    allow!(When::With(SYS_PACCT), "acct"),
    // Other processes' memory and descriptors.
    allow!(When::With(SYS_PTRACE), "kcmp", "pidfd_getfd", "process_madvise"),
    allow!(When::With(SYS_RAWIO), "ioperm", "iopl"),
    allow!(
        When::With(SYS_TIME),
        "clock_settime",
        "clock_settime64",
        "settimeofday",
        "stime"
    ),
    allow!(When::With(SYS_TTY_CONFIG), "vhangup"),
    // Placement of memory on NUMA nodes.
    allow!(
        When::With(SYS_NICE),
        "get_mempolicy",
        "mbind",
        "set_mempolicy",
        "set_mempolicy_home_node"
    ),
    allow!(When::With(SYSLOG), "syslog"),
    allow!(When::With(BPF), "bpf"),
    allow!(When::With(PERFMON), "perf_event_open"),
];

/// docker's default filter for a container with these capabilities in its bounding set (bit n is capability n),
/// compiled from the table without a document in between.
///
/// # Errors
/// [`Error::UnsupportedMachine`]; nothing else is met in practice.
pub fn default_program(bounding: u64) -> Result<Program, Error> {
    program_for(Abi::native().ok_or(Error::UnsupportedMachine)?, bounding)
}

pub(super) fn program_for(native: Abi, bounding: u64) -> Result<Program, Error> {
    let mut policy = Policy::new(verdict::errno(EPERM));
    for group in GROUPS.iter().filter(|group| group.when.holds(native, bounding)) {
        let verdict = verdict::of(group.action, group.errno.map(u32::from))?;
        group
            .calls
            .iter()
            .for_each(|&row| policy.add(row, verdict, group.conditions));
    }
    finish(&mut policy, &abis(native), NewerCalls::Enosys, SPEC_ALLOW, false)
}

/// The same profile as a document, as docker would write it into a `config.json`.
///
/// # Errors
/// [`Error::UnsupportedMachine`].
pub fn default_profile(bounding: u64) -> Result<LinuxSeccomp, Error> {
    Ok(profile_for(Abi::native().ok_or(Error::UnsupportedMachine)?, bounding))
}

pub(super) fn profile_for(native: Abi, bounding: u64) -> LinuxSeccomp {
    let groups = GROUPS.iter().filter(|group| group.when.holds(native, bounding));
    LinuxSeccomp {
        default_errno_ret: Some(u32::from(EPERM)),
        architectures: abis(native).into_iter().map(Abi::to_oci).collect(),
        syscalls: groups.map(document).collect(),
        ..LinuxSeccomp::new(SeccompAction::Errno)
    }
}

fn abis(native: Abi) -> Vec<Abi> {
    std::iter::once(native)
        .chain(native.companions().iter().copied())
        .collect()
}

fn document(group: &Group) -> SeccompSyscall {
    SeccompSyscall {
        names: group.calls.iter().map(|&row| table::name(row).to_owned()).collect(),
        action: group.action,
        errno_ret: group.errno.map(u32::from),
        args: group.conditions.to_vec(),
    }
}
