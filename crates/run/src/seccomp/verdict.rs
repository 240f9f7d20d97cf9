//! What the kernel understands by an action: the 32 bits that a filter returns (seccomp(2)).

use wiac_oci::runtime::SeccompAction;

use super::Error;

/// Kills the thread; also the verdict on architectures that a filter isn't for, as with libseccomp.
pub const KILL_THREAD: u32 = 0;
/// The call is made.
pub const ALLOW: u32 = 0x7fff_0000;
/// The call fails as one the kernel doesn't have.
pub const NO_SUCH_CALL: u32 = errno(ENOSYS);

const KILL_PROCESS: u32 = 0x8000_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;

/// "Operation not permitted": what ERRNO and TRACE carry unless told otherwise.
pub const EPERM: u16 = 1;
/// "Function not implemented".
pub const ENOSYS: u16 = 38;

/// The call fails with an errno.
// From<u16> is not const.
#[allow(clippy::cast_lossless)]
pub const fn errno(number: u16) -> u32 {
    ERRNO | number as u32
}

/// The verdict that stands for an action.
///
/// # Errors
/// [`Error::ErrnoRange`] if the errno doesn't fit the verdict's 16 bits.
pub fn of(action: SeccompAction, errno_ret: Option<u32>) -> Result<u32, Error> {
    let data = || match errno_ret {
        None => Ok(u32::from(EPERM)),
        Some(number) => u16::try_from(number)
            .map(u32::from)
            .map_err(|_| Error::ErrnoRange(number)),
    };
    Ok(match action {
        SeccompAction::Kill | SeccompAction::KillThread => KILL_THREAD,
        SeccompAction::KillProcess => KILL_PROCESS,
        SeccompAction::Trap => TRAP,
        SeccompAction::Errno => ERRNO | data()?,
        SeccompAction::Trace => TRACE | data()?,
        SeccompAction::Allow => ALLOW,
        SeccompAction::Log => LOG,
        SeccompAction::Notify => NOTIFY,
    })
}

/// True if the call may be made: calls newer than the profile then stay with the default action.
pub fn is_permissive(verdict: u32) -> bool {
    verdict == ALLOW || verdict == LOG || verdict & 0xffff_0000 == TRACE
}
