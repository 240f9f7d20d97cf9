//! The dynamic loader's rules, one test each, on roots of tiny ELF files.

mod common;

use common::{AARCH64, CacheEntry, I386, Tree, cache, elf, files, links, program};
use wiac_loader::{Error, TriedResult};

const LIB64: u32 = 0x303;

#[test]
fn default_directories_and_needs_of_needs() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/usr/lib/x86_64-linux-gnu/liba.so", &elf().needs("libb.so"))
        .elf("/usr/lib64/libb.so", &elf());
    assert_eq!(
        tree.libraries("p"),
        ["/usr/lib/x86_64-linux-gnu/liba.so", "/usr/lib64/libb.so"]
    );
}

#[test]
fn keeps_merged_directories_and_chains_of_links() {
    let tree = Tree::empty()
        .link("/lib64", "usr/lib64")
        .link("/lib", "usr/lib")
        .elf("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &elf())
        .link(
            "/usr/lib64/ld-linux-x86-64.so.2",
            "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        )
        .link("/usr/bin/p", "q")
        .elf("/usr/bin/q", &program().needs("liba.so.1"))
        .link("/usr/lib/x86_64-linux-gnu/liba.so.1", "liba.so.1.2")
        .elf("/usr/lib/x86_64-linux-gnu/liba.so.1.2", &elf());
    let closure = tree.closure("p");
    let expected = [
        "/lib -> usr/lib",
        "/lib64 -> usr/lib64",
        "/usr/bin/p -> q",
        "/usr/lib/x86_64-linux-gnu/liba.so.1 -> liba.so.1.2",
        "/usr/lib64/ld-linux-x86-64.so.2 -> /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    ];
    assert_eq!(links(&closure), expected);
    assert_eq!(files(&closure).len(), 3);
}

/// As in Fedora since 42, where /usr/sbin is a symlink itself.
#[test]
fn keeps_every_name_of_a_merged_directory() {
    let tree = Tree::empty()
        .link("/bin", "usr/bin")
        .link("/sbin", "usr/sbin")
        .link("/usr/sbin", "bin")
        .link("/lib32", "usr/lib32")
        .elf("/usr/lib32/other.so", &elf())
        .elf("/usr/bin/p", &elf());
    let closure = tree.closure("/usr/bin/p");
    let expected = ["/bin -> usr/bin", "/sbin -> usr/sbin", "/usr/sbin -> bin"];
    assert_eq!(links(&closure), expected);
}

#[test]
fn rpath_holds_for_needs_of_needs() {
    let tree = Tree::new()
        .elf("/bin/p", &program().rpath("/opt/l").needs("liba.so"))
        .elf("/opt/l/liba.so", &elf().needs("libb.so"))
        .elf("/opt/l/libb.so", &elf())
        .elf("/lib/libb.so", &elf());
    assert_eq!(tree.libraries("p"), ["/opt/l/liba.so", "/opt/l/libb.so"]);
}

#[test]
fn runpath_holds_for_the_object_alone() {
    let tree = Tree::new()
        .elf("/bin/p", &program().runpath("/opt/l").needs("liba.so"))
        .elf("/opt/l/liba.so", &elf().needs("libb.so"))
        .elf("/opt/l/libb.so", &elf())
        .elf("/lib/libb.so", &elf());
    assert_eq!(tree.libraries("p"), ["/lib/libb.so", "/opt/l/liba.so"]);
}

#[test]
fn runpath_disables_rpath_and_all_inherited() {
    let tree = Tree::new()
        .elf("/bin/p", &program().rpath("/opt/l").needs("liba.so"))
        .elf(
            "/opt/l/liba.so",
            &elf().rpath("/opt/r").runpath("/opt/x").needs("libb.so"),
        )
        .elf("/opt/l/libb.so", &elf())
        .elf("/opt/r/libb.so", &elf())
        .elf("/lib/libb.so", &elf());
    assert_eq!(tree.libraries("p"), ["/lib/libb.so", "/opt/l/liba.so"]);
}

#[test]
fn tokens_in_search_paths_and_names() {
    let tree = Tree::new()
        .elf(
            "/opt/a/bin/p",
            &program().runpath("$ORIGIN/../${LIB}/$PLATFORM").needs("liba.so"),
        )
        .link("/bin/p", "/opt/a/bin/p")
        .elf(
            "/opt/a/lib/x86_64-linux-gnu/x86_64/liba.so",
            &elf().needs("$ORIGIN/sub/libb.so"),
        )
        .elf("/opt/a/lib/x86_64-linux-gnu/x86_64/sub/libb.so", &elf());
    let expected = [
        "/opt/a/lib/x86_64-linux-gnu/x86_64/liba.so",
        "/opt/a/lib/x86_64-linux-gnu/x86_64/sub/libb.so",
    ];
    assert_eq!(tree.libraries("p"), expected);
    assert_eq!(tree.closure("p").needs_proc, [std::path::PathBuf::from("/bin/p")]);
}

#[test]
fn a_library_that_knows_its_own_place_needs_no_proc() {
    let tree = Tree::new()
        .elf(
            "/opt/bin/p",
            &program().runpath("$ORIGIN/none:/opt/lib").needs("liba.so"),
        )
        .link("/bin/p", "/opt/bin/p")
        .elf("/opt/lib/liba.so", &elf().runpath("$ORIGIN").needs("libb.so"))
        .elf("/opt/lib/libb.so", &elf());
    assert_eq!(tree.libraries("p"), ["/opt/lib/liba.so", "/opt/lib/libb.so"]);
    assert!(tree.closure("p").needs_proc.is_empty());
}

#[test]
fn directories_on_a_detour_belong_to_it() {
    let tree = Tree::new()
        .elf("/bin/p", &program().runpath("/opt/a/lib/../../b").needs("liba.so"))
        .directory("/opt/a/lib")
        .elf("/opt/b/liba.so", &elf());
    let closure = tree.closure("p");
    let detour = |entry: &wiac_loader::Entry| entry.path.to_str() == Some("/opt/a/lib");
    assert!(
        closure.entries.iter().any(detour),
        "/opt/a/lib/../../b leads nowhere without /opt/a/lib"
    );
}

#[test]
fn platform_of_newer_machines_is_a_variant() {
    let tree = Tree::new()
        .elf("/bin/p", &program().runpath("/o/$PLATFORM").needs("liba.so"))
        .elf("/o/x86_64/liba.so", &elf())
        .elf("/o/haswell/liba.so", &elf());
    // Loaders up to glibc 2.36 say haswell on such a machine, all others x86_64.
    assert_eq!(
        tree.libraries("p"),
        ["/o/haswell/liba.so (haswell)", "/o/x86_64/liba.so"]
    );
}

#[test]
fn a_soname_that_is_loaded_satisfies() {
    let tree = Tree::new()
        .elf("/bin/p", &program().rpath("/o").needs("libold.so").needs("libb.so"))
        .elf("/o/libold.so", &elf().soname("libnew.so.2"))
        .elf("/o/libb.so", &elf().needs("libnew.so.2").needs("ld-linux-x86-64.so.2"));
    let closure = tree.closure("p");
    assert_eq!(tree.libraries("p"), ["/o/libb.so", "/o/libold.so"]);
    let b = closure
        .objects
        .iter()
        .find(|object| object.path.ends_with("libb.so"))
        .unwrap();
    let needs: Vec<_> = b
        .needs
        .iter()
        .map(|need| (&*need.name, closure.objects[need.object].path.to_str()))
        .collect();
    let expected = [
        ("libnew.so.2", Some("/o/libold.so")),
        ("ld-linux-x86-64.so.2", Some(common::LOADER)),
    ];
    assert_eq!(needs, expected);
}

#[test]
fn one_file_under_two_names_is_one_object() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so").needs("libb.so"))
        .elf("/lib/liba.so", &elf())
        .link("/lib/libb.so", "liba.so");
    assert_eq!(tree.libraries("p"), ["/lib/liba.so"]);
    assert_eq!(links(&tree.closure("p")), ["/lib/libb.so -> liba.so"]);
}

#[test]
fn names_with_a_slash_are_paths() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("/o/liba.so").needs("o/libb.so"))
        .elf("/o/liba.so", &elf())
        .elf("/o/libb.so", &elf());
    assert_eq!(tree.libraries("p"), ["/o/liba.so", "/o/libb.so"]);
}

