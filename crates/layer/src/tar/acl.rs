//! Access control lists: from the text in a PAX record to the attribute the kernel keeps (acl(5), and the kernel's
//! posix_acl_xattr.h).

use super::{bad, shown};
use crate::error::Result;

/// The attribute of an access list.
pub(super) const ACCESS: &str = "system.posix_acl_access";
/// The attribute of a directory's default list.
pub(super) const DEFAULT: &str = "system.posix_acl_default";

/// The version of the attribute's format.
const VERSION: u32 = 2;
/// The id of entries that have none.
const NO_ID: u32 = u32::MAX;

/// "user::rwx,user:1000:r--,…", entries separated by commas or newlines; a fourth field is the id of a name, as star
/// writes it.
///
/// # Errors
/// What isn't such a text; and a user or group that is given by a name only, since names mean nothing here.
pub(super) fn to_attribute(text: &[u8]) -> Result<Vec<u8>> {
    let invalid = || bad(b"", format!("an access control list isn't valid: \"{}\"", shown(text)));
    let text = std::str::from_utf8(text).map_err(|_| invalid())?;
    let mut entries = Vec::new();
    for line in text.split([',', '\n']) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let (tag, name, permissions) = entry(line).ok_or_else(invalid)?;
            entries.push((tag, id(name)?, permissions));
        }
    }
    // The kernel wants them in the order of their tags, and of their ids within one.
    entries.sort_unstable();
    let mut attribute = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        attribute.extend(tag.to_le_bytes());
        attribute.extend(permissions.to_le_bytes());
        attribute.extend(id.to_le_bytes());
    }
    Ok(attribute)
}

/// The number of a user or group.
fn id(name: &str) -> Result<u32> {
    match name {
        "" => Ok(NO_ID),
        "root" => Ok(0),
        _ => name.parse().map_err(|_| {
            let name = shown(name.as_bytes());
            let reason = format!("names \"{name}\", which means nothing in a layer: pack it with numbers");
            bad(b"", format!("an access control list {reason}"))
        }),
    }
}

/// Tag, user or group, and permissions of one entry.
fn entry(line: &str) -> Option<(u16, &str, u16)> {
    let fields: Vec<&str> = line.split(':').map(str::trim).collect();
    let (kind, name, permissions) = match fields[..] {
        [kind, permissions] => (kind, "", permissions),
        [kind, name, permissions] => (kind, name, permissions),
        [kind, _, permissions, id] => (kind, id, permissions),
        _ => return None,
    };
    let (tag, with_id) = match kind {
        "user" | "u" => (0x01, 0x02),
        "group" | "g" => (0x04, 0x08),
        "mask" | "m" => (0x10, 0x10),
        "other" | "o" => (0x20, 0x20),
        _ => return None,
    };
    let mut bits = 0;
    for character in permissions.chars() {
        bits |= match character {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return None,
        };
    }
    Some((if name.is_empty() { tag } else { with_id }, name, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_what_setfacl_makes_of_it() {
        // getfattr -e hex after setfacl -m u:1000:rw,g:50:r on a file of mode 640.
        let text = b"user::rw-,user:joe:rw-:1000,group::r--,group:50:r--,mask::rw-,other::---";
        let attribute = to_attribute(text).expect("valid");
        let hexadecimal: Vec<String> = attribute.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hexadecimal.concat(),
            "0200000001000600ffffffff02000600e803000004000400ffffffff080004003200000010000600ffffffff20000000ffffffff"
        );
    }

    #[test]
    fn names_are_refused() {
        for text in ["user:joe:rw-", "user", "x::rwx", "user::q", "user:-1:r"] {
            assert!(to_attribute(text.as_bytes()).is_err(), "{text}");
        }
    }
}
