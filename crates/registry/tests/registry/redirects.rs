//! Redirects: followed without credentials, never to another scheme, not for ever.

use crate::image::{layer_of, noise, reference};
use crate::server::Server;
use crate::settings::{client, client_with};
use std::io::Read;
use std::sync::{Arc, OnceLock};

#[test]
fn another_host_gets_no_credentials() {
    let bytes = noise(50_000, 30);
    let content: Arc<[u8]> = bytes.clone().into();
    let store = Server::start(move |_, reply| reply.send(200, &[], &content));
    let location = format!("http://{}/blob?X-Signature=abc", store.authority());
    let registry = Server::start(move |request, reply| match request.header("authorization") {
        None => reply.send(401, &[("www-authenticate", "Basic realm=\"r\"")], b""),
        Some(_) => reply.send(307, &[("location", &location)], b""),
    });
    let (client, _directory) =
        client_with(|settings, _| settings.creds = Some(("user".to_owned(), "secret".to_owned())));
    let mut found = Vec::new();
    let mut blob = client
        .blob(&reference(&registry.authority(), "a:1"), &layer_of(&bytes), 0)
        .unwrap();
    blob.read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    let seen = store.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/blob?X-Signature=abc");
    assert_eq!(seen[0].header("authorization"), None);
}

#[test]
fn headers_of_hosts_toml_go_to_their_host_alone() {
    let bytes = noise(50_000, 31);
    let content: Arc<[u8]> = bytes.clone().into();
    let store = Server::start(move |_, reply| reply.send(200, &[], &content));
    let location = format!("http://{}/blob", store.authority());
    let mirror = Server::start(move |request, reply| match request.header("x-team") {
        Some("builders") => reply.send(307, &[("location", &location)], b""),
        _ => reply.send(403, &[], b""),
    });
    let own = Server::start(|_, reply| reply.send(404, &[], b""));
    let (client, _directory) = client_with(|_, directory| {
        let hosts = directory.join(format!("hosts.d/{}", own.authority()));
        std::fs::create_dir_all(&hosts).unwrap();
        let text = format!(
            "[host.\"http://{}\"]\n  [host.\"http://{0}\".header]\n  x-team = \"builders\"\n  x-keys = [\"a\", \"b\"]\n",
            mirror.authority()
        );
        std::fs::write(hosts.join("hosts.toml"), text).unwrap();
    });
    let reference = reference(&own.authority(), "a:1");
    let mut found = Vec::new();
    let mut blob = client.blob(&reference, &layer_of(&bytes), 0).unwrap();
    blob.read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    let names = |server: &Server| server.seen().iter().any(|request| request.header("x-team").is_some());
    assert!(names(&mirror) && !names(&store));
    assert!(store.seen().iter().all(|request| request.header("x-keys").is_none()));
    // The registry that the mirror stands for isn't the mirror.
    client
        .blob(&reference, &layer_of(&noise(5, 32)), 0)
        .map(drop)
        .unwrap_err();
    let _ = client.manifest(&reference);
    assert!(!names(&own));
}

/// What is said of a registry that redirects there.
fn complaint(location: &str) -> String {
    let location = location.to_owned();
    let server = Server::start(move |_, reply| reply.send(302, &[("location", &location)], b""));
    let (client, _directory) = client();
    client
        .manifest(&reference(&server.authority(), "a:1"))
        .unwrap_err()
        .to_string()
}

#[test]
fn other_schemes_are_refused() {
    for location in [
        "file:///etc/passwd",
        "ftp://a.example/x",
        "javascript:alert(1)",
        "http://",
        "http://u:p@h/",
    ] {
        let said = complaint(location);
        assert!(said.contains("it redirects to"), "{location}: {said}");
    }
}

#[test]
fn a_circle_is_left() {
    let own: Arc<OnceLock<String>> = Arc::default();
    let known = own.clone();
    let server = Server::start(move |_, reply| {
        let location = format!("http://{}/v2/a/manifests/1", known.get().unwrap());
        reply.send(302, &[("location", &location)], b"");
    });
    own.set(server.authority()).unwrap();
    let (client, _directory) = client();
    let error = client
        .manifest(&reference(&server.authority(), "a:1"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("redirects more than 6 times"), "{error}");
    assert!(server.seen().len() < 10);
}

#[test]
fn a_relative_redirect_keeps_credentials() {
    let server = Server::start(move |request, reply| match request.path.as_str() {
        "/v2/a/manifests/1" if request.header("authorization").is_none() => {
            reply.send(401, &[("www-authenticate", "Basic realm=\"r\"")], b"");
        }
        "/v2/a/manifests/1" => reply.send(307, &[("location", "/elsewhere")], b""),
        "/elsewhere" if request.header("authorization").is_some() => {
            let media_type = wiac_oci::manifest::media_type::MANIFEST;
            reply.send(200, &[("content-type", media_type)], &crate::image::any_manifest());
        }
        _ => reply.send(404, &[], b""),
    });
    let (client, _directory) =
        client_with(|settings, _| settings.creds = Some(("user".to_owned(), "secret".to_owned())));
    client.manifest(&reference(&server.authority(), "a:1")).unwrap();
}
