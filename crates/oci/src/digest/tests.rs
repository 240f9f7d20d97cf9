//! Tests of digests and the names made of them.

use super::*;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn known_values() {
    assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(b"abc");
    assert!(hasher.finish().hex().starts_with("ddaf35a193617abacc417349ae204131"));
}

#[test]
fn parses_what_it_displays() {
    let digest: Digest = EMPTY.parse().unwrap();
    assert_eq!(digest.algorithm(), Algorithm::Sha256);
    assert_eq!(digest.short(), "e3b0c44298fc");
    assert_eq!(digest.to_string(), EMPTY);
    assert_eq!(serde_json::to_string(&DiffId(digest)).unwrap(), format!("\"{EMPTY}\""));
}

#[test]
fn says_what_is_wrong() {
    let message = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
    assert!(message("latest").contains("no algorithm"));
    assert!(message("md5:00").contains("unknown algorithm \"md5\""));
    assert!(message("sha256:00").contains("2 digits"));
    assert!(message(&EMPTY.to_uppercase().replace("SHA", "sha")).contains("lower case"));
}

#[test]
fn sha512_is_read_and_verified_too() {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(b"abc");
    let digest: Digest = hasher.finish().to_string().parse().unwrap();
    assert_eq!(digest.algorithm(), Algorithm::Sha512);
    assert_eq!(digest.verify(b"abc"), Ok(()));
    assert!(digest.verify(b"abd").is_err());
    assert!("sha512:00".parse::<Digest>().is_err());
}

/// Where nothing can do two at once, and where the streams are of different kinds or lengths.
#[test]
fn two_streams_have_the_digests_that_each_has_alone() {
    let bytes: Vec<u8> = (0..1000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for algorithms in [
        [Algorithm::Sha256, Algorithm::Sha256],
        [Algorithm::Sha256, Algorithm::Sha512],
        [Algorithm::Sha512, Algorithm::Sha512],
    ] {
        let [mut one, mut other] = algorithms.map(Hasher::new);
        for (its, others) in [(100, 1000), (64, 0), (333, 63)] {
            Hasher::update_two((&mut one, &bytes[..its]), (&mut other, &bytes[..others]), |_, _| false);
        }
        let alone = |algorithm, parts: [usize; 3]| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&parts.map(|length| &bytes[..length]).concat());
            hasher.finish()
        };
        assert_eq!(one.finish(), alone(algorithms[0], [100, 64, 333]));
        assert_eq!(other.finish(), alone(algorithms[1], [1000, 0, 63]));
    }
}

#[test]
fn verifies_content() {
    let digest = Digest::sha256(b"abc");
    assert_eq!(digest.verify(b"abc"), Ok(()));
    let error = digest.verify(b"abd").unwrap_err();
    assert!(matches!(error, DigestError::Mismatch { .. }));
}

#[test]
fn chain_id_is_folded_from_the_base() {
    let a = DiffId(Digest::sha256(b"a"));
    let b = DiffId(Digest::sha256(b"b"));
    assert_eq!(ChainId::of(&[]), None);
    assert_eq!(ChainId::of(std::slice::from_ref(&a)), Some(ChainId(a.0.clone())));
    let both = Digest::sha256(format!("{a} {b}"));
    assert_eq!(ChainId::of(&[a, b]), Some(ChainId(both)));
}
