//! Paths of an archive, found below the directory it is unpacked to: symlinks lead where they lead for a program whose
//! root that directory is, and none leads out.

use crate::error::{Error, IoExt, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use wiac_layer::merged::{Found, LayerStack};

/// As many symlinks on one way as BuildKit follows.
const LINKS: usize = 255;

/// The tree below a directory.
pub(super) struct Below<'b> {
    pub(super) stack: &'b LayerStack,
    /// Without symlinks, and there.
    pub(super) top: &'b Path,
}

impl Below<'_> {
    /// The path below the top without symlinks; `None` for the top itself. The last component is followed only where
    /// `follow` says so; what isn't there stays as it is.
    ///
    /// # Errors
    /// A path or a symlink that leads out, or too many of the latter.
    pub(super) fn resolve(&self, path: &[u8], follow: bool) -> Result<Option<PathBuf>> {
        let mut rest = components(Path::new(OsStr::from_bytes(path)), path)?;
        let mut resolved: Vec<OsString> = Vec::new();
        let mut links = 0;
        while !rest.is_empty() {
            let name = rest.remove(0);
            if name == ".." {
                resolved.pop().ok_or_else(|| leads_out(path))?;
                continue;
            }
            let is_last = rest.is_empty();
            let target = if is_last && !follow {
                None
            } else {
                self.link(&resolved, &name)?
            };
            let Some(target) = target else {
                resolved.push(name);
                continue;
            };
            links += 1;
            if links > LINKS {
                return Err(Error::wrong(format!("{}: too many symlinks", shown(path))));
            }
            if target.is_absolute() {
                resolved.clear();
            }
            let mut way: Vec<OsString> = normal(&target);
            way.append(&mut rest);
            rest = way;
        }
        let resolved: PathBuf = resolved.iter().collect();
        Ok((!resolved.as_os_str().is_empty()).then_some(resolved))
    }

    /// The text of a symlink; `None` for anything else.
    fn link(&self, above: &[OsString], name: &OsStr) -> Result<Option<PathBuf>> {
        let directory = above.iter().fold(self.top.to_owned(), |path, name| path.join(name));
        let Some(Found::Directory(directory)) = self.stack.resolve(&directory)?.found else {
            return Ok(None);
        };
        let Some(Found::Other { parent, name, status }) = directory.entry(name)? else {
            return Ok(None);
        };
        if !rustix::fs::FileType::from_raw_mode(status.st_mode).is_symlink() {
            return Ok(None);
        }
        let text = rustix::fs::readlinkat(parent, name.as_os_str(), Vec::new()).on("read", Path::new(&name))?;
        Ok(Some(PathBuf::from(OsStr::from_bytes(text.as_bytes()))))
    }
}

/// The components without "." and without what makes the path absolute.
fn normal(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    names.collect()
}

fn leads_out(path: &[u8]) -> Error {
    Error::wrong_with_hint(
        format!("{}: this path in the archive leads out of the destination", shown(path)),
        "unpack it by a RUN if that is meant",
    )
}

/// A name from an archive, safe to print.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// The components of a path in the archive, which mustn't lead out.
fn components(path: &Path, written: &[u8]) -> Result<Vec<OsString>> {
    let mut components: Vec<OsString> = Vec::new();
    for name in normal(path) {
        if name == ".." {
            components.pop().ok_or_else(|| leads_out(written))?;
        } else {
            components.push(name);
        }
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn symlinks_stay_below_the_top() {
        let dir = tempfile::tempdir().expect("tempdir");
        let top = dir.path().join("srv");
        fs::create_dir_all(top.join("usr/lib64/deep")).expect("mkdir");
        symlink("usr/lib64", top.join("lib64")).expect("symlink");
        symlink("/usr", top.join("absolute")).expect("symlink");
        symlink("../../etc", top.join("out")).expect("symlink");
        symlink("loop", top.join("loop")).expect("symlink");
        let stack = LayerStack::new(vec![dir.path().to_owned()]);
        let below = Below {
            stack: &stack,
            top: Path::new("/srv"),
        };
        let resolve = |path: &str| below.resolve(path.as_bytes(), false);
        let found = |path: &str| resolve(path).expect("resolved").map(|path| path.display().to_string());
        assert_eq!(found("lib64/x").as_deref(), Some("usr/lib64/x"));
        assert_eq!(found("/absolute/lib64/deep/y").as_deref(), Some("usr/lib64/deep/y"));
        assert_eq!(found("lib64").as_deref(), Some("lib64"));
        assert_eq!(found("./a/../b").as_deref(), Some("b"));
        assert_eq!(found("./"), None);
        assert_eq!(
            below.resolve(b"lib64", true).expect("resolved"),
            Some(PathBuf::from("usr/lib64"))
        );
        assert!(resolve("../x").is_err() && resolve("out/passwd").is_err() && resolve("loop/x").is_err());
    }
}