#[test]
fn other_architectures_are_passed_over() {
    let tree = Tree::new()
        .elf("/bin/p", &program().rpath("/32:/arm:/64").needs("liba.so"))
        .elf("/32/liba.so", &elf().machine(I386, false))
        .elf("/arm/liba.so", &elf().machine(AARCH64, true))
        .elf("/64/liba.so", &elf());
    assert_eq!(tree.libraries("p"), ["/64/liba.so"]);
}

#[test]
fn no_default_libraries() {
    let flagged = program().needs("liba.so").no_default_libraries();
    let entries: [CacheEntry<'_>; 1] = [(LIB64, "liba.so", "/lib/liba.so", None)];
    let tree = Tree::new()
        .elf("/bin/p", &flagged)
        .elf("/lib/liba.so", &elf())
        .file("/etc/ld.so.cache", cache(&entries));
    assert!(matches!(tree.try_closure("p"), Err(Error::MissingLibraries(_))));
    let tree = tree.file("/etc/ld.so.cache", cache(&[(LIB64, "liba.so", "/o/liba.so", None)]));
    let tree = tree.elf("/o/liba.so", &elf());
    assert_eq!(tree.libraries("p"), ["/etc/ld.so.cache", "/o/liba.so"]);
}

#[test]
fn filters_are_needed_and_auxiliaries_may_be_missing() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf(
            "/lib/liba.so",
            &elf().auxiliary("libnot.so").auxiliary("libaux.so").filter("libf.so"),
        )
        .elf("/lib/libaux.so", &elf())
        .elf("/lib/libf.so", &elf().needs("libg.so"))
        .elf("/lib/libg.so", &elf());
    assert_eq!(
        tree.libraries("p"),
        ["/lib/liba.so", "/lib/libaux.so", "/lib/libf.so", "/lib/libg.so"]
    );
    let tree = Tree::new().elf("/bin/p", &program().filter("libnot.so"));
    assert!(matches!(tree.try_closure("p"), Err(Error::MissingLibraries(_))));
}

