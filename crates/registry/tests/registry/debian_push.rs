//! Pushing to docker-registry, and what skopeo says of it; mounting, resuming, deleting, logging in.

use crate::debian::{Breaker, Options, Registry, skopeo};
use crate::image::{Layout, layer_of, noise, reference};
use crate::settings::{client, client_with};
use crate::tls::Authority;
use crate::token_service::{SERVICE, TokenService};
use std::cell::RefCell;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use wiac_oci::digest::Digest;
use wiac_oci::manifest::{Descriptor, media_type};
use wiac_oci::reference::Reference;
use wiac_registry::{Client, Kind, Result};

/// Sends bytes as a blob.
pub fn send(client: &Client, to: &Reference, bytes: &[u8]) -> Result<()> {
    let shared: Arc<[u8]> = bytes.into();
    let source = move |from: u64| -> io::Result<Box<dyn Read>> {
        let mut cursor = Cursor::new(shared.clone());
        cursor.set_position(from);
        Ok(Box::new(cursor))
    };
    client.upload(to, &layer_of(bytes), &source, &|_| {})
}

/// Sends a whole image.
fn push(client: &Client, to: &Reference, image: &Layout) -> Digest {
    send(client, to, &image.layer).unwrap();
    send(client, to, &image.config).unwrap();
    client.put_manifest(to, media_type::MANIFEST, &image.manifest).unwrap()
}

#[test]
fn what_is_pushed_is_what_skopeo_reads() {
    let registry = Registry::start(&Options::default());
    let (client, directory) = client();
    let small = Layout::write(&directory.path().join("small"), 100_000, 40);
    let large = Layout::write(&directory.path().join("large"), 3_000_000, 41);
    for (image, name) in [(small, "a/small:1"), (large, "a/large:1")] {
        let to = reference(&registry.authority(), name);
        let digest = push(&client, &to, &image);
        assert_eq!(digest, Digest::sha256(&image.manifest));
        let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{to}")]);
        assert_eq!(raw.as_bytes(), image.manifest);
        let copy = directory.path().join("copy");
        let target = format!("dir:{}", copy.display());
        skopeo(&[
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &format!("docker://{to}"),
            &target,
        ]);
        let read = std::fs::read(copy.join(image.layer_descriptor.digest.hex())).unwrap();
        assert!(read == image.layer);
        assert!(client.has_blob(&to, &image.layer_descriptor).unwrap());
        assert_eq!(client.head(&to).unwrap().digest, digest);
    }
}

/// Sends bytes through connections that break, and gives the offsets at which it went on.
pub fn send_through(breaker: &Breaker, bytes: &[u8]) -> Vec<u64> {
    let (client, _directory) = client();
    let to = reference(&breaker.authority(), "a/b:1");
    let offsets = RefCell::new(Vec::new());
    let shared: Arc<[u8]> = bytes.into();
    let source = |from: u64| -> io::Result<Box<dyn Read>> {
        offsets.borrow_mut().push(from);
        let mut cursor = Cursor::new(shared.clone());
        cursor.set_position(from);
        Ok(Box::new(cursor))
    };
    client.upload(&to, &layer_of(bytes), &source, &|_| {}).unwrap();
    offsets.into_inner()
}

#[test]
fn a_lost_connection_is_a_new_beginning_for_old_registries() {
    // docker-registry 2.8 forgets an upload whose connection broke (distribution's pull request 3755 changed that).
    let registry = Registry::start(&Options::default());
    let bytes = noise(12_000_000, 42);
    let breaker = Breaker::start(&registry.authority(), 2, 5_000_000);
    assert_eq!(send_through(&breaker, &bytes), [0, 0, 0]);
    let mut found = Vec::new();
    let (client, _directory) = client();
    let own = reference(&registry.authority(), "a/b:1");
    client
        .blob(&own, &layer_of(&bytes), 0)
        .unwrap()
        .read_to_end(&mut found)
        .unwrap();
    assert!(found == bytes);
}

#[test]
fn a_broken_pull_goes_on() {
    let mut registry = Registry::start(&Options::default());
    let (client, _directory) = client_with(|settings, _| settings.patience.tries = 40);
    let bytes = noise(12_000_000, 43);
    let to = reference(&registry.authority(), "a/b:1");
    send(&client, &to, &bytes).unwrap();
    let mut blob = client.blob(&to, &layer_of(&bytes), 0).unwrap();
    let mut found = vec![0; 1_000_000];
    blob.read_exact(&mut found).unwrap();
    registry.restart();
    blob.read_to_end(&mut found).unwrap();
    assert!(found == bytes);
    assert!(
        blob.received() < bytes.len() as u64 + 1_000_000,
        "{} bytes came",
        blob.received()
    );
}

