//! A policy as BPF: for each architecture a binary search over ranges of call numbers with the same outcome.

use wiac_oci::runtime::{SeccompArg, SeccompOperator};
use wiac_sys::seccomp::Instruction;

use super::arch::{Abi, X32_BIT};
use super::assembler::{Assembler, Target, Test};
use super::policy::{Outcome, Policy, Rule};
use super::{multiplex, table, verdict};

/// Offsets in the kernel's `struct seccomp_data` (linux/seccomp.h), little-endian.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// All numbers from `first` on, up to the next range, have the same outcome.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u32,
    leaf: Leaf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Return(u32),
    /// A chain of rules, and whether arguments have 64 bits.
    Chain(u16, bool),
}

/// The verdict on calls with numbers above every one the profile names; `None` for the default action.
pub type NewerCalls = Option<u32>;

/// Assembles the filter for these architectures; calls of any other kill the thread.
pub fn assemble(policy: &mut Policy<'_>, abis: &[Abi], newer: NewerCalls) -> Vec<Instruction> {
    let hiding = if abis.contains(&Abi::X86) {
        multiplex::outcomes(policy).to_vec()
    } else {
        Vec::new()
    };
    let policy = &*policy;
    let mut assembler = Assembler::new();
    let mut next = Target::Return(verdict::KILL_THREAD);
    // Written backwards: the first architecture, the machine's own, comes last and is asked first.
    for (index, abi) in abis.iter().enumerate().rev() {
        if abis[..index].iter().any(|other| other.audit() == abi.audit()) {
            continue;
        }
        let ranges = ranges(policy, *abi, abis, newer, &hiding);
        let search = search(&mut assembler, policy, &ranges);
        assembler.go(search);
        let section = assembler.load(NUMBER);
        next = assembler.branch(Test::Equal, abi.audit(), section, next);
    }
    assembler.go(next);
    assembler.load(ARCH);
    assembler.finish()
}

/// The outcomes of all 2³² numbers of an audit architecture.
fn ranges(policy: &Policy<'_>, abi: Abi, abis: &[Abi], newer: NewerCalls, hiding: &[(u16, Outcome)]) -> Vec<Range> {
    let mut ranges = Ranges(Vec::with_capacity(256));
    let shares_x86_64 = abi.audit() == Abi::X86_64.audit();
    let first = if shares_x86_64 { Abi::X86_64 } else { abi };
    if abis.contains(&first) {
        ranges.add_abi(policy, first, newer, if abi == Abi::X86 { hiding } else { &[] });
    } else {
        ranges.push(0, Leaf::Return(verdict::KILL_THREAD));
    }
    if shares_x86_64 && abis.contains(&Abi::X32) {
        ranges.add_abi(policy, Abi::X32, newer, &[]);
    } else if shares_x86_64 {
        ranges.push(X32_BIT, Leaf::Return(verdict::KILL_THREAD));
        // A tracer's mark for "skip this call".
        ranges.push(u32::MAX, Leaf::Return(policy.default_verdict()));
    }
    ranges.0
}

struct Ranges(Vec<Range>);

impl Ranges {
    /// Sets the outcome from a number on; numbers come in rising order.
    fn push(&mut self, first: u32, leaf: Leaf) {
        if self.0.last().is_some_and(|last| last.first == first) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| last.leaf != leaf) {
            self.0.push(Range { first, leaf });
        }
    }

    fn add_abi(&mut self, policy: &Policy<'_>, abi: Abi, newer: NewerCalls, hiding: &[(u16, Outcome)]) {
        let default = Leaf::Return(policy.default_verdict());
        let newer = newer.map_or(default, Leaf::Return);
        let calls = calls(policy, abi, hiding);
        self.push(abi.first_number(), default);
        // arm's private calls lie far above and say nothing about the profile's age.
        let dates = |call: &&Call| call.is_mentioned && call.number - abi.first_number() < table::ARM_PRIVATE;
        let Some(newest) = calls.iter().rev().find(dates).map(|call| call.number) else {
            self.add_calls(&calls, default);
            return;
        };
        let (known, beyond) = calls.split_at(calls.partition_point(|call| call.number <= newest));
        self.add_calls(known, default);
        self.push(newest + 1, newer);
        self.add_calls(beyond, newer);
    }

    fn add_calls(&mut self, calls: &[Call], between: Leaf) {
        for call in calls {
            self.push(call.number, call.leaf);
            self.push(call.number + 1, between);
        }
    }
}

/// A call that the profile mentions, or that hides one.
struct Call {
    number: u32,
    is_mentioned: bool,
    leaf: Leaf,
}

