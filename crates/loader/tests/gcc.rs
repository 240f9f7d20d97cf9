//! Programs that gcc links with search paths of all kinds, against what their loader says (`ld.so --list`).
//!
//! Needs gcc. 32-bit programs are built by hand in tests/rules.rs, so that `gcc -m32` (Debian: gcc-multilib) isn't
//! needed; without gcc itself these tests fail rather than skip.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use wiac_loader::{Collector, EntryKind, Error};
use wiac_sys::root::Root;

const LOADER: &str = if cfg!(target_arch = "aarch64") {
    "/lib/ld-linux-aarch64.so.1"
} else {
    "/lib64/ld-linux-x86-64.so.2"
};

struct Build(tempfile::TempDir);

impl Build {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("wiac-gcc").tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    /// Links `path` of an own empty source with gcc's arguments. `-l` names are found in every directory made so far.
    fn gcc(&self, path: &str, arguments: &[&str]) -> &Self {
        let output = self.path(path);
        std::fs::create_dir_all(output.parent().unwrap()).unwrap();
        let source = self.path("source.c");
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let here = self.path("");
        let arguments = arguments
            .iter()
            .map(|one| one.replace('@', here.to_str().unwrap().trim_end_matches('/')));
        let status = Command::new("gcc")
            .current_dir(&here)
            .args(["-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined", "-o"])
            .arg(&output)
            .arg(&source)
            .args(arguments)
            .status()
            .expect("gcc is needed for this test");
        assert!(status.success(), "gcc could not link {path}");
        self
    }

    fn library(&self, path: &str, arguments: &[&str]) -> &Self {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        let soname = format!("-Wl,-soname,{name}");
        self.gcc(path, &[&["-shared", "-fPIC", &soname], arguments].concat())
    }

    fn ours(&self, program: &str) -> Result<BTreeSet<PathBuf>, Error> {
        let root = Root::open("/").unwrap();
        let mut collector = Collector::new(&root);
        collector.add_program(self.path(program))?;
        let closure = collector.finish()?;
        let files = closure
            .entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::File);
        let files = files.filter(|entry| entry.variant.is_none()).map(|entry| entry.path);
        Ok(files.filter(|path| *path != self.path(program)).collect())
    }

    fn theirs(&self, program: &str) -> Option<BTreeSet<PathBuf>> {
        let output = Command::new(LOADER)
            .arg("--list")
            .arg(self.path(program))
            .env_clear()
            .current_dir("/")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        if text.contains("not found") || !output.status.success() {
            return None;
        }
        let words = text.split_whitespace().filter(|word| word.starts_with('/'));
        let files = words.filter_map(|word| Path::new(word).canonicalize().ok());
        Some(files.filter(|path| *path != self.path(program)).collect())
    }

    /// Both sides find the same files, or neither finds all.
    fn agrees(&self, program: &str) -> bool {
        let ours = match self.ours(program) {
            Ok(files) => Some(files),
            Err(Error::MissingLibraries(_)) => None,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(ours, self.theirs(program), "{program}");
        ours.is_some()
    }
}

const OLD: &str = "-Wl,--disable-new-dtags";
const NEW: &str = "-Wl,--enable-new-dtags";

#[test]
fn rpath_and_runpath_with_needs_of_needs() {
    let build = Build::new();
    build.library("l/libb.so", &[]).library("l/liba.so", &["-Ll", "-lb"]);
    build.gcc("old", &[OLD, "-Wl,-rpath,@/l", "-Ll", "-la"]);
    build.gcc("new", &[NEW, "-Wl,-rpath,@/l", "-Ll", "-la", "-Wl,-rpath-link,@/l"]);
    assert!(build.agrees("old"));
    assert!(!build.agrees("new"));
}

#[test]
fn a_library_with_runpath_ignores_what_is_inherited() {
    let build = Build::new();
    build.library("l/libb.so", &[]).library("r/libb.so", &[]);
    build.library("l/liba.so", &[NEW, "-Wl,-rpath,@/r", "-Ll", "-lb"]);
    build.library("l/libc1.so", &[NEW, "-Wl,-rpath,@/nowhere", "-Ll", "-lb"]);
    build.gcc("p", &[OLD, "-Wl,-rpath,@/l", "-Ll", "-la"]);
    build.gcc("q", &[OLD, "-Wl,-rpath,@/l", "-Ll", "-lc1"]);
    assert!(build.agrees("p"));
    assert!(!build.agrees("q"));
}

#[test]
fn origin_lib_and_platform() {
    let build = Build::new();
    let machine = std::env::consts::ARCH;
    let library = format!("lib/{machine}-linux-gnu/{machine}/liba.so");
    build.library(&library, &["-Wl,-rpath,$ORIGIN/sub"]);
    build.library("o/libd.so", &[]);
    build.library("o/libb.so", &["-Wl,-rpath,${ORIGIN}", "-Lo", "-ld"]);
    let search = library.rsplit_once('/').unwrap().0;
    let search = format!("-L{search}");
    let rpath = "-Wl,-rpath,${ORIGIN}/../$LIB/${PLATFORM}:$ORIGIN/../o";
    build.gcc("bin/p", &[rpath, &search, "-Lo", "-la", "-lb", "-Wl,-rpath-link,@/o"]);
    assert!(build.agrees("bin/p"));
}

