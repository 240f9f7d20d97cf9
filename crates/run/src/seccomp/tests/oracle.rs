//! The same profiles compiled by libseccomp, run through the same machine, for the same calls.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use wiac_oci::runtime::{LinuxSeccomp, SeccompAction, SeccompOperator, SeccompSyscall};

use super::super::arch::Abi;
use super::super::default::profile_for;
use super::super::{Instruction, NewerCalls, compile_for, table, verdict};
use super::{calls, interpreter, strategies};

const SCRIPT: &str = include_str!("oracle.py");

/// What libseccomp makes of a profile.
struct Exported {
    unknown: HashSet<String>,
    program: Vec<Instruction>,
}

/// Has libseccomp compile profiles.
///
/// # Panics
/// Where python3 or libseccomp.so.2 is missing: the comparison is never skipped.
fn export(native: Abi, profiles: &[LinuxSeccomp]) -> Vec<Exported> {
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3 and libseccomp.so.2 (Debian: python3, libseccomp2)");
    let mut input = child.stdin.take().unwrap();
    let documents: Vec<String> = profiles
        .iter()
        .map(|profile| document(native, profile).to_string())
        .collect();
    let writer = std::thread::spawn(move || documents.iter().for_each(|line| writeln!(input, "{line}").unwrap()));
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the oracle failed: it needs libseccomp.so.2 (Debian: libseccomp2)"
    );
    writer.join().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| read(&serde_json::from_str(line).unwrap()))
        .collect()
}

fn document(native: Abi, profile: &LinuxSeccomp) -> Value {
    let default = verdict::of(profile.default_action, profile.default_errno_ret).unwrap();
    let mut rules = Vec::new();
    for rule in &profile.syscalls {
        let verdict = verdict::of(rule.action, rule.errno_ret).unwrap();
        let args: Vec<Value> = rule
            .args
            .iter()
            .map(|arg| json!([arg.index, operator(arg.op), arg.value, arg.value_two]))
            .collect();
        let is_twice = (0..6).any(|index| rule.args.iter().filter(|arg| arg.index == index).count() > 1);
        let split: Vec<Vec<Value>> = if is_twice {
            args.into_iter().map(|arg| vec![arg]).collect()
        } else {
            vec![args]
        };
        for name in rule.names.iter().filter(|_| verdict != default) {
            rules.extend(
                split
                    .iter()
                    .map(|args| json!({"name": name, "verdict": verdict, "args": args})),
            );
        }
    }
    let mut arches = vec![native];
    arches.extend(profile.architectures.iter().filter_map(|&arch| Abi::from_oci(arch)));
    let arches: Vec<&str> = arches.into_iter().map(name).collect();
    json!({"native": name(native), "arches": arches, "default": default, "rules": rules})
}

fn name(abi: Abi) -> &'static str {
    match abi {
        Abi::X86_64 => "x86_64",
        Abi::X32 => "x32",
        Abi::X86 => "x86",
        Abi::Aarch64 => "aarch64",
        Abi::Arm => "arm",
    }
}

fn operator(op: SeccompOperator) -> u32 {
    match op {
        SeccompOperator::NotEqual => 1,
        SeccompOperator::Less => 2,
        SeccompOperator::LessEqual => 3,
        SeccompOperator::Equal => 4,
        SeccompOperator::GreaterEqual => 5,
        SeccompOperator::Greater => 6,
        SeccompOperator::MaskedEqual => 7,
    }
}

