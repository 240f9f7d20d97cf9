//! Any bytes unpack into a directory or are refused with one line, and nothing beside the directory is touched. What
//! was unpacked can be packed, and that tar gives the same tar again.
//!
//! The first byte chooses a compression. Blocks that look like headers get the right checksum, or nothing would ever
//! come of random bytes. Runs as root or in a user namespace (`unshare -r`), on /dev/shm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;
use wiac_layer::Form;
use wiac_layer::compression::{Compression, decoder};
use wiac_layer::merged::LayerStack;
use wiac_layer::owners::OwnerRecord;
use wiac_layer::pack::{PackOptions, pack};
use wiac_layer::unpack::{Limits, OwnerPolicy, UnpackOptions, Unpacked, unpack};

const LIMITS: Limits = Limits {
    entries: 2000,
    bytes: 4 << 20,
    path: 4095,
    metadata: 64 << 10,
    memory: 1 << 20,
};

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    let room = Path::new("/dev/shm").join(format!("wiac-fuzz-{}", std::process::id()));
    fs::create_dir_all(room.join("canary")).expect("a directory on /dev/shm");
    fs::write(room.join("canary/file"), "canary").expect("written");
    let compression = match choice % 8 {
        0 => Compression::Gzip,
        1 => Compression::Zstd,
        2 => Compression::Xz,
        3 => Compression::Bzip2,
        _ => Compression::None,
    };
    let fixed = with_checksums(rest);
    let source: &[u8] = if compression == Compression::None { &fixed } else { rest };
    if let Ok(tar) = decoder(compression, Box::new(source)) {
        match into(tar, &room.join("layer"), LIMITS) {
            Err(error) => {
                let line = error.to_string();
                assert!(!line.chars().any(char::is_control) && line.len() < 5000, "{line:?}");
            }
            Ok(unpacked) => {
                let tar = packed(&room.join("layer"), unpacked.owners.as_ref());
                let again =
                    into(tar.as_slice(), &room.join("again"), Limits::default()).expect("our own tar is refused");
                assert!(
                    packed(&room.join("again"), again.owners.as_ref()) == tar,
                    "packed again, it differs"
                );
            }
        }
    }
    assert_eq!(
        fs::read(room.join("canary/file")).expect("the canary is gone"),
        b"canary"
    );
    assert_eq!(fs::read_dir(room.join("canary")).expect("list").count(), 1);
    fs::remove_dir_all(&room).expect("removed");
});

fn into(tar: impl Read, directory: &Path, limits: Limits) -> wiac_layer::Result<Unpacked> {
    fs::create_dir(directory).expect("mkdir");
    let options = UnpackOptions {
        form: Form::User,
        owners: OwnerPolicy::Record,
        lower: &|| Ok(LayerStack::default()),
        limits,
    };
    unpack(BufReader::new(tar), File::open(directory).expect("open"), &options)
}

fn packed(directory: &Path, owners: Option<&OwnerRecord>) -> Vec<u8> {
    let options = PackOptions {
        lower: &LayerStack::default(),
        owners,
        clamp: None,
    };
    let mut tar = Vec::new();
    pack(File::open(directory).expect("open"), &mut tar, &options).expect("packed");
    tar
}

fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut fixed = data.to_vec();
    for block in fixed.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    fixed
}
