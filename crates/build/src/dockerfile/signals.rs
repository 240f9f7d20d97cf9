//! The names of signals, for STOPSIGNAL: signal(7). Pure.

/// Those without real-time signals.
const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// The highest signal of Linux.
const LAST: u32 = 64;

/// Whether docker takes a text as a signal: a number, or a name with or without SIG.
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u32>() {
        return (1..=LAST).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_real_time(name)
}

/// `RTMIN+n` and `RTMAX-n`.
fn is_real_time(name: &str) -> bool {
    let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
    offset.is_some_and(|offset| offset.parse::<u32>().is_ok_and(|offset| offset <= 30))
}

/// The name that was probably meant.
pub(super) fn nearest(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    wiac_suggest::nearest(name, NAMES).map(|name| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        for text in ["9", "KILL", "SIGTERM", "sigint", "SIGRTMIN+3", "RTMAX-2", "64"] {
            assert!(is_signal(text), "{text}");
        }
        for text in ["0", "65", "", "SIG", "TERMX", "RTMIN+99", "-1"] {
            assert!(!is_signal(text), "{text}");
        }
        assert_eq!(nearest("SIGTREM").as_deref(), Some("SIGTERM"));
    }
}
