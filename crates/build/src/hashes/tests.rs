use super::*;

fn hash(number: u32) -> ContentHash {
    whole(&number.to_le_bytes())
}

fn stat(number: u32) -> Stat {
    let path = std::env::current_exe().expect("a test has a program");
    let mut stat = rustix::fs::stat(path).expect("it is there");
    stat.st_ino = u64::from(number);
    (stat.st_mtime, stat.st_ctime) = (1, 1);
    stat
}

fn name(number: u32) -> String {
    format!("name {number}")
}

/// Asks for the files with these numbers, in the order of their names; those in `known` mustn't be read.
fn ask(table: &HashTable, path: &str, numbers: impl IntoIterator<Item = u32>, is_known: impl Fn(u32) -> bool) {
    let mut numbers: Vec<u32> = numbers.into_iter().collect();
    numbers.sort_by_key(|number| name(*number));
    let mut directory = table.directory(path.as_bytes());
    for number in numbers {
        let found = directory.hash(OsStr::new(&name(number)), &stat(number), || {
            assert!(!is_known(number), "{path}: {number} is read");
            Ok(hash(number))
        });
        let found = found.expect("hashed");
        assert_eq!(found.hash, hash(number));
    }
}

fn saved(table: &HashTable) -> HashTable {
    HashTable::of(String::new(), Box::new(table.encode([1; NAME])))
}

#[test]
fn a_table_survives_the_disk() {
    let table = HashTable::of(String::new(), Box::new(Vec::new()));
    assert_eq!(table.state(), None);
    ask(&table, "b", 0..100, |_| false);
    ask(&table, "a/c", [7], |_| false);
    // Another walk of the same build.
    ask(&table, "b", 50..150, |number| number < 100);
    let table = saved(&table);
    assert_eq!(table.state(), Some("01".repeat(16).as_str()));
    ask(&table, "b", (0..200).step_by(3), |number| number < 150);
    ask(&table, "", [1], |_| false);
    let table = saved(&table);
    ask(&table, "", [1], |_| true);
    ask(&table, "a/c", [7], |_| true);
    ask(&table, "b", 0..200, |number| number < 150 || number % 3 == 0);
    assert!(table.changed().is_empty());
}

#[test]
fn another_file_under_the_name_is_read() {
    let table = HashTable::of(String::new(), Box::new(Vec::new()));
    ask(&table, "", 0..3, |_| false);
    let table = saved(&table);
    let name = name(1);
    let mut other = stat(1);
    other.st_mtime += 1;
    let read = || Ok(hash(8));
    let hashed = table
        .directory(b"")
        .hash(OsStr::new(&name), &other, read)
        .expect("hashed");
    assert_eq!((hashed.hash, hashed.was_known), (hash(8), false));
    assert_eq!(table.changed(), std::slice::from_ref(&name));
    let table = saved(&table);
    let unread = || panic!("it is known");
    let hashed = table
        .directory(b"")
        .hash(OsStr::new(&name), &other, unread)
        .expect("hashed");
    assert_eq!((hashed.hash, hashed.was_known), (hash(8), true));
    ask(&table, "", [0, 2], |_| true);
}

#[test]
fn what_is_no_table_is_not_believed() {
    let table = HashTable::of(String::new(), Box::new(Vec::new()));
    ask(&table, "a", 0..3, |_| false);
    ask(&table, "b", 0..3, |_| false);
    let whole = table.encode([1; NAME]);
    for length in 0..whole.len() {
        let cut = HashTable::of(String::new(), Box::new(whole[..length].to_vec()));
        // Where a directory ends, it could have been the last one.
        assert!(cut.index.len() < 2, "{length}");
        ask(&cut, "b", 0..3, |_| false);
    }
    let mut disordered = whole.clone();
    let at = whole
        .windows(9)
        .rposition(|bytes| bytes[0] == 1 && bytes[8] == b'b')
        .expect("b");
    disordered[at + 8] = b'A';
    assert_eq!(HashTable::of(String::new(), Box::new(disordered)).state(), None);
}

#[test]
fn a_young_file_is_not_remembered() {
    let mut young = stat(1);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    assert!(!is_too_young(&identity(&young)));
    young.st_ctime = i64::try_from(now).expect("before the end of time") + 1;
    assert!(is_too_young(&identity(&young)));
    let table = HashTable::of(String::new(), Box::new(Vec::new()));
    for _ in 0..2 {
        let mut read = false;
        let hashed = table.directory(b"").hash(OsStr::new("x"), &young, || {
            read = true;
            Ok(hash(1))
        });
        assert!(hashed.is_ok() && read);
    }
}
