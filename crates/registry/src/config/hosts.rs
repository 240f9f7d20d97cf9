//! containerd's `hosts.toml`: where else a registry's content may be found, and what it is asked with.
//!
//! containerd: docs/hosts.md.

use super::{Config, Endpoint, Purpose, Security, read_toml};
use crate::error::{Error, Result};
use crate::http::{Headers, HostFiles, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use ureq::http::{HeaderName, HeaderValue};
use wiac_oci::reference::Reference;

#[derive(Debug, Deserialize)]
struct File {
    server: Option<String>,
    #[serde(flatten)]
    own: Host,
    #[serde(default)]
    host: BTreeMap<String, Host>,
}

#[derive(Debug, Default, Clone, Deserialize)]
struct Host {
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    #[serde(default)]
    ca: OneOrMany<PathBuf>,
    #[serde(default)]
    client: Client,
    #[serde(default)]
    header: BTreeMap<String, OneOrMany<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// A file with certificate and key, or both apart; of several the first counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Client {
    One(PathBuf),
    Many(Vec<PathBuf>),
    Pairs(Vec<(PathBuf, PathBuf)>),
}

impl Default for Client {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Host {
    /// The files it names, relative to the directory of its own.
    fn files(&self, directory: &Path) -> HostFiles {
        let authorities = self.ca.as_slice();
        let client = match &self.client {
            Client::One(path) => Some((path, path)),
            Client::Many(paths) => paths.first().map(|path| (path, path)),
            Client::Pairs(pairs) => pairs.first().map(|(certificate, key)| (certificate, key)),
        };
        HostFiles {
            authorities: authorities.iter().map(|path| directory.join(path)).collect(),
            client: client.map(|(certificate, key)| (directory.join(certificate), directory.join(key))),
        }
    }
}

/// What says how a request travels is ours to say.
const NOT_TO_BE_SET: [&str; 6] = [
    "connection",
    "content-length",
    "content-range",
    "host",
    "range",
    "transfer-encoding",
];

impl Host {
    /// The headers it is asked with. Their values may be secrets: no message shows one.
    fn headers(&self, path: &Path) -> Result<Headers> {
        let mut headers = Vec::new();
        for (written, values) in &self.header {
            let wrong = |reason: &str| Error::configuration(path, format!("the header {written:?} {reason}"));
            let name = HeaderName::from_bytes(written.as_bytes()).map_err(|_| wrong("has no valid name"))?;
            if NOT_TO_BE_SET.contains(&name.as_str()) {
                return Err(wrong("can't be set: take it out"));
            }
            for value in values.as_slice() {
                let mut value = HeaderValue::from_str(value).map_err(|_| wrong("has a value that can't be sent"))?;
                value.set_sensitive(true);
                headers.push((name.clone(), value));
            }
        }
        Ok(headers.into())
    }
}

/// Where a host's file sends a reference; `None` where it has none.
pub(super) fn endpoints(config: &Config, reference: &Reference, purpose: Purpose) -> Result<Option<Vec<Endpoint>>> {
    for path in paths(&config.settings.hosts_toml, reference.registry()) {
        if let Some((file, text)) = read_toml::<File>(&path)? {
            return endpoints_of(config, reference, purpose, (&path, file, &text)).map(Some);
        }
    }
    Ok(None)
}

/// As containerd looks for them: with the port in two ways, without, and for all hosts.
fn paths(directories: &[PathBuf], registry: &str) -> Vec<PathBuf> {
    let mut names = Vec::new();
    if let Some((host, port)) = registry.rsplit_once(':') {
        names.extend([format!("{host}_{port}_"), registry.to_owned(), host.to_owned()]);
    } else {
        names.push(registry.to_owned());
    }
    names.push("_default".to_owned());
    let in_directory = |directory: &PathBuf| {
        let directory = directory.clone();
        names
            .iter()
            .map(move |name| directory.join(name).join("hosts.toml"))
            .collect::<Vec<_>>()
    };
    directories.iter().flat_map(in_directory).collect()
}

fn endpoints_of(
    config: &Config,
    reference: &Reference,
    purpose: Purpose,
    (path, file, text): (&Path, File, &str),
) -> Result<Vec<Endpoint>> {
    let serves = |host: &Host| match (&host.capabilities, purpose) {
        (None, _) => true,
        (Some(list), Purpose::Pull) => list.iter().any(|word| word == "pull"),
        (Some(list), Purpose::Push) => list.iter().any(|word| word == "push"),
    };
    // In the order of the file, which the table has forgotten.
    let mut hosts: Vec<_> = file.host.iter().filter(|(_, host)| serves(host)).collect();
    hosts.sort_by_key(|(name, _)| text.find(name.as_str()));
    let mut found = Vec::new();
    for (name, host) in hosts {
        found.push(endpoint(config, reference, path, (name, host))?);
    }
    let own = if let Some(server) = &file.server {
        endpoint(config, reference, path, (server, &file.own))?
    } else {
        let registry = reference.registry();
        let security = config.security(registry, file.own.skip_verify);
        Endpoint {
            files: file.own.files(path.parent().unwrap_or(Path::new("/"))),
            headers: file.own.headers(path)?,
            ..Endpoint::new(registry, reference.repository(), security, false)
        }
    };
    found.push(Endpoint {
        is_mirror: false,
        ..own
    });
    Ok(found)
}

fn endpoint(config: &Config, reference: &Reference, path: &Path, (name, host): (&str, &Host)) -> Result<Endpoint> {
    let whole = if name.contains("://") {
        name.to_owned()
    } else {
        format!("https://{name}")
    };
    let url =
        Url::parse(&whole).map_err(|reason| Error::configuration(path, format!("the host {name:?}: {reason}")))?;
    let registry = reference.registry();
    let own = Endpoint::new(registry, reference.repository(), Security::Strict, false);
    let is_mirror = url.authority != own.authority;
    let security = if url.https {
        config.security(&url.authority, host.skip_verify)
    } else {
        Security::Plain
    };
    let base = url.path.trim_end_matches('/');
    Ok(Endpoint {
        registry: if is_mirror { url.authority.clone() } else { own.registry },
        authority: url.authority.clone(),
        base: if host.override_path {
            format!("{base}/")
        } else {
            format!("{}/v2/", base.strip_suffix("/v2").unwrap_or(base))
        },
        repository: own.repository,
        security,
        is_mirror,
        namespace: is_mirror.then(|| registry.to_owned()),
        files: host.files(path.parent().unwrap_or(Path::new("/"))),
        headers: host.headers(path)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use std::sync::Arc;

    fn endpoints_with(text: &str, registry: &str, purpose: Purpose) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(registry)).unwrap();
        std::fs::write(directory.path().join(registry).join("hosts.toml"), text).unwrap();
        let mut settings = Settings::from_variables(0, |_| None);
        settings.hosts_toml = vec![directory.path().to_owned()];
        let config = Config::new(Arc::new(settings));
        let reference = format!("{registry}/library/alpine:3").parse().unwrap();
        let found = endpoints(&config, &reference, purpose).unwrap().unwrap();
        let shown = found.iter().map(|endpoint| {
            let url = endpoint.url(endpoint.security != Security::Plain, "tags/list");
            format!("{} {:?} {}", url.whole(), endpoint.security, endpoint.is_mirror)
        });
        shown.collect()
    }

    #[test]
    fn hosts_come_in_the_files_order() {
        let text = "server = \"https://registry-1.docker.io\"\n\
                    [host.\"https://z.example\"]\n  capabilities = [\"pull\", \"resolve\"]\n\
                    [host.\"http://a.example:5000/v2/hub\"]\n  override_path = true\n  skip_verify = true\n";
        assert_eq!(
            endpoints_with(text, "docker.io", Purpose::Pull),
            [
                "https://z.example/v2/library/alpine/tags/list?ns=docker.io Strict true",
                "http://a.example:5000/v2/hub/library/alpine/tags/list?ns=docker.io Plain true",
                "https://registry-1.docker.io/v2/library/alpine/tags/list Strict false",
            ]
        );
        assert_eq!(endpoints_with(text, "docker.io", Purpose::Push).len(), 2);
    }

    #[test]
    fn certificates_are_named_in_all_ways() {
        let files = |text: &str| toml::from_str::<Host>(text).unwrap().files(Path::new("/c"));
        let path = |name: &str| PathBuf::from(name);
        let found = files("ca = \"ca.pem\"\nclient = [[\"c.cert\", \"/k/c.key\"]]\n");
        assert_eq!(found.authorities, [path("/c/ca.pem")]);
        assert_eq!(found.client, Some((path("/c/c.cert"), path("/k/c.key"))));
        let found = files("ca = [\"a\", \"/b\"]\nclient = \"both.pem\"\n");
        assert_eq!(found.authorities, [path("/c/a"), path("/b")]);
        assert_eq!(found.client, Some((path("/c/both.pem"), path("/c/both.pem"))));
        assert!(files("").is_empty());
    }

    #[test]
    fn headers_are_read_or_refused() {
        let headers = |text: &str| {
            let host = toml::from_str::<Host>(text).unwrap();
            host.headers(Path::new("/c/hosts.toml"))
        };
        let found = headers("[header]\nx-team = \"a\"\nX-Key = [\"b\", \"c\"]\n").unwrap();
        let mut shown: Vec<_> = found
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        shown.sort();
        assert_eq!(shown, ["x-key=b", "x-key=c", "x-team=a"]);
        assert!(headers("").unwrap().is_empty());
        for (text, complaint) in [
            ("[header]\nHost = \"evil\"\n", "the header \"Host\" can't be set"),
            ("[header]\n\"a b\" = \"x\"\n", "the header \"a b\" has no valid name"),
            (
                "[header]\nx = \"a\\nsecret\"\n",
                "the header \"x\" has a value that can't be sent",
            ),
        ] {
            let said = headers(text).unwrap_err().to_string();
            assert!(
                said.contains(complaint) && said.contains("hosts.toml") && !said.contains("secret"),
                "{said}"
            );
        }
    }

    #[test]
    fn files_are_found_by_host_and_port() {
        let names = paths(&["/c".into()], "r.example:5000");
        let names: Vec<_> = names.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "/c/r.example_5000_/hosts.toml",
                "/c/r.example:5000/hosts.toml",
                "/c/r.example/hosts.toml",
                "/c/_default/hosts.toml"
            ]
        );
    }
}
