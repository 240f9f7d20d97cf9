//! Why a build ended early, as its user sees it.

use crate::error::Failure;
use crate::{progress, start_hint};

/// Why a build ended early.
pub(crate) enum Stopped {
    /// The user asked for it by this signal.
    Interrupted(i32),
    /// It failed.
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for Stopped {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// An error with the place in the Dockerfile it belongs to, and what the failed command said last, unless that is shown.
pub(super) fn stopped(error: wiac_build::Error, file_name: &str, text: &[u8], is_shown: bool) -> Stopped {
    use wiac_build::Error;
    match error {
        Error::Dockerfile(error) => Stopped::Failed(Failure::new(error.render(file_name, text))),
        Error::Step { span, source } => match *source {
            Error::Interrupted { signal } => Stopped::Interrupted(signal),
            source => {
                let mut message = format!("{file_name}:{}:{}: {source}", span.first_line, span.column);
                if let Error::Failed { reason, said, .. } = &source {
                    let said = if is_shown {
                        String::new()
                    } else {
                        progress::last_lines(said)
                    };
                    for part in [said.as_str(), reason.as_deref().unwrap_or_default()] {
                        if !part.is_empty() {
                            message = format!("{message}\n{part}");
                        }
                    }
                }
                if let Error::Run(error) = &source
                    && let Some(hint) = start_hint::hint(error)
                {
                    message = format!("{message}\n{hint}");
                }
                Stopped::Failed(Failure::new(format!(
                    "{message}\n{}",
                    wiac_dockerfile::excerpt(span, text)
                )))
            }
        },
        other => Stopped::Failed(other.into()),
    }
}
