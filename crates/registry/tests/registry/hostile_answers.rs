//! Manifests and answers that are wrong, too large, too busy or something else altogether.

use crate::image::{any_manifest, reference};
use crate::server::{Reply, Server};
use crate::settings::{client, client_with};
use std::time::{Duration, Instant};
use wiac_oci::digest::Digest;
use wiac_oci::manifest::media_type;
use wiac_registry::Kind;

/// What the client says of a server's manifest.
fn complaint(server: &Server) -> String {
    let (client, _directory) = client();
    let error = client.manifest(&reference(&server.authority(), "a:1")).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 500, "one line: {text}");
    text
}

fn manifest(reply: &mut Reply, body: &[u8]) {
    reply.send(200, &[("content-type", media_type::MANIFEST)], body);
}

#[test]
fn another_document_than_the_digest_says() {
    let server = Server::start(|_, reply| manifest(reply, &any_manifest()));
    let (client, _directory) = client();
    let name = reference(&server.authority(), "a").with_digest(Digest::sha256("other"));
    let error = client.manifest(&name).unwrap_err();
    assert_eq!(error.kind(), Kind::Hostile);
    assert!(error.to_string().contains("expected digest"), "{error}");
}

#[test]
fn another_document_than_announced() {
    let server = Server::start(|_, reply| {
        let announced = Digest::sha256("other").to_string();
        let headers = [
            ("content-type", media_type::MANIFEST),
            ("docker-content-digest", announced.as_str()),
        ];
        reply.send(200, &headers, &any_manifest());
    });
    let said = complaint(&server);
    assert!(said.contains("announces another document than it sends"), "{said}");
}

#[test]
fn a_manifest_of_a_gigabyte() {
    let honest = Server::start(|_, reply| {
        reply.head(200, &[("content-length", "1073741824")]);
        while reply.bytes(&vec![b' '; 65536]) {}
    });
    let said = complaint(&honest);
    assert!(said.contains("larger than 4194304 bytes"), "{said}");
    let silent = Server::start(|_, reply| {
        reply.head(200, &[("transfer-encoding", "chunked")]);
        let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 65536], b"\r\n"].concat();
        while reply.bytes(&chunk) {}
    });
    let said = complaint(&silent);
    assert!(said.contains("larger than 4194304 bytes"), "{said}");
    // What was on its way counts too: socket buffers are megabytes on loopback.
    for server in [honest, silent] {
        assert!(server.sent() < 24 << 20, "{} bytes went out", server.sent());
    }
}

#[test]
fn a_head_without_end() {
    let server = Server::start(|_, reply| {
        reply.bytes(b"HTTP/1.1 200 OK\r\n");
        let mut number = 0;
        while reply.bytes(format!("x-{number}: {}\r\n", "y".repeat(1000)).as_bytes()) {
            number += 1;
        }
    });
    let said = complaint(&server);
    assert!(
        said.contains("head of its answer") || said.contains("isn't HTTP"),
        "{said}"
    );
    assert!(server.sent() < 24 << 20, "{} bytes went out", server.sent());
}

#[test]
fn a_web_page() {
    let page = b"<!DOCTYPE html><title>Welcome</title>";
    let fine = Server::start(|_, reply| reply.send(200, &[("content-type", "text/html; charset=utf-8")], page));
    let said = complaint(&fine);
    assert!(
        said.contains("web page") && said.contains("is it a registry?"),
        "{said}"
    );
    let missing = Server::start(|_, reply| reply.send(404, &[("content-type", "text/html")], page));
    let said = complaint(&missing);
    assert!(
        said.contains("a web page (\"Welcome\") instead of a registry's answer"),
        "{said}"
    );
}

#[test]
fn types_that_do_not_fit() {
    let picture = Server::start(|_, reply| reply.send(200, &[("content-type", "image/png")], &any_manifest()));
    let said = complaint(&picture);
    assert!(said.contains("image/png"), "{said}");
    let index = Server::start(|_, reply| reply.send(200, &[("content-type", media_type::INDEX)], &any_manifest()));
    let said = complaint(&index);
    assert!(said.contains("the manifest says it is"), "{said}");
    let cut = Server::start(|_, reply| manifest(reply, b"{\"schemaVersion\": 2, \"config\""));
    let said = complaint(&cut);
    assert!(said.contains("isn't JSON"), "{said}");
}

