//! What refers to a manifest (signatures, attestations, bills of materials): the API, and the tag that stands for it.
//!
//! distribution-spec 1.1, "Listing Referrers", "Referrers Tag Schema".

use crate::config::Endpoint;
use crate::error::{Error, Result, one_line};
use crate::http::Failure;
use crate::list::pages;
use crate::manifest::{self, pull_scope};
use crate::publish;
use crate::session::Session;
use serde::Deserialize;
use std::collections::BTreeMap;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Index, media_type};
use wiac_oci::reference::Reference;

/// More than this many referrers of one manifest are not read.
const MOST: usize = 10_000;

/// What refers to a digest, all or of one type.
pub(crate) fn list(
    session: &Session,
    endpoint: &Endpoint,
    digest: &Digest,
    artifact_type: Option<&str>,
) -> Result<Vec<Descriptor>, Failure> {
    let https = session.https(endpoint)?;
    let mut url = endpoint.url(https, &format!("referrers/{digest}"));
    if let Some(artifact_type) = artifact_type {
        url = url.with_query("artifactType", artifact_type);
    }
    let mut found: Vec<Descriptor> = Vec::new();
    let what = format!("list what refers to {}", digest.short());
    let scope = pull_scope(&endpoint.repository);
    let result = pages(session, endpoint, url, (&scope, &what), |page: Index| {
        found.extend(page.manifests);
        found.len() < MOST
    });
    match result {
        Ok(()) => {}
        // A registry without the API, whatever it calls that.
        Err(failure) if has_no_api(&failure.error) => found = from_tag(session, endpoint, digest)?,
        Err(failure) => return Err(failure),
    }
    // A registry may ignore the filter.
    found.retain(|one| artifact_type.is_none_or(|wanted| one.artifact_type.as_deref() == Some(wanted)));
    Ok(found)
}

fn has_no_api(error: &Error) -> bool {
    match error {
        Error::NotFound { .. } => true,
        Error::Refused { status, .. } => status.starts_with('4') || status.starts_with("501"),
        _ => false,
    }
}

/// The tag that lists referrers where there is no API: the algorithm and the digits, with a hyphen.
fn tag(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}-{}", digest.algorithm(), &hex[..hex.len().min(64)])
}

fn from_tag(session: &Session, endpoint: &Endpoint, digest: &Digest) -> Result<Vec<Descriptor>, Failure> {
    let reference = reference(endpoint, &tag(digest))?;
    match manifest::fetch_at(session, endpoint, &reference) {
        Ok(fetched) => {
            let index: Index = serde_json::from_slice(&fetched.bytes).map_err(|error| {
                let reason = format!("{reference} isn't an index ({})", one_line(&error.to_string(), 80));
                Error::broken(&endpoint.registry, reason)
            })?;
            Ok(index.manifests)
        }
        Err(Failure {
            error: Error::NotFound { .. },
            ..
        }) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// A reference that means the tag at this endpoint, whatever the registry is called.
fn reference(endpoint: &Endpoint, tag: &str) -> Result<Reference> {
    let text = format!("{}:{tag}", endpoint.name());
    text.parse().map_err(|error| Error::Name(format!("{error}")))
}

/// Adds a referrer to the list that a tag holds.
pub(crate) fn add_to_tag(
    session: &Session,
    endpoint: &Endpoint,
    subject: &Digest,
    descriptor: Descriptor,
) -> Result<()> {
    let mut all = from_tag(session, endpoint, subject).map_err(|failure| failure.error)?;
    if all.iter().any(|one| one.digest == descriptor.digest) {
        return Ok(());
    }
    all.push(descriptor);
    let bytes = serde_json::to_vec(&Index::new(all)).map_err(|error| Error::Name(error.to_string()))?;
    publish::put_only(session, endpoint, &tag(subject), media_type::INDEX, &bytes).map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referrer {
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// How a list describes a referrer: with its type and annotations.
pub(crate) fn describe(media_type: &str, digest: &Digest, bytes: &[u8]) -> Descriptor {
    let mut descriptor = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
    if let Ok(referrer) = serde_json::from_slice::<Referrer>(bytes) {
        descriptor.artifact_type = referrer
            .artifact_type
            .or_else(|| referrer.config.map(|config| config.media_type));
        descriptor.annotations = referrer.annotations;
    }
    descriptor
}
