//! Mounts inside the future root in shell. The working directory is the future root.

use super::{Text, quote};
use crate::plan::step::{Bind, Device, InRoot, NewMount, Stub, Target, TargetKind};
use crate::plan::{MOUNT_TABLE, MOUNT_TABLE_TEXT};
use std::ffi::CString;
use wiac_sys::mount::attr;

/// Attribute bits with mount(8)'s words for a bit set and cleared.
const WORDS: [(u64, &str, &str); 6] = [
    (attr::RDONLY, "ro", "rw"),
    (attr::NOSUID, "nosuid", "suid"),
    (attr::NODEV, "nodev", "dev"),
    (attr::NOEXEC, "noexec", "exec"),
    (attr::NODIRATIME, "nodiratime", "diratime"),
    (attr::NOSYMFOLLOW, "nosymfollow", "symfollow"),
];

/// A path of the container as a word.
pub(super) fn path(path: &InRoot) -> String {
    let mut absolute = b"/".to_vec();
    absolute.extend_from_slice(path.0.to_bytes());
    quote(absolute)
}

/// The words that find a target, and make it where it is missing.
fn target(target: &Target) -> String {
    let function = match target.kind {
        TargetKind::Directory => "directory",
        TargetKind::File => "file",
    };
    format!("\"$({function} {})\"", path(&target.path))
}

fn words(set: u64, clear: u64) -> Vec<&'static str> {
    let mut words = Vec::new();
    for (bit, on, off) in WORDS {
        if set & bit != 0 {
            words.push(on);
        } else if clear & bit != 0 {
            words.push(off);
        }
    }
    match set & attr::ATIME_MASK {
        attr::NOATIME => words.push("noatime"),
        attr::STRICTATIME => words.push("strictatime"),
        _ if clear & attr::ATIME_MASK != 0 => words.push("relatime"),
        _ => {}
    }
    words
}

/// A new file system.
pub(super) fn new_mount(mount: &NewMount, text: &mut Text) {
    text.note(why_new(mount));
    let mut options: Vec<u8> = words(mount.attributes, 0).join(",").into_bytes();
    for (key, value) in &mount.options {
        if !options.is_empty() {
            options.push(b',');
        }
        options.extend_from_slice(key.to_bytes());
        if let Some(value) = value {
            options.push(b'=');
            options.extend_from_slice(value.to_bytes());
        }
    }
    let options = if options.is_empty() {
        String::new()
    } else {
        format!("-o {} ", quote(options))
    };
    let may_fail = if mount.optional { " 2>/dev/null || true" } else { "" };
    text.line(&format!(
        "mount -t {} {options}{} {}{may_fail}",
        quote(mount.fs_type.to_bytes()),
        quote(mount.source.to_bytes()),
        target(&mount.target),
    ));
}

fn why_new(mount: &NewMount) -> &'static str {
    match (mount.fs_type.to_bytes(), mount.target.path.0.to_bytes()) {
        (b"proc", _) => "The processes of the new pid namespace, and no others.",
        (b"sysfs", _) => "The kernel's devices and modules, to be read.",
        (b"devpts", _) => "Terminals of its own.",
        (b"mqueue", _) => "Message queues of its own; not every kernel has them.",
        (b"cgroup2", _) => "The cgroup namespace's view of cgroups, where the kernel allows it.",
        (b"tmpfs", b"dev") => "An almost empty /dev: the host's devices stay outside.",
        (b"tmpfs", b"dev/shm") => "Shared memory of its own.",
        (b"tmpfs", _) => "A file system in memory, gone with the container.",
        _ => "A new file system.",
    }
}

/// A directory or file of the host.
pub(super) fn bind(bind: &Bind, text: &mut Text) {
    text.note(&format!("{} of the host.", bind.source.to_string_lossy()));
    let at = target(&bind.target);
    let kind = if bind.recursive { "--rbind" } else { "--bind" };
    let source = quote(bind.source.to_bytes());
    let attributes = words(bind.set, bind.clear).join(",");
    let change = if bind.attributes_recursive {
        format!("change_all {attributes} \"$at\"")
    } else {
        format!("mount -o remount,bind,{attributes} \"$at\"")
    };
    if bind.target.stub == Stub::OnRootAlone {
        let then = if attributes.is_empty() {
            String::new()
        } else {
            format!(" {change};")
        };
        text.line(&format!(
            "if at=$(file_on_root {}); then mount {kind} {source} \"$at\";{then} fi",
            path(&bind.target.path)
        ));
    } else if attributes.is_empty() {
        text.line(&format!("mount {kind} {source} {at}"));
    } else {
        text.line(&format!("at={at}"));
        text.line(&format!("mount {kind} {source} \"$at\""));
        text.line(&change);
    }
}

/// A device node.
pub(super) fn device(device: &Device, text: &mut Text) {
    let Device {
        path: place,
        major,
        minor,
        ..
    } = device;
    text.step(
        &format!("A node of its own for the device {place}."),
        &format!("mknod -m 666 \"$(inside {})\" c {major} {minor}", path(place)),
    );
}

/// A symlink.
pub(super) fn symlink(to: &CString, from: &InRoot, text: &mut Text) {
    text.step(
        &format!("{from}, as every program expects it."),
        &format!("ln -s {} \"$(inside {})\"", quote(to.to_bytes()), path(from)),
    );
}

/// /etc/mtab, where there is none.
pub(super) fn mount_table(text: &mut Text) {
    text.step(
        &format!("{MOUNT_TABLE}, where programs of former days look, unless the image has one."),
        "at=$(directory /etc)",
    );
    text.line(&format!(
        "[ -e \"$at/mtab\" ] || [ -L \"$at/mtab\" ] || ln -s {MOUNT_TABLE_TEXT} \"$at/mtab\""
    ));
}

/// A directory that the image declares as a volume.
pub(super) fn image_volume(at: &InRoot, apart: bool, text: &mut Text) {
    let directory = format!("directory {}", path(at));
    if apart {
        text.step(
            &format!("{at} is a volume of the image: a mount of its own, which can be written when the root can't."),
            &format!("at=$({directory})"),
        );
        text.line("mount --bind \"$at\" \"$at\"");
    } else {
        text.step(
            &format!("{at} is a volume of the image, made where it is missing."),
            &format!("{directory} >/dev/null"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_words() {
        assert_eq!(words(attr::RDONLY | attr::NOSUID, attr::NODEV), ["ro", "nosuid", "dev"]);
        assert_eq!(words(attr::STRICTATIME, attr::ATIME_MASK), ["strictatime"]);
        assert_eq!(words(0, attr::ATIME_MASK), ["relatime"]);
        assert_eq!(words(0, 0), Vec::<&str>::new());
    }
}