/// The mentioned calls of an architecture and those that hide them, by number.
fn calls(policy: &Policy<'_>, abi: Abi, hiding: &[(u16, Outcome)]) -> Vec<Call> {
    let mut calls = Vec::with_capacity(table::LEN);
    for row in table::all() {
        let hidden = hiding
            .iter()
            .find(|(hiding, _)| *hiding == row)
            .map(|(_, outcome)| *outcome);
        let is_mentioned = policy.is_mentioned(row);
        if !is_mentioned && hidden.is_none_or(|outcome| outcome == Outcome::Default) {
            continue;
        }
        let Some(number) = table::number(row, abi) else {
            continue;
        };
        let leaf = match hidden.unwrap_or_else(|| policy.outcome(row)) {
            Outcome::Default => Leaf::Return(policy.default_verdict()),
            Outcome::Always(verdict) => Leaf::Return(verdict),
            Outcome::Chain(chain) => Leaf::Chain(chain, abi.is_wide()),
        };
        calls.push(Call {
            number,
            is_mentioned,
            leaf,
        });
    }
    calls.sort_unstable_by_key(|call| call.number);
    calls
}

/// The binary search, later half first so that the earlier one ends up next to the test.
fn search(assembler: &mut Assembler, policy: &Policy<'_>, ranges: &[Range]) -> Target {
    match ranges {
        [] => Target::Return(policy.default_verdict()),
        [only] => leaf(assembler, policy, only.leaf),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let first = high[0].first;
            let high = search(assembler, policy, high);
            let low = search(assembler, policy, low);
            assembler.branch(Test::AtLeast, first, high, low)
        }
    }
}

fn leaf(assembler: &mut Assembler, policy: &Policy<'_>, leaf: Leaf) -> Target {
    match leaf {
        Leaf::Return(verdict) => Target::Return(verdict),
        Leaf::Chain(chain, is_wide) => {
            let last = Target::Return(policy.default_verdict());
            policy
                .chain(chain)
                .iter()
                .rev()
                .fold(last, |next, rule| rule_code(assembler, rule, is_wide, next))
        }
    }
}

fn rule_code(assembler: &mut Assembler, rule: &Rule<'_>, is_wide: bool, next: Target) -> Target {
    let fits = Target::Return(rule.verdict);
    rule.conditions.iter().rev().fold(fits, |holds, condition| {
        condition_code(assembler, condition, is_wide, holds, next)
    })
}

/// One condition, unsigned, on both halves of the argument or on the lower one alone. Of a masked comparison's second
/// value the bits outside of the mask don't count, as with libseccomp.
fn condition_code(
    assembler: &mut Assembler,
    condition: &SeccompArg,
    is_wide: bool,
    holds: Target,
    fails: Target,
) -> Target {
    let (value, two, index) = (condition.value, condition.value_two, condition.index);
    let halves = Halves {
        offset: ARGUMENTS + 8 * index,
        is_wide,
    };
    match condition.op {
        SeccompOperator::Equal => halves.equal(assembler, u64::MAX, value, holds, fails),
        SeccompOperator::NotEqual => halves.equal(assembler, u64::MAX, value, fails, holds),
        SeccompOperator::MaskedEqual => halves.equal(assembler, value, two & value, holds, fails),
        SeccompOperator::GreaterEqual => halves.compare(assembler, Test::AtLeast, value, holds, fails),
        SeccompOperator::Less => halves.compare(assembler, Test::AtLeast, value, fails, holds),
        SeccompOperator::Greater => halves.compare(assembler, Test::Greater, value, holds, fails),
        SeccompOperator::LessEqual => halves.compare(assembler, Test::Greater, value, fails, holds),
    }
}

/// An argument in memory: the lower half comes first.
struct Halves {
    offset: u32,
    is_wide: bool,
}

impl Halves {
    fn equal(&self, assembler: &mut Assembler, mask: u64, value: u64, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        let low = half_equals(assembler, self.offset, lower(mask), lower(value), yes, no);
        if !self.is_wide {
            return low;
        }
        half_equals(assembler, self.offset + 4, upper(mask), upper(value), low, no)
    }

    /// Greater, or greater or equal.
    fn compare(&self, assembler: &mut Assembler, test: Test, value: u64, yes: Target, no: Target) -> Target {
        if yes == no {
            return yes;
        }
        assembler.branch(test, lower(value), yes, no);
        let low = assembler.load(self.offset);
        if !self.is_wide {
            return low;
        }
        let not_greater = assembler.branch(Test::Equal, upper(value), low, no);
        assembler.branch(Test::Greater, upper(value), yes, not_greater);
        assembler.load(self.offset + 4)
    }
}

fn half_equals(assembler: &mut Assembler, offset: u32, mask: u32, value: u32, yes: Target, no: Target) -> Target {
    if yes == no {
        return yes;
    }
    if mask == 0 {
        return if value == 0 { yes } else { no };
    }
    assembler.branch(Test::Equal, value, yes, no);
    if mask != u32::MAX {
        assembler.and(mask);
    }
    assembler.load(offset)
}

// Both take a half on purpose.
#[allow(clippy::cast_possible_truncation)]
fn lower(value: u64) -> u32 {
    value as u32
}

fn upper(value: u64) -> u32 {
    lower(value >> 32)
}
