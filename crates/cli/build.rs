//! What makes the binary smaller and each start cheaper, as far as linker and C library know it.
//!
//! - Packed relative relocations (DT_RELR): a static program applies its own at every start, and packed they take 2 KB to
//!   read instead of 180.
//! - The functions that a start calls lie side by side (`startup.order`, made by `cargo xtask order`): fewer pages to map.
//! - No tables for unwinding the stack (`no-unwind-tables.ld`).

use std::path::{Path, PathBuf};
use std::process::Command;

/// The first glibc whose start code applies packed relocations (its NEWS, 2.36).
const FIRST: (u32, u32) = (2, 36);

/// The list of functions; its first line names the compiler it was made with.
const ORDER: &str = "startup.order";

/// The linker script that drops the tables for unwinding.
const NO_UNWIND_TABLES: &str = "no-unwind-tables.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    println!("cargo::rerun-if-changed={NO_UNWIND_TABLES}");
    if std::env::var("HOST") != std::env::var("TARGET") {
        return;
    }
    if glibc().is_some_and(|version| version >= FIRST) {
        link_with("-z,pack-relative-relocs");
    }
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !is_release || !is_compilers_own_linker() {
        return;
    }
    if let Some(script) = beside_the_output(NO_UNWIND_TABLES) {
        link_with(&format!("-T,{}", script.display()));
    }
    if compiler().is_some_and(|compiler| is_made_with(&compiler))
        && let Some(order) = beside_the_output(ORDER)
    {
        link_with(&format!("--symbol-ordering-file={}", order.display()));
        // Functions come and go: one that is gone is no mistake.
        link_with("--no-warn-symbol-ordering");
    }
}

/// Gives the linker of the binary these arguments.
fn link_with(arguments: &str) {
    println!("cargo::rustc-link-arg-bins=-Wl,{arguments}");
}

/// A copy for the linker: what this prints outlives a source directory that is moved, or that shares its target
/// directory with another one.
fn beside_the_output(file: &str) -> Option<PathBuf> {
    let copy = PathBuf::from(std::env::var_os("OUT_DIR")?).join(file);
    std::fs::copy(file, &copy).ok()?;
    Some(copy)
}

/// This machine's glibc; `None` where there is none.
fn glibc() -> Option<(u32, u32)> {
    let text = said(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether functions are named in the list as they are now.
fn is_made_with(compiler: &str) -> bool {
    let list = std::fs::read_to_string(ORDER).unwrap_or_default();
    list.lines().next().and_then(|line| line.strip_prefix("# ")) == Some(compiler.trim())
}

/// Whether the linker is the LLD that comes with the compiler, which knows the option: the one that is taken on this
/// target where nobody asks for another.
fn is_compilers_own_linker() -> bool {
    let target = std::env::var("TARGET").unwrap_or_default();
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let is_another = std::env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    let sysroot = rustc(&["--print", "sysroot"]).unwrap_or_default();
    let own = Path::new(sysroot.trim()).join(format!("lib/rustlib/{target}/bin/gcc-ld/ld.lld"));
    target == "x86_64-unknown-linux-gnu" && !is_another && own.exists()
}

fn compiler() -> Option<String> {
    rustc(&["--version"])
}

fn rustc(arguments: &[&str]) -> Option<String> {
    said(Command::new(std::env::var_os("RUSTC")?).args(arguments))
}

fn said(command: &mut Command) -> Option<String> {
    String::from_utf8(command.output().ok()?.stdout).ok()
}
