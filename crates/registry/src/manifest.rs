//! Manifests and indexes: fetched, compared with their digest, and made sure to be what they say.

use crate::config::{Endpoint, Purpose};
use crate::error::{Error, Result, one_line};
use crate::http::{Answer, Failure};
use crate::session::{Hop, Session, Tries};
use serde::Deserialize;
use serde::de::IgnoredAny;
use ureq::http::Method;
use wiac_oci::digest::{Algorithm, Digest, Hasher};
use wiac_oci::manifest::{Descriptor, media_type};
use wiac_oci::reference::Reference;

/// The largest manifest, as registries have it.
pub(crate) const LARGEST: u64 = 4 << 20;

/// What we can read, the best first: registries that convert look at it.
const ACCEPTED: [&str; 4] = [
    media_type::MANIFEST,
    media_type::INDEX,
    media_type::DOCKER_MANIFEST,
    media_type::DOCKER_INDEX,
];

/// A manifest or index, with the bytes that have its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The document, byte for byte.
    pub bytes: Vec<u8>,
    /// The registry that gave it; a mirror's, where one did.
    pub from: String,
}

/// Tries an operation at every endpoint until one succeeds: mirrors that fail are passed over.
pub(crate) fn at_each<T>(
    endpoints: &[Endpoint],
    mut attempt: impl FnMut(&Endpoint) -> Result<T, Failure>,
) -> Result<T> {
    let mut first = None;
    for endpoint in endpoints {
        match attempt(endpoint) {
            Ok(value) => return Ok(value),
            // The registry itself is the last, and its answer the one that counts.
            Err(failure) if !endpoint.is_mirror => return Err(failure.error),
            Err(failure) => first = first.or(Some(failure.error)),
        }
    }
    Err(first.unwrap_or_else(|| Error::Name("there is nowhere to ask".to_owned())))
}

/// Fetches what a reference means.
pub(crate) fn fetch(session: &Session, reference: &Reference) -> Result<Fetched> {
    session.config.check_policy(reference)?;
    let endpoints = session.config.endpoints(reference, Purpose::Pull)?;
    at_each(&endpoints, |endpoint| fetch_at(session, endpoint, reference))
}

pub(crate) fn fetch_at(session: &Session, endpoint: &Endpoint, reference: &Reference) -> Result<Fetched, Failure> {
    let mut tries = Tries::new(&session.settings);
    loop {
        match fetch_once(session, endpoint, reference) {
            // It broke off in the middle.
            Err(failure) if failure.again => {
                if !tries.pause_after_loss() {
                    return Err(Failure::fatal(tries.lost(failure.error)));
                }
            }
            result => return result,
        }
    }
}

fn fetch_once(session: &Session, endpoint: &Endpoint, reference: &Reference) -> Result<Fetched, Failure> {
    let answer = request(session, endpoint, reference, Method::GET)?;
    let shown = shown(endpoint, reference);
    let announced = answer.header("docker-content-digest").map(str::to_owned);
    let media_type = answer.media_type();
    let is_page = media_type
        .as_deref()
        .is_some_and(|media_type| media_type.contains("html"));
    let url = answer.url.clone();
    let bytes = answer.document(LARGEST, "the manifest")?;
    let damaged = |reason: String| Error::Damaged {
        registry: endpoint.registry.clone(),
        what: shown.clone(),
        reason,
    };
    if let Some(digest) = reference.digest() {
        digest.verify(&bytes).map_err(|error| damaged(error.to_string()))?;
    }
    let digest = digest_of(&bytes, reference, announced.as_deref()).map_err(damaged)?;
    if is_page || bytes.trim_ascii_start().starts_with(b"<") {
        return Err(Error::broken(url, "it sends a web page where a manifest belongs: is it a registry?").into());
    }
    let media_type = check_type(&bytes, media_type).map_err(|reason| Error::broken(url, reason))?;
    Ok(Fetched {
        descriptor: Descriptor::new(media_type, digest, bytes.len() as u64),
        bytes,
        from: endpoint.registry.clone(),
    })
}

/// The descriptor of what a reference means, without its bytes. What it says isn't verified by anything.
pub(crate) fn head(session: &Session, reference: &Reference) -> Result<Descriptor> {
    session.config.check_policy(reference)?;
    let endpoints = session.config.endpoints(reference, Purpose::Pull)?;
    at_each(&endpoints, |endpoint| {
        let answer = request(session, endpoint, reference, Method::HEAD)?;
        let announced = answer
            .header("docker-content-digest")
            .and_then(|text| text.parse().ok());
        let digest = announced.or_else(|| reference.digest().cloned());
        match (digest, answer.length(), answer.media_type()) {
            (Some(digest), Some(size), Some(media_type)) => Ok(Descriptor::new(media_type, digest, size)),
            // A registry that doesn't say it has to be asked for the whole.
            _ => Ok(fetch_at(session, endpoint, reference)?.descriptor),
        }
    })
}

