//! Answers that the protocols allow, or nearly, and that few servers give: each is understood, or told in one line.

use crate::image::{any_manifest, layer_of, noise, reference};
use crate::server::{Reply, Request, Server};
use crate::settings::{client, client_with};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, OnceLock};
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, media_type};

/// What is asked for besides the protocol's version.
fn serve(answer: impl Fn(&Request, &mut Reply) + Send + Sync + 'static) -> Server {
    Server::start(move |request, reply| match request.path.as_str() {
        "/v2/" => reply.send(200, &[], b""),
        _ => answer(request, reply),
    })
}

fn manifest(server: &Server) -> Result<Vec<u8>, String> {
    let (client, _directory) = client();
    let found = client.manifest(&reference(&server.authority(), "a:1"));
    let text = |error: wiac_registry::Error| {
        let text = error.to_string();
        assert!(!text.contains('\n') && text.len() < 500, "one line: {text}");
        text
    };
    found.map(|found| found.bytes).map_err(text)
}

/// A head and a manifest, written as `text` has it: `LENGTH` is its length, `BODY` itself.
fn raw(text: &'static str) -> Server {
    serve(move |_, reply| {
        let body = String::from_utf8(any_manifest()).unwrap();
        let text = text.replace('\n', "\r\n").replace("HEX", &format!("{:x}", body.len()));
        let text = text.replace("LENGTH", &body.len().to_string()).replace("BODY", &body);
        reply.bytes(text.as_bytes());
        reply.close();
    })
}

#[test]
fn answers_in_every_form_are_read() {
    for text in [
        "HTTP/1.0 200 OK\n\nBODY",
        "HTTP/1.0 200 OK\nContent-Length: LENGTH\n\nBODY",
        "HTTP/1.1 200 OK\nConnection: close\n\nBODY",
        "HTTP/1.1 200\nContent-Length: LENGTH\n\nBODY",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: LENGTH\n\nBODY",
        "HTTP/1.1 103 Early Hints\nLink: </x>; rel=preload\n\nHTTP/1.1 200 OK\nContent-Length: LENGTH\n\nBODY",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nHEX;a=b\nBODY\n0\nX-Trailer: y\n\n",
        "HTTP/1.1 200 OK\nContent-Encoding: identity\nContent-Length: LENGTH\n\nBODY",
    ] {
        let server = raw(text);
        assert_eq!(manifest(&server).as_deref(), Ok(any_manifest().as_slice()), "{text}");
    }
}

#[test]
fn answers_that_break_off_or_lie_are_refused() {
    for text in [
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\nBODY\n0\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nfffffffffffffffff\nBODY",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nHEX\nBODY",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\nContent-Length: -1\n\nBODY",
        "HTTP/1.1 204 No Content\n\n",
        "HTTP/9.9 200 OK\n\nBODY",
        "\n\n",
    ] {
        let server = raw(text);
        let said = manifest(&server).expect_err(text);
        assert!(said.contains(&server.authority()), "{text}: {said}");
        assert!(server.count("/v2/a/manifests/1") <= 4, "{text}: asked too often");
    }
    let said = manifest(&raw(
        "HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: LENGTH\n\nBODY",
    ));
    assert!(
        said.as_ref().is_err_and(|said| said.contains("compressed (gzip)")),
        "{said:?}"
    );
}

#[test]
fn a_manifest_that_breaks_off_is_fetched_again() {
    let count = Mutex::new(0);
    let server = serve(move |_, reply| {
        let mut count = count.lock().unwrap();
        *count += 1;
        let body = any_manifest();
        if *count == 3 {
            return reply.send(200, &[("content-type", media_type::MANIFEST)], &body);
        }
        reply.head(200, &[("content-length", &body.len().to_string())]);
        reply.bytes(&body[..10]);
        reply.close();
    });
    assert_eq!(manifest(&server), Ok(any_manifest()));
}

