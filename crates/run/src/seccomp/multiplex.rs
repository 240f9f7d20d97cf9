//! 32-bit x86's two calls that hide others: `socketcall` and `ipc` take the hidden call's number as first argument.
//!
//! A rule for a hidden call is also a rule for the call that hides it. The hidden call's own arguments lie in memory,
//! where no filter sees them: of a rule with conditions, a refusal is applied whatever the arguments, and a
//! permission isn't (libseccomp would grant it whatever the arguments).

use wiac_oci::runtime::{SeccompArg, SeccompOperator};

use super::policy::{Outcome, Policy, Rule};
use super::{table, verdict};

/// Numbers of the calls that `socketcall` hides (linux/net.h).
static SOCKET_CALLS: [(&str, SeccompArg); 20] = [
    ("socket", equals(1)),
    ("bind", equals(2)),
    ("connect", equals(3)),
    ("listen", equals(4)),
    ("accept", equals(5)),
    ("getsockname", equals(6)),
    ("getpeername", equals(7)),
    ("socketpair", equals(8)),
    ("send", equals(9)),
    ("recv", equals(10)),
    ("sendto", equals(11)),
    ("recvfrom", equals(12)),
    ("shutdown", equals(13)),
    ("setsockopt", equals(14)),
    ("getsockopt", equals(15)),
    ("sendmsg", equals(16)),
    ("recvmsg", equals(17)),
    ("accept4", equals(18)),
    ("recvmmsg", equals(19)),
    ("sendmmsg", equals(20)),
];

/// Numbers of the calls that `ipc` hides (linux/ipc.h); the upper half of the argument is a version.
static IPC_CALLS: [(&str, SeccompArg); 12] = [
    ("semop", lower_half_equals(1)),
    ("semget", lower_half_equals(2)),
    ("semctl", lower_half_equals(3)),
    ("semtimedop", lower_half_equals(4)),
    ("msgsnd", lower_half_equals(11)),
    ("msgrcv", lower_half_equals(12)),
    ("msgget", lower_half_equals(13)),
    ("msgctl", lower_half_equals(14)),
    ("shmat", lower_half_equals(21)),
    ("shmdt", lower_half_equals(22)),
    ("shmget", lower_half_equals(23)),
    ("shmctl", lower_half_equals(24)),
];

const fn equals(value: u64) -> SeccompArg {
    SeccompArg {
        index: 0,
        value,
        value_two: 0,
        op: SeccompOperator::Equal,
    }
}

const fn lower_half_equals(value_two: u64) -> SeccompArg {
    SeccompArg {
        index: 0,
        value: 0xffff,
        value_two,
        op: SeccompOperator::MaskedEqual,
    }
}

/// What `socketcall` and `ipc` lead to on x86, by row.
pub fn outcomes(policy: &mut Policy<'_>) -> [(u16, Outcome); 2] {
    [
        outcome(policy, "socketcall", &SOCKET_CALLS),
        outcome(policy, "ipc", &IPC_CALLS),
    ]
}

fn outcome(policy: &mut Policy<'_>, name: &str, hidden: &'static [(&str, SeccompArg)]) -> (u16, Outcome) {
    let row = table::find(name).expect("the table knows both");
    let mut rules = match policy.outcome(row) {
        Outcome::Always(verdict) => return (row, Outcome::Always(verdict)),
        Outcome::Chain(chain) => policy.chain(chain).to_vec(),
        Outcome::Default => Vec::new(),
    };
    for (name, condition) in hidden {
        let verdict = table::find(name).and_then(|row| whatever_the_arguments(policy, policy.outcome(row)));
        rules.extend(verdict.map(|verdict| Rule {
            verdict,
            conditions: std::slice::from_ref(condition),
        }));
    }
    let outcome = if rules.is_empty() {
        Outcome::Default
    } else {
        Outcome::Chain(policy.add_chain(rules))
    };
    (row, outcome)
}

fn whatever_the_arguments(policy: &Policy<'_>, outcome: Outcome) -> Option<u32> {
    match outcome {
        Outcome::Default => None,
        Outcome::Always(verdict) => Some(verdict),
        Outcome::Chain(chain) => policy
            .chain(chain)
            .iter()
            .map(|rule| rule.verdict)
            .find(|&verdict| !verdict::is_permissive(verdict)),
    }
}
