//! What must hold for the release binary: static, small, and free of everything that loads NSS modules.
//!
//! glibc's look-ups of users, groups and hosts load the host's NSS modules at run time, also into a static binary,
//! which then crashes on a host with another glibc. wiac reads the files itself; this check keeps it so.

use crate::{Outcome, shell};
use object::elf::{DT_NEEDED, FileHeader64, PT_DYNAMIC, PT_INTERP, SHT_SYMTAB, STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, SectionIndex, SymbolIndex};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Of the binary as `cargo xtask dist` ships it, without its symbols: TLS, four compressions and all.
const LARGEST: u64 = 8 << 20;

/// What a start calls: see `cargo xtask order`.
const ORDER: &str = include_str!("../../../crates/cli/startup.order");

/// Percent of it that are to be in the binary.
const LEAST_KNOWN: usize = 80;

/// glibc's functions that load NSS modules or character set converters. `_r` variants count as well, and whatever of
/// NSS itself is linked. Not here: dlopen, which glibc's own standard streams drag into every static binary.
const FORBIDDEN: [&str; 41] = [
    "endaliasent",
    "getaddrinfo",
    "getaliasbyname",
    "getaliasent",
    "getgrent",
    "getgrgid",
    "getgrnam",
    "getgrouplist",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname2",
    "gethostent",
    "getnameinfo",
    "getnetbyaddr",
    "getnetbyname",
    "getnetent",
    "getnetgrent",
    "getprotobyname",
    "getprotobynumber",
    "getprotoent",
    "getpwent",
    "getpwnam",
    "getpwuid",
    "getrpcbyname",
    "getrpcbynumber",
    "getrpcent",
    "getservbyname",
    "getservbyport",
    "getservent",
    "getsgent",
    "getsgnam",
    "getspent",
    "getspnam",
    "iconv_open",
    "initgroups",
    "innetgr",
    "ruserok",
    "ruserpass",
    "setgrent",
    "setnetgrent",
    "setpwent",
];

/// Checks the binary; the error names everything that doesn't hold.
pub(crate) fn check(path: &Path) -> Outcome {
    let data = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut problems = Vec::new();
    let size = (data.len() as u64).saturating_sub(size_of_symbols(&data)?);
    if size > LARGEST {
        problems.push(format!("{size} bytes without symbols: more than {LARGEST}"));
    }
    problems.extend(dynamic_parts(&data)?);
    let symbols = symbols(&data)?;
    if !symbols.iter().any(|name| name == "main") {
        problems.push("no symbol table to check (is the profile's strip still \"debuginfo\"?)".to_owned());
    }
    problems.extend(
        forbidden(&symbols)
            .into_iter()
            .map(|name| format!("{name} is linked: it loads the host's modules")),
    );
    if problems.is_empty() {
        eprintln!(
            "{}: static, {} KiB without symbols, no NSS",
            path.display(),
            size / 1024
        );
        return Ok(());
    }
    Err(format!("{}: {}", path.display(), problems.join("; ")).into())
}

/// A list of functions that this compiler would give names to, where few of them are there any more.
fn stale_order(symbols: &[String], compiler: &str) -> Option<String> {
    let (made_with, functions) = ORDER.split_once('\n')?;
    if made_with.strip_prefix("# ") != Some(compiler) {
        return None;
    }
    let symbols: HashSet<&str> = symbols.iter().map(String::as_str).collect();
    let listed = functions.lines().count();
    let known = functions.lines().filter(|name| symbols.contains(name)).count();
    (known * 100 < listed * LEAST_KNOWN).then(|| {
        format!("only {known} of {listed} functions of crates/cli/startup.order are there: make it anew by cargo xtask order")
    })
}

/// Checks that the list of what a start calls is one of the binary's functions.
pub(crate) fn check_order(path: &Path) -> Outcome {
    let symbols = symbols(&std::fs::read(path)?)?;
    match stale_order(&symbols, &compiler()?) {
        Some(problem) => Err(format!("{}: {problem}", path.display()).into()),
        None => Ok(()),
    }
}

