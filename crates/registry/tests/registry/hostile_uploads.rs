//! Registries that misbehave while something is sent to them.

use crate::debian::Breaker;
use crate::debian_push::{send, send_through};
use crate::image::{any_manifest, noise, reference};
use crate::server::Server;
use crate::settings::{client, client_with};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::media_type;
use wiac_registry::Kind;

/// A server that begins uploads at this place.
fn beginning_at(location: &str) -> Server {
    let location = location.to_owned();
    Server::start(move |request, reply| match request.method.as_str() {
        "GET" => reply.send(200, &[], b""),
        "POST" => reply.send(202, &[("location", &location)], b""),
        _ => reply.send(201, &[], b""),
    })
}

#[test]
fn an_upload_at_another_host_gets_no_credentials() {
    let store = Server::start(|_, reply| reply.send(201, &[], b""));
    let location = format!("http://{}/upload/1?X-Signature=abc", store.authority());
    let registry = Server::start(move |request, reply| match request.header("authorization") {
        _ if request.path == "/v2/" => reply.send(200, &[], b""),
        None => reply.send(401, &[("www-authenticate", "Basic realm=\"r\"")], b""),
        Some(_) => reply.send(202, &[("location", &location)], b""),
    });
    let (client, _directory) =
        client_with(|settings, _| settings.creds = Some(("user".to_owned(), "secret".to_owned())));
    let bytes = noise(1000, 50);
    send(&client, &reference(&registry.authority(), "a:1"), &bytes).unwrap();
    let seen = store.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, "PUT");
    let digest = Digest::sha256(&bytes);
    assert_eq!(seen[0].path, format!("/upload/1?X-Signature=abc&digest={digest}"));
    assert_eq!(seen[0].header("authorization"), None);
    assert!(seen[0].body == bytes);
}

#[test]
fn wrong_places_are_refused() {
    for location in ["file:///tmp/x", "ftp://h/x", "http://u:p@h/x"] {
        let server = beginning_at(location);
        let (client, _directory) = client();
        let error = send(&client, &reference(&server.authority(), "a:1"), b"x").unwrap_err();
        assert!(
            error.to_string().contains("sends the upload to a wrong address"),
            "{error}"
        );
    }
    let without = Server::start(|request, reply| match request.method.as_str() {
        "GET" => reply.send(200, &[], b""),
        _ => reply.send(202, &[], b""),
    });
    let (client, _directory) = client();
    let error = send(&client, &reference(&without.authority(), "a:1"), b"x").unwrap_err();
    assert!(
        error.to_string().contains("doesn't say where the upload goes on"),
        "{error}"
    );
}

#[test]
fn a_registry_that_takes_nothing_is_given_up() {
    let server = Server::start(|request, reply| match request.method.as_str() {
        "GET" | "HEAD" => reply.send(404, &[], b""),
        "POST" => reply.send(202, &[("location", "/v2/a/blobs/uploads/1")], b""),
        _ => reply.send(202, &[("location", "/v2/a/blobs/uploads/1"), ("range", "0-0")], b""),
    });
    let (client, _directory) = client();
    let error = send(&client, &reference(&server.authority(), "a:1"), &noise(2_000_000, 51)).unwrap_err();
    assert!(error.to_string().contains("takes none of the bytes"), "{error}");
    let patches = server
        .seen()
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .count();
    assert_eq!(patches, 4);
}

/// A registry that refuses parts above a size.
fn in_pieces_up_to(most: usize) -> (Server, Arc<Mutex<Vec<u8>>>) {
    registry(usize::MAX, most)
}

/// A registry that takes no more than a piece of each part.
fn in_pieces(piece: usize) -> (Server, Arc<Mutex<Vec<u8>>>) {
    registry(piece, usize::MAX)
}

/// A registry that keeps what it gets until the digest comes.
fn registry(piece: usize, most: usize) -> (Server, Arc<Mutex<Vec<u8>>>) {
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let content = kept.clone();
    let server = Server::start(move |request, reply| {
        // What a broken connection brought is kept before somebody asks how much there is.
        if request.method == "GET" {
            std::thread::sleep(Duration::from_millis(300));
        }
        let mut content = content.lock().unwrap();
        let location = [("location", "/v2/a/blobs/uploads/1?_state=x")];
        match request.method.as_str() {
            "POST" => reply.send(202, &location, b""),
            "PATCH" if request.body.len() > most => reply.send(413, &[], b""),
            "PATCH" => {
                let range = request.header("content-range").unwrap();
                if range.split('-').next() != Some(&content.len().to_string()) {
                    return reply.send(416, &[], b"");
                }
                let taken = piece.min(request.body.len());
                content.extend_from_slice(&request.body[..taken]);
                let range = format!("0-{}", content.len() - 1);
                reply.send(202, &[location[0], ("range", &range)], b"");
            }
            "PUT" => reply.send(201, &[], b""),
            "GET" if request.path.contains("/uploads/1") => {
                let range = format!("0-{}", content.len().saturating_sub(1));
                reply.send(204, &[location[0], ("range", &range)], b"");
            }
            _ => reply.send(200, &[], b""),
        }
    });
    (server, kept)
}

