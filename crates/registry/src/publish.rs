//! Manifests to a registry, and what is taken away again.

use crate::config::Endpoint;
use crate::error::{Error, Result};
use crate::http::{Answer, Failure, Payload};
use crate::manifest::LARGEST;
use crate::referrers;
use crate::session::{Hop, Session};
use crate::upload::push_scope;
use serde::Deserialize;
use ureq::http::Method;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::Descriptor;

/// Puts a manifest or index under a tag or digest. Where it has a subject and the registry keeps no list of referrers,
/// the list that a tag holds in its place is brought up to date.
pub(crate) fn put(
    session: &Session,
    endpoint: &Endpoint,
    tag_or_digest: &str,
    media_type: &str,
    bytes: &[u8],
) -> Result<Digest> {
    let digest = Digest::sha256(bytes);
    let answer = put_only(session, endpoint, tag_or_digest, media_type, bytes)?;
    if answer.header("oci-subject").is_none()
        && let Some(subject) = subject(bytes)
    {
        let descriptor = referrers::describe(media_type, &digest, bytes);
        referrers::add_to_tag(session, endpoint, &subject, descriptor)?;
    }
    Ok(digest)
}

/// The same without a look at its subject.
pub(crate) fn put_only(
    session: &Session,
    endpoint: &Endpoint,
    tag_or_digest: &str,
    media_type: &str,
    bytes: &[u8],
) -> Result<Answer> {
    if bytes.len() as u64 > LARGEST {
        return Err(Error::Source {
            what: "the manifest".to_owned(),
            reason: format!("it is larger than {LARGEST} bytes, which no registry takes"),
        });
    }
    let what = format!("put {}:{tag_or_digest}", endpoint.repository);
    let ask = || {
        let https = session.https(endpoint)?;
        let url = endpoint.url(https, &format!("manifests/{tag_or_digest}"));
        let hop = Hop::new(Method::PUT, url)
            .with("content-type", media_type)
            .carrying(Payload::Bytes(bytes));
        session.ask(endpoint, hop, &[push_scope(&endpoint.repository)], &what)
    };
    let answer = ask().map_err(|failure: Failure| failure.error)?;
    if !matches!(answer.status.as_u16(), 200..=202) {
        return Err(crate::session::refused(endpoint.registry.clone(), &what, answer));
    }
    let announced = answer.header("docker-content-digest").unwrap_or_default();
    if let Ok(announced) = announced.parse::<Digest>() {
        announced.verify(bytes).map_err(|error| Error::Damaged {
            registry: endpoint.registry.clone(),
            what: format!("the manifest that was sent as {}:{tag_or_digest}", endpoint.repository),
            reason: error.to_string(),
        })?;
    }
    Ok(answer)
}

#[derive(Deserialize)]
struct WithSubject {
    subject: Option<Descriptor>,
}

fn subject(bytes: &[u8]) -> Option<Digest> {
    let document: WithSubject = serde_json::from_slice(bytes).ok()?;
    Some(document.subject?.digest)
}

/// What can be taken away.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Thing {
    Manifest,
    Blob,
}

/// Takes a manifest or a blob away.
pub(crate) fn delete(session: &Session, endpoint: &Endpoint, thing: Thing, name: &str) -> Result<()> {
    let (directory, called) = match thing {
        Thing::Manifest => ("manifests", "manifest"),
        Thing::Blob => ("blobs", "blob"),
    };
    let what = format!("delete {called} {name} of {}", endpoint.repository);
    let ask = || {
        let https = session.https(endpoint)?;
        let url = endpoint.url(https, &format!("{directory}/{name}"));
        let scope = format!("repository:{}:delete,pull,push", endpoint.repository);
        session.ask(endpoint, Hop::new(Method::DELETE, url), &[scope], &what)
    };
    let answer = ask().map_err(|failure: Failure| failure.error)?;
    let registry = endpoint.registry.clone();
    match answer.status.as_u16() {
        200 | 202 | 204 => Ok(()),
        404 => Err(Error::NotFound {
            registry,
            what: format!("{called} {name}"),
            said: answer.explanation(),
        }),
        405 => Err(Error::Denied {
            registry,
            what,
            said: "it doesn't delete (for docker-registry: storage.delete.enabled)".to_owned(),
        }),
        _ => Err(crate::session::refused(registry, &what, answer)),
    }
}
