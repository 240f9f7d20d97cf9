//! Manifests on their way between registries and image layouts, as they are: artifacts, which the store doesn't take, and
//! what an index names.

use crate::error::Failure;
use std::io::Read;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::Descriptor;
use wiac_oci::reference::Reference;
use wiac_registry::Client;
use wiac_store::transfer::BlobSource;

/// Blobs in a repository of a registry.
pub(crate) struct Repository<'c> {
    /// The registry.
    pub(crate) client: &'c Client,
    /// A name of the repository.
    pub(crate) reference: &'c Reference,
}

impl Repository<'_> {
    /// A manifest of the repository.
    ///
    /// # Errors
    /// Where it isn't there.
    pub(crate) fn manifest(&self, digest: &Digest) -> wiac_store::Result<Vec<u8>> {
        let found = self
            .client
            .manifest(&self.reference.clone().with_digest(digest.clone()));
        found.map(|found| found.bytes).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &wiac_registry::Error) -> wiac_store::Error {
        wiac_store::Error::Image {
            image: self.reference.familiar(),
            reason: error.to_string(),
        }
    }
}

impl BlobSource for Repository<'_> {
    fn blob<'s>(&'s self, blob: &Descriptor, from: u64) -> wiac_store::Result<Box<dyn Read + 's>> {
        let found = self.client.blob(self.reference, blob, from);
        Ok(Box::new(found.map_err(|error| self.wrong(&error))?))
    }
}

/// Where manifests are sent.
pub(crate) struct Target<'t> {
    /// The registry.
    pub(crate) client: &'t Client,
    /// The repository, and the tag or digest that the manifest gets.
    pub(crate) to: &'t Reference,
    /// Whether nothing is said of each blob.
    pub(crate) quiet: bool,
}

impl Target<'_> {
    /// Sends the blobs that the repository hasn't got, then the manifest. `from`: a repository that may have them, if the
    /// source is one.
    ///
    /// # Errors
    /// What one of the two sides says.
    pub(crate) fn send(
        &self,
        source: &dyn BlobSource,
        from: Option<&Reference>,
        (descriptor, manifest): (&Descriptor, &[u8]),
        blobs: &[&Descriptor],
    ) -> Result<(), Failure> {
        self.send_blobs(source, from, blobs)?;
        self.client.put_manifest(self.to, &descriptor.media_type, manifest)?;
        Ok(())
    }

    /// Sends the blobs that the repository hasn't got.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub(crate) fn send_blobs(
        &self,
        source: &dyn BlobSource,
        from: Option<&Reference>,
        blobs: &[&Descriptor],
    ) -> Result<(), Failure> {
        let Self { client, to, quiet } = *self;
        for blob in blobs {
            let mounted = |from: &Reference| client.mount_blob(to, from, &blob.digest);
            if client.has_blob(to, blob)? || from.map_or(Ok(false), mounted)? {
                continue;
            }
            let open = |at: u64| source.blob(blob, at).map_err(std::io::Error::other);
            client.upload(to, blob, &open, &|_| {})?;
            if !quiet {
                eprintln!("{}: {}: sent", blob.digest.short(), crate::format::size(blob.size));
            }
        }
        Ok(())
    }
}
