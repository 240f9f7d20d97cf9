//! Files that lie: nothing in them may make a reader panic, allocate without bound, or leave the root.

mod common;

use common::{I386, Tree, X86_64, cache, elf, program};
use proptest::prelude::*;
use wiac_loader::{Architecture, Elf, ElfError, Error, untrusted};

const AMD64: Architecture = Architecture {
    machine: X86_64,
    wide: true,
    little_endian: true,
};

fn sample() -> Vec<u8> {
    program()
        .soname("s")
        .rpath("/r")
        .runpath("/u")
        .needs("liba.so")
        .needs("libb.so")
        .build()
}

/// The sample with one number of the file replaced.
fn with(offset: usize, bytes: &[u8]) -> Result<Elf, ElfError> {
    let mut file = sample();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    Elf::parse(file.as_slice())
}

#[test]
fn a_sound_file_reads() {
    let elf = Elf::parse(sample().as_slice()).unwrap();
    assert_eq!(elf.interpreter.as_deref(), Some(common::LOADER.as_bytes()));
    assert_eq!(elf.soname.as_deref(), Some(b"s".as_slice()));
    assert_eq!(elf.needs.len(), 2);
}

#[test]
fn every_cut_is_an_error_or_the_whole() {
    let whole = Elf::parse(sample().as_slice()).unwrap();
    let file = sample();
    for length in 0..file.len() {
        match Elf::parse(&file[..length]) {
            Ok(elf) => assert_eq!(elf, whole, "cut at {length}"),
            Err(ElfError::NotElf) => assert!(length < 4),
            Err(ElfError::Truncated(_)) => {}
            Err(error) => panic!("cut at {length}: {error}"),
        }
    }
}

#[test]
fn numbers_that_lie() {
    // e_phoff, e_phentsize, e_phnum
    assert!(matches!(with(32, &u64::MAX.to_le_bytes()), Err(ElfError::Invalid(_))));
    assert!(matches!(
        with(32, &(1_u64 << 40).to_le_bytes()),
        Err(ElfError::Truncated(_))
    ));
    assert!(matches!(with(54, &1_u16.to_le_bytes()), Err(ElfError::Invalid(_))));
    assert!(matches!(with(56, &u16::MAX.to_le_bytes()), Err(ElfError::Invalid(_))));
    assert!(matches!(with(56, &1000_u16.to_le_bytes()), Err(ElfError::Truncated(_))));
    // class, byte order, version
    for offset in [4, 5, 20] {
        assert!(matches!(with(offset, &[9]), Err(ElfError::Invalid(_))), "{offset}");
    }
    // p_filesz of the dynamic section, then of the interpreter
    assert!(matches!(
        with(64 + 2 * 56 + 32, &u64::MAX.to_le_bytes()),
        Err(ElfError::Invalid(_))
    ));
    assert!(matches!(
        with(64 + 3 * 56 + 32, &u64::MAX.to_le_bytes()),
        Err(ElfError::Invalid(_))
    ));
    assert!(matches!(
        with(64 + 3 * 56 + 32, &5000_u64.to_le_bytes()),
        Err(ElfError::Invalid(_))
    ));
    assert!(matches!(
        with(64 + 3 * 56 + 32, &5_u64.to_le_bytes()),
        Err(ElfError::Invalid(_))
    ));
    // p_filesz of the first segment: the string table is in none
    assert!(matches!(with(64 + 32, &0_u64.to_le_bytes()), Err(ElfError::Invalid(_))));
}

#[test]
fn strings_that_lie() {
    let beyond = elf().tag(1, 1 << 40).build();
    assert!(matches!(Elf::parse(beyond.as_slice()), Err(ElfError::Invalid(_))));
    let later = elf().needs("liba.so").tag(10, u64::MAX).build();
    assert!(Elf::parse(later.as_slice()).is_ok(), "the last DT_STRSZ counts");
    let mut many = elf();
    for _ in 0..5000 {
        many = many.tag(1, 0);
    }
    assert!(matches!(Elf::parse(many.build().as_slice()), Err(ElfError::Invalid(_))));
}

#[test]
fn a_program_without_end_of_needs() {
    // Each library asks for a thousand others that all are one file under many names.
    let mut all = program();
    for index in 0..1000 {
        all = all.needs(&format!("/lib/{}liba.so", "./".repeat(index)));
    }
    let tree = Tree::new().elf("/bin/p", &all).elf("/lib/liba.so", &all);
    assert_eq!(tree.libraries("p"), ["/lib/liba.so"]);
}

#[test]
fn nothing_leaves_the_root() {
    let tree = Tree::new()
        .elf(
            "/bin/p",
            &program()
                .runpath("/../../../../usr/lib/x86_64-linux-gnu:$ORIGIN/../../..")
                .needs("libc.so.6"),
        )
        .link("/bin/q", "../../../../../../bin/sh")
        .file("/bin/s", "#!/../../../../bin/sh\n");
    assert!(matches!(tree.try_closure("p"), Err(Error::MissingLibraries(_))));
    assert!(matches!(tree.try_closure("/bin/q"), Err(Error::Unreachable(_))));
    assert!(matches!(tree.try_closure("s"), Err(Error::Script { .. })));
}

#[test]
fn a_cache_that_lies() {
    let good = cache(&[(0x303, "liba.so", "/lib/liba.so", Some("x86-64-v3"))]);
    let names: [&[u8]; 1] = [b"liba.so"];
    assert_eq!(untrusted::cache(&good, &names, AMD64), 1);
    for length in 0..good.len() {
        untrusted::cache(&good[..length], &names, AMD64);
    }
    for offset in 20..good.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[offset] = byte;
            untrusted::cache(&bad, &names, AMD64);
        }
    }
}

/// A file like the sample with some bytes overwritten: gets further than noise.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![
        Just(sample()),
        Just(elf().machine(I386, false).needs("x").interpreter("/i").build())
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12);
    (base, changes).prop_map(|(mut file, changes)| {
        for (index, byte) in changes {
            let index = index.index(file.len());
            file[index] = byte;
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Elf::parse(bytes.as_slice());
        let _ = untrusted::shebang(&bytes);
        let prefixed = [b"#!".as_slice(), &bytes].concat();
        let _ = untrusted::shebang(&prefixed);
        let prefixed = [b"glibc-ld.so.cache1.1".as_slice(), &bytes].concat();
        let _ = untrusted::cache(&prefixed, &[b"", b"liba.so"], AMD64);
        let prefixed = [b"ld.so-1.7.0\0".as_slice(), &bytes].concat();
        let _ = untrusted::cache(&prefixed, &[b"", b"liba.so"], AMD64);
    }

    #[test]
    fn no_mutation_panics(bytes in mutated()) {
        let _ = Elf::parse(bytes.as_slice());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_root_panics(program in mutated(), library in mutated(), conf in any::<Vec<u8>>(), cached in any::<Vec<u8>>()) {
        let tree = Tree::new()
            .file("/bin/p", program)
            .file("/lib/liba.so", library)
            .file("/etc/ld.so.conf", conf)
            .file("/etc/ld.so.cache", [b"glibc-ld.so.cache1.1".as_slice(), &cached].concat());
        let _ = tree.try_closure("p").map_err(|error| error.to_string());
        let start = wiac_loader::FailedStart {
            program: "p".as_ref(),
            directory: "/".as_ref(),
            search_path: None,
            errno: Some(8),
        };
        let _ = wiac_loader::explain(&tree.root(), &start).to_string();
    }
}
