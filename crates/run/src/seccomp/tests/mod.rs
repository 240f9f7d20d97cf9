//! Compiled filters against a naive evaluation of the same profile and against libseccomp, for every call.

mod calls;
mod interpreter;
mod naive;
mod oracle;
mod strategies;

use proptest::prelude::*;
use wiac_oci::runtime::{LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompSyscall};

use super::arch::Abi;
use super::default::{profile_for, program_for};
use super::{Error, NewerCalls, Program, compile, compile_for, default_program, table};
use interpreter::Call;
use naive::Naive;

/// docker's 14 capabilities.
const DOCKER: u64 = 0xa804_25fb;

fn rule(names: &[&str], action: SeccompAction, args: &[SeccompArg]) -> SeccompSyscall {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    SeccompSyscall {
        names,
        action,
        errno_ret: None,
        args: args.to_vec(),
    }
}

fn profile(default: SeccompAction, rules: Vec<SeccompSyscall>) -> LinuxSeccomp {
    LinuxSeccomp {
        syscalls: rules,
        ..LinuxSeccomp::new(default)
    }
}

fn argument(index: u32, op: SeccompOperator, value: u64) -> SeccompArg {
    SeccompArg {
        index,
        value,
        value_two: 0,
        op,
    }
}

/// The verdict of the default filter on a native call of x86_64.
fn default_verdict(bounding: u64, name: &str, args: [u64; 6]) -> u32 {
    let program = program_for(Abi::X86_64, bounding).unwrap();
    let number = table::number(table::find(name).unwrap(), Abi::X86_64).unwrap();
    interpreter::run(
        &program.instructions,
        &Call {
            number,
            audit: Abi::X86_64.audit(),
            args,
        },
    )
    .0
}

fn assert_naive(native: Abi, profile: &LinuxSeccomp, program: &Program) {
    interpreter::check(&program.instructions);
    let naive = Naive::new(native, profile, true);
    for call in calls::interesting(profile) {
        let (found, expected) = (interpreter::run(&program.instructions, &call).0, naive.verdict(&call));
        assert_eq!(found, expected, "{call:x?}: found {found:#x}, expected {expected:#x}");
    }
}

#[test]
fn the_table_is_sorted_and_consistent() {
    let names: Vec<&str> = table::all().map(table::name).collect();
    assert!(names.is_sorted());
    assert_eq!(names.len(), table::LEN);
    for name in names {
        assert_eq!(table::name(table::find(name).unwrap()), name);
    }
    for (name, number) in [("read", 0), ("clone3", 435), ("removexattrat", 466)] {
        assert_eq!(table::number(table::find(name).unwrap(), Abi::X86_64), Some(number));
    }
    assert_eq!(
        table::number(table::find("execve").unwrap(), Abi::X32),
        Some(0x4000_0208)
    );
    assert_eq!(
        table::number(table::find("set_tls").unwrap(), Abi::Arm),
        Some(0x000f_0005)
    );
}

#[test]
fn the_default_profile_is_what_it_says() {
    const ALLOW: u32 = 0x7fff_0000;
    const EPERM: u32 = 0x0005_0001;
    const ENOSYS: u32 = 0x0005_0026;
    let plain = |name| default_verdict(DOCKER, name, [0; 6]);
    let first = |name, value| default_verdict(DOCKER, name, [value, 0, 0, 0, 0, 0]);
    for name in [
        "read",
        "execve",
        "ptrace",
        "chroot",
        "futex_waitv",
        "mseal",
        "arch_prctl",
    ] {
        assert_eq!(plain(name), ALLOW, "{name}");
    }
    for name in [
        "mount",
        "bpf",
        "kexec_load",
        "add_key",
        "userfaultfd",
        "io_uring_setup",
        "setns",
        "reboot",
    ] {
        assert_eq!(plain(name), EPERM, "{name}");
    }
    assert_eq!(plain("clone3"), ENOSYS);
    assert_eq!(plain("open_tree_attr"), ENOSYS, "newer than the profile");
    assert_eq!(first("clone", 0x0100_0011), ALLOW);
    assert_eq!(first("clone", 0x1000_0011), EPERM);
    for (family, verdict) in [
        (1, ALLOW),
        (16, ALLOW),
        (38, EPERM),
        (39, ALLOW),
        (40, EPERM),
        (41, ALLOW),
    ] {
        assert_eq!(first("socket", family), verdict, "family {family}");
    }
    for (domain, verdict) in [
        (0, ALLOW),
        (8, ALLOW),
        (0xffff_ffff, ALLOW),
        (4, EPERM),
        (0x0040_0000, EPERM),
    ] {
        assert_eq!(first("personality", domain), verdict, "domain {domain:#x}");
    }
    for name in ["mount", "clone3", "unshare", "reboot", "vhangup", "open_by_handle_at"] {
        assert_eq!(default_verdict(u64::MAX, name, [0; 6]), ALLOW, "{name}");
    }
}

