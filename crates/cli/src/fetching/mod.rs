//! Files of the web and git repositories, for ADD and for build contexts.

pub(crate) mod git;

use crate::error::Failure;
use crate::registry::RegistryOptions;
use std::path::Path;
use wiac_build::fetch::{self, Fetcher, Surroundings};
use wiac_build::{Error, Result};
use wiac_dockerfile::remote::GitSource;
use wiac_registry::{Client, Download};

/// Fetches over the network, with the settings that registries are asked with.
pub(crate) struct Network {
    client: Client,
}

impl Network {
    /// Nothing is asked, and no certificate read, before the first request.
    pub(crate) fn new(uid: u32) -> Self {
        Self {
            client: RegistryOptions::default().client(uid),
        }
    }

    /// Opens a file of the web, whatever is known of it.
    ///
    /// # Errors
    /// Where it can't be had.
    pub(crate) fn open(&self, address: &str) -> std::result::Result<wiac_registry::WebFile, Failure> {
        match self.client.download(address, &wiac_registry::Validators::default())? {
            Download::File(file) => Ok(*file),
            Download::Unchanged => Err(Failure::new(format!("{address}: nothing comes"))),
        }
    }
}

impl Fetcher for Network {
    fn download<'f>(&'f self, address: &str, known: &fetch::Validators) -> Result<fetch::Download<'f>> {
        let known = wiac_registry::Validators {
            etag: known.etag.clone(),
            last_modified: known.last_modified.clone(),
        };
        let answer = self.client.download(address, &known);
        match answer.map_err(|error| Error::wrong(error.to_string()))? {
            Download::Unchanged => Ok(fetch::Download::Unchanged),
            Download::File(file) => Ok(fetch::Download::File {
                validators: fetch::Validators {
                    etag: file.validators.etag.clone(),
                    last_modified: file.validators.last_modified.clone(),
                },
                modified: file.modified.and_then(|second| i64::try_from(second).ok()),
                body: file,
            }),
        }
    }

    fn resolve(&self, git: &GitSource, around: &dyn Surroundings) -> Result<String> {
        git::resolve(git, around).map_err(|failure| Error::wrong(failure.to_string()))
    }

    fn checkout(
        &self,
        git: &GitSource,
        commit: &str,
        keep_git_dir: bool,
        into: &Path,
        around: &dyn Surroundings,
    ) -> Result<()> {
        git::checkout(git, commit, keep_git_dir, into, around).map_err(|failure| Error::wrong(failure.to_string()))
    }
}
