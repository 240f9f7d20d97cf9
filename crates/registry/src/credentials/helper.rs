//! Credential helpers: programs called `docker-credential-NAME`. Secrets go over their standard streams only.

use super::{Credential, normal};
use crate::error::{Error, Result, one_line};
use serde::Deserialize;
use serde_json::json;
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

/// What the helper knows of a registry.
pub(super) fn get(helper: &str, key: &str) -> Result<Option<Credential>> {
    let output = run(helper, "get", server(key).as_bytes())?;
    if !output.status.success() {
        return if is_missing(&output) {
            Ok(None)
        } else {
            Err(failed(helper, "get the credentials", &output))
        };
    }
    let found: Found = serde_json::from_slice(&output.stdout).map_err(|_| Error::Helper {
        helper: helper.to_owned(),
        action: "get the credentials",
        reason: "its answer isn't the JSON of a credential".to_owned(),
    })?;
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
pub(super) fn store(helper: &str, key: &str, credential: &Credential) -> Result<()> {
    let (user, secret) = match credential {
        Credential::Password { user, password } => (user.as_str(), password),
        Credential::IdentityToken(token) => (TOKEN, token),
    };
    let message = json!({ "ServerURL": server(key), "Username": user, "Secret": secret }).to_string();
    let output = run(helper, "store", message.as_bytes())?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(helper, "store the credentials", &output))
}

/// Takes what the helper knows of a registry away; false where there was nothing.
pub(super) fn erase(helper: &str, key: &str) -> Result<bool> {
    if get(helper, key)?.is_none() {
        return Ok(false);
    }
    let output = run(helper, "erase", server(key).as_bytes())?;
    if output.status.success() {
        return Ok(true);
    }
    Err(failed(helper, "erase the credentials", &output))
}

/// What helpers call a registry: docker has an address for its own.
fn server(key: &str) -> String {
    match normal(key) {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

fn run(helper: &str, verb: &str, input: &[u8]) -> Result<Output> {
    let cant = |reason: String| Error::Helper {
        helper: one_line(helper, 40),
        action: "be run",
        reason,
    };
    // The name comes from a file: it is looked for in PATH, never somewhere else.
    if helper.contains('/') || helper.contains('\0') {
        return Err(cant("a helper's name has no slash".to_owned()));
    }
    let program = format!("docker-credential-{helper}");
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => cant("it isn't in PATH: install it, or take it out of the file".to_owned()),
            _ => cant(crate::error::cause(&error)),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that reads nothing and ends is judged by its status.
        let _ = stdin.write_all(input);
    }
    child
        .wait_with_output()
        .map_err(|error| cant(crate::error::cause(&error)))
}

/// The protocol has no code for "not found", only these words.
fn is_missing(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stdout);
    text.contains("credentials not found") || text.contains("no credentials server URL")
}

/// The protocol puts errors on the standard output; where it was a success that had the secret.
fn failed(helper: &str, action: &'static str, output: &Output) -> Error {
    let said = one_line(&String::from_utf8_lossy(&output.stdout), 160);
    let said = if said.is_empty() {
        one_line(&String::from_utf8_lossy(&output.stderr), 160)
    } else {
        said
    };
    Error::Helper {
        helper: helper.to_owned(),
        action,
        reason: if said.is_empty() {
            format!("it ends with {}", output.status)
        } else {
            said
        },
    }
}
