//! The child's overlay: by the mount API where the kernel takes layers one by one, by mount(2) otherwise.

use super::mounts::attach_at;
use super::{Child, StepResult};
use crate::plan::step::{Overlay, OverlayOption};
use crate::protocol::Call;
use crate::target::{self, At, Failed};
use rustix::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount,
};
use std::ffi::CStr;

impl Child<'_> {
    pub(super) fn mount_overlay(&mut self, overlay: &Overlay) -> StepResult {
        let tree = if overlay.force_legacy {
            None
        } else {
            self.new_overlay(overlay)?
        };
        let root = match tree {
            Some(tree) => {
                attach_at(tree.as_fd(), &overlay.attach)?;
                tree
            }
            None => mount_overlay_legacy(overlay)?,
        };
        self.root = Some(root);
        Ok(())
    }

    /// The overlay by the new mount API; `None` where this kernel's overlay doesn't take layers one by one.
    fn new_overlay(&mut self, overlay: &Overlay) -> Result<Option<OwnedFd>, Failed> {
        let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).at(Call::Fsopen)?;
        fsconfig_set_string(&context, c"source", c"overlay").at(Call::Fsconfig)?;
        for lower in &overlay.lowers {
            match set_directory(&context, c"lowerdir+", &open_layer(lower)?) {
                // Linux 6.5 to 6.7, which don't know the option; earlier ones, whose overlay takes strings alone.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
                result => self.explained(result, &context, Call::Fsconfig)?,
            }
        }
        for (key, directory) in [(c"upperdir", &overlay.upper), (c"workdir", &overlay.work)] {
            let result = set_directory(&context, key, &open_layer(directory)?);
            self.explained(result, &context, Call::Fsconfig)?;
        }
        for option in &overlay.options {
            let result = set_option(&context, option);
            self.explained(result, &context, Call::Fsconfig)?;
        }
        let result = fsconfig_create(&context);
        self.explained(result, &context, Call::FsconfigCreate)?;
        let tree = fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NODEV,
        );
        tree.at(Call::Fsmount).map(Some)
    }
}

fn open_layer(path: &CStr) -> Result<OwnedFd, Failed> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).at(Call::Open)
}

/// Names a layer by its descriptor, or, before Linux 6.13, by the path of the descriptor: strings here end at 256
/// bytes, and a colon or comma in one would have to be escaped.
fn set_directory(context: &OwnedFd, key: &CStr, directory: &OwnedFd) -> rustix::io::Result<()> {
    match fsconfig_set_fd(context, key, directory) {
        Err(Errno::INVAL | Errno::BADF) => {
            let mut name = Text::<32>::new();
            name.push(b"/proc/self/fd/");
            name.push_number(directory.as_raw_fd());
            fsconfig_set_string(context, key, name.as_c_str())
        }
        result => result,
    }
}

fn set_option(context: &OwnedFd, option: &OverlayOption) -> rustix::io::Result<()> {
    let result = match &option.value {
        Some(value) => fsconfig_set_string(context, option.key.as_c_str(), value.as_c_str()),
        None => fsconfig_set_flag(context, option.key.as_c_str()),
    };
    match result {
        Err(Errno::INVAL) if option.optional => Ok(()),
        result => result,
    }
}

/// Before Linux 6.8 all layers stand in one option string of at most a page: their names are descriptor numbers,
/// looked up from /proc/self/fd. The descriptors stay open until all are closed together.
fn mount_overlay_legacy(overlay: &Overlay) -> Result<OwnedFd, Failed> {
    let mut data = Text::<4096>::new();
    data.push(b"lowerdir=");
    for (number, lower) in overlay.lowers.iter().enumerate() {
        data.push(if number == 0 { b"" } else { b":" });
        data.push_number(open_layer(lower)?.into_raw_fd());
    }
    data.push(b",upperdir=");
    data.push_number(open_layer(&overlay.upper)?.into_raw_fd());
    data.push(b",workdir=");
    data.push_number(open_layer(&overlay.work)?.into_raw_fd());
    for option in overlay.options.iter().filter(|option| !option.optional) {
        data.push(b",");
        data.push(option.key.to_bytes());
        if let Some(value) = &option.value {
            data.push(b"=");
            data.push(value.to_bytes());
        }
    }
    if data.overflowed {
        return Err(Failed {
            call: Call::Mount,
            errno: Errno::TOOBIG,
        });
    }
    rustix::process::chdir(c"/proc/self/fd").at(Call::Chdir)?;
    mount(
        c"overlay",
        overlay.attach.as_c_str(),
        c"overlay",
        MountFlags::NODEV,
        data.as_c_str(),
    )
    .at(Call::Mount)?;
    rustix::process::chdir(c"/").at(Call::Chdir)?;
    target::open(CWD, &overlay.attach).at(Call::Openat2)
}

/// Text put together without allocating.
struct Text<const SIZE: usize> {
    bytes: [u8; SIZE],
    length: usize,
    overflowed: bool,
}

impl<const SIZE: usize> Text<SIZE> {
    fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            length: 0,
            overflowed: false,
        }
    }

    fn push(&mut self, more: &[u8]) {
        let end = self.length + more.len();
        // One byte stays for the NUL.
        if end >= SIZE {
            self.overflowed = true;
            return;
        }
        self.bytes[self.length..end].copy_from_slice(more);
        self.length = end;
    }

    fn push_number(&mut self, number: i32) {
        let mut digits = [0u8; 10];
        let mut start = digits.len();
        let mut rest = number.unsigned_abs();
        loop {
            start -= 1;
            digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push(&digits[start..]);
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_numbers() {
        let mut text = Text::<16>::new();
        for number in [0, 7, 1203] {
            text.push_number(number);
            text.push(b":");
        }
        assert_eq!(text.as_c_str(), c"0:7:1203:");
        text.push(b"0123456789");
        assert!(text.overflowed);
    }
}