#[test]
fn blobs_are_mounted_and_taken_away() {
    let registry = Registry::start(&Options::default());
    let (client, directory) = client();
    let image = Layout::write(&directory.path().join("image"), 100_000, 44);
    let (first, second) = (
        reference(&registry.authority(), "a/first:1"),
        reference(&registry.authority(), "a/second:1"),
    );
    let digest = push(&client, &first, &image);
    assert!(
        client
            .mount_blob(&second, &first, &image.layer_descriptor.digest)
            .unwrap()
    );
    assert!(client.has_blob(&second, &image.layer_descriptor).unwrap());
    let unknown = Digest::sha256("unknown");
    assert!(!client.mount_blob(&second, &first, &unknown).unwrap());
    assert!(
        !client
            .mount_blob(&second, &reference("other.example", "a"), &unknown)
            .unwrap()
    );

    let by_digest = reference(&registry.authority(), "a/first").with_digest(digest);
    client.delete_manifest(&by_digest).unwrap();
    assert_eq!(client.manifest(&first).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(client.delete_manifest(&by_digest).unwrap_err().kind(), Kind::NotFound);
    client.delete_blob(&first, &image.layer_descriptor.digest).unwrap();
    assert!(!client.has_blob(&first, &image.layer_descriptor).unwrap());
}

#[test]
fn wrong_bytes_are_refused_by_the_registry() {
    let registry = Registry::start(&Options::default());
    let (client, _directory) = client();
    let to = reference(&registry.authority(), "a/b:1");
    for size in [1000, 2_000_000] {
        let descriptor = Descriptor::new("x/y", Digest::sha256("other"), size);
        let source = |_| -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(0))) };
        let error = client.upload(&to, &descriptor, &source, &|_| {}).unwrap_err();
        assert!(error.to_string().contains("DIGEST_INVALID"), "{error}");
    }
    let missing = crate::image::any_manifest();
    let error = client.put_manifest(&to, media_type::MANIFEST, &missing).unwrap_err();
    assert!(error.to_string().contains("MANIFEST_BLOB_UNKNOWN"), "{error}");
}

#[test]
fn a_source_that_fails_is_told_from_the_network() {
    let registry = Registry::start(&Options::default());
    let (client, _directory) = client();
    let to = reference(&registry.authority(), "a/b:1");
    let bytes = noise(2_000_000, 45);
    let short = |_| -> io::Result<Box<dyn Read>> { Ok(Box::new(io::repeat(0).take(1_500_000))) };
    let error = client.upload(&to, &layer_of(&bytes), &short, &|_| {}).unwrap_err();
    assert_eq!(error.kind(), Kind::Local);
    assert!(error.to_string().contains("it ends after 1500000 bytes"), "{error}");
    let closed = |_| -> io::Result<Box<dyn Read>> { Err(io::Error::from_raw_os_error(13)) };
    let error = client.upload(&to, &layer_of(&bytes), &closed, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("Permission denied"), "{error}");
}

#[test]
fn a_login_is_tried_before_it_is_stored() {
    let authority = Authority::new();
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = authority.issue("localhost", false);
    let (certificate_path, key_path) = (files.path().join("crt"), files.path().join("key"));
    std::fs::write(&certificate_path, certificate.pem()).unwrap();
    std::fs::write(&key_path, key.serialize_pem()).unwrap();
    let registry = Registry::start(&Options {
        htpasswd: Some(("user", "secret")),
        tls: Some((&certificate_path, &key_path)),
        ..Options::default()
    });
    let (client, directory) = client_with(|settings, directory| {
        let bundle = directory.join("bundle.pem");
        std::fs::write(&bundle, authority.pem()).unwrap();
        settings.authorities.bundles = vec![bundle];
    });
    let image = Layout::write(&directory.path().join("image"), 100_000, 46);
    let to = reference(&registry.named(), "a/b:1");
    assert_eq!(send(&client, &to, &image.layer).unwrap_err().kind(), Kind::Unauthorized);
    let error = client.login(&registry.named(), "user", "wrong").unwrap_err();
    assert!(
        error.to_string().contains("doesn't take the password of \"user\""),
        "{error}"
    );
    assert!(!directory.path().join("auth.json").exists());
    let stored = client.login(&registry.named(), "user", "secret").unwrap();
    assert_eq!(stored, directory.path().join("auth.json").display().to_string());
    push(&client, &to, &image);

    // skopeo reads what we stored.
    let certificates = directory.path().join("skopeo-certs");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::write(certificates.join("ca.crt"), authority.pem()).unwrap();
    let raw = skopeo(&[
        "inspect",
        "--raw",
        "--authfile",
        &stored,
        "--cert-dir",
        certificates.to_str().unwrap(),
        &format!("docker://{to}"),
    ]);
    assert_eq!(raw.as_bytes(), image.manifest);
    assert_eq!(
        client.logout(&registry.named()).unwrap(),
        [directory.path().join("auth.json")]
    );
    assert_eq!(client.manifest(&to).unwrap_err().kind(), Kind::Unauthorized);
}

#[test]
fn tokens_are_for_what_is_done() {
    let files = tempfile::tempdir().unwrap();
    let tokens = TokenService::start(files.path());
    let registry = Registry::start(&Options {
        token: Some((&tokens.realm(), SERVICE, &tokens.certificate)),
        ..Options::default()
    });
    let (anonymous, directory) = client();
    let image = Layout::write(&directory.path().join("image"), 100_000, 47);
    let (first, second) = (
        reference(&registry.authority(), "a/first:1"),
        reference(&registry.authority(), "a/second:1"),
    );
    let error = send(&anonymous, &first, &image.layer).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains("isn't enough"), "{error}");
    let creds = Some(("user".to_owned(), "secret".to_owned()));
    let (user, _directory) = client_with(|settings, _| settings.creds = creds);
    push(&user, &first, &image);
    assert!(
        user.mount_blob(&second, &first, &image.layer_descriptor.digest)
            .unwrap()
    );
    assert_eq!(anonymous.manifest(&first).unwrap().bytes, image.manifest);
    assert_eq!(
        user.catalog(&registry.authority(), "", 10).unwrap(),
        ["a/first", "a/second"]
    );
    assert_eq!(anonymous.tags(&first).unwrap(), ["1"]);
    let asked = tokens.server.seen();
    assert!(
        asked
            .iter()
            .any(|request| request.path.contains("scope=repository:a/first:pull%2Cpush"))
    );
    let for_mount = "scope=repository:a/second:pull%2Cpush&scope=repository:a/first:pull";
    assert!(asked.iter().any(|request| request.path.contains(for_mount)));
}
