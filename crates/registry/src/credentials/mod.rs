//! Who we are to a registry: podman's auth.json, docker's config.json and credential helpers, read and written.
//!
//! containers-auth.json(5); docker's `config.json`; the protocol of `docker-credential-*` programs.

mod file;
mod helper;

use crate::error::{Error, Result};
use crate::settings::CredentialFiles;
use file::File;
use helper::Helper;
use std::fmt;
use std::path::PathBuf;

/// What proves to a registry who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user's name and password (or access token in its place).
    Password {
        /// The user.
        user: String,
        /// Their password.
        password: String,
    },
    /// A token that a token server exchanges for others (docker's "identity token").
    IdentityToken(String),
}

impl fmt::Debug for Credential {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

/// Finds the credential for a repository: the narrowest key of the first file that has one.
///
/// # Errors
/// Files that can't be read or understood, helpers that fail.
pub fn find(files: &CredentialFiles, registry: &str, repository: &str) -> Result<Option<Credential>> {
    for path in &files.read {
        if files.must_exist && !path.exists() {
            return Err(Error::configuration(path, "there is no such file"));
        }
        if let Some(file) = File::read(path)?
            && let Some(credential) = file.find(registry, repository, files.helper_path.as_deref())?
        {
            return Ok(Some(credential));
        }
    }
    Ok(None)
}

/// Writes a credential under `key`: a registry, or a registry with a part of a path. Returns the file or the helper's
/// name that keeps it now.
///
/// # Errors
/// Where it can't be written; then the file is as it was.
pub fn store(files: &CredentialFiles, key: &str, credential: &Credential) -> Result<String> {
    file::change(&files.written, |file| {
        if let Some(helper) = file.helper(key) {
            Helper::new(&helper, files.helper_path.as_deref())?.store(key, credential)?;
            return Ok(format!("docker-credential-{helper}"));
        }
        file.insert(key, credential);
        Ok(files.written.display().to_string())
    })
}

/// Takes the credentials under `key` away, from every file that would be read. Returns where there were any.
///
/// # Errors
/// Where a file can't be read or written.
pub fn erase(files: &CredentialFiles, key: &str) -> Result<Vec<PathBuf>> {
    let mut paths = files.read.clone();
    if !paths.contains(&files.written) {
        paths.push(files.written.clone());
    }
    let mut found = Vec::new();
    for path in paths {
        let Some(file) = File::read(&path)? else { continue };
        let from_helper = match file.helper(key) {
            Some(helper) => Helper::new(&helper, files.helper_path.as_deref())?.erase(key)?,
            None => false,
        };
        let from_file = file.holds(key);
        if from_file {
            file::change(&path, |file| {
                file.remove(key);
                Ok(())
            })?;
        }
        if from_helper || from_file {
            found.push(path);
        }
    }
    Ok(found)
}

/// Takes all credentials away that the files themselves have; what helpers keep is theirs.
///
/// # Errors
/// As [`erase`].
pub fn erase_all(files: &CredentialFiles) -> Result<()> {
    for path in files.read.iter().chain([&files.written]).filter(|path| path.exists()) {
        file::change(path, |file| {
            file.clear();
            Ok(())
        })?;
    }
    Ok(())
}

/// The registry (or path) that a key of any tool means: `https://index.docker.io/v1/` is `docker.io`.
fn normal(key: &str) -> &str {
    let without_scheme = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let name = match without_scheme {
        // docker's old form: only the host counts.
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => key.trim_end_matches('/'),
    };
    match name {
        "index.docker.io" | "registry-1.docker.io" | "index.docker.io/v1" => "docker.io",
        other => other,
    }
}

/// The keys under which a repository's credential may be, narrowest first.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let whole = if repository.is_empty() {
        registry.to_owned()
    } else {
        format!("{registry}/{repository}")
    };
    let mut keys = Vec::new();
    let mut rest = whole.as_str();
    loop {
        keys.push(rest.to_owned());
        match rest.rsplit_once('/') {
            Some((parent, _)) => rest = parent,
            None => return keys,
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
