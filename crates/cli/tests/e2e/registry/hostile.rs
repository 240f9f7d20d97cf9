//! Registries that misbehave, as a user sees them: one line, the right exit code, and nothing wrong in the store.

use super::assert_whole;
use super::web::{Answer, serve};
use crate::harness::Place;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BYTES: &str = "application/octet-stream";

/// SHA-256 as it stands in documents, by sha256sum(1).
fn digest(place: &Place, bytes: &[u8]) -> String {
    let said = place.host("sha256sum | cut -d' ' -f1").stdin(bytes).succeeds();
    format!("sha256:{}", said.text())
}

/// Neither `pull` nor `run` takes the image; both say why.
fn nobody_takes(place: &Place, name: &str, words: &[&str]) {
    for (command, code) in [("pull", 1), ("run", 125)] {
        let said = place.wiac([command, name]).fails(code).complains(words);
        assert!(said.stderr.lines().count() <= 2 && said.stderr.len() < 2000, "{said:?}");
    }
    place.wiac(["images", "-q"]).succeeds().says("");
    assert_whole(place, "data");
}

#[test]
fn html_is_no_manifest() {
    let place = Place::root();
    let server = serve(|path| match path {
        "/v2/" => Answer::of("application/json", "{}"),
        _ => Answer::of("text/html", "<html>\u{1b}[31mlog in at the hotel's desk</html>"),
    });
    nobody_takes(&place, &format!("{server}/app"), &[&server.to_string(), "a web page"]);
}

#[test]
fn an_endless_manifest_is_not_read() {
    let place = Place::root();
    let server = serve(|path| match path {
        "/v2/" => Answer::of("application/json", "{}"),
        _ => Answer {
            length: Some(1 << 30),
            ..Answer::of(MANIFEST, vec![b' '; 8 << 20])
        },
    });
    nobody_takes(&place, &format!("{server}/app"), &[&server.to_string()]);
}

#[test]
fn who_always_wants_a_password_is_asked_a_few_times() {
    let place = Place::root();
    let server = serve(|_| Answer {
        status: 401,
        headers: "www-authenticate: Basic realm=\"none\"\r\n".to_owned(),
        ..Answer::of("application/json", "{}")
    });
    nobody_takes(&place, &format!("{server}/app"), &[&server.to_string(), "wiac login"]);
}

#[test]
fn a_layer_with_other_bytes_is_refused() {
    let place = Place::root();
    let (right, wrong) = (vec![0; 10240], vec![1; 10240]);
    let layer = digest(&place, &right);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    let config_digest = digest(&place, config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":10240}}]}}"#,
        config.len()
    );
    let short = layer[7..19].to_owned();
    let partial = format!("data/partial/{}", layer.replace(':', "-"));
    let server = serve(move |path| match path {
        "/v2/" => Answer::of("application/json", "{}"),
        _ if path.contains("/manifests/") => Answer::of(MANIFEST, manifest.clone()),
        _ if path.ends_with(&config_digest) => Answer::of(BYTES, config.clone()),
        _ => Answer::of(BYTES, wrong.clone()),
    });
    nobody_takes(&place, &format!("{server}/app"), &[&server.to_string(), &short]);
    // What was here is thrown away once; then it is the registry's fault.
    place.write(&partial, [2; 5000]);
    let said = place.wiac(["pull", &format!("{server}/app")]).fails(1);
    let said = said.complains(&["getting all of it", &short, "it is damaged"]);
    assert_eq!(said.stderr.matches("getting all of it").count(), 1, "{said:?}");
    assert_whole(&place, "data");
}
