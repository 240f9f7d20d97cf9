//! Compiles docker's default seccomp profile for the capabilities containers have by default, so that a container's
//! start doesn't: the compiler is the crate's own, included here.

#[expect(
    dead_code,
    unused_imports,
    reason = "of the compiler only the default profile is used here"
)]
#[path = "src/seccomp/mod.rs"]
mod seccomp;

use std::fmt::Write as _;
use std::path::PathBuf;

/// What `wiac_build::container` withholds from docker's default capabilities.
const WITHHELD: &str = "CAP_MKNOD";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/seccomp");
    let is_native = std::env::var("HOST") == std::env::var("TARGET");
    let directory = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let text = if is_native { compiled() } else { None };
    // For another machine the profile is compiled at each start.
    let text = text.unwrap_or_else(|| "pub(super) const EMBEDDED: Option<Embedded> = None;".to_owned());
    if let Err(error) = std::fs::write(directory.join("default_filter.rs"), text) {
        println!("cargo::error=can't write the compiled filter: {error}");
    }
}

fn compiled() -> Option<String> {
    let names = wiac_oci::capability::DEFAULT.iter().filter(|name| **name != WITHHELD);
    let bounding = names
        .filter_map(|name| wiac_oci::capability::number(name))
        .fold(0u64, |mask, n| mask | 1 << n);
    let program = seccomp::default_program(bounding)
        .ok()
        .filter(|program| !program.notify)?;
    let mut text = format!(
        "pub(super) const EMBEDDED: Option<Embedded> = Some(Embedded {{ bounding: {bounding:#x}, flags: {:#x}, instructions: &[\n",
        program.flags
    );
    for i in &program.instructions {
        let _ = writeln!(
            text,
            "Instruction {{ code: {:#x}, jt: {}, jf: {}, k: {:#x} }},",
            i.code, i.jt, i.jf, i.k
        );
    }
    text.push_str("] });\n");
    Some(text)
}
