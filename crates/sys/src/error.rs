//! The error of a failed system call: the call, its arguments, and what the kernel said.

use rustix::io::Errno;
use std::fmt;

/// A system call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    call: &'static str,
    arguments: String,
    errno: Errno,
}

/// What most of this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `call`, whose `arguments` are shown in parentheses behind it.
    pub fn new(call: &'static str, arguments: impl Into<String>, errno: Errno) -> Self {
        Self {
            call,
            arguments: arguments.into(),
            errno,
        }
    }

    /// What the kernel answered.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The system call's name.
    pub fn call(&self) -> &'static str {
        self.call
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}): {}", self.call, self.arguments, describe(self.errno))
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::from_raw_os_error(error.errno.raw_os_error())
    }
}

/// Why an operation failed, without an error's number: the kernel's words where it is the kernel's error.
pub fn words(error: &std::io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), describe)
}

/// The kernel's words for an error number, without the number that std puts behind them.
pub fn describe(errno: Errno) -> String {
    if errno == Errno::MFILE {
        // The kernel's words alone don't say whose limit it is.
        return "too many open files for one process: raise the limit (ulimit -n)".to_owned();
    }
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Puts the call and its arguments beside an error number.
pub trait ResultExt<T> {
    /// Says which call failed, with the arguments that `arguments` writes (only when it failed).
    fn call<A: Into<String>>(self, call: &'static str, arguments: impl FnOnce() -> A) -> Result<T>;
}

impl<T> ResultExt<T> for rustix::io::Result<T> {
    fn call<A: Into<String>>(self, call: &'static str, arguments: impl FnOnce() -> A) -> Result<T> {
        self.map_err(|errno| Error::new(call, arguments(), errno))
    }
}

/// The error number of the last libc call; for wrappers that call libc.
pub(crate) fn last_errno() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
    Errno::from_raw_os_error(code)
}

/// Turns libc's -1 into an error. Child-safe.
pub(crate) fn check(result: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if result < 0 { Err(last_errno()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_call() {
        let error = Error::new("open", "\"/nowhere\", O_PATH", Errno::NOENT);
        assert_eq!(
            error.to_string(),
            "open(\"/nowhere\", O_PATH): No such file or directory"
        );
    }

    #[test]
    fn a_limit_of_ours_is_called_so() {
        let error = std::io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert!(words(&error).contains("ulimit -n"));
    }
}
