//! Files of podman and docker, read and written; helpers.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn password(user: &str, password: &str) -> Credential {
    Credential::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    }
}

fn files(directory: &Path, text: &str) -> CredentialFiles {
    let path = directory.join("auth.json");
    std::fs::write(&path, text).unwrap();
    CredentialFiles {
        written: path.clone(),
        read: vec![path],
        ..CredentialFiles::default()
    }
}

/// "a:secret" and "b:x:y".
const TEXT: &str = r#"{
    "auths": {
        "https://index.docker.io/v1/": {"auth": "YTpzZWNyZXQ="},
        "quay.io": {"auth": "YTpzZWNyZXQ="},
        "quay.io/org": {"auth": "Yjp4Onk="},
        "acr.example": {"auth": "PHRva2VuPjo=", "identitytoken": "it"},
        "empty.example": {}
    },
    "HttpHeaders": {"X": "y"}
}"#;

#[test]
fn the_narrowest_key_counts() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path(), TEXT);
    let of = |registry: &str, repository: &str| find(&files, registry, repository).unwrap();
    assert_eq!(of("docker.io", "library/alpine"), Some(password("a", "secret")));
    assert_eq!(of("quay.io", "other/x"), Some(password("a", "secret")));
    assert_eq!(of("quay.io", "org/x/y"), Some(password("b", "x:y")));
    assert_eq!(of("quay.io", "organisation"), Some(password("a", "secret")));
    assert_eq!(of("acr.example", "x"), Some(Credential::IdentityToken("it".to_owned())));
    assert_eq!(of("empty.example", "x"), None);
    assert_eq!(of("other.example", "x"), None);
}

#[test]
fn writing_keeps_the_rest_and_the_mode() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path(), TEXT);
    let written = files.written.file_name().unwrap().to_str().unwrap();
    let killed = directory.path().join(format!(".{written}.wiac"));
    std::fs::write(killed, "the secret of a login that was killed").unwrap();
    store(&files, "docker.io", &password("u", "p")).unwrap();
    assert_eq!(find(&files, "docker.io", "x").unwrap(), Some(password("u", "p")));
    let text = std::fs::read_to_string(&files.written).unwrap();
    assert!(
        text.contains("HttpHeaders") && !text.contains("index.docker.io"),
        "{text}"
    );
    let mode = std::fs::metadata(&files.written).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        erase(&files, "docker.io").unwrap(),
        std::slice::from_ref(&files.written)
    );
    assert_eq!(find(&files, "docker.io", "x").unwrap(), None);
    assert!(erase(&files, "docker.io").unwrap().is_empty());
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing temporary is left");
}

#[test]
fn a_missing_file_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/containers/auth.json");
    let files = CredentialFiles {
        written: path.clone(),
        read: vec![path.clone()],
        ..CredentialFiles::default()
    };
    assert_eq!(
        store(&files, "r.example", &password("u", "p")).unwrap(),
        path.display().to_string()
    );
    assert_eq!(find(&files, "r.example", "x").unwrap(), Some(password("u", "p")));
    let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn messages_have_no_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let broken = files(directory.path(), "{\"auths\": {\"r\": {\"auth\": \"c2VjcmV0\"}}");
    let message = find(&broken, "r", "").unwrap_err().to_string();
    assert!(!message.contains("c2VjcmV0"), "{message}");
    let odd = files(directory.path(), "{\"auths\": {\"r\": {\"auth\": \"c2VjcmV0\"}}}");
    let message = find(&odd, "r", "").unwrap_err().to_string();
    assert!(
        message.contains("its entry for r") && !message.contains("secret"),
        "{message}"
    );
    assert!(!format!("{:?}", password("u", "hidden")).contains("hidden"));
}

#[test]
fn a_helper_that_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let files = files(directory.path(), r#"{"credHelpers": {"r.example": "wiac-no-such"}}"#);
    let message = find(&files, "r.example", "x").unwrap_err().to_string();
    assert!(
        message.contains("docker-credential-wiac-no-such") && message.contains("PATH"),
        "{message}"
    );
    assert_eq!(find(&files, "other.example", "x").unwrap(), None);
    let outside = self::files(directory.path(), r#"{"credsStore": "../../bin/sh"}"#);
    assert!(
        find(&outside, "r.example", "x")
            .unwrap_err()
            .to_string()
            .contains("slash")
    );
}

/// Keeps one secret in a file beside it, and notes its arguments.
const HELPER: &str = r#"#!/bin/sh
here=${0%/*}
echo "$@" >>"$here/arguments"
case $1 in
store) cat >"$here/kept" ;;
erase) rm "$here/kept" ;;
get)
    read -r server
    [ "$server" = https://index.docker.io/v1/ ] && [ -e "$here/kept" ] && cat "$here/kept" && exit
    echo "credentials not found in native keychain"
    exit 1 ;;
esac
"#;

#[test]
fn a_helper_gets_secrets_over_its_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("docker-credential-test");
    std::fs::write(&program, HELPER).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut files = files(
        directory.path(),
        r#"{"credsStore": "test", "auths": {"docker.io": {}}}"#,
    );
    files.helper_path = Some(format!("{}:/usr/bin:/bin", directory.path().display()).into());
    assert_eq!(find(&files, "docker.io", "library/x").unwrap(), None);
    let secret = password("u", "the secret");
    assert_eq!(store(&files, "docker.io", &secret).unwrap(), "docker-credential-test");
    assert_eq!(find(&files, "docker.io", "library/x").unwrap(), Some(secret));
    assert_eq!(find(&files, "other.example", "x").unwrap(), None);
    erase(&files, "docker.io").unwrap();
    assert_eq!(find(&files, "docker.io", "x").unwrap(), None);
    let arguments = std::fs::read_to_string(directory.path().join("arguments")).unwrap();
    assert_eq!(arguments, "get\nstore\nget\nget\nget\nerase\nget\n");
    let text = std::fs::read_to_string(&files.written).unwrap();
    assert!(!text.contains("secret"), "{text}");
}
