//! What to say where the kernel is too old, or hidden from this process.

use rustix::io::Errno;

/// The oldest Linux that wiac runs on (docs/kernel-features.md).
const LEAST: (u32, u32) = (5, 10);

/// Whether this kernel comes before a release of Linux.
pub(crate) fn is_before(least: (u32, u32)) -> bool {
    let name = rustix::system::uname();
    // What can't be read is no reason to complain.
    release(&name.release().to_string_lossy()).is_some_and(|this| this < least)
}

/// The line that goes below `message`, if it failed for the kernel.
pub(crate) fn hint(message: &str) -> Option<String> {
    let (major, minor) = LEAST;
    if is_before(LEAST) {
        let name = rustix::system::uname();
        let this = name.release().to_string_lossy();
        return Some(format!("wiac needs Linux {major}.{minor} or later; this is {this}"));
    }
    message.contains(&wiac_sys::error::describe(Errno::NOSYS)).then(|| {
        "this kernel has the system call, but something around this process hides it: a container engine that is older \
         than the call does (start the outer container with --security-opt seccomp=unconfined)"
            .to_owned()
    })
}

/// The first two numbers of what `uname -r` says.
fn release(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(release("5.10.0-46-cloud-amd64"), Some((5, 10)));
        assert_eq!(release("6.1"), Some((6, 1)));
        assert_eq!(release("7.0-rc1"), Some((7, 0)));
        assert_eq!(release("odd"), None);
        assert!(release("5.4.0") < Some(LEAST));
    }
}