#[test]
fn a_registry_may_take_it_in_pieces() {
    let bytes = noise(3_000_000, 52);
    let (server, kept) = in_pieces(1_100_000);
    let (client, _directory) = client();
    send(&client, &reference(&server.authority(), "a:1"), &bytes).unwrap();
    assert!(*kept.lock().unwrap() == bytes);
    let seen = server.seen();
    let last = seen.last().unwrap();
    assert_eq!(last.method, "PUT");
    assert_eq!(
        last.path,
        format!("/v2/a/blobs/uploads/1?_state=x&digest={}", Digest::sha256(&bytes))
    );
}

#[test]
fn a_lost_connection_is_no_new_beginning() {
    let bytes = noise(12_000_000, 55);
    let (server, kept) = in_pieces(usize::MAX);
    let breaker = Breaker::start(&server.authority(), 2, 5_000_000);
    let offsets = send_through(&breaker, &bytes);
    assert!(*kept.lock().unwrap() == bytes);
    assert_eq!(offsets.len(), 3, "{offsets:?}");
    assert!(offsets[1] >= 4_900_000 && offsets[2] >= 9_800_000, "{offsets:?}");
    assert!(breaker.up() < 12_100_000, "nothing went out twice: {}", breaker.up());
}

#[test]
fn pieces_and_broken_connections_go_together() {
    let bytes = noise(3_000_000, 58);
    let (server, kept) = in_pieces(1_000_000);
    let breaker = Breaker::start(&server.authority(), 1, 1_500_000);
    let offsets = send_through(&breaker, &bytes);
    assert!(*kept.lock().unwrap() == bytes);
    assert!(offsets.is_sorted(), "{offsets:?}");
}

#[test]
fn a_registry_that_takes_no_parts_gets_one_piece() {
    let bytes = noise(3_000_000, 56);
    let server = Server::start(|request, reply| match request.method.as_str() {
        "POST" => reply.send(202, &[("location", "/v2/a/blobs/uploads/1")], b""),
        "PATCH" => reply.send(405, &[], b""),
        "PUT" => reply.send(201, &[], b""),
        _ if request.path.contains("/uploads/1") => reply.send(404, &[], b""),
        _ => reply.send(200, &[], b""),
    });
    let (client, _directory) = client();
    send(&client, &reference(&server.authority(), "a:1"), &bytes).unwrap();
    let seen = server.seen();
    assert!(seen.last().unwrap().method == "PUT" && seen.last().unwrap().body == bytes);
}

#[test]
fn parts_that_are_too_large_are_made_smaller() {
    let bytes = noise(17_000_000, 57);
    let (server, kept) = in_pieces_up_to(5 << 20);
    let (client, _directory) = client();
    send(&client, &reference(&server.authority(), "a:1"), &bytes).unwrap();
    assert!(*kept.lock().unwrap() == bytes);
}

#[test]
fn an_answer_that_gets_lost_at_the_end_is_looked_up() {
    let puts = Arc::new(AtomicUsize::new(0));
    let counter = puts.clone();
    let server = Server::start(move |request, reply| match request.method.as_str() {
        "POST" => reply.send(202, &[("location", "/v2/a/blobs/uploads/1")], b""),
        "PUT" => {
            counter.fetch_add(1, Ordering::SeqCst);
            reply.reset();
        }
        // It has been stored all the same.
        "HEAD" => {
            reply.head(200, &[("content-length", "1000")]);
            reply.close();
        }
        _ => reply.send(200, &[], b""),
    });
    let (client, _directory) = client();
    send(&client, &reference(&server.authority(), "a:1"), &noise(1000, 53)).unwrap();
    assert_eq!(puts.load(Ordering::SeqCst), 1);
}

#[test]
fn a_no_is_no_reason_to_go_on() {
    let server = Server::start(|request, reply| {
        if request.method == "GET" {
            return reply.send(200, &[], b"");
        }
        let body = br#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
        reply.send(403, &[("content-type", "application/json")], body);
    });
    let (client, _directory) = client();
    let name = reference(&server.authority(), "a:1");
    let error = send(&client, &name, &noise(2_000_000, 54)).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.to_string().contains("DENIED: quota exceeded"), "{error}");
    let error = client
        .put_manifest(&name, media_type::MANIFEST, &any_manifest())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn another_digest_for_a_manifest_is_noticed() {
    let server = Server::start(|_, reply| {
        let other = Digest::sha256("other").to_string();
        reply.send(201, &[("docker-content-digest", &other)], b"");
    });
    let (client, _directory) = client();
    let name = reference(&server.authority(), "a:1");
    let error = client
        .put_manifest(&name, media_type::MANIFEST, &any_manifest())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Hostile, "{error}");
    let wrong = name.with_digest(Digest::sha256("other"));
    assert!(
        client
            .put_manifest(&wrong, media_type::MANIFEST, &any_manifest())
            .is_err()
    );
}
