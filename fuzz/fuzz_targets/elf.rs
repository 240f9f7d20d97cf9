//! What a hostile root holds: ELF files, library caches and `#!` lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wiac_loader::{Architecture, Elf, untrusted};

fuzz_target!(|data: &[u8]| {
    let _ = Elf::parse(data);
    let _ = untrusted::shebang(data);
    let architecture = Architecture {
        machine: 62,
        wide: true,
        little_endian: true,
    };
    untrusted::cache(data, &[b"", b"libc.so.6", b"lib\xff.so.10"], architecture);
});
