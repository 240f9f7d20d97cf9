//! A file of the web in ADD: what it is, as far as possible without fetching it, and its bytes where they are needed.
//!
//! As in BuildKit (source/http): with a checksum nobody is asked; otherwise the server is asked whether the file is
//! what it was the last time, and only another one comes.

use super::add::shown_address;
use super::tree::Picked;
use super::worker::Shared;
use crate::context::Source;
use crate::error::{Error, IoExt, Result};
use crate::fetch::{Download, Validators};
use crate::key::KeyMaker;
use rustix::fs::Mode;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use wiac_dockerfile::remote::file_name;
use wiac_oci::digest::{Algorithm, Digest, Hasher};
use wiac_store::Store;
use wiac_sys::root::Root;
use wiac_sys::times;

/// A file of the web.
pub(super) struct WebFile {
    address: String,
    /// What it gets called.
    name: String,
    /// Of its bytes.
    digest: Digest,
    /// It has to have this digest, whatever the server has.
    is_fixed: bool,
    /// When it was changed; `None` where it is fetched by its checksum and that isn't known yet.
    modified: Option<i64>,
    /// A directory of its own.
    directory: PathBuf,
    /// It lies in the directory.
    is_here: bool,
}

/// What is remembered of an address.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    validators: Validators,
    digest: Digest,
    modified: i64,
}

impl WebFile {
    /// Finds out what the file at `address` is. `directory` is empty, and the file goes there if it comes.
    pub(super) fn resolve(
        shared: &Shared<'_>,
        address: String,
        checksum: Option<&str>,
        is_forced: bool,
        directory: PathBuf,
    ) -> Result<Self> {
        let name = file_name(&address);
        if let Some(text) = checksum {
            let digest = text.parse::<Digest>().map_err(|error| {
                Error::wrong_with_hint(
                    format!("--checksum={text}: {error}"),
                    "write it as sha256: and 64 hexadecimal digits",
                )
            })?;
            return Ok(Self {
                address,
                name,
                digest,
                is_fixed: true,
                modified: None,
                directory,
                is_here: false,
            });
        }
        let known = if is_forced {
            None
        } else {
            remembered(shared.store, &address)?
        };
        let asked = known.as_ref().map(|known| known.validators.clone()).unwrap_or_default();
        match (shared.fetcher.download(&address, &asked)?, known) {
            (Download::Unchanged, Some(known)) => Ok(Self {
                address,
                name,
                digest: known.digest,
                is_fixed: false,
                modified: Some(known.modified),
                directory,
                is_here: false,
            }),
            (Download::Unchanged, None) => Err(Error::wrong(format!(
                "{}: its server says that it hasn't changed, which nobody asked",
                shown_address(&address)
            ))),
            (
                Download::File {
                    validators,
                    modified,
                    body,
                },
                _,
            ) => {
                // As in BuildKit: without a date it is from 1970.
                let modified = modified.unwrap_or(0);
                let digest = write(
                    shared,
                    &directory.join(&name),
                    body,
                    modified,
                    Algorithm::Sha256,
                    &address,
                )?;
                remember(
                    shared.store,
                    &address,
                    &Known {
                        validators,
                        digest: digest.clone(),
                        modified,
                    },
                )?;
                Ok(Self {
                    address,
                    name,
                    digest,
                    is_fixed: false,
                    modified: Some(modified),
                    directory,
                    is_here: true,
                })
            }
        }
    }

    /// Adds what the file is. With a checksum its time doesn't count: it isn't known without asking.
    pub(super) fn add_to_key(&self, key: &mut KeyMaker) {
        key.add("web");
        key.add(&self.name);
        key.add(self.digest.as_str());
        key.add(format!("{:?}", self.modified.filter(|_| !self.is_fixed)));
    }

    /// Gets the bytes, unless they are here. `false` where they aren't any more what was said of them a moment ago.
    pub(super) fn fetch(&mut self, shared: &Shared<'_>) -> Result<bool> {
        if self.is_here {
            return Ok(true);
        }
        let Download::File { modified, body, .. } = shared.fetcher.download(&self.address, &Validators::default())?
        else {
            return Err(Error::wrong(format!("{}: nothing comes", shown_address(&self.address))));
        };
        let modified = modified.unwrap_or(0);
        let algorithm = self.digest.algorithm();
        let found = write(
            shared,
            &self.directory.join(&self.name),
            body,
            modified,
            algorithm,
            &self.address,
        )?;
        if found == self.digest {
            self.is_here = true;
            return Ok(true);
        }
        if self.is_fixed {
            return Err(Error::wrong_with_hint(
                format!(
                    "{} isn't what --checksum says: it has {found}, and {} is expected",
                    shown_address(&self.address),
                    self.digest
                ),
                "find out why it changed before you take the new checksum",
            ));
        }
        self.is_here = true;
        Ok(false)
    }

    /// The file as a source to copy from.
    pub(super) fn source(&self) -> Result<(Source, Picked)> {
        let root = Root::open(&self.directory).on("open", &self.directory)?;
        let shown = shown_address(&self.address);
        let picked = Picked {
            name: OsString::from(&self.name),
            path: PathBuf::from(&self.name),
            is_directory: false,
            include: None,
        };
        Ok((Source::tree(root, PathBuf::from(&shown), shown), picked))
    }
}

/// Writes a download to a file, and gives its digest. Nothing of it stays where it breaks off.
fn write(
    shared: &Shared<'_>,
    path: &Path,
    mut body: Box<dyn Read + '_>,
    modified: i64,
    algorithm: Algorithm,
    address: &str,
) -> Result<Digest> {
    // As in BuildKit a download is its owner's alone.
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).on("create", path)?;
    let mut hasher = Hasher::new(algorithm);
    let result = copy(shared, &mut body, (&mut file, path), &mut hasher, address);
    if result.is_err() {
        let _ = std::fs::remove_file(path);
    }
    result?;
    finish(&file, path, modified)?;
    Ok(hasher.finish())
}

fn copy(
    shared: &Shared<'_>,
    body: &mut dyn Read,
    (file, path): (&mut File, &Path),
    hasher: &mut Hasher,
    address: &str,
) -> Result<()> {
    /// A piece of it.
    const PIECE: usize = 128 << 10;
    let mut buffer = vec![0; PIECE];
    loop {
        let count = body
            .read(&mut buffer)
            .map_err(|error| Error::wrong(format!("can't download {}: {error}", shown_address(address))))?;
        if count == 0 {
            return Ok(());
        }
        hasher.update(&buffer[..count]);
        file.write_all(&buffer[..count]).on("write", path)?;
        shared.stop.check()?;
    }
}

/// Mode and time, whatever the umask and the clock say.
fn finish(file: &File, path: &Path, modified: i64) -> Result<()> {
    rustix::fs::fchmod(file, Mode::RUSR | Mode::WUSR).on("change the mode of", path)?;
    rustix::fs::futimens(file, &times::at(modified, 0)).on("set the times of", path)
}

/// Addresses are remembered beside the tables of file hashes: what is lost there is asked again.
fn table_name(address: &str) -> String {
    format!("url-{}", Digest::sha256(address).hex())
}

fn remembered(store: &Store, address: &str) -> Result<Option<Known>> {
    let bytes = store.file_table(&table_name(address))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn remember(store: &Store, address: &str, known: &Known) -> Result<()> {
    if known.validators == Validators::default() {
        // There is nothing to ask with.
        return Ok(());
    }
    let bytes = serde_json::to_vec(known).unwrap_or_default();
    Ok(store.write_file_table(&table_name(address), &bytes)?)
}
