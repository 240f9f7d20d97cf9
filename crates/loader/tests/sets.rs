//! Files asked for without a program: paths, directories and sets.

mod common;

use common::{Tree, elf, files, links, program};
use wiac_loader::{Closure, Collector, EntryKind, Error, NeededBy, Set};

fn collect(tree: &Tree, add: impl FnOnce(&mut Collector<'_>) -> Result<(), Error>) -> Closure {
    let root = tree.root();
    let mut collector = Collector::new(&root);
    add(&mut collector).unwrap();
    collector.finish().unwrap()
}

fn directories(closure: &Closure) -> Vec<&str> {
    let entries = closure
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Directory);
    entries.map(|entry| entry.path.to_str().unwrap()).collect()
}

#[test]
fn a_directory_with_all_below_and_all_it_leads_to() {
    let tree = Tree::new()
        .file("/opt/d/a", "text")
        .directory("/opt/d/empty")
        .link("/opt/d/out", "../../srv/x")
        .link("/opt/d/up", "..")
        .link("/opt/d/gone", "/nowhere")
        .link("/opt/d/loop", "loop")
        .elf("/opt/d/plugin.so", &elf().needs("liba.so"))
        .elf(
            "/opt/d/prebuilt.so",
            &elf().machine(common::AARCH64, true).needs("liba.so"),
        )
        .elf("/lib/liba.so", &elf())
        .file("/srv/x", "outside the directory");
    let closure = collect(&tree, |collector| collector.add("/opt/d"));
    assert_eq!(
        files(&closure),
        [
            "/lib/liba.so",
            "/opt/d/a",
            "/opt/d/plugin.so",
            "/opt/d/prebuilt.so",
            "/srv/x"
        ]
    );
    assert_eq!(
        directories(&closure),
        ["/lib", "/opt", "/opt/d", "/opt/d/empty", "/srv"]
    );
    let expected = [
        "/opt/d/gone -> /nowhere",
        "/opt/d/loop -> loop",
        "/opt/d/out -> ../../srv/x",
        "/opt/d/up -> ..",
    ];
    assert_eq!(links(&closure), expected);
    assert_eq!(closure.programs.len(), 1);
    assert!(matches!(closure.incomplete.as_slice(), [Error::MissingLibraries(_)]));
}

#[test]
fn a_file_and_what_needs_it() {
    let tree = Tree::new().file("/etc/passwd", "root").elf("/bin/p", &program());
    let closure = collect(&tree, |collector| {
        collector.add("etc/passwd")?;
        collector.add_program("p")
    });
    let by: Vec<_> = closure
        .entries
        .iter()
        .map(|entry| (entry.path.to_str().unwrap(), &*entry.needed_by))
        .collect();
    let expected: [(&str, &[NeededBy]); 6] = [
        ("/bin", &[]),
        ("/bin/p", &[NeededBy::User]),
        ("/etc", &[]),
        ("/etc/passwd", &[NeededBy::User]),
        ("/lib64", &[]),
        (common::LOADER, &[NeededBy::Object(0)]),
    ];
    assert_eq!(by, expected);
    let root = tree.root();
    assert!(matches!(
        Collector::new(&root).add("/nowhere"),
        Err(Error::Unreachable(_))
    ));
}

#[test]
fn libraries_follow_the_loader_of_their_root() {
    let tree = Tree::empty()
        .elf("/lib/ld-musl-x86_64.so.1", &elf())
        .elf("/o/liba.so", &elf().needs("libc.so").needs("libb.so"))
        .elf("/usr/local/lib/libb.so", &elf());
    let closure = collect(&tree, |collector| collector.add("/o/liba.so"));
    let expected = ["/lib/ld-musl-x86_64.so.1", "/o/liba.so", "/usr/local/lib/libb.so"];
    assert_eq!(files(&closure), expected);
}

#[test]
fn names_of_users_and_hosts() {
    let tree = Tree::new()
        .elf("/bin/p", &program().needs("libc.so.6"))
        .elf("/lib/libc.so.6", &elf().soname("libc.so.6").interpreter(common::LOADER))
        .elf("/lib/libnss_files.so.2", &elf().needs("libc.so.6"))
        .elf("/lib/libnss_systemd.so.2", &elf().needs("libcap.so"))
        .elf("/lib/libnss_broken.so.2", &elf().needs("libgone.so"))
        .elf("/lib/libcap.so", &elf())
        .elf("/lib/libresolv.so.2", &elf().needs("libc.so.6"))
        .file("/etc/nsswitch.conf", "passwd: files systemd broken\nhosts: files dns\n");
    let closure = collect(&tree, |collector| {
        collector.with(Set::Nss);
        collector.add_program("p")
    });
    let expected = [
        "/bin/p",
        "/etc/nsswitch.conf",
        "/lib/libc.so.6",
        "/lib/libcap.so",
        "/lib/libnss_files.so.2",
        "/lib/libnss_systemd.so.2",
        "/lib/libresolv.so.2",
        common::LOADER,
    ];
    assert_eq!(files(&closure), expected);
}

#[test]
fn certificates_and_time_zones() {
    let tree = Tree::empty()
        .link("/etc/ssl/certs/a.pem", "/usr/share/ca-certificates/a.crt")
        .file("/etc/ssl/certs/ca-certificates.crt", "bundle")
        .file("/usr/share/ca-certificates/a.crt", "certificate")
        .file("/etc/ssl/openssl.cnf", "")
        .file("/etc/ssl/private/key", "secret")
        .file("/usr/share/zoneinfo/Europe/Berlin", "")
        .link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin");
    let closure = collect(&tree, |collector| {
        for set in Set::ALL {
            collector.with(set);
        }
        Ok(())
    });
    let expected = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ssl/openssl.cnf",
        "/usr/share/ca-certificates/a.crt",
        "/usr/share/zoneinfo/Europe/Berlin",
    ];
    assert_eq!(files(&closure), expected);
    assert_eq!(links(&closure).len(), 2);
    assert_eq!(Set::from_name("tzdata"), Some(Set::Tzdata));
    assert_eq!(Set::from_name("x"), None);
}