#[test]
fn redirects_of_all_kinds_are_followed() {
    let server = serve(|request, reply| match request.path.as_str() {
        "/v2/a/manifests/1" => reply.send(308, &[("location", "../../b/one?x=1")], b""),
        "/v2/b/one?x=1" => reply.send(307, &[("location", "two")], b"gone"),
        "/v2/b/two" => reply.send(301, &[("location", "?three")], b""),
        "/v2/b/two?three" => reply.send(302, &[("location", "/four")], b""),
        "/four" => reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest()),
        other => panic!("{other}"),
    });
    assert_eq!(manifest(&server), Ok(any_manifest()));
    let nowhere = serve(|_, reply| reply.send(302, &[], b""));
    let said = manifest(&nowhere).expect_err("nowhere to go");
    assert!(said.contains("302"), "{said}");
}

/// A registry with a token server that answers `token`; whoever has the token `right` gets the manifest.
fn with_tokens(challenges: &'static [&'static str], token: impl Fn(&mut Reply) + Send + Sync + 'static) -> Server {
    let own: Arc<OnceLock<String>> = Arc::default();
    let known = own.clone();
    let server = Server::start(move |request, reply| {
        if request.path.starts_with("/token") {
            return token(reply);
        }
        if request.path != "/v2/" && request.header("authorization") == Some("Bearer right") {
            return reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest());
        }
        let own = known.get().unwrap();
        let texts: Vec<_> = challenges.iter().map(|text| text.replace("OWN", own)).collect();
        let headers: Vec<_> = texts.iter().map(|text| ("www-authenticate", text.as_str())).collect();
        reply.send(401, &headers, b"");
    });
    own.set(server.authority()).unwrap();
    server
}

const BEARER: &[&str] = &["Bearer realm=\"http://OWN/token\",service=\"x\""];

#[test]
fn token_answers_of_all_kinds_are_understood() {
    for body in [
        r#"{"token":"right","expires_in":0}"#,
        r#"{"token":"right","expires_in":-5}"#,
        r#"{"token":"right","expires_in":99999999999999999999}"#,
        r#"{"token":"right","expires_in":"300"}"#,
        r#"{"token":"right","expires_in":1.5,"issued_at":"yesterday"}"#,
        r#"{"token":null,"access_token":"right","expires_in":null}"#,
        r#"{"token":"","access_token":"right"}"#,
    ] {
        let server = with_tokens(BEARER, move |reply| reply.send(200, &[], body.as_bytes()));
        let (client, _directory) = client();
        for _ in 0..3 {
            client.manifest(&reference(&server.authority(), "a:1")).expect(body);
        }
        assert_eq!(server.count("/token"), 1, "{body}");
    }
}

