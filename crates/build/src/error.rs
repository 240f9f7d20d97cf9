//! What can go wrong while something is built or a container prepared.

use std::io;
use std::path::{Path, PathBuf};
use wiac_dockerfile::Span;
use wiac_sys::error::words;

/// An error of the build crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] wiac_store::Error),
    /// A layer directory.
    #[error(transparent)]
    Layer(#[from] wiac_layer::Error),
    /// The engine.
    #[error(transparent)]
    Run(#[from] wiac_run::Error),
    /// A closure can't be computed.
    #[error(transparent)]
    Loader(Box<wiac_loader::Error>),
    /// Files can't be copied.
    #[error(transparent)]
    Copy(Box<crate::copy::Error>),
    /// An image's configuration and the user's wishes don't make a process.
    #[error(transparent)]
    Convert(#[from] wiac_oci::convert::ConvertError),
    /// A user isn't known in the image.
    #[error(transparent)]
    User(#[from] wiac_oci::user::UserError),
    /// A reference isn't one.
    #[error(transparent)]
    Reference(#[from] wiac_oci::reference::ReferenceError),
    /// Something in the Dockerfile, with its place.
    #[error(transparent)]
    Dockerfile(Box<wiac_dockerfile::Error>),
    /// A line of .dockerignore.
    #[error("{}: {message}", path.display())]
    Ignore {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A step of a build failed.
    #[error("{source}")]
    Step {
        /// The instruction's place.
        span: Span,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// A signal asked the caller to end.
    #[error("interrupted")]
    Interrupted {
        /// Its number.
        signal: i32,
    },
    /// A stage was ended since another one failed.
    #[error("ended, since another stage failed")]
    Cancelled,
    /// A build cache of another machine had a layer before, and doesn't give it now. Without that cache the build works.
    #[error("the build cache is lost: {reason}")]
    CacheLost {
        /// Why.
        reason: String,
    },
    /// A RUN ended with an exit code other than 0.
    #[error("the command failed with exit code {code}")]
    Failed {
        /// As a shell would show it.
        code: i32,
        /// What is known about the reason.
        reason: Option<String>,
        /// The last of what it said.
        said: String,
    },
    /// An operation on a file failed.
    #[error("can't {action} {}: {}", path.display(), words(source))]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Something the user asked for makes no sense or isn't there.
    #[error("{message}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    Wrong {
        /// What.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the user's making, without a hint.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong {
            message: message.into(),
            hint: None,
        }
    }

    /// An error of the user's making, with what to do about it.
    pub fn wrong_with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Wrong {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// The error without its place.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Step { source, .. } => source,
            error => error,
        }
    }

    /// The same error at a place of the Dockerfile; one that has a place already keeps it.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        match self {
            placed @ (Self::Step { .. } | Self::Dockerfile(_)) => placed,
            source => Self::Step {
                span,
                source: Box::new(source),
            },
        }
    }
}

impl From<wiac_dockerfile::Error> for Error {
    fn from(error: wiac_dockerfile::Error) -> Self {
        Self::Dockerfile(Box::new(error))
    }
}

impl From<wiac_loader::Error> for Error {
    fn from(error: wiac_loader::Error) -> Self {
        Self::Loader(Box::new(error))
    }
}

impl From<crate::copy::Error> for Error {
    fn from(error: crate::copy::Error) -> Self {
        Self::Copy(Box::new(error))
    }
}

/// Says what was attempted on which path.
pub trait IoExt<T> {
    /// Turns an I/O error into [`Error::Io`].
    fn on(self, action: &'static str, path: &Path) -> Result<T>;

    /// The same, with a path that is put together only for the message.
    fn on_path(self, action: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T>;
}

impl<T, E: Into<io::Error>> IoExt<T> for std::result::Result<T, E> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        })
    }

    fn on_path(self, action: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T> {
        self.map_err(|error| Error::Io {
            action,
            path: path(),
            source: error.into(),
        })
    }
}
