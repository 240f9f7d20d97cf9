//! Tests of the reader, on files of our own writer; real ones are read in the end-to-end tests.

use super::writer::{Node, bucket, file, value};
use super::*;

fn database(bytes: &[u8]) -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    std::fs::write(&path, bytes).unwrap();
    let database = Database::open(&path).unwrap().unwrap();
    (directory, database)
}

/// A small bucket, one of many pages, one with a value of many pages.
fn tree() -> Node {
    let many = (0..5000).map(|number| (format!("key-{number:04}"), value(format!("value {number}"))));
    let nested = (0..300).map(|number| (format!("b{number:03}"), bucket([("name", value(number.to_string()))])));
    bucket([
        ("small", bucket([("a", value("1")), ("b", value(""))])),
        ("many", bucket(many)),
        ("nested", bucket(nested)),
        ("long", bucket([("text", value(vec![7; 100_000]))])),
        ("empty", bucket::<&str>([])),
        ("plain", value("x")),
    ])
}

fn text(bucket: &Bucket<'_>, keys: &[&[u8]], key: &str) -> Option<String> {
    let value = bucket.descend(keys).unwrap()?.value(key.as_bytes()).unwrap()?;
    Some(String::from_utf8(value).unwrap())
}

#[test]
fn every_kind_of_page_is_read() {
    let (_directory, database) = database(&file(&tree(), 9));
    let reading = |root: &Bucket<'_>| {
        assert_eq!(text(root, &[b"small"], "a").as_deref(), Some("1"));
        assert_eq!(text(root, &[b"small"], "b").as_deref(), Some(""));
        assert_eq!(text(root, &[b"small"], "c"), None);
        for number in [0, 1, 2499, 4999] {
            let found = text(root, &[b"many"], &format!("key-{number:04}"));
            assert_eq!(found, Some(format!("value {number}")));
        }
        for missing in ["", "key-", "key-5000", "zzz"] {
            assert_eq!(text(root, &[b"many"], missing), None, "{missing}");
        }
        assert_eq!(text(root, &[b"nested", b"b123"], "name").as_deref(), Some("123"));
        assert_eq!(
            root.descend(&[b"long"])?.unwrap().value(b"text")?.unwrap(),
            vec![7; 100_000]
        );
        assert!(root.bucket(b"plain")?.is_none());
        assert!(root.value(b"small")?.is_none());
        assert!(root.bucket(b"empty")?.unwrap().buckets()?.is_empty());
        let names: Vec<_> = root
            .bucket(b"nested")?
            .unwrap()
            .buckets()?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        assert_eq!(names.len(), 300);
        assert!(names.is_sorted());
        Ok(())
    };
    database.read(reading).unwrap();
}

#[test]
fn one_broken_meta_page_is_enough_of_a_loss() {
    let whole = file(&tree(), 9);
    for page in [0, 1] {
        let mut bytes = whole.clone();
        bytes[page * 4096 + 16 + 30] ^= 1;
        let (_directory, database) = database(&bytes);
        let expected = if page == 1 { 8 } else { 9 };
        assert_eq!(database.meta().unwrap().transaction, expected);
    }
    let mut bytes = whole;
    bytes[16 + 30] ^= 1;
    bytes[4096 + 16 + 30] ^= 1;
    let (_directory, database) = database(&bytes);
    let message = database.read(|_| Ok(())).unwrap_err().to_string();
    assert!(message.contains("no bolt database"), "{message}");
}

#[test]
fn what_was_read_while_the_file_changed_is_read_again() {
    let (directory, database) = database(&file(&bucket([("k", value("old"))]), 4));
    let reads = Cell::new(0);
    let found = database.read(|root| {
        let found = root.value(b"k")?;
        reads.set(reads.get() + 1);
        if reads.get() == 1 {
            std::fs::write(
                directory.path().join("meta.db"),
                file(&bucket([("k", value("new"))]), 5),
            )
            .unwrap();
            // An error of the state that is gone isn't the answer.
            return Err(Error::damaged("/", "half old, half new"));
        }
        Ok(found)
    });
    assert_eq!((found.unwrap().as_deref(), reads.get()), (Some(&b"new"[..]), 2));
}

/// Reads everything there is.
fn walk(bucket: &Bucket<'_>, depth: usize) -> Result<usize> {
    let mut found = 0;
    for key in [&b"k"[..], b"key-2000", b"b100", b"text"] {
        found += bucket.value(key)?.map_or(0, |value| value.len());
    }
    for (key, below) in bucket.buckets()? {
        bucket.entry(&key)?;
        if depth < 8 {
            found += walk(&below, depth + 1)?;
        }
    }
    Ok(found)
}

#[test]
fn broken_files_end_in_one_line() {
    let whole = file(&tree(), 9);
    // Numbers that repeat from run to run, so that a failure does.
    let mut state = 1u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=next(30) {
            // Headers and elements, which lead somewhere, more often than data.
            let page = 2 + next(bytes.len() / 4096 - 2);
            let within = if next(2) == 0 { 64 } else { 4096 };
            let at = page * 4096 + next(within);
            bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff][next(6)];
        }
        if next(4) == 0 {
            bytes.truncate(8192 + next(whole.len() - 8192));
        }
        let (_directory, database) = database(&bytes);
        if let Err(error) = database.read(|root| walk(root, 0)) {
            let message = error.to_string();
            assert!(
                message.contains("meta.db is damaged") && !message.contains('\n'),
                "{message}"
            );
            refused += 1;
        }
    }
    assert!(refused > 50, "only {refused} of the broken files were noticed");
}

#[test]
fn trees_that_bite_their_tails_end() {
    let mut bytes = file(&tree(), 9);
    // Every branch page leads to itself.
    for page in 2..bytes.len() / 4096 {
        let start = page * 4096;
        if bytes[start..start + 8] == (page as u64).to_ne_bytes() && bytes[start + 8] == 1 {
            let count = usize::from(u16::from_ne_bytes([bytes[start + 10], bytes[start + 11]]));
            for element in 0..count {
                bytes[start + 16 + element * 16 + 8..][..8].copy_from_slice(&(page as u64).to_ne_bytes());
            }
        }
    }
    let (_directory, database) = database(&bytes);
    let many = |root: &Bucket<'_>| root.bucket(b"many")?.unwrap().value(b"key-0001");
    assert!(database.read(many).unwrap_err().to_string().contains("too deep"));
    let all = |root: &Bucket<'_>| Ok(root.bucket(b"many")?.unwrap().buckets()?.len());
    assert!(database.read(all).is_err());
}
