//! The future root in shell: an overlay by mount(8), or a directory.

use super::{Text, quote};
use crate::plan::step::{Overlay, OverlayOption};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// mount(2) takes one page of options; some of it is kept for the other options.
const MAX_NAMES: usize = 3500;

const WHY: &str = "The layers merged, topmost first. Every option is explicit: the host's defaults must not decide \
                   what a layer looks like. No device node in it is the host's device.";

/// Makes what is missing of the container's own directories, and mounts the overlay.
pub(super) fn overlay(overlay: &Overlay, root: &mut Text) {
    prepare(overlay, root);
    root.note(WHY);
    let (always, newer) = options(&overlay.options);
    root.line(&format!("options={always}"));
    if fits(overlay) {
        by_name(overlay, root);
    } else {
        by_descriptor(overlay, root);
    }
    root.line("directories=\"lowerdir=$lower,upperdir=$upper,workdir=$work\"");
    let attach = quote(overlay.attach.to_bytes());
    let mount = |options: &str| format!("mount -t overlay -o \"{options}\" overlay {attach}");
    root.line("# The newer mount calls, which mount(8) may use, take no more than 256 bytes for an option.");
    root.line("export LIBMOUNT_FORCE_MOUNT2=always");
    if newer.is_empty() {
        root.line(&mount("$options,$directories"));
    } else {
        root.line("# Older kernels don't know the last options, and behave as if they were given.");
        root.line(&format!(
            "{} 2>/dev/null ||\n    {}",
            mount(&format!("$options,{newer},$directories")),
            mount("$options,$directories")
        ));
    }
    root.step(
        "All that follows is relative to the future root.",
        &format!("cd -- {attach}"),
    );
}

/// A plain directory as the root.
pub(super) fn bind_root(source: &CString, root: &mut Text) {
    let source = quote(source.to_bytes());
    root.note("The root has to be a mount of its own; no device node in it is the host's device.");
    root.line(&format!("mount --rbind {source} {source}"));
    root.line(&format!("mount -o remount,bind,nodev {source}"));
    root.step(
        "All that follows is relative to the future root.",
        &format!("cd -- {source}"),
    );
}

/// Done in the namespaces, so that in one of users the owner can be one of its ids.
fn prepare(overlay: &Overlay, root: &mut Text) {
    let upper = quote(overlay.upper.to_bytes());
    if let Some(top) = overlay.lowers.first() {
        let top = quote(top.to_bytes());
        root.note("Changes go here. The root directory of a new one hides that of the layers, and must look like it.");
        root.line(&format!("if [ ! -d {upper} ]; then"));
        root.line(&format!("    mkdir -p -- {upper}"));
        root.line(&format!(
            "    chown --reference={top} -- {upper} 2>/dev/null || true # not every id can be given"
        ));
        root.line(&format!("    chmod --reference={top} -- {upper}"));
        root.line("fi");
    }
    let (work, attach) = (quote(overlay.work.to_bytes()), quote(overlay.attach.to_bytes()));
    root.step(
        "overlayfs's own directory, and an empty one to mount on.",
        &format!("mkdir -p -- {work} {attach}"),
    );
    if overlay
        .options
        .iter()
        .any(|option| option.key.as_c_str() == c"volatile")
    {
        let mark = Path::new(OsStr::from_bytes(overlay.work.to_bytes())).join("work/incompat/volatile");
        root.step(
            "An earlier volatile mount leaves a mark, since its changes may not have reached the disk.",
            &format!("rm -rf -- {}", quote(mark.as_os_str().as_bytes())),
        );
    }
}

/// The options every kernel knows, and those that may be left out.
fn options(options: &[OverlayOption]) -> (String, String) {
    let mut always = "nodev".to_owned();
    let mut newer = String::new();
    for option in options {
        let list = if option.optional { &mut newer } else { &mut always };
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&option.key.to_string_lossy());
        if let Some(value) = &option.value {
            list.push('=');
            list.push_str(&value.to_string_lossy());
        }
    }
    (always, newer)
}

/// Whether the directories can stand in the options: mount(8) takes a quotation mark for its own.
fn fits(overlay: &Overlay) -> bool {
    let names = || overlay.lowers.iter().chain([&overlay.upper, &overlay.work]);
    let length: usize = names().map(|name| escape(name.to_bytes()).len() + 1).sum();
    length <= MAX_NAMES && !names().any(|name| name.to_bytes().contains(&b'"'))
}

/// overlayfs's own escapes: a comma would end the option, a colon the directory.
fn escape(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for &byte in path {
        if matches!(byte, b':' | b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

fn by_name(overlay: &Overlay, root: &mut Text) {
    for (index, lower) in overlay.lowers.iter().enumerate() {
        let sign = if index == 0 { "=" } else { "+=:" };
        root.line(&format!("lower{sign}{}", quote(escape(lower.to_bytes()))));
    }
    root.line(&format!("upper={}", quote(escape(overlay.upper.to_bytes()))));
    root.line(&format!("work={}", quote(escape(overlay.work.to_bytes()))));
}

fn by_descriptor(overlay: &Overlay, root: &mut Text) {
    root.line("# All names together don't fit into the page that mount(2) takes: descriptors stand for them.");
    root.line("lower=");
    root.line("for directory in \\");
    for lower in &overlay.lowers {
        root.line(&format!("    {} \\", quote(lower.to_bytes())));
    }
    root.line("; do");
    root.line("    exec {descriptor}<\"$directory\"");
    root.line("    lower+=${lower:+:}$descriptor");
    root.line("done");
    root.line(&format!("exec {{upper}}<{}", quote(overlay.upper.to_bytes())));
    root.line(&format!("exec {{work}}<{}", quote(overlay.work.to_bytes())));
    root.line("cd /proc/self/fd");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay_of(lowers: Vec<CString>) -> Overlay {
        Overlay {
            lowers,
            upper: c"/u".into(),
            work: c"/w".into(),
            attach: c"/m".into(),
            options: Vec::new(),
            force_legacy: false,
        }
    }

    #[test]
    fn escapes_are_overlayfs_own() {
        assert_eq!(escape(br"/a:b,c\d"), br"/a\:b\,c\\d");
    }

    #[test]
    fn many_layers_are_descriptors() {
        assert!(fits(&overlay_of(vec![c"/layer".into()])));
        assert!(!fits(&overlay_of(vec![c"/layer/of/a/name".into(); 400])));
        assert!(!fits(&overlay_of(vec![c"/a\"b".into()])));
    }
}