/// What a static binary doesn't have: an interpreter, needed libraries.
fn dynamic_parts(data: &[u8]) -> Outcome<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let mut found = Vec::new();
    for segment in header.program_headers(endian, data)? {
        match segment.p_type(endian) {
            PT_INTERP => found.push("not static: it has an interpreter".to_owned()),
            PT_DYNAMIC => {
                let entries = segment.dynamic(endian, data)?.unwrap_or_default();
                if entries.iter().any(|entry| entry.tag32(endian) == Some(DT_NEEDED)) {
                    found.push("not static: it needs libraries".to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The bytes that `strip` takes away: the symbol table and the names in it.
fn size_of_symbols(data: &[u8]) -> Outcome<u64> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let tables = sections.iter().filter(|section| section.sh_type(endian) == SHT_SYMTAB);
    let mut size = 0;
    for table in tables {
        let names = sections.section(SectionIndex(table.sh_link(endian) as usize))?;
        size += table.sh_size(endian) + names.sh_size(endian);
    }
    Ok(size)
}

/// The functions of a program: address from where it is loaded → names.
pub(crate) fn functions(data: &[u8]) -> Outcome<BTreeMap<u64, Vec<String>>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let table = header.sections(endian, data)?.symbols(endian, data, SHT_SYMTAB)?;
    let mut functions: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (_, symbol) in table.enumerate() {
        if matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC) && !symbol.is_undefined(endian) {
            let name = String::from_utf8_lossy(table.symbol_name(endian, symbol)?).into_owned();
            functions.entry(symbol.st_value(endian)).or_default().push(name);
        }
    }
    Ok(functions)
}

/// The compiler that builds the program, as it says itself.
pub(crate) fn compiler() -> Outcome<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    Ok(shell::output(std::process::Command::new(rustc).arg("--version"))?
        .trim()
        .to_owned())
}

/// The names that the symbol table defines.
fn symbols(data: &[u8]) -> Outcome<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let table = header.sections(endian, data)?.symbols(endian, data, SHT_SYMTAB)?;
    let name = |index| {
        let symbol = table.symbol(index).ok()?;
        // Weak references that nothing fulfils stay in the table as undefined.
        let name = (!symbol.is_undefined(endian))
            .then(|| table.symbol_name(endian, symbol).ok())
            .flatten()?;
        Some(String::from_utf8_lossy(name).into_owned())
    };
    Ok((0..table.len()).map(SymbolIndex).filter_map(name).collect())
}

/// Those of the names that are forbidden: whatever underscores glibc puts in front, and its `_r` variants.
fn forbidden<S: AsRef<str>>(names: &[S]) -> Vec<&str> {
    let is_forbidden = |name: &&str| {
        let bare = name.trim_start_matches('_');
        bare.starts_with("nss_") || FORBIDDEN.contains(&bare.strip_suffix("_r").unwrap_or(bare))
    };
    let mut found: Vec<_> = names.iter().map(AsRef::as_ref).filter(is_forbidden).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn names_are_told_apart() {
        let linked = [
            "main",
            "getpwuid_r",
            "__getpwnam_r",
            "getpid",
            "getgroups",
            "initgroups",
            "__nss_load_library",
            "_dl_open",
            "getpwnames",
        ];
        assert_eq!(
            forbidden(&linked),
            ["__getpwnam_r", "__nss_load_library", "getpwuid_r", "initgroups"]
        );
        assert!(forbidden(&["read", "setgroups", "getrandom"]).is_empty());
    }

    #[test]
    fn a_list_of_other_functions_is_found_out() {
        let compiler = ORDER.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap();
        let names: Vec<String> = ORDER.lines().skip(1).map(str::to_owned).collect();
        assert_eq!(stale_order(&names, compiler), None);
        let message = stale_order(&names[..names.len() / 2], compiler).unwrap();
        assert!(message.contains("cargo xtask order"), "{message}");
        assert_eq!(stale_order(&[], "another compiler"), None);
    }

    /// Links a program in a directory of its own.
    fn compile(name: &str, source: &str, arguments: &[&str]) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("wiac-xtask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("source.c"), source).unwrap();
        let output = Command::new("gcc")
            .current_dir(&directory)
            .args(["-w", "-o", "program", "source.c"])
            .args(arguments)
            .output()
            .expect("this test needs gcc");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        directory.join("program")
    }

    fn complaint(name: &str, source: &str, arguments: &[&str]) -> String {
        let program = compile(name, source, arguments);
        let result = check(&program).map_err(|error| error.to_string());
        std::fs::remove_dir_all(program.parent().unwrap()).unwrap();
        result.err().unwrap_or_default()
    }

    #[test]
    fn a_real_binary_with_nss_is_found_out() {
        let source = "#include <pwd.h>\nint main(void) { return getpwnam(\"root\") == 0; }\n";
        let message = complaint("nss", source, &["-static"]);
        assert!(message.contains("getpwnam is linked"), "{message}");
        assert!(!message.contains("not static"), "{message}");
    }

    #[test]
    fn a_dynamic_binary_is_found_out() {
        let message = complaint("dynamic", "int main(void) { return 0; }\n", &[]);
        assert!(
            message.contains("has an interpreter") && message.contains("needs libraries"),
            "{message}"
        );
    }

    #[test]
    fn a_stripped_binary_is_found_out() {
        let message = complaint("stripped", "int main(void) { return 0; }\n", &["-static", "-s"]);
        assert!(message.contains("no symbol table"), "{message}");
    }

    #[test]
    fn a_static_binary_without_nss_passes() {
        assert_eq!(complaint("static", "int main(void) { return 0; }\n", &["-static"]), "");
    }
}