#[test]
fn a_server_that_ends_too_early() {
    let server = Server::start(|_, reply| {
        reply.head(200, &[("content-length", "1000")]);
        reply.bytes(b"{");
        reply.close();
    });
    let said = complaint(&server);
    assert!(said.contains("can't reach"), "{said}");
    let reset = Server::start(|request, reply| match request.path.as_str() {
        "/v2/" => reply.send(200, &[], b""),
        _ => reply.reset(),
    });
    let said = complaint(&reset);
    assert!(said.contains("lost") && said.contains("4 times"), "{said}");
    assert_eq!(reset.count("/v2/a/manifests/1"), 4);
}

#[test]
fn a_busy_server_is_asked_again() {
    for status in [429, 502, 503, 504] {
        let server = Server::start(move |_, reply| reply.send(status, &[], b"busy"));
        let said = complaint(&server);
        assert!(
            said.contains(&status.to_string()) || said.contains("too many requests"),
            "{said}"
        );
        assert_eq!(server.count("/v2/a/manifests/1"), 4, "status {status}");
    }
}

#[test]
fn a_server_that_recovers() {
    let times = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request, reply| {
        if request.path == "/v2/" {
            return reply.send(200, &[], b"");
        }
        match times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => reply.send(429, &[("retry-after", "1")], b""),
            1 => reply.reset(),
            _ => manifest(reply, &any_manifest()),
        }
    });
    let (client, _directory) = client();
    let start = Instant::now();
    client.manifest(&reference(&server.authority(), "a:1")).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After counts");
}

#[test]
fn limits_are_explained_and_not_waited_for() {
    let server = Server::start(|_, reply| {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        reply.send(
            429,
            &[("ratelimit-limit", "100;w=21600"), ("content-type", "application/json")],
            body,
        );
    });
    let said = complaint(&server);
    assert!(
        said.contains("TOOMANYREQUESTS") && said.contains("100 pulls in 6 h"),
        "{said}"
    );
    assert_eq!(server.count("/v2/a/manifests/1"), 1);
    let later = Server::start(|_, reply| reply.send(503, &[("retry-after", "86400")], b"maintenance"));
    let said = complaint(&later);
    assert!(said.contains("come back in 24 h"), "{said}");
    assert_eq!(later.count("/v2/a/manifests/1"), 1);
}

#[test]
fn a_server_that_never_answers() {
    let server = Server::start(|request, reply| {
        if request.path == "/v2/" {
            return reply.send(200, &[], b"");
        }
        std::thread::sleep(Duration::from_mins(1));
    });
    let (client, _directory) = client_with(|settings, _| {
        settings.patience.answer = Duration::from_millis(200);
        settings.patience.tries = 2;
    });
    let start = Instant::now();
    let error = client.manifest(&reference(&server.authority(), "a:1")).unwrap_err();
    assert!(error.to_string().contains("no answer in time, 2 times"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn nobody_is_there() {
    let (client, _directory) = client_with(|settings, directory| {
        std::fs::write(directory.join("hosts"), "127.0.0.1 known.example\n").unwrap();
        std::fs::write(
            directory.join("resolv.conf"),
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        )
        .unwrap();
        settings.names.resolv_conf = directory.join("resolv.conf");
        settings.authorities.bundles = vec!["/etc/ssl/certs/ca-certificates.crt".into()];
        settings.patience.tries = 1;
    });
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = client
        .manifest(&reference(&free.to_string(), "a:1"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("nothing listens there"), "{error}");
    let by_name = format!("known.example:{}", free.port());
    let error = client.manifest(&reference(&by_name, "a:1")).unwrap_err().to_string();
    assert!(error.contains("nothing listens there"), "found in hosts: {error}");
    let error = client
        .manifest(&reference("unknown.example", "a:1"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("name server"), "{error}");
}
