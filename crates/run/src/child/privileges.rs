//! The child's last steps: who it is, what it may do, and that it doesn't start wiac's own binary.

use super::StepResult;
use crate::plan::step::{Capabilities, Credentials};
use crate::protocol::Call;
use crate::target::At;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set, remove_capability_from_bounding_set,
    set_keep_capabilities,
};
use std::ffi::CStr;
use wiac_sys::process::{set_credentials, set_groups};

/// Capabilities are numbered below this for now; the kernel answers EINVAL to the first it doesn't know.
const MAX_CAPABILITY: u32 = 64;

/// Drops from the bounding set everything that isn't in `keep`.
pub(super) fn limit_bounding_set(keep: u64) -> StepResult {
    for number in (0..MAX_CAPABILITY).filter(|number| keep & (1 << number) == 0) {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Err(Errno::INVAL) => break,
            result => result.at(Call::Prctl)?,
        }
    }
    Ok(())
}

/// Changes user and groups, and keeps the permitted capabilities meanwhile: they are set right afterwards.
pub(super) fn become_user(credentials: &Credentials) -> StepResult {
    if is_user(credentials.uid, credentials.gid) {
        return set_groups(credentials.groups.as_deref()).at(Call::Setresuid);
    }
    set_keep_capabilities(true).at(Call::Prctl)?;
    set_credentials(credentials.uid, credentials.gid, credentials.groups.as_deref()).at(Call::Setresuid)?;
    set_keep_capabilities(false).at(Call::Prctl)
}

/// Whether this process is that user already, in that group: root starting root's program. The saved ids don't count, the
/// program's are made of the effective ones (execve(2)).
fn is_user(uid: u32, gid: u32) -> bool {
    [getuid(), geteuid()].iter().all(|is| is.as_raw() == uid)
        && [getgid(), getegid()].iter().all(|is| is.as_raw() == gid)
}

/// Sets the effective, permitted, inheritable and ambient sets.
pub(super) fn set_capabilities(sets: &Capabilities) -> StepResult {
    let value = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(sets.effective),
        permitted: CapabilitySet::from_bits_retain(sets.permitted),
        inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
    };
    rustix::thread::set_capabilities(None, value).at(Call::Capset)?;
    for number in (0..MAX_CAPABILITY).filter(|number| sets.ambient & (1 << number) != 0) {
        configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true).at(Call::Prctl)?;
    }
    Ok(())
}

/// Whether executing `path` would execute the file `own` (device, inode): directly, as the interpreter of a script,
/// or as the dynamic loader that a program names.
pub(super) fn leads_to(path: &CStr, own: (u64, u64), depth: u8) -> bool {
    // The kernel follows interpreters four deep.
    const MAX_DEPTH: u8 = 5;
    let Ok(stat) = rustix::fs::stat(path) else { return false };
    if (stat.st_dev, stat.st_ino) == own {
        return true;
    }
    if depth >= MAX_DEPTH || !FileType::from_raw_mode(stat.st_mode).is_file() {
        return false;
    }
    let mut head = [0u8; 4096];
    let Ok(file) = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    let Ok(length) = rustix::io::pread(&file, &mut head[..4095], 0) else {
        return false;
    };
    let mut interpreter = [0u8; 256];
    match next_program(&head[..length], &mut interpreter) {
        Some(next) => leads_to(next, own, depth + 1),
        None => false,
    }
}

/// The interpreter that the first bytes of a program name, copied into `buffer`.
fn next_program<'b>(head: &[u8], buffer: &'b mut [u8; 256]) -> Option<&'b CStr> {
    let name = if let Some(line) = head.strip_prefix(b"#!") {
        let line = &line[..line.iter().position(|&b| b == b'\n').unwrap_or(line.len())];
        let start = line.iter().position(|&b| b != b' ' && b != b'\t')?;
        let line = &line[start..];
        &line[..line
            .iter()
            .position(|&b| b == b' ' || b == b'\t' || b == 0)
            .unwrap_or(line.len())]
    } else {
        elf_interpreter(head)?
    };
    let length = name.len().min(buffer.len() - 1);
    buffer[..length].copy_from_slice(&name[..length]);
    buffer[length] = 0;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// PT_INTERP of a little-endian 64-bit ELF program whose name lies in the first page, as every linker places it.
fn elf_interpreter(head: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u32 = 3;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let word = |at: usize, size: usize| -> Option<usize> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        bytes
            .iter()
            .rev()
            .try_fold(0usize, |value, &byte| Some(value.checked_mul(256)? + usize::from(byte)))
    };
    let (offset, size, count) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
    for index in 0..count {
        let entry = offset.checked_add(index.checked_mul(size)?)?;
        if u32::try_from(word(entry, 4)?).ok()? == PT_INTERP {
            let (start, length) = (word(entry + 8, 8)?, word(entry + 32, 8)?);
            let name = head.get(start..start.checked_add(length)?)?;
            return Some(&name[..name.iter().position(|&b| b == 0).unwrap_or(name.len())]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    fn own() -> (u64, u64) {
        let meta = std::fs::metadata("/proc/self/exe").expect("stat");
        (meta.dev(), meta.ino())
    }

    #[test]
    fn finds_the_own_binary_through_scripts() {
        let dir = tempfile::tempdir().expect("tempdir");
        let script = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("write");
            CString::new(path.as_os_str().as_bytes()).expect("no NUL")
        };
        assert!(leads_to(c"/proc/self/exe", own(), 0));
        let first = script("first", "#! /proc/self/exe -x\n");
        assert!(leads_to(&first, own(), 0));
        let second = script("second", &format!("#!{}\n", first.to_str().expect("utf-8")));
        assert!(leads_to(&second, own(), 0));
        assert!(!leads_to(&script("other", "#!/bin/sh\n"), own(), 0));
        assert!(!leads_to(c"/bin/sh", own(), 0));
    }

    #[test]
    fn finds_the_loader_a_program_names() {
        let program = std::fs::read("/bin/sh").expect("read");
        let name = elf_interpreter(&program[..4096]).expect("an interpreter");
        assert!(name.starts_with(b"/lib"), "{}", String::from_utf8_lossy(name));
        let mut lying = program[..4096].to_vec();
        lying[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(elf_interpreter(&lying), None);
    }
}
