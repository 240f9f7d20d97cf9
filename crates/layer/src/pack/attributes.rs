//! Which extended attributes a layer's tar has.

use crate::error::Result;
use crate::marks::{PREFIXES, refuse_beyond_us};

/// Attributes that the machine gives to a file, not the image: labels of security modules, checksums of the
/// integrity subsystem, NFS's view of a list. Other tools leave them out too (umoci: `ignoreXattrs`).
pub(crate) const OF_THE_MACHINE: [&[u8]; 4] = [
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"system.nfs4_acl",
];

/// What goes into the tar of all attributes that `path` has on disk. Attributes of an overlay inside a container,
/// which overlayfs escapes as `overlay.overlay.`, get their names back.
///
/// # Errors
/// A mark that a tar can't express.
pub(super) fn kept(path: &[u8], found: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    refuse_beyond_us(path, &found)?;
    let mut kept = Vec::with_capacity(found.len());
    for (name, value) in found {
        if OF_THE_MACHINE.contains(&name.as_slice()) {
            continue;
        }
        let Some((prefix, rest)) = of_overlay(&name) else {
            kept.push((name, value));
            continue;
        };
        if let Some(own) = rest.strip_prefix(b"overlay.") {
            kept.push(([prefix, own].concat(), value));
        }
    }
    kept.sort();
    Ok(kept)
}

/// The prefix of an attribute of overlayfs, and the rest.
fn of_overlay(name: &[u8]) -> Option<(&[u8], &[u8])> {
    PREFIXES
        .iter()
        .find(|prefix| name.starts_with(prefix.as_bytes()))
        .map(|prefix| name.split_at(prefix.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: &[&str]) -> Result<Vec<String>> {
        let found = found
            .iter()
            .map(|name| (name.as_bytes().to_vec(), Vec::new()))
            .collect();
        let kept = kept(b"x", found)?;
        Ok(kept
            .into_iter()
            .map(|(name, _)| String::from_utf8(name).expect("text"))
            .collect())
    }

    #[test]
    fn bookkeeping_is_left_out_and_escapes_are_undone() {
        let found = [
            "user.b",
            "trusted.overlay.origin",
            "trusted.overlay.opaque",
            "user.overlay.impure",
            "security.selinux",
            "security.capability",
            "trusted.overlay.overlay.opaque",
            "user.overlay.overlay.overlay.x",
        ];
        let expected = [
            "security.capability",
            "trusted.overlay.opaque",
            "user.b",
            "user.overlay.overlay.x",
        ];
        assert_eq!(names(&found).expect("kept"), expected);
    }

    #[test]
    fn what_a_tar_cant_express_is_named() {
        for name in [
            "trusted.overlay.redirect",
            "user.overlay.metacopy",
            "user.overlay.whiteout",
        ] {
            let error = names(&[name]).expect_err("refused").to_string();
            assert!(error.starts_with("x: is a"), "{error}");
        }
    }
}
