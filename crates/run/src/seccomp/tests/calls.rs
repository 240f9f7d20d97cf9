//! The calls that filters are tried with: every number there is, arguments around the values of the profile.

use wiac_oci::runtime::LinuxSeccomp;

use super::super::arch::{Abi, X32_BIT};
use super::super::table;
use super::interpreter::Call;
use super::strategies::VALUES;

/// Audit architectures: the known ones and one that no filter here is for.
fn audits() -> Vec<u32> {
    let mut audits: Vec<u32> = Abi::ALL.iter().map(|abi| abi.audit()).collect();
    audits.sort_unstable();
    audits.dedup();
    audits.push(0x8000_0016);
    audits
}

fn numbers() -> impl Iterator<Item = u32> {
    let plain = 0..600;
    let x32 = X32_BIT..X32_BIT + 600;
    let private = table::ARM_PRIVATE - 1..table::ARM_PRIVATE + 16;
    plain
        .chain(x32)
        .chain(private)
        .chain([X32_BIT - 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX])
}

/// Every number on every architecture; several argument lists for those that the profile has conditions for.
pub fn interesting(profile: &LinuxSeccomp) -> Vec<Call> {
    let values = values(profile);
    let mut calls = Vec::new();
    for audit in audits() {
        for number in numbers() {
            let count = if is_conditional(profile, audit, number) {
                3 * values.len()
            } else {
                1
            };
            calls.extend((0..count).map(|round| Call {
                number,
                audit,
                args: arguments(&values, audit, round),
            }));
        }
    }
    calls
}

fn is_conditional(profile: &LinuxSeccomp, audit: u32, number: u32) -> bool {
    let mut names = profile
        .syscalls
        .iter()
        .filter(|rule| !rule.args.is_empty())
        .flat_map(|rule| &rule.names);
    let has = |name: &str| {
        let row = table::find(name);
        let abis = Abi::ALL.into_iter().filter(|abi| abi.audit() == audit);
        row.is_some_and(|row| abis.into_iter().any(|abi| table::number(row, abi) == Some(number)))
    };
    has("socketcall") || has("ipc") || names.any(|name| has(name))
}

/// The profile's values, their neighbours, and each with another upper half.
fn values(profile: &LinuxSeccomp) -> Vec<u64> {
    let args = profile.syscalls.iter().flat_map(|rule| &rule.args);
    let named = args
        .flat_map(|arg| [arg.value, arg.value_two])
        .chain([0, 1, u64::MAX])
        .chain(VALUES.into_iter().take(4));
    let mut values: Vec<u64> = named
        .flat_map(|value| [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32)])
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// One list of arguments a round: each argument walks through all values at its own pace. 32-bit machines have no
/// upper halves.
fn arguments(values: &[u64], audit: u32, round: usize) -> [u64; 6] {
    let is_narrow = audit & 0x8000_0000 == 0;
    std::array::from_fn(|index| {
        let stride = [1, 7, 11, 13, 17, 19][index];
        let value = values[(round * stride + round / values.len() * index) % values.len()];
        if is_narrow { value & 0xffff_ffff } else { value }
    })
}
