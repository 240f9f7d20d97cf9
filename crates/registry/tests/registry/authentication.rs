//! Tokens: asked for, renewed, not enough; registries that go on asking.

use crate::image::{any_manifest, layer_of, noise, reference};
use crate::server::{Reply, Request, Server};
use crate::settings::{client, client_with};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use wiac_oci::manifest::media_type;
use wiac_registry::Kind;

const MANIFEST: [(&str, &str); 1] = [("content-type", media_type::MANIFEST)];

/// A server that is registry and token server: what has no right token is challenged.
fn token_server(
    token: impl Fn(&Request, &mut Reply) + Send + Sync + 'static,
    content: impl Fn(&Request, &mut Reply) -> bool + Send + Sync + 'static,
) -> Server {
    let own: Arc<OnceLock<String>> = Arc::default();
    let known = own.clone();
    let server = Server::start(move |request, reply| {
        if request.path.starts_with("/token") {
            return token(request, reply);
        }
        if request.path == "/v2/" || !content(request, reply) {
            let own = known.get().unwrap();
            let challenge = format!(
                r#"Bearer realm="http://{own}/token",service="test",scope="repository:a:pull",error="invalid_token""#
            );
            let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            reply.send(401, &[("www-authenticate", &challenge)], body);
        }
    });
    own.set(server.authority()).unwrap();
    server
}

