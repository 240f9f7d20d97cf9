//! Lists that registries give in pages: tags of a repository, repositories of a registry.

use crate::config::Endpoint;
use crate::error::{Error, Result};
use crate::http::{Answer, Failure, Url};
use crate::manifest::pull_scope;
use crate::session::{Hop, Session};
use serde::Deserialize;
use std::collections::HashSet;
use ureq::http::Method;

/// The largest page.
const LARGEST: u64 = 8 << 20;

/// More pages than this are a registry that never ends, and so are more bytes.
const MOST_PAGES: usize = 2000;
const MOST_BYTES: usize = 64 << 20;

#[derive(Deserialize)]
struct Tags {
    /// Null where a repository has none.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

/// All tags of a repository, as the registry orders them.
pub(crate) fn tags(session: &Session, endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
    let https = session.https(endpoint)?;
    let url = endpoint.url(https, "tags/list").with_query("n", "1000");
    let what = format!("list the tags of {}", endpoint.repository);
    let mut all = Vec::new();
    pages(
        session,
        endpoint,
        url,
        (&pull_scope(&endpoint.repository), &what),
        |page: Tags| {
            all.extend(page.tags.unwrap_or_default());
            true
        },
    )?;
    // Nothing but tags: what isn't one can't be asked for, and may be made to confuse a terminal.
    all.retain(|tag| is_tag(tag));
    Ok(all)
}

/// The repositories of a registry that have `part` in their names; at most `most` of them.
pub(crate) fn catalog(session: &Session, endpoint: &Endpoint, part: &str, most: usize) -> Result<Vec<String>, Failure> {
    let https = session.https(endpoint)?;
    let url = endpoint.root(https, "_catalog").with_query("n", "1000");
    let mut all: Vec<String> = Vec::new();
    let what = "list its repositories";
    pages(session, endpoint, url, ("registry:catalog:*", what), |page: Catalog| {
        let named = page.repositories.unwrap_or_default().into_iter();
        all.extend(named.filter(|name| name.contains(part) && is_repository(name)));
        all.len() < most
    })?;
    all.truncate(most);
    Ok(all)
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_repository(text: &str) -> bool {
    text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Reads page after page until `take` has enough.
pub(crate) fn pages<T: serde::de::DeserializeOwned>(
    session: &Session,
    endpoint: &Endpoint,
    first: Url,
    (scope, what): (&str, &str),
    mut take: impl FnMut(T) -> bool,
) -> Result<(), Failure> {
    let scopes = [scope.to_owned()];
    let mut url = first;
    let (mut seen, mut read) = (HashSet::new(), 0);
    for _ in 0..MOST_PAGES {
        seen.insert(url.path.clone());
        let answer = session.ask(endpoint, Hop::new(Method::GET, url.clone()), &scopes, what)?;
        match answer.status.as_u16() {
            200 => {}
            404 => {
                return Err(Failure::fatal(Error::NotFound {
                    registry: endpoint.registry.clone(),
                    what: if endpoint.repository.is_empty() {
                        "list of its repositories".to_owned()
                    } else {
                        format!("repository {}", endpoint.repository)
                    },
                    said: answer.explanation(),
                }));
            }
            _ => {
                return Err(Failure::fatal(crate::session::refused(
                    endpoint.registry.clone(),
                    what,
                    answer,
                )));
            }
        }
        let next = next_page(&answer)?;
        let from = answer.url.clone();
        let bytes = answer.document(LARGEST, "the list")?;
        read += bytes.len();
        if read > MOST_BYTES {
            let reason = format!("its list is larger than {} MiB, which none should be", MOST_BYTES >> 20);
            return Err(Error::broken(&from, reason).into());
        }
        let page = serde_json::from_slice(&bytes).map_err(|_| {
            let what = if bytes.trim_ascii_start().starts_with(b"<") {
                "a web page"
            } else {
                "something else"
            };
            Error::broken(&from, format!("it sends {what} where a list belongs"))
        })?;
        let wants_more = take(page);
        let Some(next) = next.filter(|_| wants_more) else {
            return Ok(());
        };
        if seen.contains(&next.path) {
            return Err(Error::broken(&from, "its list goes round in a circle").into());
        }
        url = next;
    }
    Err(Error::broken(&url, format!("its list has more than {MOST_PAGES} pages")).into())
}

/// `Link: </v2/a/tags/list?n=1000&last=x>; rel="next"` (RFC 8288), at the same host.
fn next_page(answer: &Answer) -> Result<Option<Url>, Failure> {
    let Some(link) = answer.header("link") else {
        return Ok(None);
    };
    let Some((target, parameters)) = link.trim().strip_prefix('<').and_then(|link| link.split_once('>')) else {
        return Ok(None);
    };
    if !parameters
        .to_ascii_lowercase()
        .replace(['"', ' '], "")
        .contains("rel=next")
    {
        return Ok(None);
    }
    let wrong = |reason: String| Failure::fatal(Error::broken(&answer.url, reason));
    let next = answer
        .url
        .join(target)
        .map_err(|reason| wrong(format!("the next page of its list is at a wrong address: {reason}")))?;
    // Behind a proxy a registry may get its own address wrong: only path and query count.
    Ok(Some(Url {
        path: next.path,
        ..answer.url.clone()
    }))
}