#[test]
fn names_sonames_and_links() {
    let build = Build::new();
    build.library("l/libreal.so.1", &[]);
    std::os::unix::fs::symlink("libreal.so.1", build.path("l/libreal.so")).unwrap();
    build.library("l/libuser.so", &["-Ll", "-lreal"]);
    build.gcc("p", &["-Wl,-rpath,@/l", "-Ll", "-luser", "-Wl,-rpath-link,@/l"]);
    // With DT_RUNPATH the program finds libuser, but libuser doesn't find libreal, unless it's loaded already.
    assert!(!build.agrees("p"));
    build.gcc("q", &["-Wl,-rpath,@/l", "-Ll", "-lreal", "-luser"]);
    assert!(build.agrees("q"));
    // A library without a soname is asked for by the path it was linked with.
    build.gcc("l/plain.so", &["-shared", "-fPIC"]);
    build.gcc("r", &["l/plain.so"]);
    build.gcc("s", &["@/l/plain.so"]);
    assert!(!build.agrees("r"));
    assert!(build.agrees("s"));
}

#[test]
fn filters() {
    let build = Build::new();
    build.library("l/libreal.so", &[]);
    build.library("l/libfilter.so", &["-Wl,-F,libreal.so", "-Wl,-rpath,@/l"]);
    build.library(
        "l/libaux.so",
        &["-Wl,-f,libnowhere.so", "-Wl,-f,libreal.so", "-Wl,-rpath,@/l"],
    );
    build.gcc("f", &["-Wl,-rpath,@/l", "-Ll", "-lfilter"]);
    build.gcc("x", &["-Wl,-rpath,@/l", "-Ll", "-laux"]);
    assert!(build.agrees("f"));
    assert!(build.agrees("x"));
}

#[test]
fn no_default_libraries() {
    let build = Build::new();
    build.gcc("p", &["-Wl,-z,nodefaultlib"]);
    assert!(!build.agrees("p"));
}

#[test]
fn hardware_directories() {
    let build = Build::new();
    build.library("l/liba.so", &[]).library("l/tls/libb.so", &[]);
    build.gcc("p", &["-Wl,-rpath,@/l", "-Ll", "-la"]);
    assert!(build.agrees("p"));
    build.library("l/glibc-hwcaps/x86-64-v2/liba.so", &[]);
    // The loader takes the variant where the processor allows it; ours is in the closure beside the baseline.
    let variant = build.path("l/glibc-hwcaps/x86-64-v2/liba.so");
    let theirs = build.theirs("p").unwrap();
    assert!(theirs.contains(&variant) || theirs.contains(&build.path("l/liba.so")));
    let root = Root::open("/").unwrap();
    let mut collector = Collector::new(&root);
    collector.add_program(build.path("p")).unwrap();
    let closure = collector.finish().unwrap();
    let marked = |path: &Path| {
        let entry = closure.entries.iter().find(|entry| entry.path == path);
        entry.expect("both are in the closure").variant.clone()
    };
    assert_eq!(marked(&variant).as_deref(), Some("x86-64-v2"));
    assert_eq!(marked(&build.path("l/liba.so")), None);
}

/// Needs ldconfig (Debian: libc-bin) and root, since `ldconfig -r` changes its root directory.
#[test]
fn caches_that_ldconfig_wrote() {
    let build = Build::new();
    build
        .library("o/liba.so.1", &[])
        .library("o/libb.so.10", &[])
        .library("o/libb.so.9", &[]);
    build.library("o/glibc-hwcaps/x86-64-v3/liba.so.1", &[]);
    build.gcc("p", &["o/liba.so.1", "o/libb.so.9", "o/libb.so.10"]);
    let interpreter = build.path(LOADER.trim_start_matches('/'));
    std::fs::create_dir_all(interpreter.parent().unwrap()).unwrap();
    std::fs::copy(LOADER, interpreter).unwrap();
    let libc = build
        .theirs("/bin/true")
        .unwrap()
        .into_iter()
        .find(|path| path.ends_with("libc.so.6"))
        .unwrap();
    std::fs::create_dir_all(build.path("opt")).unwrap();
    std::fs::copy(libc, build.path("opt/libc.so.6")).unwrap();
    std::fs::create_dir_all(build.path("etc")).unwrap();
    std::fs::write(build.path("etc/ld.so.conf"), "/o\n/opt\n").unwrap();
    for format in ["new", "compat", "old"] {
        let status = Command::new("/sbin/ldconfig")
            .args(["-X", "-c", format, "-r"])
            .arg(build.path(""))
            .status()
            .expect("ldconfig is needed for this test");
        assert!(status.success(), "ldconfig -r has to run as root");
        std::fs::rename(build.path("etc/ld.so.conf"), build.path("etc/aside")).unwrap();
        let root = Root::open(build.path("")).unwrap();
        let mut collector = Collector::new(&root);
        collector
            .add_program("/p")
            .unwrap_or_else(|error| panic!("{format}: {error}"));
        let closure = collector.finish().unwrap();
        let has = |path: &str| closure.entries.iter().any(|entry| entry.path == Path::new(path));
        for path in [
            "/o/liba.so.1",
            "/o/libb.so.9",
            "/o/libb.so.10",
            "/opt/libc.so.6",
            "/etc/ld.so.cache",
        ] {
            assert!(has(path), "{format}: {path}");
        }
        let variant = Path::new("/o/glibc-hwcaps/x86-64-v3/liba.so.1");
        let variant = closure.entries.iter().find(|entry| entry.path == variant);
        assert_eq!(variant.unwrap().variant.as_deref(), Some("x86-64-v3"), "{format}");
        std::fs::rename(build.path("etc/aside"), build.path("etc/ld.so.conf")).unwrap();
    }
}

#[test]
fn static_programs() {
    let build = Build::new();
    build.gcc("static", &["-static"]).gcc("pie", &["-static-pie"]);
    for program in ["static", "pie"] {
        assert_eq!(build.ours(program).unwrap(), BTreeSet::new(), "{program}");
    }
}
