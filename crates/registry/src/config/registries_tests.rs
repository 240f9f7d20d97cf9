//! Real configurations, and what they mean for references.

use super::*;

fn registries(texts: &[&str]) -> Registries {
    let mut all = Registries::default();
    for text in texts {
        all.take(Path::new("/r.conf"), toml::from_str(text).unwrap()).unwrap();
    }
    all
}

fn places(all: &Registries, name: &str, purpose: Purpose) -> Vec<String> {
    let reference: Reference = name.parse().unwrap();
    let places = all.places(&reference, purpose).unwrap().unwrap_or_default();
    let shown = places.iter().map(|place| {
        let insecure = if place.insecure { " insecure" } else { "" };
        let mirror = if place.is_mirror { " mirror" } else { "" };
        format!("{}/{}{insecure}{mirror}", place.authority, place.repository)
    });
    shown.collect()
}

const MIRRORS: &str = r#"
unqualified-search-registries = ["registry.fedoraproject.org", "docker.io"]
short-name-mode = "permissive"

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true
pull-from-mirror = "digest-only"

[[registry]]
location = "bad.example"
blocked = true

[[registry]]
prefix = "*.corp.example"
insecure = true

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.gcr.io"
"#;

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn mirrors_come_first_and_locations_replace_prefixes() {
    let all = registries(&[MIRRORS]);
    assert_eq!(
        places(&all, "example.com/foo/image:1", Purpose::Pull),
        [
            "example-mirror-0.local/mirror-for-foo/image mirror",
            "internal-registry-for-example.com/bar/image"
        ]
    );
    assert_eq!(
        places(&all, &format!("example.com/foo/image@{DIGEST}"), Purpose::Pull),
        [
            "example-mirror-0.local/mirror-for-foo/image mirror",
            "example-mirror-1.local/mirrors/foo/image insecure mirror",
            "internal-registry-for-example.com/bar/image"
        ]
    );
    assert_eq!(
        places(&all, "example.com/foo/image", Purpose::Push),
        ["internal-registry-for-example.com/bar/image"]
    );
    assert_eq!(
        places(&all, "alpine", Purpose::Pull),
        ["mirror.gcr.io/library/alpine mirror", "docker.io/library/alpine"]
    );
    assert!(places(&all, "example.com/foobar", Purpose::Pull).is_empty());
}

#[test]
fn hosts_below_a_domain_are_meant_by_a_star() {
    let all = registries(&[MIRRORS]);
    assert_eq!(
        places(&all, "a.b.corp.example/x", Purpose::Pull),
        ["a.b.corp.example/x insecure"]
    );
    assert!(places(&all, "corp.example/x", Purpose::Pull).is_empty());
    let moved = registries(&["[[registry]]\nprefix = \"*.corp.example\"\nlocation = \"all.example/corp\"\n"]);
    assert_eq!(
        places(&moved, "a.corp.example/x/y", Purpose::Pull),
        ["all.example/corp/x/y"]
    );
}

#[test]
fn what_is_blocked_says_where() {
    let error = registries(&[MIRRORS])
        .places(&"bad.example/x".parse().unwrap(), Purpose::Pull)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad.example/x is forbidden by /r.conf: it blocks bad.example"
    );
}

#[test]
fn mirrors_for_digests_only() {
    let text = "[[registry]]\nlocation = \"a.example\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"m.example\"\n";
    let all = registries(&[text]);
    assert_eq!(places(&all, "a.example/x:1", Purpose::Pull), ["a.example/x"]);
    assert_eq!(places(&all, &format!("a.example/x@{DIGEST}"), Purpose::Pull).len(), 2);
}

#[test]
fn later_files_replace_entries_by_prefix() {
    let drop_in = "unqualified-search-registries = []\n[[registry]]\nlocation = \"bad.example\"\n";
    let all = registries(&[MIRRORS, drop_in]);
    assert_eq!(places(&all, "bad.example/x", Purpose::Pull), ["bad.example/x"]);
    assert!(all.search.is_empty());
}

#[test]
fn version_1_is_understood() {
    let text = "[registries.search]\nregistries = ['quay.io']\n[registries.insecure]\nregistries = ['old.example:5000']\n[registries.block]\nregistries = []\n";
    let all = registries(&[text]);
    assert_eq!(
        places(&all, "old.example:5000/x", Purpose::Pull),
        ["old.example:5000/x insecure"]
    );
    assert_eq!(all.candidates("x").unwrap()[0].to_string(), "quay.io/x");
    assert!(all.is_insecure("old.example:5000"));
}

#[test]
fn short_names_are_completed() {
    let names = |all: &Registries, name: &str| {
        let candidates = all.candidates(name).unwrap();
        candidates.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let aliases = "[aliases]\n\"fedora\" = \"registry.fedoraproject.org/fedora\"\n\"ns/tool\" = \"quay.io/ns/tool\"\n";
    let all = registries(&[MIRRORS, aliases]);
    assert_eq!(names(&all, "fedora:40"), ["registry.fedoraproject.org/fedora:40"]);
    assert_eq!(names(&all, "ns/tool"), ["quay.io/ns/tool"]);
    assert_eq!(
        names(&all, "x:1"),
        ["registry.fedoraproject.org/x:1", "docker.io/library/x:1"]
    );
    assert_eq!(names(&all, "quay.io/x"), ["quay.io/x"]);
    assert_eq!(names(&all, "localhost/x"), ["localhost/x"]);
    let none = registries(&[]);
    assert_eq!(names(&none, "x"), ["docker.io/library/x"]);
    let enforcing = registries(&[MIRRORS, "short-name-mode = \"enforcing\"\n"]);
    let message = enforcing.candidates("x").unwrap_err().to_string();
    assert!(
        message.contains("registry.fedoraproject.org/x, docker.io/library/x"),
        "{message}"
    );
    assert!(none.candidates("UPPER").unwrap_err().to_string().contains("lower case"));
}

#[test]
fn mistakes_are_placed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registries.conf");
    std::fs::write(&path, "a = 1\n[[registry]\n").unwrap();
    let files = RegistriesFiles {
        main: vec![path],
        ..RegistriesFiles::default()
    };
    let message = Registries::read(&files).unwrap_err().to_string();
    assert!(message.contains("registries.conf: line 2"), "{message}");
}
