//! One place to ask for a repository.

use crate::http::{Headers, HostFiles, Url};
use wiac_oci::reference::DEFAULT_REGISTRY;

/// How much a connection must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// HTTPS with a certificate that is right.
    Strict,
    /// The same, or plain HTTP: this machine itself.
    PlainAllowed,
    /// Any certificate, or plain HTTP: as somebody said in so many words.
    Insecure,
    /// Plain HTTP, as somebody wrote `http://`.
    Plain,
}

/// One place to ask for a repository.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The registry's name, as credentials and messages have it: `docker.io`.
    pub(crate) registry: String,
    /// Where it listens: `registry-1.docker.io`.
    pub(crate) authority: String,
    /// What stands before the repository, mostly `/v2/`.
    pub(crate) base: String,
    /// The repository there.
    pub(crate) repository: String,
    /// How much a connection must prove.
    pub(crate) security: Security,
    /// Not the registry that the reference names.
    pub(crate) is_mirror: bool,
    /// A parameter that tells a mirror for whom it stands (`ns`), as containerd sends it.
    pub(crate) namespace: Option<String>,
    /// Certificates that are named for it.
    pub(crate) files: HostFiles,
    /// Headers that are sent to it, and to nobody else.
    pub(crate) headers: Headers,
}

impl Endpoint {
    pub(crate) fn new(registry: &str, repository: &str, security: Security, is_mirror: bool) -> Self {
        let is_hub = matches!(registry, DEFAULT_REGISTRY | "index.docker.io");
        Self {
            registry: registry.to_owned(),
            authority: if is_hub { "registry-1.docker.io" } else { registry }.to_ascii_lowercase(),
            base: "/v2/".to_owned(),
            repository: repository.to_owned(),
            security,
            is_mirror,
            namespace: None,
            files: HostFiles::default(),
            headers: Headers::default(),
        }
    }

    /// The address of something in the repository: `manifests/latest`.
    pub(crate) fn url(&self, https: bool, rest: &str) -> Url {
        let path = format!("{}{}/{rest}", self.base, self.repository);
        self.at(https, path)
    }

    /// The address of something of the registry itself: empty for the test of the protocol's version.
    pub(crate) fn root(&self, https: bool, rest: &str) -> Url {
        self.at(https, format!("{}{rest}", self.base))
    }

    fn at(&self, https: bool, path: String) -> Url {
        let url = Url {
            https,
            authority: self.authority.clone(),
            path,
        };
        match &self.namespace {
            Some(namespace) => url.with_query("ns", namespace),
            None => url,
        }
    }

    /// The repository as people call it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// True where certificates are checked.
    pub(crate) fn verifies(&self) -> bool {
        self.security != Security::Insecure
    }
}
