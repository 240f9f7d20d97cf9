//! What an archive can make us hold: memory and open files. One test for each, in a process of its own.

mod archive;
mod common;

use archive::{Archive, Header};
use common::{open, pack_on, scratch};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{BufReader, Read};
use wiac_layer::merged::LayerStack;
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, unpack};
use wiac_layer::{Form, Result};

/// An archive that is made while it is read: `count` entries, each made from its number.
struct Endless<F> {
    make: F,
    next: usize,
    count: usize,
    ready: std::io::Cursor<Vec<u8>>,
}

impl<F: Fn(usize) -> Header> Read for Endless<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let length = self.ready.read(buffer)?;
            if length > 0 || self.next > self.count {
                return Ok(length);
            }
            let block = if self.next == self.count {
                vec![0; 1024]
            } else {
                (self.make)(self.next).block()
            };
            self.next += 1;
            self.ready = std::io::Cursor::new(block);
        }
    }
}

fn unpack_many(count: usize, make: impl Fn(usize) -> Header, limits: Limits) -> Result<u64> {
    unpack_with(OwnerPolicy::Set, count, make, limits)
}

fn unpack_with(owners: OwnerPolicy, count: usize, make: impl Fn(usize) -> Header, limits: Limits) -> Result<u64> {
    let dir = scratch();
    let options = UnpackOptions {
        form: Form::Trusted,
        owners,
        lower: &|| Ok(LayerStack::default()),
        limits,
    };
    let tar = Endless {
        make,
        next: 0,
        count,
        ready: std::io::Cursor::default(),
    };
    Ok(unpack(BufReader::new(tar), open(dir.path()), &options)?.entries)
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    let number = line.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    number.expect("a number")
}

#[test]
fn memory_and_open_files_stay_bounded() {
    let few = Rlimit {
        current: Some(80),
        maximum: Some(80),
    };
    setrlimit(Resource::Nofile, few).expect("setrlimit");

    // Three hundred thousand entries for one name, then a hundred thousand names.
    let same = unpack_many(300_000, |_| Header::new("f", b'2').link("t"), Limits::default());
    assert_eq!(same.expect("unpacked"), 300_000);
    let links = unpack_many(
        100_000,
        |number| Header::new(&format!("{}/{number}", number % 50), b'2').link("t"),
        Limits::default(),
    );
    assert_eq!(links.expect("unpacked"), 100_000);
    let used = peak();
    assert!(used < 40 << 10, "{used} kB for many entries");

    // Directories are remembered to the end, as far as is allowed.
    let limits = Limits {
        memory: 8 << 20,
        ..Limits::default()
    };
    let directories = unpack_many(1_000_000, |number| Header::new(&number.to_string(), b'5'), limits);
    let error = directories.expect_err("refused").to_string();
    assert!(
        error.contains("too many directories: they take more than 8388608 bytes"),
        "{error}"
    );
    let marks = unpack_many(1_000_000, |number| Header::new(&format!(".wh.{number}"), b'0'), limits);
    assert!(marks.expect_err("refused").to_string().contains("too many directories"));
    let owned = |number: usize| Header::new(&number.to_string(), b'2').link("t").raw(108, b"0000041\0");
    let recorded = unpack_with(OwnerPolicy::Record, 1_000_000, owned, limits);
    assert!(
        recorded
            .expect_err("refused")
            .to_string()
            .contains("too many owners to record")
    );
    let used = peak();
    assert!(used < 80 << 10, "{used} kB for many directories");

    // Far deeper than there may be open files, made, replaced, and packed.
    let dir = scratch();
    let long = "d/".repeat(1500);
    let deep = || {
        Archive::new()
            .pax(&archive::pax(&[("path", long.as_bytes())]))
            .directory("x", 0o755)
    };
    common::unpack_into(&deep().file("d", b"").end(), &dir.path().join("replaced")).expect("unpacked");
    common::unpack_into(&deep().end(), &dir.path().join("layer")).expect("unpacked");
    let tar = pack_on(&dir.path().join("layer"), &[]).expect("packed");
    common::unpack_into(&tar, &dir.path().join("again")).expect("unpacked");
    assert!(pack_on(&dir.path().join("again"), &[]).expect("packed") == tar);
}
