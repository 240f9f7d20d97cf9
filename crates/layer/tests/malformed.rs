//! Archives written by strangers, with numbers, records, maps and lengths that lie: each is refused with one clear line or
//! done harmlessly.

mod archive;
mod canary;
mod common;

use archive::{Archive, Header, pax};
use canary::{Done, Refused, check, room};
use common::{open, unpack_into};
use std::io::{BufReader, Read};
use wiac_layer::compression::{Compression, Encoder, decoder};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, unpack};
use wiac_layer::{Error, Form};

#[test]
fn numbers_of_all_kinds() {
    let raw = |place, bytes: &[u8]| {
        Archive::new()
            .entry(Header::new("x", b'0').raw(place, bytes), b"")
            .end()
    };
    check("negative size", &raw(124, &[0xff; 12]), &Refused("no valid size"));
    check(
        "huge size",
        &raw(124, b"777777777777"),
        &Refused("the archive ends in the middle"),
    );
    check(
        "larger size",
        &raw(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        &Refused("more than"),
    );
    check("size of no number", &raw(124, b"9999"), &Refused("no valid size"));
    check("beyond 64 bits", &raw(124, &[0xbf; 12]), &Refused("no valid size"));
    check(
        "huge time",
        &raw(136, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        &Done(&["x"]),
    );
    check(
        "negative time",
        &raw(136, b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0"),
        &Done(&["x"]),
    );
    check("owner -1", &raw(108, &[0xff; 8]), &Refused("owner -1:0"));
    check(
        "owner 2^32-1",
        &raw(108, b"\x80\0\0\0\xff\xff\xff\xff"),
        &Refused("owner 4294967295:0"),
    );
    let record = |key, value: &str| {
        Archive::new()
            .pax(&pax(&[(key, value.as_bytes())]))
            .file("x", b"")
            .end()
    };
    check(
        "a size in PAX",
        &record("size", "-1"),
        &Refused("the value \"-1\" for size"),
    );
    check(
        "a huge size in PAX",
        &record("size", "18446744073709551615"),
        &Refused("more than"),
    );
    check(
        "a time in PAX",
        &record("mtime", "1e99"),
        &Refused("the value \"1e99\" for mtime"),
    );
    check(
        "an owner in PAX",
        &record("uid", "4294967296"),
        &Refused("owner 4294967296:0"),
    );
}

/// What a directory has as its size may be how large it may grow: no data follows, as GNU tar, Go and Python read it.
#[test]
fn the_size_of_a_directory_is_no_data() {
    let archive = Archive::new()
        .entry(Header::new("d", b'5').mode(0o755).size(1024), b"")
        .file("d/x", b"x")
        .file("y", b"y");
    check("a directory of 1024 bytes", &archive.end(), &Done(&["d", "d/x", "y"]));
    // GNU tar's incremental archives have names there.
    let archive = Archive::new()
        .entry(Header::new("d", b'D').mode(0o755).size(3), b"Yx\0")
        .file("d/x", b"x");
    check("a directory's names", &archive.end(), &Done(&["d", "d/x"]));
}

/// A type of ustar's is what counts, as for docker and podman; before ustar there was none for directories.
#[test]
fn a_slash_makes_no_directory_of_a_file() {
    let dir = common::scratch();
    let layer = dir.path().join("layer");
    let archive = Archive::new()
        .file("f/", b"data")
        .entry(Header::new("d/", 0).raw(257, &[0; 8]), b"");
    unpack_into(&archive.end(), &layer).expect("unpacked");
    assert_eq!(std::fs::read(layer.join("f")).expect("a file"), b"data");
    assert!(layer.join("d").is_dir());
}

#[test]
fn records_that_lie() {
    let records = |bytes: &[u8]| Archive::new().pax(bytes).file("x", b"").end();
    for bytes in [
        &b"100 a=b\n"[..],
        b"0 a=b\n",
        b"5 a=b\n",
        b"6 a=bX",
        b"x a=b\n",
        b"18446744073709551616 a=b\n",
        b"8 a b c\n",
    ] {
        check("a record", &records(bytes), &Refused("isn't made of valid records"));
    }
    let giant = Archive::new().entry(Header::new("@", b'x').size(1 << 33), b"").end();
    check("records of 8 GiB", &giant, &Refused("extended headers of more than"));
    let mut endless = Archive::new();
    for _ in 0..10_000 {
        endless = endless.entry(Header::new("@", b'x'), b"");
    }
    check(
        "endless headers",
        &endless.file("x", b"").end(),
        &Refused("extended headers of more than"),
    );
    let mut global = Archive::new();
    for number in 0..1000 {
        let record = pax(&[(&format!("SCHILY.xattr.user.{number}"), &[7; 8000])]);
        global = global.entry(Header::new("@", b'g').size(record.len() as u64), &record);
    }
    check(
        "endless global headers",
        &global.file("x", b"").end(),
        &Refused("extended headers of more than"),
    );
    check(
        "an empty name",
        &records(&pax(&[("SCHILY.xattr.", b"x")])),
        &Refused("name isn't valid"),
    );
    check(
        "a value of 65537",
        &records(&pax(&[("SCHILY.xattr.user.x", &vec![0; 65_537])])),
        &Refused("can't be set"),
    );
    let list = pax(&[("SCHILY.xattr.system.posix_acl_access", b"nonsense")]);
    // The kernel says that it knows no such lists: it is noted and comes out again.
    check("a list of nonsense", &records(&list), &Done(&["x"]));
    check(
        "a text list",
        &records(&pax(&[("SCHILY.acl.access", b"user:\n::::")])),
        &Refused("isn't valid"),
    );
    check(
        "nothing after",
        &Archive::new().pax(&pax(&[("path", b"x")])).end(),
        &Refused("ends after an extended"),
    );
}

#[test]
fn sparse_maps_that_lie() {
    let sparse = |map: &str, size: &str| {
        let records = pax(&[("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.size", size.as_bytes())]);
        Archive::new().pax(&records).file("x", b"12345678").end()
    };
    check("fine", &sparse("0,4,100,4", "200"), &Done(&["x"]));
    check(
        "beyond the end",
        &sparse("0,4,100,4", "103"),
        &Refused("beyond the file"),
    );
    check("overlapping", &sparse("0,4,2,4", "200"), &Refused("isn't in order"));
    check("backwards", &sparse("100,4,0,4", "200"), &Refused("isn't in order"));
    check(
        "too little",
        &sparse("0,4", "200"),
        &Refused("names 4 bytes, but 8 follow"),
    );
    check(
        "overflow",
        &sparse("18446744073709551615,8", "200"),
        &Refused("beyond the file"),
    );
    check("odd", &sparse("1,2,3", "200"), &Refused("GNU.sparse.map"));
    check(
        "a huge hole",
        &sparse("0,8", "9223372036854775807"),
        &Refused("unpacks to more than"),
    );
    let in_data = |data: &[u8]| {
        let keys: [(&str, &[u8]); 3] = [
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"9"),
        ];
        Archive::new().pax(&pax(&keys)).file("x", data).end()
    };
    let block = |text: &[u8]| [text, &vec![0; 512 - text.len()][..]].concat();
    check("in the data", &in_data(&block(b"0\n")), &Done(&["x"]));
    check(
        "a huge count",
        &in_data(&block(b"1152921504606846976\n0\n")),
        &Refused("map isn't valid"),
    );
    check("no number", &in_data(&block(b"x\n")), &Refused("map isn't valid"));
    check("no block", &in_data(b"0\n"), &Refused("map isn't valid"));
    let version = pax(&[("GNU.sparse.major", b"7"), ("GNU.sparse.minor", b"0")]);
    check(
        "of the future",
        &Archive::new().pax(&version).file("x", b"").end(),
        &Refused("format that isn't known"),
    );
}

#[test]
fn archives_that_end_early_or_go_on() {
    let whole = Archive::new()
        .directory("d", 0o755)
        .file("d/f", &[7; 700])
        .symlink("l", "d")
        .end();
    for length in 0..whole.len() {
        let (dir, _) = room();
        let result = unpack_into(&whole[..length], &dir.path().join("layer"));
        // Between two entries an archive may end, and where the padding of one begins: Go takes it so.
        let may_end =
            [0, 512, 512 + 512 + 700, 512 + 512 + 1024, 3 * 512 + 1024].contains(&length) || length >= 3 * 512 + 1024;
        match result {
            Ok(_) => assert!(may_end, "{length}"),
            Err(Error::Archive { reason, .. }) => assert!(reason.contains("truncated"), "{length} {reason}"),
            Err(error) => panic!("{length}: {error}"),
        }
    }
    check(
        "no tar",
        b"MZ this is something else entirely".repeat(40).as_slice(),
        &Refused("this is not a tar archive"),
    );
    let mut damaged = whole.clone();
    damaged[512 + 3] ^= 1;
    check("damaged", &damaged, &Refused("checksum is wrong"));
    let lone = [&[0; 512][..], &whole].concat();
    check(
        "a lone block of zeros",
        &lone,
        &Refused("goes on after a block of zeros"),
    );
    let second = [&whole[..], &Archive::new().file("second", b"").end()].concat();
    check("concatenated", &second, &Done(&["d", "d/f", "l"]));
    check(
        "a type of no kind",
        &Archive::new().entry(Header::new("x", b'Z'), b"").end(),
        &Refused("type that isn't known"),
    );
    check(
        "another volume",
        &Archive::new().entry(Header::new("x", b'M'), b"").end(),
        &Refused("another volume"),
    );
}

#[test]
fn the_source_is_read_to_its_end() {
    struct Counting<'c>(&'c [u8], &'c std::cell::Cell<usize>);
    impl Read for Counting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.set(self.1.get() + count);
            Ok(count)
        }
    }
    let (dir, _) = room();
    let tar = [Archive::new().file("f", b"x").end(), vec![9; 1 << 20]].concat();
    let count = std::cell::Cell::new(0);
    unpack(
        BufReader::new(Counting(&tar, &count)),
        open(dir.path()),
        &options(Limits::default()),
    )
    .expect("unpacked");
    assert_eq!(count.get(), tar.len());
}

