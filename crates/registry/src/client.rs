//! The face of the crate: one method for each thing that can be asked of a registry.

use crate::blob::{self, Blob};
use crate::config::{Endpoint, Purpose};
use crate::download::{self, Download, Validators};
use crate::error::{Error, Result};
use crate::manifest::{self, Fetched};
use crate::publish::{self, Thing};
use crate::session::Session;
use crate::settings::Settings;
use crate::upload::{self, Source, push_scope};
use crate::{credentials, list, login, referrers};
use std::path::PathBuf;
use std::sync::Arc;
use wiac_oci::digest::Digest;
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

    /// Whether [`Ender::end`](crate::Ender::end) was called.
    pub fn is_ended(&self) -> bool {
        self.session.settings.ending.is_ended()
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

    /// Asks for a file of the web, by a whole address. `known`: what it was before, where it is known.
    ///
    /// # Errors
    /// Where it isn't there, or can't be asked for.
    pub fn download(&self, address: &str, known: &Validators) -> Result<Download> {
        download::download(&self.session, address, known)
    }

    /// Asks what a reference means at present, without fetching it: to see whether something is newer. Only the word of
    /// the registry; docker.io doesn't count it as a pull.
    ///
    /// # Errors
    /// As [`Self::manifest`].
    pub fn head(&self, reference: &Reference) -> Result<Descriptor> {
        manifest::head(&self.session, reference)
    }

    /// True where the repository has the blob, mirrors aside: it needn't be sent.
    ///
    /// # Errors
    /// Where it can't be asked.
    pub fn has_blob(&self, to: &Reference, descriptor: &Descriptor) -> Result<bool> {
        let endpoint = self.target(to)?;
        blob::exists(
            &self.session,
            &endpoint,
            descriptor,
            &[push_scope(&endpoint.repository)],
        )
    }

    /// Makes a blob of `from`, another repository of the same registry, one of `to`'s. False where the registry
    /// doesn't do that, or hasn't got it: then it has to be sent.
    ///
    /// # Errors
    /// Where it can't be asked.
    pub fn mount_blob(&self, to: &Reference, from: &Reference, digest: &Digest) -> Result<bool> {
        let (endpoint, other) = (self.target(to)?, self.target(from)?);
        if endpoint.authority != other.authority || endpoint.repository == other.repository {
            return Ok(false);
        }
        upload::mount(&self.session, &endpoint, &other.repository, digest)
    }

    /// Sends a blob. `source` opens its bytes from an offset on, again after a lost connection; `progress` hears how
    /// many are on their way, fewer than before after one.
    ///
    /// # Errors
    /// What the registry refuses, a connection that is lost too often, a source that fails or ends too early.
    pub fn upload(
        &self,
        to: &Reference,
        descriptor: &Descriptor,
        source: &Source,
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        upload::upload(&self.session, &self.target(to)?, descriptor, source, progress)
    }

    /// Puts a manifest or index under the reference's tag, or under its own digest where that has no tag. To be called
    /// after everything it names is there.
    ///
    /// # Errors
    /// What the registry refuses; a digest in the reference that isn't that of the bytes.
    pub fn put_manifest(&self, to: &Reference, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let endpoint = self.target(to)?;
        let digest = to.digest().cloned().unwrap_or_else(|| Digest::sha256(bytes));
        digest
            .verify(bytes)
            .map_err(|error| Error::Name(format!("{to} can't be put: {error}")))?;
        let name = to.tag().unwrap_or(digest.as_str());
        publish::put(&self.session, &endpoint, name, media_type, bytes)
    }

    /// Takes a manifest away, with all its tags (by digest), or one tag where the registry can do that.
    ///
    /// # Errors
    /// Where it isn't there, or the registry doesn't delete.
    pub fn delete_manifest(&self, reference: &Reference) -> Result<()> {
        let endpoint = self.target(reference)?;
        publish::delete(&self.session, &endpoint, Thing::Manifest, reference.tag_or_digest())
    }

    /// Takes a blob away from a repository.
    ///
    /// # Errors
    /// Where it isn't there, or the registry doesn't delete.
    pub fn delete_blob(&self, reference: &Reference, digest: &Digest) -> Result<()> {
        let endpoint = self.target(reference)?;
        publish::delete(&self.session, &endpoint, Thing::Blob, digest.as_str())
    }

    /// All tags of a repository, as the registry orders them.
    ///
    /// # Errors
    /// Where there is no such repository, or it can't be asked.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>> {
        let endpoints = self.session.config.endpoints(reference, Purpose::Pull)?;
        manifest::at_each(&endpoints, |endpoint| list::tags(&self.session, endpoint))
    }

    /// The repositories of a registry with `part` in their names, at most `most`.
    ///
    /// # Errors
    /// Where the registry has no such list (docker.io hasn't), or can't be asked.
    pub fn catalog(&self, registry: &str, part: &str, most: usize) -> Result<Vec<String>> {
        let endpoint = self.registry(registry)?;
        list::catalog(&self.session, &endpoint, part, most).map_err(|failure| failure.error)
    }

    /// What refers to the manifest of a digest (signatures and the like), all or of one type. From the API, or from
    /// the tag that older registries have in its place.
    ///
    /// # Errors
    /// Where the registry can't be asked.
    pub fn referrers(
        &self,
        reference: &Reference,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let endpoints = self.session.config.endpoints(reference, Purpose::Pull)?;
        manifest::at_each(&endpoints, |endpoint| {
            referrers::list(&self.session, endpoint, digest, artifact_type)
        })
    }

    /// Checks that a registry takes a user's password, and only then stores it. `key` is the registry, perhaps with a
    /// part of a path. Returns where it is kept now.
    ///
    /// # Errors
    /// Where the registry says no, or it can't be stored.
    pub fn login(&self, key: &str, user: &str, password: &str) -> Result<String> {
        let stored = login::login(&self.session, key, user, password)?;
        self.session.auth.forget();
        Ok(stored)
    }

    /// The user whose password or identity token is stored for a registry (`<token>` for the latter); nobody is asked.
    ///
    /// # Errors
    /// Files that can't be read, helpers that fail.
    pub fn stored_user(&self, key: &str) -> Result<Option<String>> {
        Ok(login::stored(&self.session, key)?.map(|(user, _)| user))
    }

    /// Tries the password that is stored for a registry, of this user where one is named; `None` where there is none, or the
    /// registry doesn't take it.
    ///
    /// # Errors
    /// Where the registry can't be asked.
    pub fn login_as_stored(&self, key: &str, user: Option<&str>) -> Result<Option<String>> {
        let Some((known, Some(password))) = login::stored(&self.session, key)? else {
            return Ok(None);
        };
        if user.is_some_and(|user| user != known) {
            return Ok(None);
        }
        match login::attempt(&self.session, key, &known, &password) {
            Ok(()) => Ok(Some(known)),
            Err(Error::Unauthorized { .. } | Error::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets what the files have stored for all registries.
    ///
    /// # Errors
    /// As [`Self::logout`].
    pub fn logout_of_all(&self) -> Result<()> {
        credentials::erase_all(&self.session.settings.credentials)?;
        self.session.auth.forget();
        Ok(())
    }

    /// Forgets what is stored for a registry; returns the files that had something.
    ///
    /// # Errors
    /// Where a file can't be read or written.
    pub fn logout(&self, key: &str) -> Result<Vec<PathBuf>> {
        let found = credentials::erase(&self.session.settings.credentials, login::check_key(key)?)?;
        self.session.auth.forget();
        Ok(found)
    }

    /// Where writing goes: to the registry itself.
    fn target(&self, reference: &Reference) -> Result<Endpoint> {
        let mut endpoints = self.session.config.endpoints(reference, Purpose::Push)?;
        let own = endpoints.pop();
        own.ok_or_else(|| Error::Name(format!("there is nowhere to send {reference}")))
    }

    fn registry(&self, registry: &str) -> Result<Endpoint> {
        self.session.config.registry(login::check_key(registry)?)
    }
}