fn request(session: &Session, endpoint: &Endpoint, reference: &Reference, method: Method) -> Result<Answer, Failure> {
    let https = session.https(endpoint)?;
    let url = endpoint.url(https, &format!("manifests/{}", reference.tag_or_digest()));
    let hop = Hop::new(method, url).with("accept", ACCEPTED.join(", "));
    let what = format!("get {}", shown(endpoint, reference));
    let answer = session.ask(endpoint, hop, &[pull_scope(&endpoint.repository)], &what)?;
    match answer.status.as_u16() {
        200 => Ok(answer),
        404 => Err(Failure::fatal(Error::NotFound {
            registry: endpoint.registry.clone(),
            what: shown(endpoint, reference),
            said: answer.explanation(),
        })),
        _ => Err(Failure::fatal(crate::session::refused(
            endpoint.registry.clone(),
            &what,
            answer,
        ))),
    }
}

/// The scope that lets one read a repository.
pub(crate) fn pull_scope(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// The reference as it is called at an endpoint, without the registry.
pub(crate) fn shown(endpoint: &Endpoint, reference: &Reference) -> String {
    let separator = if reference.digest().is_some() { '@' } else { ':' };
    format!("{}{separator}{}", endpoint.repository, reference.tag_or_digest())
}

/// The digest of the bytes: by the algorithm asked for, or announced; both have to be right.
fn digest_of(bytes: &[u8], reference: &Reference, announced: Option<&str>) -> Result<Digest, String> {
    if let Some(digest) = reference.digest() {
        return Ok(digest.clone());
    }
    let Some(announced) = announced else {
        return Ok(Digest::sha256(bytes));
    };
    let announced: Digest = announced
        .parse()
        .map_err(|error| format!("the registry announces no digest: {error}"))?;
    announced
        .verify(bytes)
        .map_err(|error| format!("the registry announces another document than it sends: {error}"))?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    Ok(match announced.algorithm() {
        Algorithm::Sha256 => hasher.finish(),
        Algorithm::Sha512 => announced,
    })
}

/// What any manifest or index shows of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// The media type of a document: what it says itself, what the header says and what it looks like have to agree.
fn check_type(bytes: &[u8], header: Option<String>) -> Result<String, String> {
    let outline: Outline = serde_json::from_slice(bytes)
        .map_err(|error| format!("the manifest isn't JSON ({})", one_line(&error.to_string(), 80)))?;
    let is_old = outline.schema_version == Some(1) || outline.fs_layers.is_some();
    if is_old
        || header
            .as_deref()
            .is_some_and(|header| header.contains("docker.distribution.manifest.v1+"))
    {
        return Err(
            "the image is in docker's first format, which registries gave up: push it again with a newer tool"
                .to_owned(),
        );
    }
    // A generic type says nothing; then the document itself does.
    let generic = [
        "application/json",
        "text/plain",
        "application/octet-stream",
        "binary/octet-stream",
    ];
    let header = header.filter(|header| !generic.contains(&header.as_str()));
    let looks_like_index = outline.manifests.is_some();
    let looks_like_manifest = outline.config.is_some() || outline.layers.is_some();
    if looks_like_index && looks_like_manifest {
        return Err("the document is a manifest and an index at once, which can't be trusted".to_owned());
    }
    let inside = outline.media_type.filter(|inside| !inside.is_empty());
    if let (Some(inside), Some(header)) = (&inside, &header)
        && inside != header
    {
        return Err(format!(
            "the manifest says it is {}, the registry that it is {}",
            one_line(inside, 100),
            one_line(header, 100)
        ));
    }
    let media_type = inside.or(header).unwrap_or_else(|| {
        let guess = if looks_like_index {
            media_type::INDEX
        } else {
            media_type::MANIFEST
        };
        guess.to_owned()
    });
    let fits = match media_type.as_str() {
        known if media_type::is_index(known) => looks_like_index,
        known if media_type::is_manifest(known) => looks_like_manifest,
        _ => {
            return Err(format!(
                "it sends {} where a manifest or an index belongs",
                one_line(&media_type, 100)
            ));
        }
    };
    if fits {
        Ok(media_type)
    } else {
        Err(format!("the document isn't the {media_type} that it is said to be"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, header: Option<&str>) -> Result<String, String> {
        check_type(text.as_bytes(), header.map(str::to_owned))
    }

    #[test]
    fn types_have_to_agree() {
        let manifest = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(
            checked(manifest, Some(media_type::MANIFEST)).unwrap(),
            media_type::MANIFEST
        );
        assert_eq!(checked(manifest, None).unwrap(), media_type::MANIFEST);
        assert_eq!(checked(index, Some("text/plain")).unwrap(), media_type::INDEX);
        assert!(
            checked(manifest, Some(media_type::INDEX))
                .unwrap_err()
                .contains("isn't the")
        );
        let says = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        assert!(
            checked(says, Some(media_type::MANIFEST))
                .unwrap_err()
                .contains("the registry that it is")
        );
        let both = r#"{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}"#;
        assert!(checked(both, None).unwrap_err().contains("at once"));
        assert!(checked("<html>", None).unwrap_err().contains("isn't JSON"));
        let old = r#"{"schemaVersion":1,"fsLayers":[]}"#;
        assert!(checked(old, None).unwrap_err().contains("first format"));
        assert!(checked("{}", None).is_err());
        assert!(checked(manifest, Some("image/png")).unwrap_err().contains("image/png"));
    }
}