#[test]
fn the_cache_by_name_and_flags() {
    let entries: [CacheEntry<'_>; 4] = [
        (LIB64, "libb.so.10", "/o/ten", None),
        (LIB64, "libb.so.9", "/o/nine", None),
        (0x003, "liba.so", "/o/i386", None),
        (LIB64, "liba.so", "/o/a", None),
    ];
    let tree = Tree::new()
        .elf(
            "/bin/p",
            &program().needs("liba.so").needs("libb.so.9").needs("libb.so.10"),
        )
        .elf("/o/a", &elf())
        .elf("/o/nine", &elf())
        .elf("/o/ten", &elf())
        .elf("/o/i386", &elf())
        .file("/etc/ld.so.cache", cache(&entries));
    // The cache belongs to the closure, since nothing else finds these.
    assert_eq!(tree.libraries("p"), ["/etc/ld.so.cache", "/o/a", "/o/nine", "/o/ten"]);
    let prefixed = [b"ld.so-1.7.0\0\0\0\0\0".to_vec(), cache(&entries)].concat();
    let tree = tree.file("/etc/ld.so.cache", prefixed);
    assert_eq!(tree.libraries("p"), ["/etc/ld.so.cache", "/o/a", "/o/nine", "/o/ten"]);
}

#[test]
fn a_stale_cache_gives_way_to_the_directories() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/lib/liba.so", &elf())
        .file("/etc/ld.so.cache", cache(&[(LIB64, "liba.so", "/gone/liba.so", None)]));
    assert_eq!(tree.libraries("p"), ["/lib/liba.so"]);
}

