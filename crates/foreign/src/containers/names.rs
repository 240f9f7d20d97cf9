//! Names as podman finds them among its local images: libimage's lookup, without asking anybody.
//!
//! In this order: a whole id; the name with each registry that a short name may have (aliases, `localhost`, the
//! registries to search, `docker.io`); the beginning of an id; any image whose repository ends in the name.

use super::records::{ImageRecord, Root};
use super::registries::Registries;
use crate::error::{Error, Result};
use crate::lookup::{self, Beginning};
use wiac_oci::reference::Reference;

/// An image's record and the directory it was found in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) root: &'a Root,
    pub(crate) image: &'a ImageRecord,
}

/// Finds the image that podman would take by this name.
pub(crate) fn find<'a>(roots: &'a [Root], name: &str, registries: &Registries) -> Result<Found<'a>> {
    let place = || roots.first().map(|root| root.path.clone()).unwrap_or_default();
    // `name@id`, as containers-transports(5) has it, `@id` among them: the id decides.
    let asked = match name.rsplit_once('@') {
        Some((_, id)) if lookup::is_hex(id) && id.len() >= 3 => id,
        _ => name,
    };
    if let Some(found) = lookup::whole_id(asked).and_then(|id| by_id(roots, id)) {
        return Ok(found);
    }
    let reference = without_tag_beside_digest(asked);
    let candidates = registries.candidates(&reference);
    if let Some(found) = candidates.iter().find_map(|candidate| by_name(roots, candidate)) {
        return Ok(found);
    }
    let ids = all(roots).map(|found| found.image.id.as_str());
    match lookup::beginning(asked, ids) {
        Beginning::One(id) => return by_id(roots, id).ok_or_else(|| no_such_image(roots, name)),
        Beginning::Many(count) => {
            return Err(Error::Ambiguous {
                place: place(),
                prefix: asked.to_owned(),
                count,
            });
        }
        Beginning::None => {}
    }
    // Names that are no references, as buildah's working containers and others' tools may give them.
    let exact = all(roots).find(|found| found.image.names().iter().any(|known| known == asked));
    exact
        .or_else(|| by_end(roots, &reference))
        .ok_or_else(|| no_such_image(roots, name))
}

fn no_such_image(roots: &[Root], name: &str) -> Error {
    let names = all(roots).flat_map(|found| found.image.names()).map(String::as_str);
    Error::NoSuchImage {
        tool: "podman",
        place: roots.first().map(|root| root.path.clone()).unwrap_or_default(),
        name: name.to_owned(),
        nearest: lookup::nearest(name, names),
    }
}

/// Every image, in the order of search.
pub(crate) fn all(roots: &[Root]) -> impl Iterator<Item = Found<'_>> {
    roots
        .iter()
        .flat_map(|root| root.images.iter().map(move |image| Found { root, image }))
}

fn by_id<'a>(roots: &'a [Root], id: &str) -> Option<Found<'a>> {
    all(roots).find(|found| found.image.id == id)
}

/// The image that has the name, or the digest under a name of the same repository.
fn by_name<'a>(roots: &'a [Root], wanted: &Reference) -> Option<Found<'a>> {
    let text = wanted.to_string();
    let exact = all(roots).find(|found| found.image.names().contains(&text));
    exact.or_else(|| {
        let digest = wanted.digest()?;
        all(roots).find(|found| {
            let of_repository =
                |name: &String| name.parse().is_ok_and(|known: Reference| known.name() == wanted.name());
            found.image.has_digest(digest) && found.image.names().iter().any(of_repository)
        })
    })
}

/// The first image with a name whose repository is, or ends in, a short name, with the same tag or digest.
fn by_end<'a>(roots: &'a [Root], short: &str) -> Option<Found<'a>> {
    if !super::registries::is_short(short) {
        return None;
    }
    let wanted: Reference = short.parse().ok()?;
    let wanted = wanted.with_default_tag();
    let path = wanted
        .repository()
        .strip_prefix("library/")
        .unwrap_or(wanted.repository());
    all(roots).find(|found| {
        let fits = |name: &String| {
            name.parse().is_ok_and(|known: Reference| {
                let whole = known.name();
                let ends = whole.strip_suffix(path).is_some_and(|before| before.ends_with('/'));
                ends && (wanted.tag().is_none() || known.tag() == wanted.tag())
            })
        };
        let digested = wanted.digest().is_none_or(|digest| found.image.has_digest(digest));
        digested && found.image.names().iter().any(fits)
    })
}

/// `name:tag@digest` means `name@digest`.
fn without_tag_beside_digest(name: &str) -> String {
    let Some((before, digest)) = name.split_once('@') else {
        return name.to_owned();
    };
    let repository = match before.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => before,
    };
    format!("{repository}@{digest}")
}