#[test]
fn of_several_challenges_the_one_we_can_meet_counts() {
    for challenges in [
        &["Negotiate", "Basic realm=\"a, b\"", "Bearer realm=\"http://OWN/token\""] as &[&str],
        &[
            "NTLM, Basic realm=\"Bearer realm=x, y\", bearer  REALM = \"http://OWN/token\" ,service=x, Digest nonce=\"\\\"\"",
        ],
        &["Bearer error=\"insufficient_scope\" ,, realm=http://OWN/token"],
    ] {
        let server = with_tokens(challenges, |reply| reply.send(200, &[], br#"{"token":"right"}"#));
        assert_eq!(manifest(&server), Ok(any_manifest()), "{challenges:?}");
    }
    for (challenge, words) in [
        (&["Negotiate"] as &[&str], "negotiate"),
        (&["Bearer"], "the address of its token server is wrong"),
        (&["Bearer realm=\"/token\""], "the address of its token server is wrong"),
        (&["Bearer realm=\"file:///etc/passwd\""], "is no scheme for us"),
        (&["Bearer realm=\"http://u:p@OWN/token\""], "names a user"),
        (&["Bearer realm=\"http://169.254.169.254/latest\""], "its own secrets"),
        (&["Bearer realm=\"http://[fd00:ec2::254]:80/x\""], "its own secrets"),
    ] {
        let server = with_tokens(challenge, |reply| reply.send(200, &[], br#"{"token":"right"}"#));
        let said = manifest(&server).expect_err(words);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn nobody_else_gets_an_identity_token() {
    let thief = Server::start(|_, reply| reply.send(200, &[], br#"{"token":"right"}"#));
    let location: &'static str = format!("http://{}/token", thief.authority()).leak();
    for status in [301, 302, 307, 308] {
        let server = with_tokens(BEARER, move |reply| reply.send(status, &[("location", location)], b""));
        let (client, _directory) = client_with(|_, directory| {
            let text = format!(
                r#"{{"auths":{{"{}":{{"identitytoken":"secret"}}}}}}"#,
                server.authority()
            );
            std::fs::write(directory.join("auth.json"), text).unwrap();
        });
        let error = client.manifest(&reference(&server.authority(), "a:1")).unwrap_err();
        assert!(error.to_string().contains("redirects a secret"), "{error}");
    }
    assert!(thief.seen().is_empty());
}

#[test]
fn a_redirect_to_the_machines_own_secrets_is_not_followed() {
    let server = serve(|_, reply| reply.send(307, &[("location", "http://169.254.169.254/latest/meta-data/")], b""));
    let said = manifest(&server).expect_err("refused");
    assert!(
        said.contains("169.254.169.254") && said.contains("its own secrets"),
        "{said}"
    );
}

/// The client's copy of a blob, from an offset on.
fn read(server: &Server, bytes: &[u8], from: u64) -> Result<Vec<u8>, String> {
    let (client, _directory) = client();
    let mut found = Vec::new();
    let blob = client.blob(&reference(&server.authority(), "a:1"), &layer_of(bytes), from);
    let mut blob = blob.map_err(|error| error.to_string())?;
    blob.read_to_end(&mut found).map_err(|error| error.to_string())?;
    Ok(found)
}

#[test]
fn who_gives_no_parts_gives_the_whole() {
    let bytes = noise(100_000, 50);
    let content = bytes.clone();
    let server = serve(move |request, reply| match request.range_start() {
        Some(_) => reply.send(416, &[("content-range", "bytes */100000")], b""),
        None => reply.send(200, &[], &content),
    });
    assert!(read(&server, &bytes, 60_000).as_deref() == Ok(&bytes[60_000..]));
    let empty = serve(|_, reply| reply.send(416, &[], b""));
    let said = read(&empty, &bytes, 60_000).expect_err("nothing is there");
    assert!(said.contains("it has no byte 60000"), "{said}");
}

#[test]
fn parts_that_are_not_what_they_say_are_noticed() {
    let bytes = noise(10_000, 51);
    // The range, and how many bytes come: only a beginning that is known, and a length that fits, can be right.
    for (range, from, is_taken) in [
        ("bytes 5000-9999/10000", 5000, true),
        ("bytes 5000-9999/*", 5000, true),
        ("bytes 5000-9999/77", 5000, true),
        ("bytes 4999-9999/10000", 4999, true),
        ("bytes 5001-9999/10000", 5001, false),
        ("bytes 5000-9998/10000", 5001, false),
        ("bytes */10000", 5000, false),
        ("bytes -1-9999/10000", 5000, false),
        ("5000-9999", 5000, false),
    ] {
        let content = bytes.clone();
        let server = serve(move |_, reply| reply.send(206, &[("content-range", range)], &content[from..]));
        let found = read(&server, &bytes, 5000);
        if is_taken {
            assert!(found.as_deref() == Ok(&bytes[5000..]), "{range}: {:?}", found.err());
        } else {
            assert!(found.is_err(), "{range}");
        }
    }
}

#[test]
fn nothing_is_asked_for_an_empty_blob() {
    let server = serve(|request, _| panic!("{}", request.path));
    assert_eq!(read(&server, b"", 0), Ok(Vec::new()));
    assert!(server.seen().is_empty());
}

#[test]
fn uploads_go_where_they_are_sent() {
    // How the place of an upload is told, and what the registry says that it has; `-1` is one byte less than it has.
    for (first, range) in [
        ("/up/1?_state=a%2Bb", "0-END"),
        ("1?_state=x&digest=none", "0-END"),
        ("?u=1", "0-SIZE"),
        ("//OWN/up", "bytes=0-END"),
        ("http://OWN/up#here", ""),
    ] {
        let own: Arc<OnceLock<String>> = Arc::default();
        let (known, kept) = (own.clone(), Arc::new(Mutex::new(Vec::new())));
        let stored = kept.clone();
        let server = Server::start(move |request, reply| {
            let location = first.replace("OWN", known.get().unwrap());
            match request.method.as_str() {
                "HEAD" => reply.head(404, &[]),
                "POST" => reply.send(202, &[("location", &location)], b""),
                "PATCH" => {
                    let mut kept = stored.lock().unwrap();
                    kept.write_all(&request.body).unwrap();
                    let range = range.replace("END", &(kept.len() - 1).to_string());
                    let range = range.replace("SIZE", &kept.len().to_string());
                    reply.send(202, &[("location", &location), ("range", &range)], b"");
                }
                "PUT" => {
                    stored.lock().unwrap().write_all(&request.body).unwrap();
                    reply.send(201, &[], b"");
                }
                _ => reply.send(200, &[], b""),
            }
        });
        own.set(server.authority()).unwrap();
        for size in [0, 10, 3 << 20] {
            kept.lock().unwrap().clear();
            let (client, _directory) = client();
            let bytes = noise(size, 52);
            crate::debian_push::send(&client, &reference(&server.authority(), "a:1"), &bytes).expect(first);
            assert!(*kept.lock().unwrap() == bytes, "{first} {range} {size}");
        }
        let ends = server.seen().into_iter().filter(|request| request.method == "PUT");
        let digest = Digest::sha256(noise(10, 52));
        let hex = digest.hex();
        assert!({ ends }.any(|request| request.path.ends_with(hex)), "{first}");
    }
}

#[test]
fn lists_stay_within_bounds() {
    let (client, _directory) = client();
    let tags = |server: &Server| {
        client
            .tags(&reference(&server.authority(), "a"))
            .map_err(|error| error.to_string())
    };
    // There and back again.
    let circle = serve(|request, reply| {
        let next = if request.path.contains("last=1") { "0" } else { "1" };
        let link = format!("</v2/a/tags/list?last={next}>; rel=\"next\"");
        reply.send(200, &[("link", &link)], br#"{"tags":["1"]}"#);
    });
    let said = tags(&circle).expect_err("a circle");
    assert!(said.contains("in a circle"), "{said}");
    assert!(circle.count("/v2/a/tags/list") <= 3);
    // To another host: only what is behind it counts.
    let elsewhere = Server::start(|_, reply| reply.send(200, &[], br#"{"tags":["stolen"]}"#));
    let link: &'static str = format!("<http://{}/v2/a/tags/list?last=1>; rel=next", elsewhere.authority()).leak();
    let server = serve(move |request, reply| {
        if request.path.contains("last=1") {
            reply.send(200, &[], br#"{"name":"a","tags":null}"#);
        } else {
            let tags = br#"{"tags":["", "-x", "a b", "ok", "\u001b[2J"]}"#;
            reply.send(200, &[("link", link)], tags);
        }
    });
    assert_eq!(tags(&server), Ok(vec!["ok".to_owned()]));
    assert!(elsewhere.seen().is_empty());
    // A hundred megabytes at once, and a little at a time.
    let page = format!(
        "{{\"tags\":[{}\"x\"]}}",
        format!("\"{}\",", "y".repeat(100)).repeat(70_000)
    );
    let at_once = serve(move |_, reply| {
        reply.head(200, &[("content-length", "104857600")]);
        while reply.bytes(&vec![b' '; 65536]) {}
    });
    let said = tags(&at_once).expect_err("too large");
    assert!(said.contains("larger than"), "{said}");
    let count = Mutex::new(0);
    let endless = serve(move |_, reply| {
        let mut count = count.lock().unwrap();
        *count += 1;
        let link = format!("</v2/a/tags/list?last={count}>; rel=next");
        reply.send(200, &[("link", &link)], page.as_bytes());
    });
    let said = tags(&endless).expect_err("too large");
    assert!(said.contains("larger than 64 MiB"), "{said}");
}

#[test]
fn what_head_says_is_only_a_hint() {
    let server = serve(|request, reply| match request.method.as_str() {
        "HEAD" => reply.head(200, &[("content-length", "7"), ("content-type", media_type::MANIFEST)]),
        _ => reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest()),
    });
    let (client, _directory) = client();
    let name = reference(&server.authority(), "a:1");
    let whole = client.manifest(&name).unwrap().descriptor;
    assert_eq!(client.head(&name).unwrap(), whole);
    // A blob that has another size there isn't the one that is to be sent.
    let other = Descriptor::new(media_type::LAYER, Digest::sha256("1234567"), 8);
    assert!(!client.has_blob(&name, &other).unwrap());
}
