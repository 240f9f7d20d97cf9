//! What can go wrong between us and a registry: each one line that says what, where, and what to do next.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What most of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. Secrets are in none of its texts: addresses are shown without their queries.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// [`Ender::end`](crate::Ender::end) was called.
    #[error("the transfer was ended early")]
    Ended,
    /// The registry doesn't have it.
    #[error("{registry} has no {what}{}", after(said))]
    NotFound {
        /// The registry asked.
        registry: String,
        /// What was asked for.
        what: String,
        /// What the registry said of it.
        said: String,
    },
    /// The registry wants to know who asks, or doesn't believe it.
    #[error("{registry} doesn't let us {what}: {reason}; {remedy}")]
    Unauthorized {
        /// The registry asked.
        registry: String,
        /// What was attempted.
        what: String,
        /// What is wrong with the credentials.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The registry knows who asks and says no.
    #[error(
        "{registry} doesn't allow us to {what}{}; ask its administrators for the right",
        after(said)
    )]
    Denied {
        /// The registry asked.
        registry: String,
        /// What was attempted.
        what: String,
        /// What the registry said.
        said: String,
    },
    /// Too many requests, and the wait is longer than we are patient.
    #[error("{registry} answers too many requests with a pause{}; {remedy}", after(said))]
    RateLimited {
        /// The registry asked.
        registry: String,
        /// The limit, as the registry puts it.
        said: String,
        /// What to do.
        remedy: String,
    },
    /// Any other status that isn't a success.
    #[error("{registry} can't {what}: it answers {status}{}", after(said))]
    Refused {
        /// The registry asked.
        registry: String,
        /// What was attempted.
        what: String,
        /// The status, `500 Internal Server Error`.
        status: String,
        /// What the registry said.
        said: String,
    },
    /// The connection couldn't be made, or was lost too often.
    #[error("can't reach {address}: {reason}")]
    Connection {
        /// Host and port, or the address asked for.
        address: String,
        /// What happened, with the number of tries.
        reason: String,
    },
    /// The server's certificate isn't accepted, or TLS fails otherwise.
    #[error("{host} can't be trusted: {reason}; {remedy}")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong with the certificate.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The server says what no server should: a broken registry, or something that isn't one.
    #[error("{address} answers wrongly: {reason}")]
    Broken {
        /// The address asked for, or the registry.
        address: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Bytes that aren't what their digest or descriptor says.
    #[error("{what} from {registry} isn't what it should be: {reason}")]
    Damaged {
        /// The registry asked.
        registry: String,
        /// Which blob or manifest.
        what: String,
        /// What differs.
        reason: String,
    },
    /// registries.conf or policy.json forbid it.
    #[error("{name} is forbidden by {}: {reason}", path.display())]
    Forbidden {
        /// The reference.
        name: String,
        /// The configuration file that says so.
        path: PathBuf,
        /// How it says it.
        reason: String,
    },
    /// A name that isn't one, or may mean several.
    #[error("{0}")]
    Name(String),
    /// A configuration file can't be understood.
    #[error("can't understand {}: {reason}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file can't be read or written.
    #[error("can't {action} {}: {reason}", path.display())]
    File {
        /// What was attempted: "read", "write".
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        reason: String,
    },
    /// A credential helper failed.
    #[error("docker-credential-{helper} can't {action}: {reason}")]
    Helper {
        /// Its name, without the beginning that all have.
        helper: String,
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// The caller's own bytes couldn't be read on the way to the registry.
    #[error("can't read {what} to send it: {reason}")]
    Source {
        /// What was to be sent.
        what: String,
        /// Why it can't be read.
        reason: String,
    },
}

/// What a caller may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It isn't there: another registry, or another name, may help.
    NotFound,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// The registry, or a file of this machine, says no.
    Denied,
    /// It may work later.
    Unavailable,
    /// The server isn't what it should be, or sends what it shouldn't.
    Hostile,
    /// Something on this machine.
    Local,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Unauthorized { .. } => Kind::Unauthorized,
            Self::Refused { status, .. } if status.starts_with('5') => Kind::Unavailable,
            Self::Denied { .. } | Self::Forbidden { .. } | Self::Refused { .. } => Kind::Denied,
            Self::RateLimited { .. } | Self::Connection { .. } => Kind::Unavailable,
            Self::Tls { .. } | Self::Broken { .. } | Self::Damaged { .. } => Kind::Hostile,
            Self::Ended
            | Self::Name(_)
            | Self::Configuration { .. }
            | Self::File { .. }
            | Self::Helper { .. }
            | Self::Source { .. } => Kind::Local,
        }
    }

    pub(crate) fn broken(address: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::Broken {
            address: address.to_string(),
            reason: reason.into(),
        }
    }

    pub(crate) fn connection(address: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::Connection {
            address: address.to_string(),
            reason: reason.into(),
        }
    }

    pub(crate) fn configuration(path: &Path, reason: impl fmt::Display) -> Self {
        Self::Configuration {
            path: path.to_owned(),
            reason: one_line(&reason.to_string(), 300),
        }
    }
}

/// An error of ours that passed through a reader.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

fn after(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// What somebody else wrote, on one line, without control characters, at most `longest` characters of it.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut line = String::new();
    let is_dangerous = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for word in text.split(|c: char| c.is_whitespace() || is_dangerous(c)) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * longest {
            break;
        }
    }
    if line.chars().count() > longest {
        line = line.chars().take(longest).chain(['…']).collect();
    }
    line
}

/// Says what was attempted on which path.
pub(crate) trait IoExt<T> {
    /// Turns an I/O error into [`Error::File`].
    fn on(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoExt<T> for io::Result<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|error| Error::File {
            action,
            path: path.to_owned(),
            reason: cause(&error),
        })
    }
}

/// An I/O error without Rust's "(os error 2)".
pub(crate) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// The content of a file that may be missing; larger than `largest` is refused.
pub(crate) fn read_optional(path: &Path, largest: u64) -> Result<Option<Vec<u8>>> {
    use std::io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).on("read", path),
    };
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).on("read", path)?;
    if bytes.len() as u64 > largest {
        return Err(Error::configuration(path, format!("it is larger than {largest} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_made_harmless() {
        assert_eq!(one_line("a\nb\u{1b}[31m c\u{202e}", 80), "a b [31m c");
        assert_eq!(one_line(&"x".repeat(500), 10), "xxxxxxxxxx…");
        assert_eq!(one_line(" \n", 10), "");
    }
}