#[test]
fn hardware_variants_come_in_addition() {
    let entries: [CacheEntry<'_>; 2] = [
        (
            LIB64,
            "liba.so",
            "/lib/glibc-hwcaps/x86-64-v3/liba.so",
            Some("x86-64-v3"),
        ),
        (LIB64, "liba.so", "/lib/liba.so", None),
    ];
    let tree = Tree::new()
        .elf(
            "/bin/p",
            &program()
                .runpath("/r")
                .needs("liba.so")
                .needs("libr.so")
                .needs("libold.so"),
        )
        .elf("/lib/liba.so", &elf())
        .elf("/lib/glibc-hwcaps/x86-64-v3/liba.so", &elf().needs("libonly.so"))
        .elf("/lib/libonly.so", &elf())
        .elf("/r/libr.so", &elf())
        .elf("/r/glibc-hwcaps/x86-64-v2/libr.so", &elf())
        .elf("/r/libold.so", &elf())
        .elf("/r/tls/haswell/libold.so", &elf())
        .file("/etc/ld.so.cache", cache(&entries));
    let expected = [
        "/lib/glibc-hwcaps/x86-64-v3/liba.so (x86-64-v3)",
        "/lib/liba.so",
        "/lib/libonly.so (x86-64-v3)",
        "/r/glibc-hwcaps/x86-64-v2/libr.so (x86-64-v2)",
        "/r/libold.so",
        "/r/libr.so",
        "/r/tls/haswell/libold.so (haswell)",
    ];
    assert_eq!(tree.libraries("p"), expected);
}

#[test]
fn configuration_only_without_a_cache() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/o/liba.so", &elf())
        .file("/etc/ld.so.conf", "# comment\ninclude ld.so.conf.d/*.conf\n")
        .file("/etc/ld.so.conf.d/o.conf", "/nowhere\n/o # here\n");
    assert_eq!(tree.libraries("p"), ["/o/liba.so"]);
    let needs_ldconfig = tree.closure("p").needs_ldconfig;
    assert_eq!(needs_ldconfig, [std::path::PathBuf::from("/o/liba.so")]);
    let tree = tree.file("/etc/ld.so.cache", cache(&[]));
    assert!(matches!(tree.try_closure("p"), Err(Error::MissingLibraries(_))));
}

/// What ldconfig skips: names that aren't absolute, hwcap lines, files that a pattern hides; and an include that leads round.
#[test]
fn configuration_that_leads_round_or_names_no_directory() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/o/liba.so", &elf())
        .file(
            "/etc/ld.so.conf",
            "include ld.so.conf\nhwcap 1 /hidden\nhidden\ninclude /etc/d/*.conf\n/o=libc6\n",
        )
        .file("/etc/d/.a.conf", "/hidden\n")
        .elf("/hidden/liba.so", &elf());
    assert_eq!(tree.libraries("p"), ["/o/liba.so"]);
}

/// Each file includes itself twice: as many readings as there were paths through that would never end.
#[test]
fn configuration_has_an_end() {
    let include = "include ld.so.conf ld.so.conf\n".repeat(20);
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/o/liba.so", &elf())
        .file("/etc/ld.so.conf", format!("/o\n{include}"));
    assert_eq!(tree.libraries("p"), ["/o/liba.so"]);
}

#[test]
fn directories_and_cache_from_the_loader_itself() {
    let constants = b"\0/gnu/store/glibc/lib/\0\0/gnu/store/glibc/etc/ld.so.cache\0lib\0";
    let tree = Tree::empty()
        .elf(common::LOADER, &elf().constants(constants))
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/lib/liba.so", &elf())
        .elf("/gnu/store/glibc/lib/liba.so", &elf());
    assert_eq!(tree.libraries("p"), ["/gnu/store/glibc/lib/liba.so"]);
}