fn read(answer: &Value) -> Exported {
    assert_eq!(answer["failed"], json!([]), "libseccomp refused rules");
    let unknown = answer["unknown"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let hex = answer["bpf"].as_str().unwrap();
    let byte = |place: usize| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap();
    let program = (0..hex.len() / 16).map(|index| {
        let at = 8 * index;
        Instruction {
            code: u16::from_le_bytes([byte(at), byte(at + 1)]),
            jt: byte(at + 2),
            jf: byte(at + 3),
            k: u32::from_le_bytes([byte(at + 4), byte(at + 5), byte(at + 6), byte(at + 7)]),
        }
    });
    Exported {
        unknown,
        program: program.collect(),
    }
}

/// The profile without calls that this libseccomp is too old for.
fn without(profile: &LinuxSeccomp, unknown: &HashSet<String>) -> LinuxSeccomp {
    let mut profile = profile.clone();
    profile
        .syscalls
        .iter_mut()
        .for_each(|rule| rule.names.retain(|name| !unknown.contains(name)));
    profile
}

fn assert_same(native: Abi, profile: &LinuxSeccomp, exported: &Exported) {
    let profile = without(profile, &exported.unknown);
    let ours = compile_for(native, &profile, NewerCalls::Default).unwrap().instructions;
    interpreter::check(&ours);
    for call in calls::interesting(&profile) {
        let expected = interpreter::run(&exported.program, &call).0;
        let found = interpreter::run(&ours, &call).0;
        assert_eq!(
            found, expected,
            "{call:x?}: ours {found:#x}, libseccomp's {expected:#x}, {profile:?}"
        );
    }
}

#[test]
fn the_default_profile_agrees_with_libseccomp() {
    // Few, since libseccomp is slow: none, all, docker's, and every second one.
    let masks = [0, u64::MAX, super::DOCKER, 0x5555_5555_5555, 0xaaaa_aaaa_aaaa];
    for native in [Abi::X86_64, Abi::Aarch64] {
        let profiles: Vec<_> = masks.iter().map(|&bounding| profile_for(native, bounding)).collect();
        for (profile, exported) in profiles.iter().zip(export(native, &profiles)) {
            // A libseccomp that knows none of them would make the test empty.
            assert!(
                exported.unknown.len() < 40,
                "libseccomp doesn't know {:?}",
                exported.unknown
            );
            assert_same(native, profile, &exported);
        }
    }
}

#[test]
fn random_profiles_agree_with_libseccomp() {
    // Not compared, because libseccomp 2.5.4 gets them wrong or leaves them open: several conditional rules for one
    // call (as an argument asked twice becomes), calls that an architecture lacks (it may then forget to load the
    // number), x86's hidden socket and ipc calls (it grants them more freely).
    let mut runner = TestRunner::new(Config {
        cases: 1,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = strategies::profile();
    for native in [Abi::X86_64, Abi::X86, Abi::Aarch64, Abi::Arm] {
        let profiles: Vec<_> = (0..60)
            .map(|_| tamed_profile(native, strategy.new_tree(&mut runner).unwrap().current()))
            .collect();
        for (profile, exported) in profiles.iter().zip(&export(native, &profiles)) {
            assert_same(native, profile, exported);
        }
    }
}

/// The profile for one architecture, with one conditional rule a call.
fn tamed_profile(native: Abi, profile: LinuxSeccomp) -> LinuxSeccomp {
    let mut seen = HashSet::new();
    let rules = profile.syscalls.into_iter().filter_map(|rule| tamed(native, rule));
    let syscalls = rules
        .filter(|rule| rule.args.is_empty() || seen.insert(rule.names[0].clone()))
        .collect();
    LinuxSeccomp {
        architectures: Vec::new(),
        syscalls,
        ..profile
    }
}

/// The rule for its first call alone, each argument asked once, and without calls that are missing or hidden.
fn tamed(native: Abi, mut rule: SeccompSyscall) -> Option<SeccompSyscall> {
    let exists = |name: &str| table::find(name).is_some_and(|row| table::number(row, native).is_some());
    rule.names
        .retain(|name| exists(name) && !strategies::HIDDEN.contains(&name.as_str()));
    rule.names.truncate(1);
    let mut seen = HashSet::new();
    rule.args.retain(|arg| seen.insert(arg.index));
    let length = rule.names.first()?.len();
    let (action, errno) = [
        (SeccompAction::Errno, Some(5)),
        (SeccompAction::Allow, None),
        (SeccompAction::Trap, None),
        (SeccompAction::Log, None),
    ][length % 4];
    Some(SeccompSyscall {
        action,
        errno_ret: errno,
        ..rule
    })
}
