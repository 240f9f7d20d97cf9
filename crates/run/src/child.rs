//! The container's first process, between the clone and the exec: walks the plan.
//!
//! This runs in the caller's memory, beside the caller, so it neither allocates nor takes locks, and never returns.

mod hiding;
mod mounts;
mod overlay;
mod privileges;
mod terminal;

use crate::io::ChildIo;
use crate::monitor::Common;
use crate::plan::Plan;
use crate::plan::step::{InRoot, Step, Stub, TargetKind};
use crate::protocol::{self, Call};
use crate::target::{self, At, Failed};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use wiac_sys::process::{self, exit_now};

/// The exit code of a child that could not become the container; the caller reports the reason it was sent.
const SETUP_FAILED: i32 = 125;

/// What the steps work on.
struct Child<'plan> {
    plan: &'plan Plan,
    /// To the caller.
    socket: BorrowedFd<'plan>,
    /// The container's root; from the step that mounts it on.
    root: Option<OwnedFd>,
    /// The container's own /dev, while nothing else was mounted over it: fresh, so nothing in it can lead astray.
    dev: Option<OwnedFd>,
    /// The container's own /proc, likewise.
    proc: Option<OwnedFd>,
    /// One empty read-only file system, shared by all hidden directories.
    empty: Option<OwnedFd>,
    /// What the kernel said beyond the error number.
    text: [u8; protocol::TEXT],
    text_length: usize,
}

type StepResult = Result<(), Failed>;

/// Walks the plan's steps and starts the program.
pub(crate) fn run(common: &Common) -> ! {
    let (plan, socket) = (&*common.plan, common.child.as_fd());
    let mut child = Child {
        plan,
        socket,
        root: None,
        dev: None,
        proc: None,
        empty: None,
        text: [0; protocol::TEXT],
        text_length: 0,
    };
    if let Err(failed) = prepare(&common.io) {
        child.report(0, failed);
    }
    for (number, step) in plan.steps.iter().enumerate() {
        match child.execute(step) {
            Ok(()) => {}
            Err(failed) if can_be_left_out(step, failed) => {
                // If the caller is gone there is nobody to tell.
                let _ = protocol::send_left_out(socket, number, failed.call, failed.errno);
            }
            Err(failed) => child.report(number, failed),
        }
    }
    exit_now(SETUP_FAILED)
}

fn set_host_name(name: &CStr, optional: bool) -> StepResult {
    match rustix::system::sethostname(name.to_bytes()) {
        // With the machine's network a container has the machine's name, unless another one is asked for.
        Err(_) if optional && rustix::system::uname().nodename() == name => Ok(()),
        result => result.at(Call::Sethostname),
    }
}

/// Whether the container does without a step that isn't permitted; the caller is told.
fn can_be_left_out(step: &Step, failed: Failed) -> bool {
    matches!(step, Step::Hostname { optional: true, .. }) && matches!(failed.errno, Errno::PERM | Errno::NOSYS)
}

/// The state every container starts from: its streams, default signals, files made with the modes asked for.
fn prepare(io: &ChildIo) -> StepResult {
    io.install().at(Call::Dup2)?;
    wiac_sys::signal::reset_all().at(Call::Sigaction)?;
    rustix::process::umask(Mode::empty());
    Ok(())
}

/// Closes what the caller has open but `socket`. What the caller raised its limit of open files for is gone then.
fn close_descriptors(socket: BorrowedFd<'_>) -> StepResult {
    process::close_all_but(socket).at(Call::CloseRange)?;
    wiac_sys::open_files::restore().at(Call::Prlimit)
}

