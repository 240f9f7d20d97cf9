//! The overlay of a plan: directories opened and checked, options always explicit.

use super::OverlayPaths;
use super::make::{c_path, invalid};
use super::step::{Overlay, OverlayOption};
use crate::error::Error;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use std::ffi::{CStr, CString};
use std::path::Path;

/// The most layers one overlay takes (OVL_MAX_STACK of the kernel).
const MAX_LAYERS: usize = 500;

pub(super) fn plan(paths: &OverlayPaths, force_legacy: bool) -> Result<Overlay, Error> {
    if paths.layers.is_empty() {
        return Err(invalid("an overlay needs at least one lower directory"));
    }
    if paths.layers.len() > MAX_LAYERS {
        return Err(invalid(format!(
            "{} layers are more than the {MAX_LAYERS} the kernel's overlay takes; squash some of them",
            paths.layers.len()
        )));
    }
    // The one place where the order turns: layers are kept base first, the kernel wants the topmost first.
    let lowers = paths
        .layers
        .iter()
        .rev()
        .map(|path| checked("lower directory", path))
        .collect::<Result<_, _>>()?;
    let upper = open_directory("upper directory", &paths.upper)?;
    let work = open_directory("work directory", &paths.work)?;
    check_same_file_system(paths, &upper, &work)?;
    Ok(Overlay {
        lowers,
        upper: c_path(&paths.upper)?,
        work: c_path(&paths.work)?,
        attach: checked("merged directory", &paths.merged)?,
        options: options(paths),
        force_legacy,
    })
}

/// The path of a directory that exists and can be reached.
pub(super) fn checked(role: &'static str, path: &Path) -> Result<CString, Error> {
    open_directory(role, path)?;
    c_path(path)
}

/// Opens `path` as a directory (O_PATH), following symlinks, as the user named it.
fn open_directory(role: &'static str, path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| Error::Directory {
        role,
        path: path.to_owned(),
        errno,
    })
}

fn check_same_file_system(paths: &OverlayPaths, upper: &OwnedFd, work: &OwnedFd) -> Result<(), Error> {
    let device = |fd: &OwnedFd, path: &Path| {
        let error = |errno| Error::Directory {
            role: "directory",
            path: path.to_owned(),
            errno,
        };
        rustix::fs::fstat(fd.as_fd()).map(|stat| stat.st_dev).map_err(error)
    };
    if device(upper, &paths.upper)? == device(work, &paths.work)? {
        return Ok(());
    }
    Err(Error::DifferentFileSystems {
        upper: paths.upper.clone(),
        work: paths.work.clone(),
    })
}

fn options(paths: &OverlayPaths) -> Vec<OverlayOption> {
    let option = |key: &CStr, value: Option<&CStr>, optional| OverlayOption {
        key: key.to_owned(),
        value: value.map(CStr::to_owned),
        optional,
    };
    let mut options = vec![
        // The host's defaults must not decide what a layer looks like: a layer with redirects or metadata-only
        // copies could be used by nothing else.
        option(c"index", Some(c"off"), false),
        option(c"metacopy", Some(c"off"), false),
        option(c"redirect_dir", Some(c"nofollow"), false),
        option(c"nfs_export", Some(c"off"), true),
        option(c"uuid", Some(c"off"), true),
    ];
    if paths.volatile {
        options.push(option(c"volatile", None, false));
    }
    if paths.user_xattrs {
        options.push(option(c"userxattr", None, false));
    }
    options
}