#[test]
fn musl_has_its_own_rules() {
    let musl = "/lib/ld-musl-x86_64.so.1";
    let own = program()
        .interpreter(musl)
        .runpath("/o")
        .needs("libc.musl-x86_64.so.1")
        .needs("liba.so");
    let tree = Tree::empty()
        .elf(musl, &elf())
        .link("/lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1")
        .elf("/bin/p", &own)
        .elf("/o/liba.so", &elf().needs("libb.so").needs("libpthread.so.0"))
        .elf("/o/libb.so", &elf())
        .elf("/usr/lib/libb.so", &elf());
    // DT_RUNPATH is inherited, and libpthread is the loader itself.
    assert_eq!(tree.libraries("p"), ["/o/liba.so", "/o/libb.so"]);
    let tree = tree
        .file("/etc/ld-musl-x86_64.path", "/x:/y\n")
        .elf("/y/libq.so", &elf())
        .elf("/bin/q", &program().interpreter(musl).needs("libq.so"));
    assert_eq!(files(&tree.closure("q")).last().unwrap(), "/y/libq.so");
    assert!(files(&tree.closure("q")).contains(&"/etc/ld-musl-x86_64.path".to_owned()));
}

#[test]
fn thirty_two_bits_beside_sixty_four() {
    let small = || elf().machine(I386, false);
    let tree = Tree::new()
        .elf("/lib/ld-linux.so.2", &small())
        .elf("/bin/p", &small().interpreter("/lib/ld-linux.so.2").needs("liba.so"))
        .elf("/lib/x86_64-linux-gnu/liba.so", &elf())
        .elf("/lib/i386-linux-gnu/liba.so", &small());
    assert_eq!(tree.libraries("p"), ["/lib/i386-linux-gnu/liba.so"]);
    let x32 = || elf().machine(common::X86_64, false);
    let tree = Tree::empty()
        .elf("/libx32/ld-linux-x32.so.2", &x32())
        .elf(
            "/bin/p",
            &x32().interpreter("/libx32/ld-linux-x32.so.2").needs("liba.so"),
        )
        .elf("/libx32/liba.so", &x32());
    assert_eq!(tree.libraries("p"), ["/libx32/liba.so"]);
}

#[test]
fn a_missing_library_names_the_chain_and_the_places() {
    let tree = Tree::new()
        .elf("/bin/p", &program().rpath("/o").needs("liba.so"))
        .elf("/o/liba.so", &elf().needs("libb.so"))
        .elf("/lib/libb.so", &elf().machine(AARCH64, true));
    let Err(Error::MissingLibraries(missing)) = tree.try_closure("p") else {
        panic!("libb.so should be missing");
    };
    let library = &missing[0];
    assert_eq!(library.name, "libb.so");
    assert_eq!(
        library.needed_by,
        ["/bin/p", "/o/liba.so"].map(std::path::PathBuf::from)
    );
    assert_eq!(library.tried[0].path.to_str(), Some("/o/libb.so"));
    let other = library
        .tried
        .iter()
        .find(|tried| tried.path.to_str() == Some("/lib/libb.so"))
        .unwrap();
    assert!(matches!(other.result, TriedResult::OtherArchitecture(_)));
    let text = missing[0].to_string();
    let start =
        "library libb.so not found, needed by /o/liba.so, which is needed by /bin/p; /lib/libb.so is made for aarch64";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn circles_end() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .elf("/lib/liba.so", &elf().needs("libb.so").needs("liba.so"))
        .elf("/lib/libb.so", &elf().needs("liba.so"));
    assert_eq!(tree.libraries("p"), ["/lib/liba.so", "/lib/libb.so"]);
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .link("/lib/liba.so", "liba.so");
    assert!(matches!(tree.try_closure("p"), Err(Error::MissingLibraries(_))));
    let tree = tree.link("/bin/loop", "loop");
    assert!(
        tree.try_closure("/bin/loop")
            .unwrap_err()
            .to_string()
            .contains("leads back to itself")
    );
}

#[test]
fn a_damaged_library_is_named() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("liba.so"))
        .file("/lib/liba.so", "INPUT(libc.so.6)");
    let text = tree.try_closure("p").unwrap_err().to_string();
    assert_eq!(text, "/lib/liba.so: not an ELF file, needed by /bin/p");
}