fn options(limits: Limits) -> UnpackOptions<'static> {
    UnpackOptions {
        form: Form::Trusted,
        owners: OwnerPolicy::Set,
        lower: &|| Ok(LayerStack::default()),
        limits,
    }
}

#[test]
fn bombs_end_at_the_limit() {
    let most = 64 << 20;
    let limits = Limits {
        bytes: most,
        ..Limits::default()
    };
    for compression in [Compression::Gzip, Compression::Zstd] {
        let (dir, _) = room();
        let mut bomb = Encoder::new(Vec::new(), compression, None, 1).expect("encoder");
        std::io::Write::write_all(&mut bomb, &Header::new("zeros", b'0').size(1 << 30).block()).expect("written");
        std::io::copy(&mut std::io::repeat(0).take(most * 3), &mut bomb).expect("written");
        let bomb = bomb.finish().expect("finished");
        assert!(bomb.len() < 2 << 20);
        let tar = decoder(compression, Box::new(bomb.as_slice())).expect("decoder");
        let layer = dir.path().join("layer");
        std::fs::create_dir(&layer).expect("mkdir");
        let error = unpack(BufReader::new(tar), open(&layer), &options(limits)).expect_err("refused");
        assert!(
            error.to_string().contains("unpacks to more than 67108864 bytes"),
            "{error}"
        );
        assert!(std::fs::metadata(layer.join("zeros")).map_or(0, |file| file.len()) <= most);
    }
    // After the end of the archive it counts as well.
    let (dir, _) = room();
    let endless = std::io::Cursor::new(Archive::new().end()).chain(std::io::repeat(0));
    let error = unpack(BufReader::new(endless), open(dir.path()), &options(limits)).expect_err("refused");
    assert!(error.to_string().contains("unpacks to more than"), "{error}");
}

#[test]
fn entries_end_at_the_limit() {
    let (dir, _) = room();
    let limits = Limits {
        entries: 3,
        ..Limits::default()
    };
    let tar = Archive::new()
        .file("a", b"")
        .file("b", b"")
        .file("c", b"")
        .file("d", b"")
        .end();
    let error = unpack(tar.as_slice(), open(dir.path()), &options(limits)).expect_err("refused");
    assert_eq!(error.to_string(), "the archive has more than 3 entries");
}
