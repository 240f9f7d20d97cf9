//! Secrets: they are in memory alone while a step runs, in a file system that no other process sees.

use super::super::worker::Worker;
use super::{Ready, own_namespace};
use crate::error::{Error, IoExt, Result};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use wiac_dockerfile::Mount;

/// As much as docker takes.
const MOST: u64 = 500 << 10;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A file.
    File(PathBuf),
    /// A variable of the caller's environment.
    Variable(String),
}

impl Worker<'_, '_> {
    /// Shows a secret to the step: as a file, as a variable, or both.
    pub(super) fn secret(
        &mut self,
        ready: &mut Ready,
        mount: &Mount,
        target: Option<&Path>,
        room: &Path,
    ) -> Result<()> {
        let Mount::Secret {
            id,
            env,
            required,
            mode,
            uid,
            gid,
            ..
        } = mount
        else {
            return Err(Error::wrong("this is no secret"));
        };
        let Some(value) = self.secret_value(id)? else {
            if !required {
                return Ok(());
            }
            let names: Vec<&str> = self.shared.request.secrets.keys().map(String::as_str).collect();
            let hint = wiac_suggest::nearest(id, names.iter().copied()).map_or_else(
                || format!("give it by --secret id={id},src=FILE or --secret id={id},env=NAME"),
                |nearest| format!("--secret gives {nearest}: did you mean that?"),
            );
            return Err(Error::wrong_with_hint(
                format!("the secret {id} is required, and none was given"),
                hint,
            ));
        };
        if let Some(name) = env {
            let text = String::from_utf8(value.clone());
            let text = text.map_err(|_| Error::wrong(format!("the secret {id} is no text: it can't be a variable")))?;
            ready.environment.push(format!("{name}={text}"));
        }
        let Some(target) = target else { return Ok(()) };
        std::fs::create_dir_all(room).on("create", room)?;
        let memory = room.join("memory");
        ready.attached.push(own_namespace::memory(&memory)?);
        let path = memory.join("secret");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .on("create", &path)?;
        file.write_all(&value).on("write", &path)?;
        fchown(&file, Some(*uid), Some(*gid)).on("change the owner of", &path)?;
        let permissions = std::fs::Permissions::from_mode(*mode);
        file.set_permissions(permissions).on("change the mode of", &path)?;
        ready.bind(&path, target, true);
        Ok(())
    }

    /// What a secret is; `None` where none was given.
    fn secret_value(&self, id: &str) -> Result<Option<Vec<u8>>> {
        match self.shared.request.secrets.get(id) {
            None => Ok(None),
            Some(Secret::Variable(name)) => {
                let value = std::env::var_os(name);
                let value = value.ok_or_else(|| {
                    let message = format!("the secret {id} comes from the variable {name}, which isn't set");
                    Error::wrong_with_hint(message, "set it, or give the secret by src=FILE")
                })?;
                Ok(Some(OsStr::as_bytes(&value).to_vec()))
            }
            Some(Secret::File(path)) => {
                let size = std::fs::metadata(path).on("read the secret", path)?.len();
                if size > MOST {
                    let message = format!("the secret {id} is larger than 500 KiB: {}", path.display());
                    return Err(Error::wrong_with_hint(message, "show such a file by a bind mount"));
                }
                std::fs::read(path).on("read the secret", path).map(Some)
            }
        }
    }
}