#[test]
fn the_short_cut_is_the_compiled_profile() {
    let mut masks = vec![0, u64::MAX, DOCKER];
    masks.extend((0..41).map(|capability| 1 << capability));
    for native in [Abi::X86_64, Abi::Aarch64] {
        for &bounding in &masks {
            let profile = profile_for(native, bounding);
            let program = program_for(native, bounding).unwrap();
            assert_eq!(compile_for(native, &profile, NewerCalls::Enosys).unwrap(), program);
        }
        for bounding in [DOCKER, u64::MAX] {
            let program = program_for(native, bounding).unwrap();
            assert_naive(native, &profile_for(native, bounding), &program);
        }
    }
}

#[test]
fn the_default_filter_is_short() {
    let program = default_program(DOCKER).unwrap();
    assert!(
        program.instructions.len() < 700,
        "{} instructions",
        program.instructions.len()
    );
    assert!(!program.notify);
    let steps = (0..470).map(|number| {
        let call = Call {
            number,
            audit: Abi::X86_64.audit(),
            args: [0; 6],
        };
        interpreter::run(&program_for(Abi::X86_64, DOCKER).unwrap().instructions, &call).1
    });
    let longest = steps.max().unwrap();
    assert!(longest <= 24, "a call takes {longest} instructions");
}

#[test]
fn an_argument_named_twice_is_a_choice() {
    let args = [
        argument(0, SeccompOperator::Equal, 1),
        argument(0, SeccompOperator::Equal, 2),
    ];
    let profile = profile(SeccompAction::Errno, vec![rule(&["read"], SeccompAction::Allow, &args)]);
    let program = compile_for(Abi::X86_64, &profile, NewerCalls::Enosys).unwrap();
    let verdict = |value| {
        let call = Call {
            number: 0,
            audit: Abi::X86_64.audit(),
            args: [value, 0, 0, 0, 0, 0],
        };
        interpreter::run(&program.instructions, &call).0
    };
    assert_eq!(
        [verdict(1), verdict(2), verdict(3)],
        [0x7fff_0000, 0x7fff_0000, 0x0005_0001]
    );
}

#[test]
fn notification_is_reported() {
    let notify = |name: &str| profile(SeccompAction::Allow, vec![rule(&[name], SeccompAction::Notify, &[])]);
    let program = compile(&notify("mkdir")).unwrap();
    assert!(program.notify);
    assert_eq!(program.flags, 1 << 2 | 1 << 3);
    assert_eq!(compile(&notify("write")), Err(Error::NotifyOnWrite));
    assert_eq!(
        compile(&profile(SeccompAction::Notify, Vec::new())),
        Err(Error::NotifyByDefault)
    );
}

#[test]
fn flags_are_known_or_refused() {
    let flags = |names: Option<&[&str]>| {
        let flags = names.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        compile(&LinuxSeccomp {
            flags,
            ..LinuxSeccomp::new(SeccompAction::Allow)
        })
        .map(|program| program.flags)
    };
    assert_eq!(flags(None), Ok(1 << 2));
    assert_eq!(flags(Some(&[])), Ok(0));
    assert_eq!(
        flags(Some(&["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"])),
        Ok(1 << 1)
    );
    assert_eq!(
        flags(Some(&["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])),
        Ok(0),
        "only with a listener"
    );
    assert_eq!(flags(Some(&["X"])), Err(Error::UnknownFlag("X".to_owned())));
}

#[test]
fn bad_profiles_are_refused() {
    let with = |rule| compile(&profile(SeccompAction::Errno, vec![rule])).unwrap_err();
    let sixth = with(rule(
        &["read"],
        SeccompAction::Allow,
        &[argument(6, SeccompOperator::Equal, 0)],
    ));
    assert_eq!(
        sixth,
        Error::ArgumentIndex {
            call: "read".to_owned(),
            index: 6
        }
    );
    assert_eq!(with(rule(&[""], SeccompAction::Allow, &[])), Error::EmptyName);
    let errno = SeccompSyscall {
        errno_ret: Some(70_000),
        ..rule(&["read"], SeccompAction::Errno, &[])
    };
    assert_eq!(with(errno), Error::ErrnoRange(70_000));
    let many = (0..2000)
        .map(|value| argument(0, SeccompOperator::Equal, value << 20))
        .collect::<Vec<_>>();
    assert!(matches!(
        with(rule(&["read"], SeccompAction::Allow, &many)),
        Error::TooLong(_)
    ));
}

#[test]
fn long_chains_are_jumped_over() {
    let values: Vec<_> = (0..300)
        .map(|value| argument(1, SeccompOperator::Equal, value << 33 | value))
        .collect();
    let rules = vec![
        rule(&["openat"], SeccompAction::Allow, &values),
        rule(&["read", "write", "clone3", "mmap"], SeccompAction::Trap, &[]),
        rule(&["ioctl"], SeccompAction::Log, &values),
    ];
    let profile = profile(SeccompAction::KillProcess, rules);
    assert_naive(
        Abi::X86_64,
        &profile,
        &compile_for(Abi::X86_64, &profile, NewerCalls::Enosys).unwrap(),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_profiles_mean_what_they_say(profile in strategies::profile(), is_arm in any::<bool>()) {
        let native = if is_arm { Abi::Aarch64 } else { Abi::X86_64 };
        assert_naive(native, &profile, &compile_for(native, &profile, NewerCalls::Enosys).unwrap());
    }
}
