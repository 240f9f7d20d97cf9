//! Tests of references: what docker accepts, what it refuses, and both displays.

use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_completed_and_shortened() {
    let cases = [
        ("alpine", "docker.io/library/alpine", "alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("library/alpine", "docker.io/library/alpine", "alpine"),
        ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine", "alpine"),
        ("user/app:v1", "docker.io/user/app:v1", "user/app:v1"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("quay.io/a/b/c", "quay.io/a/b/c", "quay.io/a/b/c"),
        ("LOCAL/app", "LOCAL/app", "LOCAL/app"),
        ("host:80/x", "host:80/x", "host:80/x"),
        (
            "[2001:db8::1]:5000/app",
            "[2001:db8::1]:5000/app",
            "[2001:db8::1]:5000/app",
        ),
        ("a__b/c-_d", "", ""),
        ("a__b/c---d.e", "docker.io/a__b/c---d.e", "a__b/c---d.e"),
        (
            "xn--7o8h.com/myimage:xn",
            "xn--7o8h.com/myimage:xn",
            "xn--7o8h.com/myimage:xn",
        ),
    ];
    for (text, canonical, familiar) in cases {
        match text.parse::<Reference>() {
            Ok(reference) => {
                assert_eq!(reference.to_string(), canonical, "{text}");
                assert_eq!(reference.familiar(), familiar, "{text}");
            }
            Err(error) => assert_eq!(canonical, "", "{error}"),
        }
    }
}

#[test]
fn registries_and_their_ports_are_checked() {
    let sound = ["[::1]/app", "[::1]:5000/app", "host:65535/app", "a-b.example/app"];
    for text in sound {
        assert_eq!(
            text.parse::<Reference>().map(|parsed| parsed.to_string()),
            Ok(text.to_owned())
        );
    }
    for text in [
        "[::1/app",
        "[x.y]/app",
        "[::1]5000/app",
        "[::1]:/app",
        "host:/app",
        "host:+1/app",
        "host:65536/app",
        "-a.b/app",
        "a..b/app",
    ] {
        let error = text.parse::<Reference>().unwrap_err();
        assert!(
            matches!(error.reason, Reason::Registry(_)),
            "{text}: {:?}",
            error.reason
        );
    }
}

#[test]
fn repositories_and_tags_have_a_greatest_length() {
    let parsed = |repository: usize, tag: usize| {
        format!("a.b/{}:{}", "r".repeat(repository), "t".repeat(tag)).parse::<Reference>()
    };
    assert!(parsed(MAX_REPOSITORY, MAX_TAG).is_ok());
    assert!(parsed(MAX_REPOSITORY + 1, MAX_TAG).is_err());
    assert!(parsed(MAX_REPOSITORY, MAX_TAG + 1).is_err());
}

#[test]
fn an_image_id_is_no_name() {
    for text in [HEX, &format!("sha256:{HEX}"), "sha256:e3b0c44298fc"] {
        assert_eq!(text.parse::<Reference>().unwrap_err().reason, Reason::Id, "{text}");
    }
    let name = "docker.io/library/sha256:e3b0";
    assert_eq!(name.parse::<Reference>().unwrap().familiar(), name);
}

#[test]
fn digests_and_tags() {
    let reference: Reference = format!("alpine:3@sha256:{HEX}").parse().unwrap();
    assert_eq!(reference.tag(), Some("3"));
    assert_eq!(reference.digest().unwrap().hex(), HEX);
    assert_eq!(reference.tag_or_digest(), format!("sha256:{HEX}"));
    assert_eq!(reference.with_tag("4").unwrap().familiar(), "alpine:4");
    let bare: Reference = "alpine".parse().unwrap();
    assert_eq!(bare.tag_or_digest(), "latest");
    assert_eq!(bare.with_default_tag().tag(), Some("latest"));
    let digested: Reference = format!("alpine@sha256:{HEX}").parse().unwrap();
    assert_eq!(digested.with_default_tag().tag(), None);
}

#[test]
fn errors_say_what_is_wrong() {
    let message = |text: &str| text.parse::<Reference>().unwrap_err().reason.to_string();
    assert_eq!(message(""), "the repository name is empty");
    assert_eq!(message("quay.io/"), "the repository name is empty");
    assert_eq!(message(":tag"), "the repository name is empty");
    assert!(message("a//b").contains("empty part"));
    assert!(message("a/").contains("empty part"));
    assert!(message("/a").contains("empty part"));
    assert!(message("Alpine").contains("did you mean \"alpine\"?"));
    assert!(message("a b").contains("\"a b\""));
    assert!(message("a..b").contains("\"a..b\""));
    assert!(message("-a").contains("\"-a\""));
    assert!(message("a___b").contains("\"a___b\""));
    assert!(message("https://quay.io/a").contains("no registry"));
    assert!(message("host:port/a").contains("no registry"));
    assert!(message("host:99999/a").contains("no registry"));
    assert!(message("-x.io/a").contains("no registry"));
    assert_eq!(message("a:"), "the tag after the colon is empty");
    assert!(message("a:.x").contains("the tag \".x\""));
    assert!(message("a:b:c").contains("the tag \"b:c\""));
    assert!(message(&format!("a:{}", "x".repeat(129))).contains("the tag"));
    assert!(message("a@sha256:12").contains("2 digits"));
    assert!(message(HEX).contains("image id"));
    assert!(message(&"a".repeat(256)).contains("longer than 255"));
}

#[test]
fn serde_uses_the_canonical_text() {
    let reference: Reference = serde_json::from_str("\"alpine:3\"").unwrap();
    assert_eq!(
        serde_json::to_string(&reference).unwrap(),
        "\"docker.io/library/alpine:3\""
    );
}

proptest! {
    #[test]
    fn any_text_is_refused_or_survives_both_displays(text in "[a-zA-Z0-9._:/@\\[\\]-]{0,40}") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
        }
    }

    #[test]
    fn names_that_docker_accepts_parse(
        host in "([a-z0-9]{1,5}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?/)?",
        path in "[a-z0-9]{1,5}(__?[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,5}([._-][a-z0-9]{1,5})?){0,2}",
        tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?",
    ) {
        let text = format!("{host}{path}{tag}");
        let reference = text.parse::<Reference>().unwrap();
        prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
    }
}
