//! Blobs that break off, never end, drip, or are something else than asked for.

use crate::image::{layer_of, noise, reference};
use crate::server::{Reply, Request, Server};
use crate::settings::{client, client_with};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wiac_registry::{Error, Kind};

/// A server whose blob requests are answered by `answer`, which gets all of the blob's bytes.
fn serve(bytes: &[u8], answer: impl Fn(&Request, &mut Reply, &[u8]) + Send + Sync + 'static) -> Server {
    let bytes: Arc<[u8]> = bytes.into();
    Server::start(move |request, reply| match request.path.as_str() {
        "/v2/" => reply.send(200, &[], b""),
        _ => answer(request, reply, &bytes),
    })
}

/// Reads the whole blob, or gives what came with the error.
fn read(server: &Server, bytes: &[u8], from: u64) -> (Vec<u8>, Result<(), Error>) {
    let (client, _directory) = client();
    let mut found = Vec::new();
    let result = client
        .blob(&reference(&server.authority(), "a:1"), &layer_of(bytes), from)
        .and_then(|mut blob| {
            blob.read_to_end(&mut found).map(drop).map_err(|error| {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
                inner.unwrap_or_else(|| panic!("not one of ours: {error}")).clone()
            })
        });
    (found, result)
}

/// The rest of a blob from the offset asked for, as a part or as the whole.
fn head_of_rest(request: &Request, reply: &mut Reply, bytes: &[u8]) -> usize {
    let start = request.range_start().unwrap_or(0);
    let length = (bytes.len() - start).to_string();
    let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    match request.range_start() {
        Some(_) => reply.head(206, &[("content-length", &length), ("content-range", &range)]),
        None => reply.head(200, &[("content-length", &length)]),
    }
    start
}

#[test]
fn a_reset_at_every_64_kib_only_delays() {
    let bytes = noise(1 << 20, 2);
    let server = serve(&bytes, |request, reply, bytes| {
        let start = head_of_rest(request, reply, bytes);
        reply.bytes(&bytes[start..bytes.len().min(start + 65536)]);
        reply.close();
    });
    let (found, result) = read(&server, &bytes, 0);
    result.unwrap();
    assert!(found == bytes);
    assert_eq!(server.count("/v2/a/blobs/"), 16);
    assert!(server.sent() < (1 << 20) + 65536, "nothing came twice");
}

#[test]
fn ranges_that_are_ignored_are_read_past() {
    let bytes = noise(400_000, 3);
    let server = serve(&bytes, |_, reply, bytes| reply.send(200, &[], bytes));
    let (found, result) = read(&server, &bytes, 123_456);
    result.unwrap();
    assert!(found == bytes[123_456..]);
}

#[test]
fn a_part_from_another_place_is_not_taken() {
    let bytes = noise(10_000, 4);
    let server = serve(&bytes, |_, reply, bytes| {
        let headers = [("content-range", "bytes 9000-9999/10000")];
        reply.send(206, &headers, &bytes[9000..]);
    });
    let (_, result) = read(&server, &bytes, 5000);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("asked for byte 5000, it begins with byte 9000"), "{said}");
    let unsaid = serve(&bytes, |_, reply, bytes| reply.send(206, &[], &bytes[5000..]));
    let (_, result) = read(&unsaid, &bytes, 5000);
    assert!(result.unwrap_err().to_string().contains("without saying which"));
}

#[test]
fn another_size_is_found_at_once() {
    let bytes = noise(10_000, 5);
    for other in [9_999, 10_001, 0] {
        let server = serve(&bytes, move |_, reply, _| reply.send(200, &[], &noise(other, 5)));
        let (found, result) = read(&server, &bytes, 0);
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Hostile);
        assert!(
            error
                .to_string()
                .contains(&format!("it has {other} bytes, but should have 10000")),
            "{error}"
        );
        assert!(found.is_empty());
    }
}

#[test]
fn a_short_body_is_given_up() {
    let bytes = noise(10_000, 6);
    let server = serve(&bytes, |request, reply, bytes| {
        let start = head_of_rest(request, reply, bytes);
        // Never gets past byte 5000.
        reply.bytes(&bytes[start..5000.max(start)]);
        reply.close();
    });
    let (found, result) = read(&server, &bytes, 0);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("after 5000 of 10000 bytes"), "{error}");
    assert!(found == bytes[..5000], "what came is right");
    assert_eq!(server.count("/v2/a/blobs/"), 4, "as often as we are patient");
}

#[test]
fn an_endless_body_is_cut_off() {
    let bytes = noise(100_000, 7);
    let server = serve(&bytes, |_, reply, bytes| {
        reply.head(200, &[("transfer-encoding", "chunked")]);
        let length = format!("{:x}\r\n", bytes.len());
        let chunk = [length.as_bytes(), bytes, b"\r\n"].concat();
        while reply.bytes(&chunk) {}
    });
    let (found, result) = read(&server, &bytes, 0);
    let said = result.unwrap_err().to_string();
    assert!(said.contains("more than the 100000 bytes"), "{said}");
    assert!(found.len() <= bytes.len());
    assert!(server.sent() < 24 << 20, "{} bytes went out", server.sent());
}

#[test]
fn a_drip_is_given_up() {
    let bytes = noise(10_000, 8);
    let server = serve(&bytes, |request, reply, bytes| {
        let start = head_of_rest(request, reply, bytes);
        for byte in &bytes[start..] {
            if !reply.bytes(&[*byte]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let (client, _directory) = client_with(|settings, _| {
        settings.patience.slow_time = Duration::from_millis(200);
        settings.patience.tries = 2;
    });
    let start = Instant::now();
    let mut blob = client
        .blob(&reference(&server.authority(), "a:1"), &layer_of(&bytes), 0)
        .unwrap();
    let error = blob.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("bytes came in"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn silence_is_given_up() {
    let bytes = noise(10_000, 9);
    let server = serve(&bytes, |request, reply, bytes| {
        let start = head_of_rest(request, reply, bytes);
        reply.bytes(&bytes[start..=start]);
        std::thread::sleep(Duration::from_mins(1));
    });
    let (client, _directory) = client_with(|settings, _| {
        settings.patience.silence = Duration::from_millis(100);
        settings.patience.tries = 2;
    });
    let mut blob = client
        .blob(&reference(&server.authority(), "a:1"), &layer_of(&bytes), 0)
        .unwrap();
    let error = blob.read_to_end(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("nothing comes any more"), "{error}");
}

#[test]
fn a_mirror_that_fails_is_passed_over() {
    let bytes = noise(200_000, 10);
    let mirror = serve(&bytes, |request, reply, bytes| {
        let start = head_of_rest(request, reply, bytes);
        reply.bytes(&bytes[start..(start + 1000).min(bytes.len())]);
        reply.reset();
    });
    let own = serve(&bytes, |request, reply, bytes| {
        let start = head_of_rest(request, reply, bytes);
        reply.bytes(&bytes[start..]);
    });
    let (client, _directory) = client_with(|_, directory| {
        let text = format!(
            "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}/m\"\n",
            own.authority(),
            mirror.authority()
        );
        std::fs::write(directory.join("registries.conf"), text).unwrap();
    });
    let mut found = Vec::new();
    let mut blob = client
        .blob(&reference(&own.authority(), "a:1"), &layer_of(&bytes), 0)
        .unwrap();
    blob.read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    assert!(mirror.count("/v2/m/a/blobs/") >= 1, "the mirror was asked first");
    assert!(own.count("/v2/a/blobs/") >= 1, "the registry itself gave the rest");
}
