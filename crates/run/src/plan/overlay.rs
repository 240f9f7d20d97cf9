//! The overlay of a plan: directories opened and checked, options always explicit.

use super::OverlayPaths;
use super::make::{c_path, invalid};
use super::step::{Overlay, OverlayOption};
use crate::error::Error;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
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
    let upper = look_at_directory("upper directory", &paths.upper)?;
    let work = look_at_directory("work directory", &paths.work)?;
    if upper.st_dev != work.st_dev {
        return Err(Error::DifferentFileSystems {
            upper: paths.upper.clone(),
            work: paths.work.clone(),
        });
    }
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
    look_at_directory(role, path)?;
    c_path(path)
}

/// The status of `path`, which is a directory, symlinks followed, as the user named it.
fn look_at_directory(role: &'static str, path: &Path) -> Result<Stat, Error> {
    let status = rustix::fs::stat(path).and_then(|status| {
        let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if is_directory { Ok(status) } else { Err(Errno::NOTDIR) }
    });
    status.map_err(|errno| Error::Directory {
        role,
        path: path.to_owned(),
        errno,
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
