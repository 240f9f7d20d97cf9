//! Pulling from docker-registry what skopeo pushed there.

use crate::debian::{Options, Registry, skopeo};
use crate::image::{Layout, reference};
use crate::settings::{client, client_with};
use std::io::Read;
use wiac_oci::digest::Digest;
use wiac_registry::Kind;

/// A registry with an image that skopeo pushed to `a/b:1`.
fn with_image(registry: &Registry, creds: Option<&str>) -> Layout {
    let path = registry.directory.path().join("layout");
    let layout = Layout::write(&path, 300_000, 1);
    let source = format!("oci:{}:1", path.display());
    let target = format!("docker://{}/a/b:1", registry.authority());
    let mut arguments = vec!["copy", "--quiet", "--dest-tls-verify=false"];
    if let Some(creds) = creds {
        arguments.extend(["--dest-creds", creds]);
    }
    arguments.extend([source.as_str(), target.as_str()]);
    skopeo(&arguments);
    layout
}

#[test]
fn an_image_arrives_byte_for_byte() {
    let registry = Registry::start(&Options::default());
    let layout = with_image(&registry, None);
    let (client, _directory) = client();
    let name = reference(&registry.authority(), "a/b:1");
    let fetched = client.manifest(&name).unwrap();
    assert_eq!(fetched.bytes, layout.manifest);
    assert_eq!(fetched.descriptor.digest, Digest::sha256(&layout.manifest));
    let by_digest = reference(&registry.authority(), "a/b").with_digest(fetched.descriptor.digest.clone());
    assert_eq!(client.manifest(&by_digest).unwrap(), fetched);
    for from in [0, 1, 150_000, layout.layer.len() as u64] {
        let mut bytes = Vec::new();
        let mut blob = client.blob(&name, &layout.layer_descriptor, from).unwrap();
        blob.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, layout.layer[usize::try_from(from).unwrap()..]);
        assert_eq!(blob.received(), bytes.len() as u64, "only the rest came");
    }
    assert!(client.has_blob(&name, &layout.config_descriptor).unwrap());
    let mut other = layout.config_descriptor.clone();
    other.digest = Digest::sha256("other");
    assert!(!client.has_blob(&name, &other).unwrap());
    let error = client.blob(&name, &other, 0).err().unwrap();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    let error = client.manifest(&reference(&registry.authority(), "a/b:2")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("has no a/b:2: MANIFEST_UNKNOWN"), "{error}");
}

#[test]
fn a_password_is_asked_for_and_taken() {
    let registry = Registry::start(&Options {
        htpasswd: Some(("user", "pass word")),
        ..Options::default()
    });
    let layout = with_image(&registry, Some("user:pass word"));
    let name = reference(&registry.authority(), "a/b:1");
    let (anonymous, _directory) = client();
    let error = anonymous.manifest(&name).unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(
        error
            .to_string()
            .contains(&format!("wiac login {}", registry.authority())),
        "{error}"
    );

    let creds = |password: &str| Some(("user".to_owned(), password.to_owned()));
    let (wrong, _directory) = client_with(|settings, _| settings.creds = creds("nonsense"));
    let error = wrong.manifest(&name).unwrap_err().to_string();
    assert!(error.contains("doesn't take the password of \"user\""), "{error}");
    assert!(!error.contains("nonsense"), "{error}");

    let (right, _directory) = client_with(|settings, _| settings.creds = creds("pass word"));
    assert_eq!(right.manifest(&name).unwrap().bytes, layout.manifest);
    let mut bytes = Vec::new();
    let mut blob = right.blob(&name, &layout.layer_descriptor, 0).unwrap();
    blob.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, layout.layer);
}