impl Child<'_> {
    fn report(&self, step: usize, failed: Failed) -> ! {
        let text = &self.text[..self.text_length];
        // If the caller is gone there is nobody to tell.
        let _ = protocol::send_failed(self.socket, step, failed.call, failed.errno, text);
        exit_now(SETUP_FAILED)
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Failed> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Failed {
            call: Call::Openat2,
            errno: Errno::BADF,
        })
    }

    fn execute(&mut self, step: &Step) -> StepResult {
        match step {
            Step::PrivateMounts => mounts::make_private(),
            Step::Overlay(overlay) => self.mount_overlay(overlay),
            Step::BindRoot { source } => self.bind_root(source),
            Step::Mount(mount) => self.mount_new(mount),
            Step::Bind(bind) => self.bind(bind),
            Step::Device(device) => self.make_device(device),
            Step::Symlink { text, path } => self.link_in_dev(text, path),
            Step::MountTable => self.link_mount_table(),
            Step::ImageVolume { path, apart } => self.make_volume(path, *apart),
            Step::Mask { path } => self.mask(path),
            Step::ReadOnly { path } => self.make_read_only(path),
            Step::WorkingDirectory { path } => self.make_directory(path),
            Step::ReadOnlyRoot => self.make_root_read_only(),
            Step::PivotRoot => self.pivot_root(),
            Step::Hostname { name, optional } => set_host_name(name, *optional),
            Step::Domainname(name) => rustix::system::setdomainname(name.to_bytes()).at(Call::Setdomainname),
            Step::Sysctl { path, value } => self.write(&path.0, value),
            Step::Loopback => wiac_sys::network::switch_loopback_on().at(Call::Ioctl),
            Step::NewSession => rustix::process::setsid().map(drop).at(Call::Setsid),
            Step::Terminal { size, owner } => self.make_terminal(*size, *owner),
            Step::NewKeyring => new_keyring(),
            Step::OutOfMemoryScore(score) => self.write(c"proc/self/oom_score_adj", score),
            Step::ResourceLimit {
                resource, soft, hard, ..
            } => process::set_resource_limit(*resource, *soft, *hard).at(Call::Prlimit),
            Step::Umask(mask) => {
                rustix::process::umask(Mode::from_raw_mode(*mask));
                Ok(())
            }
            Step::ChangeDirectory { path } => self.change_directory(path),
            Step::CloseDescriptors => close_descriptors(self.socket),
            Step::AwaitStart => self.await_start(),
            Step::NoNewPrivileges => rustix::thread::set_no_new_privs(true).at(Call::Prctl),
            Step::Seccomp { program, flags } => wiac_sys::seccomp::load(program, *flags).at(Call::Seccomp),
            Step::BoundingSet(keep) => privileges::limit_bounding_set(*keep),
            Step::Credentials(credentials) => privileges::become_user(credentials),
            Step::CapabilitySets(sets) => privileges::set_capabilities(sets),
            Step::Exec(exec) => self.exec(exec),
        }
    }

    fn make_directory(&self, path: &InRoot) -> StepResult {
        target::ensure(self.root()?, &path.0, TargetKind::Directory, Stub::Elsewhere).map(drop)
    }

    fn write(&self, path: &CStr, value: &CStr) -> StepResult {
        let file = target::open_with(self.root()?, path, OFlags::WRONLY).at(Call::Openat2)?;
        rustix::io::write(&file, value.to_bytes()).map(drop).at(Call::Write)
    }

    /// A path such as /proc/self/fd/7 would lead out of the container while the plan's directories are still open
    /// (CVE-2024-21626): the walk refuses magic links.
    fn change_directory(&self, path: &InRoot) -> StepResult {
        let directory = target::open(self.root()?, &path.0).at(Call::Openat2)?;
        rustix::process::fchdir(&directory).at(Call::Fchdir)
    }

    fn await_start(&self) -> StepResult {
        if !protocol::is_to_start_at_once(self.socket) {
            protocol::send_created(self.socket).at(Call::Sendmsg)?;
        }
        match protocol::receive_number(self.socket).at(Call::Recvmsg)? {
            Some(_) => Ok(()),
            // The caller is gone, and with it the wish to start.
            None => exit_now(SETUP_FAILED),
        }
    }

    /// Tries the candidates in the way of execvp(3): the first that exists counts, a forbidden one is remembered.
    fn exec(&self, exec: &crate::plan::step::Exec) -> StepResult {
        let mut reason = Errno::NOENT;
        for candidate in &exec.candidates {
            if self.is_own_binary(candidate) {
                reason = Errno::PERM;
                break;
            }
            match process::exec(candidate, &exec.arguments, &exec.environment) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => reason = Errno::ACCESS,
                other => {
                    reason = other;
                    break;
                }
            }
        }
        let root = rustix::fs::open(c"/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
        let _ = protocol::send_exec_failed(self.socket, reason, root.as_ref().map(AsFd::as_fd));
        // The caller looks into our root until it closes the socket.
        let _ = protocol::receive_number(self.socket);
        exit_now(SETUP_FAILED)
    }

    /// Whether starting `path` would start wiac's own binary, which /proc/self/exe of this process still is
    /// (CVE-2019-5736). Scripts and loaders that name it are looked through as the kernel would.
    fn is_own_binary(&self, path: &CStr) -> bool {
        self.plan
            .own_binary
            .is_some_and(|own| privileges::leads_to(path, own, 0))
    }
}

fn new_keyring() -> StepResult {
    match process::join_new_session_keyring() {
        // A kernel without keys, or a quota used up by other containers: there is nothing to hide then.
        Err(Errno::NOSYS | Errno::DQUOT | Errno::PERM) => Ok(()),
        result => result.at(Call::Keyctl),
    }
}
