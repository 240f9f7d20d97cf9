//! The face of the crate: one method for each thing that can be asked of a registry.

use crate::blob::{self, Blob};
use crate::error::Result;
use crate::manifest::{self, Fetched};
use crate::session::Session;
use crate::settings::Settings;
use std::sync::Arc;
use wiac_oci::manifest::Descriptor;
use wiac_oci::reference::Reference;

/// Asks registries. Cheap until the first request; clones share connections, tokens and what is known of hosts.
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
}

impl Client {
    /// A client that goes by these settings; nothing is read yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            session: Arc::new(Session::new(settings)),
        }
    }

    /// What a written name may mean, in the order to try: an alias of registries.conf, the registries it searches, or
    /// docker.io.
    ///
    /// # Errors
    /// For what is no name, and for short names that registries.conf wants chosen.
    pub fn candidates(&self, name: &str) -> Result<Vec<Reference>> {
        self.session.config.candidates(name)
    }

    /// Fetches the manifest or index that a reference means, from the first of its mirrors that has it.
    ///
    /// The digest is compared with the reference's and with the one that the registry announces, and the media type
    /// with the document.
    ///
    /// # Errors
    /// Everything that can go wrong with a registry; what policy.json and registries.conf forbid.
    pub fn manifest(&self, reference: &Reference) -> Result<Fetched> {
        manifest::fetch(&self.session, reference)
    }

    /// Opens a blob of a repository, from the byte `from` on.
    ///
    /// # Errors
    /// Where it isn't there, or has another size than the descriptor says.
    pub fn blob(&self, reference: &Reference, descriptor: &Descriptor, from: u64) -> Result<Blob> {
        Blob::open(&self.session, reference, descriptor, from)
    }

    /// True where the repository (or a mirror of it) has the blob.
    ///
    /// # Errors
    /// Where it can't be asked.
    pub fn has_blob(&self, reference: &Reference, descriptor: &Descriptor) -> Result<bool> {
        blob::exists_anywhere(&self.session, reference, descriptor)
    }
}
