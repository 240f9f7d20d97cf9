//! SSH agents: a socket of the step's own, whose connections are passed on to the caller's agent. The key never leaves
//! the agent.

use super::super::worker::Worker;
use super::{Ready, own_namespace};
use crate::error::{Error, IoExt, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use wiac_dockerfile::Mount;

/// How soon a forwarding notices that it should end.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// A socket that is being listened to; dropping it ends that.
pub(super) struct Forwarding {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A forwarding that panicked has nothing to say any more.
            let _ = thread.join();
        }
    }
}

impl Worker<'_, '_> {
    /// Shows the caller's agent to the step.
    pub(super) fn ssh(&mut self, ready: &mut Ready, mount: &Mount, target: Option<&Path>, room: &Path) -> Result<()> {
        let Mount::Ssh {
            id,
            required,
            mode,
            uid,
            gid,
            ..
        } = mount
        else {
            return Err(Error::wrong("this is no agent"));
        };
        let Some(agent) = self.shared.request.ssh.get(id) else {
            if !required {
                return Ok(());
            }
            return Err(Error::wrong_with_hint(
                format!("the SSH agent {id} is required, and none was given"),
                format!("start one with ssh-agent and ssh-add, and pass --ssh {id}"),
            ));
        };
        std::fs::create_dir_all(room).on("create", room)?;
        let memory = room.join("memory");
        ready.attached.push(own_namespace::memory(&memory)?);
        let socket = memory.join("agent");
        // The path itself may be too long for the address of a socket (108 bytes, unix(7)).
        let directory = crate::directory::open(&memory)?;
        let short = format!("/proc/self/fd/{}/agent", directory.as_raw_fd());
        let listener = UnixListener::bind(short).on("listen on", &socket)?;
        chown(&socket, Some(*uid), Some(*gid)).on("change the owner of", &socket)?;
        let permissions = std::fs::Permissions::from_mode(*mode);
        std::fs::set_permissions(&socket, permissions).on("change the mode of", &socket)?;
        ready
            .forwardings
            .push(forward(listener, agent.clone()).on("listen on", &socket)?);
        let number = ready.forwardings.len() - 1;
        let default = PathBuf::from(format!("/run/buildkit/ssh_agent.{number}"));
        let target = target.map_or(default, Path::to_owned);
        ready.bind(&socket, &target, false);
        ready.environment.push(format!("SSH_AUTH_SOCK={}", target.display()));
        Ok(())
    }
}

fn forward(listener: UnixListener, agent: PathBuf) -> io::Result<Forwarding> {
    let ended = Arc::new(AtomicBool::new(false));
    let is_ended = Arc::clone(&ended);
    let thread = Builder::new().name("ssh".to_owned()).spawn(move || {
        while !is_ended.load(Ordering::Relaxed) {
            let mut fds = [PollFd::new(&listener, PollFlags::IN)];
            if !matches!(poll(&mut fds, Some(&PAUSE)), Ok(ready) if ready > 0) {
                continue;
            }
            if let Ok((connection, _)) = listener.accept() {
                pass_on(connection, &agent);
            }
        }
    })?;
    Ok(Forwarding {
        ended,
        thread: Some(thread),
    })
}

/// Passes bytes on in both directions, by a thread each, until both sides have said all.
fn pass_on(connection: UnixStream, agent: &Path) {
    let Ok(other) = UnixStream::connect(agent) else {
        // The step sees a connection that ends at once, as with an agent that went away.
        return;
    };
    let (Ok(connection_too), Ok(other_too), Ok(step)) =
        (connection.try_clone(), other.try_clone(), connection.try_clone())
    else {
        return;
    };
    let start = |from, to| Builder::new().spawn(move || pump(from, to)).is_ok();
    if !start(connection, other) || !start(other_too, connection_too) {
        // One direction alone would let the step wait for ever.
        let _ = step.shutdown(Shutdown::Both);
    }
}

fn pump(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 8 << 10];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
