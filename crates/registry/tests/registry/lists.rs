//! Tags, catalogues and referrers, in pages, from the API or a tag; lists that never end.

use crate::debian::{Options, Registry};
use crate::image::{any_manifest, reference};
use crate::server::Server;
use crate::settings::client;
use std::collections::BTreeMap;
use std::sync::Mutex;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, Index, Manifest, media_type};
use wiac_registry::Kind;

#[test]
fn pages_are_put_together() {
    let server = Server::start(|request, reply| match request.path.as_str() {
        "/v2/a/tags/list?n=1000" => {
            let next = [("link", "</v2/a/tags/list?last=2&n=1000>; rel=\"next\"")];
            reply.send(200, &next, br#"{"name":"a","tags":["1","2"]}"#);
        }
        "/v2/a/tags/list?last=2&n=1000" => reply.send(200, &[], br#"{"name":"a","tags":["3","bad\u001b[31m"]}"#),
        "/v2/_catalog?n=1000" => reply.send(200, &[], br#"{"repositories":["x/one","y/two","x/three"]}"#),
        "/v2/none/tags/list?n=1000" => reply.send(200, &[], br#"{"name":"none","tags":null}"#),
        "/v2/" => reply.send(200, &[], b""),
        _ => reply.send(404, &[], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
    });
    let (client, _directory) = client();
    let of = |name: &str| client.tags(&reference(&server.authority(), name));
    assert_eq!(of("a").unwrap(), ["1", "2", "3"]);
    assert!(of("none").unwrap().is_empty());
    let error = of("missing").unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(
        error.to_string().contains("has no repository missing: NAME_UNKNOWN"),
        "{error}"
    );
    assert_eq!(
        client.catalog(&server.authority(), "x/", 10).unwrap(),
        ["x/one", "x/three"]
    );
    assert_eq!(client.catalog(&server.authority(), "", 1).unwrap(), ["x/one"]);
}

#[test]
fn lists_that_never_end() {
    let circle = Server::start(|_, reply| {
        reply.send(
            200,
            &[("link", "</v2/a/tags/list?n=1000>; rel=next")],
            br#"{"tags":["1"]}"#,
        );
    });
    let (client, _directory) = client();
    let error = client.tags(&reference(&circle.authority(), "a")).unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");
    let count = Mutex::new(0);
    let endless = Server::start(move |_, reply| {
        let mut count = count.lock().unwrap();
        *count += 1;
        let next = format!("</v2/a/tags/list?last={count}>; rel=\"next\"");
        reply.send(200, &[("link", &next)], br#"{"tags":["1"]}"#);
    });
    let error = client.tags(&reference(&endless.authority(), "a")).unwrap_err();
    assert!(error.to_string().contains("more than 2000 pages"), "{error}");
    let page = Server::start(|_, reply| reply.send(200, &[("content-type", "text/html")], b"<html>"));
    let error = client.tags(&reference(&page.authority(), "a")).unwrap_err();
    assert!(error.to_string().contains("a web page where a list belongs"), "{error}");
}

/// An artifact that refers to a manifest.
fn artifact(subject: &Digest, size: u64, kind: &str) -> Vec<u8> {
    let empty = Descriptor::new(media_type::EMPTY, Digest::sha256("{}"), 2);
    let mut manifest = Manifest::new(empty.clone(), vec![empty]);
    manifest.artifact_type = Some(kind.to_owned());
    manifest.subject = Some(Descriptor::new(media_type::MANIFEST, subject.clone(), size));
    manifest.annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    serde_json::to_vec(&manifest).unwrap()
}

#[test]
fn the_api_is_asked_for_referrers() {
    let subject = Digest::sha256("subject");
    let mut entry = Descriptor::new(media_type::MANIFEST, Digest::sha256("sig"), 3);
    entry.artifact_type = Some("sig".to_owned());
    let mut other = Descriptor::new(media_type::MANIFEST, Digest::sha256("sbom"), 4);
    other.artifact_type = Some("sbom".to_owned());
    let index = serde_json::to_vec(&Index::new(vec![entry.clone(), other])).unwrap();
    let server = Server::start(move |request, reply| match request.path.as_str() {
        "/v2/" => reply.send(200, &[], b""),
        path if path.starts_with("/v2/a/referrers/sha256:") => {
            reply.send(200, &[("content-type", media_type::INDEX)], &index);
        }
        _ => reply.send(404, &[], b""),
    });
    let (client, _directory) = client();
    let name = reference(&server.authority(), "a");
    assert_eq!(client.referrers(&name, &subject, None).unwrap().len(), 2);
    // The filter that the server ignores is applied here.
    assert_eq!(client.referrers(&name, &subject, Some("sig")).unwrap(), [entry]);
}

#[test]
fn a_tag_stands_for_the_api() {
    // docker-registry 2.8 has no API for referrers.
    let registry = Registry::start(&Options::default());
    let (client, _directory) = client();
    let name = reference(&registry.authority(), "a/b:1");
    crate::debian_push::send(&client, &name, b"{}").unwrap();
    let image = any_manifest();
    let digest = client.put_manifest(&name, media_type::MANIFEST, &image).unwrap();
    assert!(client.referrers(&name, &digest, None).unwrap().is_empty());
    for kind in ["sig", "sbom", "sig"] {
        let bytes = artifact(&digest, image.len() as u64, kind);
        let by_digest = reference(&registry.authority(), "a/b").with_digest(Digest::sha256(&bytes));
        client.put_manifest(&by_digest, media_type::MANIFEST, &bytes).unwrap();
    }
    let all = client.referrers(&name, &digest, None).unwrap();
    assert_eq!(all.len(), 2, "once each: {all:?}");
    let signatures = client.referrers(&name, &digest, Some("sig")).unwrap();
    assert_eq!(signatures.len(), 1);
    assert_eq!(signatures[0].annotations["k"], "v");
    let tags = client.tags(&name).unwrap();
    assert!(tags.contains(&format!("sha256-{}", digest.hex())), "{tags:?}");
}
