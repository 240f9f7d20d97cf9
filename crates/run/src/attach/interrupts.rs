//! Ctrl-C that nobody gets: a container's process 1 ignores every signal that it has no handler for
//! (pid_namespaces(7)), and so `sleep` there can't be ended by what is typed.

use rustix::fd::AsFd;
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr, tcgetpgrp};

/// SIGINT in the masks of proc_pid_status(5).
const INTERRUPT: u64 = 1 << (2 - 1);

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// How many were typed with nothing between them.
    pub(super) count: u32,
}

impl Lost {
    /// Takes notice of what was typed, before the container's terminal gets it.
    pub(super) fn typed(&mut self, bytes: &[u8], terminal: impl AsFd) {
        // Most that is typed is something else, and costs nothing here.
        let is_control = bytes.iter().all(|byte| *byte < b' ');
        if is_control && is_lost(bytes, terminal) {
            self.count = self
                .count
                .saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        } else {
            self.count = 0;
        }
    }
}

/// Each of these is what interrupts, and goes to a process 1 that neither handles it nor ignores it on purpose.
fn is_lost(bytes: &[u8], terminal: impl AsFd) -> bool {
    let Ok(modes) = tcgetattr(&terminal) else {
        return false;
    };
    let interrupt = modes.special_codes[SpecialCodeIndex::VINTR];
    if !modes.local_modes.contains(LocalModes::ISIG) || bytes.iter().any(|byte| *byte != interrupt) {
        return false;
    }
    let Ok(group) = tcgetpgrp(&terminal) else {
        return false;
    };
    std::fs::read_to_string(format!("/proc/{}/status", group.as_raw_nonzero()))
        .is_ok_and(|status| is_deaf_process_1(&status))
}

/// Whether this is the status of a process 1 of a pid namespace below, to which SIGINT is as nothing by default.
fn is_deaf_process_1(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let numbers: Vec<&str> = field("NSpid:").unwrap_or_default().split_whitespace().collect();
    let has = |name: &str| {
        let mask = field(name).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // What can't be read is taken for a handler: nothing is ended then.
        mask.is_none_or(|mask| mask & INTERRUPT != 0)
    };
    numbers.len() > 1 && numbers.last() == Some(&"1") && !has("SigIgn:") && !has("SigCgt:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(numbers: &str, ignored: &str, caught: &str) -> String {
        format!("Name:\tx\nNSpid:\t{numbers}\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n")
    }

    #[test]
    fn process_1_without_a_handler_is_deaf() {
        let (none, interrupt, other) = ("0000000000000000", "0000000000000002", "0000000000000004");
        assert!(is_deaf_process_1(&status("812\t5\t1", none, other)));
        assert!(
            !is_deaf_process_1(&status("812\t5\t1", none, interrupt)),
            "it handles it"
        );
        assert!(!is_deaf_process_1(&status("812\t5\t1", interrupt, none)), "on purpose");
        assert!(!is_deaf_process_1(&status("812\t5\t7", none, none)), "not process 1");
        assert!(!is_deaf_process_1(&status("1", none, none)), "the machine's own");
        assert!(!is_deaf_process_1(""), "unreadable");
    }
}
