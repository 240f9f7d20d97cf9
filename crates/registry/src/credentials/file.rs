//! One file with credentials: what it holds, and how it is changed without losing what others wrote.

use super::helper::Helper;
use super::{Credential, keys, normal};
use crate::error::{Error, IoExt, Result, read_optional};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Such files are smaller.
const LARGEST: u64 = 4 << 20;

/// A file, whole: fields without a meaning here are kept.
pub(super) struct File {
    path: PathBuf,
    content: Map<String, Value>,
}

impl File {
    /// Reads a file; `None` where it is missing or empty.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let Some(bytes) = read_optional(path, LARGEST)? else {
            return Ok(None);
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        // A parser's message may quote what it stumbled over: a secret.
        let content = serde_json::from_slice(&bytes)
            .map_err(|error| Error::configuration(path, format!("line {} is no JSON object", error.line())))?;
        Ok(Some(Self {
            path: path.to_owned(),
            content,
        }))
    }

    /// The credential of a repository, from a helper or the file itself.
    pub(super) fn find(&self, registry: &str, repository: &str, helpers: Option<&OsStr>) -> Result<Option<Credential>> {
        for key in keys(registry, repository) {
            if let Some(name) = self.own_helper(&key)
                && let Some(credential) = Helper::new(name, helpers)?.get(&key)?
            {
                return Ok(Some(credential));
            }
            if let Some(credential) = self.entry(&key)? {
                return Ok(Some(credential));
            }
        }
        match self.common_helper() {
            Some(name) => Helper::new(name, helpers)?.get(registry),
            None => Ok(None),
        }
    }

    /// The helper that keeps the credential of a key.
    pub(super) fn helper(&self, key: &str) -> Option<String> {
        self.own_helper(key).or_else(|| self.common_helper()).map(str::to_owned)
    }

    fn own_helper(&self, key: &str) -> Option<&str> {
        let helpers = self.content.get("credHelpers")?.as_object()?;
        let (_, name) = helpers.iter().find(|(registry, _)| normal(registry) == normal(key))?;
        name.as_str().filter(|name| !name.is_empty())
    }

    fn common_helper(&self) -> Option<&str> {
        self.content.get("credsStore")?.as_str().filter(|name| !name.is_empty())
    }

    /// True where the file itself has something under the key.
    pub(super) fn holds(&self, key: &str) -> bool {
        let auths = self.content.get("auths").and_then(Value::as_object);
        auths.is_some_and(|auths| auths.keys().any(|other| normal(other) == normal(key)))
    }

    fn entry(&self, key: &str) -> Result<Option<Credential>> {
        let Some(auths) = self.content.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        for (_, entry) in auths.iter().filter(|(other, _)| normal(other) == normal(key)) {
            if let Some(credential) = credential(entry).map_err(|reason| self.wrong(key, reason))? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn wrong(&self, key: &str, reason: &str) -> Error {
        Error::configuration(&self.path, format!("its entry for {key}: {reason}"))
    }

    /// Puts a credential under a key.
    pub(super) fn insert(&mut self, key: &str, credential: &Credential) {
        self.remove(key);
        let entry = match credential {
            Credential::Password { user, password } => {
                json!({ "auth": BASE64_STANDARD.encode(format!("{user}:{password}")) })
            }
            Credential::IdentityToken(token) => json!({
                "auth": BASE64_STANDARD.encode("<token>:"),
                "identitytoken": token,
            }),
        };
        let auths = self.content.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(key.to_owned(), entry);
        }
    }

    /// Takes everything under a key away, however it is written.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(auths) = self.content.get_mut("auths").and_then(Value::as_object_mut) {
            auths.retain(|other, _| normal(other) != normal(key));
        }
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) {
        self.content.remove("auths");
    }

    fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.content).unwrap_or_default();
        text.push(b'\n');
        let temporary = temporary(path);
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.on("write", path)
    }
}

/// What the file is called until it is whole: always the same, so that a login that was killed leaves its secret nowhere
/// for long. The directory is locked meanwhile.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.wiac"))
}

/// Changes a file: read, changed and replaced as a whole while its directory is locked; made where it is missing.
pub(super) fn change<T>(path: &Path, change: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    // A symbolic link stays one.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .on("make", directory)?;
    let lock = fs::File::open(directory).on("open", directory)?;
    lock.lock().on("lock", directory)?;
    let _ = fs::remove_file(temporary(path));
    let mut file = File::read(path)?.unwrap_or_else(|| File {
        path: path.clone(),
        content: Map::new(),
    });
    let before = file.content.clone();
    let result = change(&mut file)?;
    if file.content != before {
        file.write(path)?;
    }
    Ok(result)
}

/// What an entry of `auths` holds; `None` for an empty one, as docker leaves it where a helper has the secret.
fn credential(entry: &Value) -> Result<Option<Credential>, &'static str> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::IdentityToken(token.to_owned())));
    }
    if let Some(auth) = text("auth") {
        let bytes = BASE64_STANDARD
            .decode(auth.trim())
            .map_err(|_| "\"auth\" isn't base64")?;
        let decoded = String::from_utf8(bytes).map_err(|_| "\"auth\" isn't text")?;
        let (user, password) = decoded.split_once(':').ok_or("\"auth\" isn't user:password")?;
        return Ok(Some(Credential::Password {
            user: user.to_owned(),
            // docker's files may end in zero bytes.
            password: password.trim_end_matches('\0').to_owned(),
        }));
    }
    match (text("username"), text("password")) {
        (Some(user), Some(password)) => Ok(Some(Credential::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })),
        _ => Ok(None),
    }
}
