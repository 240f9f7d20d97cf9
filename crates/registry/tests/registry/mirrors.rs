//! What registries.conf, hosts.toml and policy.json make of a name; foreign layers.

use crate::image::{any_manifest, layer_of, noise, reference};
use crate::server::Server;
use crate::settings::{client, client_with};
use std::io::Read;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::media_type;
use wiac_registry::Kind;

fn with_manifest() -> Server {
    Server::start(|request, reply| match request.path.as_str() {
        "/v2/" => reply.send(200, &[], b""),
        _ => reply.send(200, &[("content-type", media_type::MANIFEST)], &any_manifest()),
    })
}

fn empty() -> Server {
    Server::start(|request, reply| match request.path.as_str() {
        "/v2/" => reply.send(200, &[], b""),
        _ => reply.send(
            404,
            &[],
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#,
        ),
    })
}

#[test]
fn mirrors_are_asked_in_order() {
    let (first, second, own) = (empty(), with_manifest(), with_manifest());
    let (client, _directory) = client_with(|settings, directory| {
        settings.creds = Some(("user".to_owned(), "secret".to_owned()));
        let text = format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{}/hub\"\n\
             [[registry.mirror]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}/cache\"\n",
            own.authority(),
            first.authority(),
            second.authority()
        );
        std::fs::write(directory.join("registries.conf"), text).unwrap();
    });
    let fetched = client.manifest(&"alpine:3".parse().unwrap()).unwrap();
    assert_eq!(fetched.from, second.authority());
    assert_eq!(first.count("/v2/library/alpine/manifests/3"), 1);
    assert_eq!(second.count("/v2/cache/library/alpine/manifests/3"), 1);
    assert!(own.seen().is_empty());
    // What is sent goes to the registry itself.
    let _ = client.put_manifest(&"alpine:3".parse().unwrap(), media_type::MANIFEST, &any_manifest());
    assert_eq!(own.count("/v2/hub/library/alpine/manifests/3"), 1);
}

#[test]
fn the_registry_has_the_last_word() {
    let (mirror, own) = (empty(), empty());
    let (client, _directory) = client_with(|_, directory| {
        let hosts = directory.join(format!("hosts.d/{}", own.authority()));
        std::fs::create_dir_all(&hosts).unwrap();
        let text = format!(
            "[host.\"http://{}\"]\n  capabilities = [\"pull\"]\n",
            mirror.authority()
        );
        std::fs::write(hosts.join("hosts.toml"), text).unwrap();
    });
    let error = client.manifest(&reference(&own.authority(), "a:1")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with(&own.authority()), "{error}");
    let for_whom = format!("/v2/a/manifests/1?ns={}", own.authority());
    assert_eq!(mirror.count(&for_whom), 1);
}

#[test]
fn a_policy_is_kept() {
    let server = with_manifest();
    let (client, _directory) = client_with(|_, directory| {
        std::fs::write(directory.join("policy.json"), r#"{"default": [{"type": "reject"}]}"#).unwrap();
    });
    let error = client.manifest(&reference(&server.authority(), "a:1")).unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(
        error.to_string().contains("policy.json: it rejects everything"),
        "{error}"
    );
    assert!(server.seen().is_empty());
}

#[test]
fn foreign_layers_come_from_their_addresses() {
    let bytes = noise(100_000, 70);
    let content = bytes.clone();
    let store = Server::start(move |_, reply| reply.send(200, &[], &content));
    let registry = empty();
    let mut descriptor = layer_of(&bytes);
    descriptor.urls = vec![
        "file:///etc/passwd".to_owned(),
        format!("http://{}/layer", store.authority()),
    ];
    let name = reference(&registry.authority(), "a:1");
    let (lenient, _directory) = client();
    let mut found = Vec::new();
    lenient
        .blob(&name, &descriptor, 0)
        .unwrap()
        .read_to_end(&mut found)
        .unwrap();
    assert!(found == bytes);
    assert_eq!(store.seen().len(), 1);
    let mut other = layer_of(b"other");
    other.digest = Digest::sha256("missing");
    other.urls = vec!["http://192.0.2.1/layer".to_owned()];
    let error = lenient.blob(&name, &other, 0).err().unwrap();
    assert_eq!(
        error.kind(),
        Kind::NotFound,
        "plain HTTP to elsewhere isn't tried: {error}"
    );
}
