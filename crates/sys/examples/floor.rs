//! The floor that `wiac run` is measured against: what no container on layers can do without, and nothing else.
//!
//! `floor LOWER[:LOWER…] DIR PROGRAM [ARGUMENT…]` clones into the same five namespaces, makes / private, mounts an
//! overlay of the layers (topmost first) and /proc, changes the root, detaches the old one, executes the program and
//! waits. There is no /dev, no /sys, no seccomp filter, no capability is dropped, nobody watches the caller. The
//! overlay's own directories are made fresh below DIR and removed afterwards, since `wiac run` does that too.

use rustix::io::{Errno, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::process::{WaitId, WaitIdOptions, chdir, pivot_root, waitid};
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use wiac_sys::process::{CStringArray, clone_into, exec, namespace};

/// All that the child needs, made before the clone.
struct Floor {
    merged: CString,
    proc: CString,
    options: CString,
    program: CString,
    arguments: CStringArray,
    environment: CStringArray,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [lowers, directory, command @ ..] = words.as_slice() else {
        eprintln!("usage: floor LOWER[:LOWER…] DIR PROGRAM [ARGUMENT…]");
        return ExitCode::from(125);
    };
    match run(lowers, Path::new(directory), command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::from(125)
        }
    }
}

fn run(lowers: &str, directory: &Path, command: &[String]) -> std::result::Result<u8, Box<dyn std::error::Error>> {
    let own = directory.join(format!("floor-{}", std::process::id()));
    let [upper, work, merged] = ["upper", "work", "merged"].map(|name| own.join(name));
    for path in [&own, &upper, &work, &merged] {
        std::fs::create_dir(path)?;
    }
    let options = format!(
        "lowerdir={lowers},upperdir={},workdir={},volatile,index=off,metacopy=off,redirect_dir=nofollow",
        upper.display(),
        work.display()
    );
    let floor = Floor {
        proc: c_string(&merged.join("proc"))?,
        merged: c_string(&merged)?,
        options: CString::new(options)?,
        program: CString::new(command.first().ok_or("no program")?.as_str())?,
        arguments: CStringArray::new(command)?,
        environment: CStringArray::new(["PATH=/bin"])?,
    };
    let namespaces = namespace::MOUNT | namespace::PID | namespace::IPC | namespace::UTS | namespace::CGROUP;
    let child = clone_into(namespaces, None, || {
        floor.child().map_or_else(Errno::raw_os_error, |()| 0)
    })?;
    let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)?.ok_or("no child")?;
    std::fs::remove_dir_all(own)?;
    Ok(status
        .exit_status()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(255))
}

fn c_string(path: &Path) -> std::result::Result<CString, std::ffi::NulError> {
    CString::new(path.as_os_str().as_bytes())
}

impl Floor {
    /// Child-safe. Returns only when something fails.
    fn child(&self) -> Result<()> {
        let none: Option<&CStr> = None;
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        mount(
            c"overlay",
            self.merged.as_c_str(),
            c"overlay",
            MountFlags::NODEV,
            self.options.as_c_str(),
        )?;
        match rustix::fs::mkdir(self.proc.as_c_str(), rustix::fs::Mode::from_raw_mode(0o555)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(c"proc", self.proc.as_c_str(), c"proc", flags, none)?;
        chdir(self.merged.as_c_str())?;
        pivot_root(c".", c".")?;
        unmount(c".", UnmountFlags::DETACH)?;
        chdir(c"/")?;
        Err(exec(&self.program, &self.arguments, &self.environment))
    }
}
