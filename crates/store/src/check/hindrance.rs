//! What keeps a check from telling whether something is damaged: no more files may be open, or memory is short. What
//! can't be read then may be whole, so nothing is set aside for it, and the check ends with an error.

use super::Checker;
use super::images::reason;
use crate::error::{Error, Result};
use rustix::io::Errno;
use wiac_sys::error::words;

impl Checker<'_> {
    /// The result as far as there is one. For what is found, or not, elsewhere.
    pub(super) fn seen<T>(&self, result: Result<T>) -> Option<T> {
        result.inspect_err(|error| self.notice(error)).ok()
    }

    /// What is wrong with a file that this error was met at.
    pub(super) fn reason(&self, error: &Error) -> String {
        self.notice(error);
        reason(error)
    }

    /// The same of one that the kernel had.
    pub(super) fn kernel_says(&self, error: &std::io::Error) -> String {
        self.notice(error);
        words(error)
    }

    /// The words of an error that is about to be a finding.
    pub(super) fn says<E: std::error::Error + 'static>(&self, error: &E) -> String {
        self.notice(error);
        error.to_string()
    }

    /// Whether something couldn't be looked at. Nothing that is found from then on counts.
    pub(super) fn is_hindered(&self) -> bool {
        self.hindrance.get().is_some()
    }

    /// # Errors
    /// What couldn't be looked at.
    pub(super) fn judge(&self) -> Result<()> {
        self.hindrance.get().map_or(Ok(()), |reason| {
            Err(Error::Hindered {
                path: self.store.root().to_owned(),
                reason: reason.clone(),
            })
        })
    }

    fn notice<E: std::error::Error + 'static>(&self, error: &E) {
        if is_shortage(error) {
            self.hindrance.get_or_init(|| error.to_string());
        }
    }
}

/// Whether the kernel's answer says nothing of the file that it was asked about.
fn is_shortage(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let errno = error.downcast_ref().and_then(Errno::from_io_error);
        if matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::IoExt;
    use std::path::Path;

    fn error_of(errno: Errno) -> Error {
        let result: std::result::Result<(), Errno> = Err(errno);
        result.on("read", Path::new("layer.json")).expect_err("error")
    }

    #[test]
    fn a_shortage_is_told_from_what_is_wrong_with_a_file() {
        assert!(is_shortage(&error_of(Errno::MFILE)) && is_shortage(&error_of(Errno::NOMEM)));
        assert!(is_shortage(&Error::Layer(wiac_layer::Error::Source(
            Errno::NFILE.into()
        ))));
        assert!(!is_shortage(&error_of(Errno::NOENT)) && !is_shortage(&error_of(Errno::IO)));
    }
}
