//! Credential helpers: programs called `docker-credential-NAME`. Secrets go over their standard streams only.

use super::{Credential, normal};
use crate::error::{Error, Result, cause, one_line};
use serde::Deserialize;
use serde_json::json;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// The user that stands for "the secret is an identity token".
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    username: String,
    secret: String,
}

/// A helper that can be asked.
pub(super) struct Helper<'h> {
    name: &'h str,
    path: Option<&'h OsStr>,
}

impl<'h> Helper<'h> {
    /// A helper by the name that a file has for it: looked for in `path`, never somewhere else.
    pub(super) fn new(name: &'h str, path: Option<&'h OsStr>) -> Result<Self> {
        if name.contains(['/', '\0']) {
            return Err(Error::Helper {
                helper: one_line(name, 40),
                action: "be run",
                reason: "a helper's name has no slash".to_owned(),
            });
        }
        Ok(Self { name, path })
    }

    /// What the helper knows of a registry.
    pub(super) fn get(&self, key: &str) -> Result<Option<Credential>> {
        const ACTION: &str = "get the credentials";
        let output = self.run("get", server(key).as_bytes())?;
        if !output.status.success() {
            let is_failure = !is_missing(&output);
            return if is_failure {
                Err(self.failed(ACTION, &output))
            } else {
                Ok(None)
            };
        }
        let found: Found = serde_json::from_slice(&output.stdout)
            .map_err(|_| self.error(ACTION, "its answer isn't the JSON of a credential".to_owned()))?;
        Ok(match found {
            Found { username, secret } if username == TOKEN => Some(Credential::IdentityToken(secret)),
            Found { username, secret } if username.is_empty() && secret.is_empty() => None,
            Found { username, secret } => Some(Credential::Password {
                user: username,
                password: secret,
            }),
        })
    }

    /// Gives a credential to the helper to keep.
    pub(super) fn store(&self, key: &str, credential: &Credential) -> Result<()> {
        let (user, secret) = match credential {
            Credential::Password { user, password } => (user.as_str(), password),
            Credential::IdentityToken(token) => (TOKEN, token),
        };
        let message = json!({ "ServerURL": server(key), "Username": user, "Secret": secret }).to_string();
        let output = self.run("store", message.as_bytes())?;
        if output.status.success() {
            return Ok(());
        }
        Err(self.failed("store the credentials", &output))
    }

    /// Takes what the helper knows of a registry away; false where there was nothing.
    pub(super) fn erase(&self, key: &str) -> Result<bool> {
        if self.get(key)?.is_none() {
            return Ok(false);
        }
        let output = self.run("erase", server(key).as_bytes())?;
        if output.status.success() {
            return Ok(true);
        }
        Err(self.failed("erase the credentials", &output))
    }

    fn run(&self, verb: &str, input: &[u8]) -> Result<Output> {
        let cant = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "it isn't in PATH: install it, or take it out of the file".to_owned(),
                _ => cause(&error),
            };
            self.error("be run", reason)
        };
        let mut command = Command::new(format!("docker-credential-{}", self.name));
        if let Some(path) = self.path {
            command.env("PATH", path);
        }
        let mut child = command
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cant)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that reads nothing and ends is judged by its status.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output().map_err(cant)
    }

    /// The protocol puts errors on the standard output; where it was a success that had the secret.
    fn failed(&self, action: &'static str, output: &Output) -> Error {
        let texts = [&output.stdout, &output.stderr].map(|bytes| one_line(&String::from_utf8_lossy(bytes), 160));
        let said = texts.into_iter().find(|text| !text.is_empty());
        self.error(
            action,
            said.unwrap_or_else(|| format!("it ends with {}", output.status)),
        )
    }

    fn error(&self, action: &'static str, reason: String) -> Error {
        Error::Helper {
            helper: self.name.to_owned(),
            action,
            reason,
        }
    }
}

/// What helpers call a registry: docker has an address for its own.
fn server(key: &str) -> String {
    match normal(key) {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

/// The protocol has no code for "not found", only these words.
fn is_missing(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stdout);
    text.contains("credentials not found") || text.contains("no credentials server URL")
}
