//! A profile evaluated as the specification and runc read it, rule by rule: what compiled filters are compared with.

use std::collections::HashMap;

use wiac_oci::runtime::{LinuxSeccomp, SeccompAction, SeccompArg, SeccompOperator, SeccompSyscall};

use super::super::arch::{Abi, X32_BIT};
use super::super::table;
use super::interpreter::Call;

const HIDDEN_SOCKETS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The profile with what the evaluation looks up.
pub struct Naive<'a> {
    profile: &'a LinuxSeccomp,
    abis: Vec<Abi>,
    with_enosys: bool,
    names: HashMap<(Abi, u32), &'static str>,
    highest: HashMap<Abi, u32>,
}

impl<'a> Naive<'a> {
    pub fn new(native: Abi, profile: &'a LinuxSeccomp, with_enosys: bool) -> Self {
        let named = profile.architectures.iter().filter_map(|&arch| Abi::from_oci(arch));
        let abis: Vec<Abi> = std::iter::once(native).chain(named).collect();
        let mut names = HashMap::new();
        let mut highest = HashMap::new();
        for abi in Abi::ALL {
            for row in table::all() {
                if let Some(number) = table::number(row, abi) {
                    assert_eq!(
                        names.insert((abi, number), table::name(row)),
                        None,
                        "{abi:?} {number} has one name"
                    );
                }
            }
            let mentioned = profile.syscalls.iter().flat_map(|rule| &rule.names);
            let numbers = mentioned.filter_map(|name| table::number(table::find(name)?, abi));
            if let Some(number) = numbers.filter(|number| number & !X32_BIT < table::ARM_PRIVATE).max() {
                highest.insert(abi, number);
            }
        }
        Self {
            profile,
            abis,
            with_enosys,
            names,
            highest,
        }
    }

    pub fn verdict(&self, call: &Call) -> u32 {
        let default = verdict(self.profile.default_action, self.profile.default_errno_ret);
        let Some(abi) = self.abi(call) else {
            let is_skipped = call.number == u32::MAX && self.has(call.audit, Abi::X86_64);
            return if is_skipped { default } else { 0 };
        };
        let name = self.names.get(&(abi, call.number)).copied();
        let rules = |wanted: &'a str| {
            let fits = move |rule: &&SeccompSyscall| rule.names.iter().any(|name| name == wanted);
            let all = self.profile.syscalls.iter().filter(fits);
            all.filter(move |rule| verdict(rule.action, rule.errno_ret) != default)
        };
        if let Some(name) = name {
            if let Some(rule) = rules(name).find(|rule| rule.args.is_empty()) {
                return verdict(rule.action, rule.errno_ret);
            }
            if let Some(rule) = rules(name).find(|rule| holds_all(&rule.args, call, abi)) {
                return verdict(rule.action, rule.errno_ret);
            }
            if let Some(hidden) = hidden_call(name, abi, call) {
                let rule = rules(hidden).find(|rule| rule.args.is_empty());
                let rule = rule.or_else(|| rules(hidden).find(|rule| refuses(rule)));
                if let Some(rule) = rule {
                    return verdict(rule.action, rule.errno_ret);
                }
            }
        }
        let is_new = self.highest.get(&abi).is_some_and(|&highest| call.number > highest);
        let names_it = |name: &str| {
            let mut mentioned = self.profile.syscalls.iter().flat_map(|rule| &rule.names);
            mentioned.any(|other| other == name)
        };
        let hides_a_rule = |name: &str| {
            let mut hidden = hidden_calls(name, abi).iter();
            hidden.any(|hidden| rules(hidden).any(|rule| rule.args.is_empty() || refuses(rule)))
        };
        let is_known = name.is_some_and(|name| names_it(name) || hides_a_rule(name));
        let lets_through = matches!(
            self.profile.default_action,
            SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace
        );
        if is_new && !is_known && self.with_enosys && !lets_through {
            0x0005_0026
        } else {
            default
        }
    }

    fn has(&self, audit: u32, abi: Abi) -> bool {
        audit == abi.audit() && self.abis.contains(&abi)
    }

    fn abi(&self, call: &Call) -> Option<Abi> {
        let is_x32 = call.audit == Abi::X86_64.audit() && call.number >= X32_BIT;
        let candidates = Abi::ALL.into_iter().filter(|&abi| self.has(call.audit, abi));
        candidates.into_iter().find(|&abi| (abi == Abi::X32) == is_x32)
    }
}

/// The call that x86's `socketcall` or `ipc` stands for; of the latter's, the random profiles name one.
fn hidden_call(name: &str, abi: Abi, call: &Call) -> Option<&'static str> {
    let first = usize::try_from(call.args[0] & 0xffff_ffff).ok()?;
    let number = if name == "ipc" { first & 0xffff } else { first };
    hidden_calls(name, abi).get(number.checked_sub(1)?).copied()
}

fn hidden_calls(name: &str, abi: Abi) -> &'static [&'static str] {
    match name {
        "socketcall" if abi == Abi::X86 => &HIDDEN_SOCKETS,
        "ipc" if abi == Abi::X86 => &["semop"],
        _ => &[],
    }
}

fn refuses(rule: &SeccompSyscall) -> bool {
    !matches!(
        rule.action,
        SeccompAction::Allow | SeccompAction::Log | SeccompAction::Trace
    )
}

fn verdict(action: SeccompAction, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(1);
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => 0,
        SeccompAction::KillProcess => 0x8000_0000,
        SeccompAction::Trap => 0x0003_0000,
        SeccompAction::Errno => 0x0005_0000 + data,
        SeccompAction::Notify => 0x7fc0_0000,
        SeccompAction::Trace => 0x7ff0_0000 + data,
        SeccompAction::Log => 0x7ffc_0000,
        SeccompAction::Allow => 0x7fff_0000,
    }
}

fn holds_all(args: &[SeccompArg], call: &Call, abi: Abi) -> bool {
    let is_twice = args
        .iter()
        .enumerate()
        .any(|(i, arg)| args[..i].iter().any(|other| other.index == arg.index));
    let mut holds = args.iter().map(|arg| holds(arg, call, abi));
    if is_twice {
        holds.any(|holds| holds)
    } else {
        holds.all(|holds| holds)
    }
}

fn holds(arg: &SeccompArg, call: &Call, abi: Abi) -> bool {
    let narrow = if abi.is_wide() { u64::MAX } else { 0xffff_ffff };
    let actual = call.args[arg.index as usize] & narrow;
    let (value, two) = (arg.value & narrow, arg.value_two & narrow);
    match arg.op {
        SeccompOperator::NotEqual => actual != value,
        SeccompOperator::Less => actual < value,
        SeccompOperator::LessEqual => actual <= value,
        SeccompOperator::Equal => actual == value,
        SeccompOperator::GreaterEqual => actual >= value,
        SeccompOperator::Greater => actual > value,
        SeccompOperator::MaskedEqual => actual & value == two & value,
    }
}
