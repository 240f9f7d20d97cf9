//! Where a reference's registry really is, and whether it may be asked: files that other tools share with us.
//!
//! registries.conf comes first; where it says nothing of a name, containerd's hosts.toml does; else the name itself.

mod endpoint;
mod hosts;
mod policy;
mod registries;

pub(crate) use endpoint::{Endpoint, Security};

use crate::error::{Error, Result, read_optional};
use crate::http::url::host_of;
use crate::settings::Settings;
use policy::Policy;
use registries::Registries;
use serde::de::DeserializeOwned;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use wiac_oci::reference::Reference;

/// Files of this kind are smaller.
const LARGEST: u64 = 4 << 20;

/// What an endpoint is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading: mirrors count.
    Pull,
    /// Writing: the registry itself.
    Push,
}

/// The configuration, read when it is first needed.
pub(crate) struct Config {
    settings: Arc<Settings>,
    registries: OnceLock<Result<Registries>>,
    policy: OnceLock<Result<Option<Policy>>>,
}

impl Config {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            registries: OnceLock::new(),
            policy: OnceLock::new(),
        }
    }

    fn registries(&self) -> Result<&Registries> {
        self.registries
            .get_or_init(|| Registries::read(&self.settings.registries))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// What a written name may mean, in the order to try.
    pub(crate) fn candidates(&self, name: &str) -> Result<Vec<Reference>> {
        self.registries()?.candidates(name)
    }

    /// Refuses what policy.json refuses.
    pub(crate) fn check_policy(&self, reference: &Reference) -> Result<()> {
        let policy = self.policy.get_or_init(|| Policy::read(&self.settings.policy));
        match policy.as_ref().map_err(Clone::clone)? {
            Some(policy) => policy.check(reference),
            None => Ok(()),
        }
    }

    /// Where to ask for a reference, the best place first: at least one.
    ///
    /// # Errors
    /// Where the name is blocked, or a file can't be understood.
    pub(crate) fn endpoints(&self, reference: &Reference, purpose: Purpose) -> Result<Vec<Endpoint>> {
        if let Some(found) = self.registries()?.places(reference, purpose)? {
            let with_security = found.into_iter().map(|place| {
                let security = self.security(&place.authority, place.insecure);
                Endpoint::new(&place.authority, &place.repository, security, place.is_mirror)
            });
            return Ok(with_security.collect());
        }
        if let Some(found) = hosts::endpoints(self, reference, purpose)? {
            return Ok(found);
        }
        let registry = reference.registry();
        let security = self.security(registry, false);
        Ok(vec![Endpoint::new(registry, reference.repository(), security, false)])
    }

    /// The registry itself, without a repository.
    pub(crate) fn registry(&self, registry: &str) -> Result<Endpoint> {
        let insecure = self.registries()?.is_insecure(registry);
        Ok(Endpoint::new(registry, "", self.security(registry, insecure), false))
    }

    /// True where plain HTTP to a host is allowed without being asked for.
    pub(crate) fn allows_plain(&self, authority: &str) -> bool {
        self.security(authority, false) != Security::Strict
    }

    pub(crate) fn security(&self, authority: &str, insecure: bool) -> Security {
        match self.settings.tls_verify {
            Some(false) => Security::Insecure,
            None if insecure => Security::Insecure,
            None if is_loopback(authority) => Security::PlainAllowed,
            Some(true) | None => Security::Strict,
        }
    }
}

/// True for this machine itself, which docker takes for insecure without being told.
fn is_loopback(authority: &str) -> bool {
    let host = host_of(authority);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A TOML file; `None` where it is missing.
fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<Option<(T, String)>> {
    let Some(bytes) = read_optional(path, LARGEST)? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| Error::configuration(path, "it isn't UTF-8"))?;
    let value = toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        Error::configuration(path, format!("line {line}: {}", error.message()))
    })?;
    Ok(Some((value, text)))
}