#[test]
fn an_anonymous_token_is_fetched_once() {
    let server = token_server(
        |_, reply| reply.send(200, &[], br#"{"token":"t1","expires_in":300}"#),
        |request, reply| {
            let is_known = request.header("authorization") == Some("Bearer t1");
            if is_known {
                reply.send(200, &MANIFEST, &any_manifest());
            }
            is_known
        },
    );
    let (client, _directory) = client();
    for _ in 0..3 {
        client.manifest(&reference(&server.authority(), "a:1")).unwrap();
    }
    assert_eq!(server.count("/token"), 1);
    let asked = server
        .seen()
        .into_iter()
        .find(|request| request.path.starts_with("/token"))
        .unwrap();
    assert_eq!(asked.path, "/token?service=test&scope=repository:a:pull");
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn a_password_goes_to_the_token_server_only() {
    let server = token_server(
        |request, reply| match request.header("authorization") {
            // user:secret
            Some("Basic dXNlcjpzZWNyZXQ=") => reply.send(200, &[], br#"{"access_token":"t2"}"#),
            _ => reply.send(401, &[], br#"{"details":"incorrect username or password"}"#),
        },
        |request, reply| {
            let sent = request.header("authorization").unwrap_or_default();
            assert!(!sent.starts_with("Basic"), "a password for the registry itself");
            if sent == "Bearer t2" {
                reply.send(200, &MANIFEST, &any_manifest());
            }
            sent == "Bearer t2"
        },
    );
    let name = reference(&server.authority(), "a:1");
    let with = |password: &str| {
        let creds = Some(("user".to_owned(), password.to_owned()));
        client_with(|settings, _| settings.creds = creds)
    };
    with("secret").0.manifest(&name).unwrap();
    let error = with("wrong").0.manifest(&name).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    let text = error.to_string();
    assert!(
        text.contains("incorrect username or password") && text.contains("wiac login"),
        "{text}"
    );
}

#[test]
fn an_identity_token_is_exchanged_by_post() {
    let server = token_server(
        |request, reply| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let is_right = request.method == "POST" && form.contains("refresh_token=it%2B1&service=test");
            assert!(is_right, "{} {form}", request.method);
            reply.send(200, &[], br#"{"access_token":"t3"}"#);
        },
        |request, reply| {
            let is_known = request.header("authorization") == Some("Bearer t3");
            if is_known {
                reply.send(200, &MANIFEST, &any_manifest());
            }
            is_known
        },
    );
    let (client, _directory) = client_with(|_, directory| {
        let text = format!(r#"{{"auths":{{"{}":{{"identitytoken":"it+1"}}}}}}"#, server.authority());
        std::fs::write(directory.join("auth.json"), text).unwrap();
    });
    client.manifest(&reference(&server.authority(), "a:1")).unwrap();
}

#[test]
fn a_registry_that_goes_on_asking_is_given_up() {
    let server = token_server(|_, reply| reply.send(200, &[], br#"{"token":"t"}"#), |_, _| false);
    let (client, _directory) = client();
    let error = client.manifest(&reference(&server.authority(), "a:1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(
        error
            .to_string()
            .contains("isn't enough for it (UNAUTHORIZED: authentication required)"),
        "{error}"
    );
    assert_eq!(server.count("/v2/a/manifests"), 2);
    assert_eq!(server.count("/token"), 1);
    let basic = Server::start(|_, reply| reply.send(401, &[("www-authenticate", "Basic realm=\"x\"")], b""));
    let (client, _directory) = client_with(|settings, _| settings.creds = Some(("user".to_owned(), "x".to_owned())));
    let error = client.manifest(&reference(&basic.authority(), "a:1")).unwrap_err();
    assert!(error.to_string().contains("doesn't take the password"), "{error}");
    assert_eq!(basic.count("/v2/a/manifests"), 2);
    let odd = Server::start(|_, reply| reply.send(401, &[("www-authenticate", "Negotiate")], b""));
    let error = client.manifest(&reference(&odd.authority(), "a:1")).unwrap_err();
    assert!(error.to_string().contains("\"negotiate\" authentication"), "{error}");
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let bytes = noise(300_000, 20);
    let content: Arc<[u8]> = bytes.clone().into();
    let fetched = Arc::new(AtomicUsize::new(0));
    let (valid, counter) = (fetched.clone(), fetched.clone());
    let server = token_server(
        move |_, reply| {
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            reply.send(
                200,
                &[],
                format!(r#"{{"token":"t{number}","expires_in":300}}"#).as_bytes(),
            );
        },
        move |request, reply| {
            let current = valid.load(Ordering::SeqCst);
            if request.header("authorization") != Some(&format!("Bearer t{current}")) || current == 0 {
                return false;
            }
            let start = request.range_start().unwrap_or(0);
            // The first token ends with the first half.
            if start == 0 {
                valid.store(100, Ordering::SeqCst);
                reply.head(200, &[("content-length", "300000")]);
                reply.bytes(&content[..150_000]);
                reply.close();
            } else {
                let range = format!("bytes {start}-299999/300000");
                reply.send(206, &[("content-range", &range)], &content[start..]);
            }
            true
        },
    );
    let (client, _directory) = client();
    let mut found = Vec::new();
    let mut blob = client
        .blob(&reference(&server.authority(), "a:1"), &layer_of(&bytes), 0)
        .unwrap();
    blob.read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    assert_eq!(server.count("/token"), 2);
}

#[test]
fn a_token_that_expires_during_an_upload_is_renewed() {
    let bytes = noise(2_000_000, 21);
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = fetched.clone();
    let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
    let content = kept.clone();
    let server = token_server(
        move |_, reply| {
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            reply.send(
                200,
                &[],
                format!(r#"{{"token":"t{number}","expires_in":300}}"#).as_bytes(),
            );
        },
        move |request, reply| {
            let token = request.header("authorization").unwrap_or_default();
            // The first token is good for the beginning only.
            if !(token == "Bearer t2" || token == "Bearer t1" && request.method == "POST") {
                return false;
            }
            let mut content = content.lock().unwrap();
            let headers = [("location", "/v2/a/blobs/uploads/1"), ("range", "0-0")];
            match request.method.as_str() {
                "POST" => reply.send(202, &headers, b""),
                "GET" => reply.send(204, &headers, b""),
                "PATCH" => {
                    content.clone_from(&request.body);
                    reply.send(202, &headers[..1], b"");
                }
                _ => reply.send(201, &[], b""),
            }
            true
        },
    );
    let (client, _directory) = client();
    crate::debian_push::send(&client, &reference(&server.authority(), "a:1"), &bytes).unwrap();
    assert!(*kept.lock().unwrap() == bytes);
    assert_eq!(fetched.load(Ordering::SeqCst), 2);
}

#[test]
fn nonsense_from_a_token_server() {
    for (body, expected) in [
        (b"<html>".as_slice(), "isn't JSON"),
        (b"{}", "there is no token"),
        (br#"{"token":"a b"}"#, "there is no token"),
        (br#"{"token":"a\r\nx: y"}"#, "there is no token"),
    ] {
        let server = token_server(move |_, reply| reply.send(200, &[], body), |_, _| false);
        let (client, _directory) = client();
        let error = client.manifest(&reference(&server.authority(), "a:1")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
