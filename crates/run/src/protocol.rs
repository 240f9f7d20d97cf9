//! What the caller, the monitor and the container's first process say to each other: typed messages of one packet
//! each over sequenced-packet sockets, errors included. Nothing here allocates on the child's side.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The system calls a step can fail in, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the system call of its name")]
pub enum Call {
    Fsopen,
    Fsconfig,
    FsconfigCreate,
    Fsmount,
    MoveMount,
    OpenTree,
    MountSetattr,
    Mount,
    Umount,
    Openat2,
    Mkdirat,
    Mknodat,
    Symlinkat,
    Readlinkat,
    Utimensat,
    Write,
    PivotRoot,
    Fchdir,
    Chdir,
    Sethostname,
    Setdomainname,
    Setsid,
    Ioctl,
    Dup2,
    Sendmsg,
    Recvmsg,
    Keyctl,
    Prlimit,
    Prctl,
    Seccomp,
    Setresuid,
    Capset,
    Execve,
    CloseRange,
    Sigaction,
    Statx,
    Clone3,
    Open,
}

const CALLS: [(Call, &str); 38] = [
    (Call::Fsopen, "fsopen"),
    (Call::Fsconfig, "fsconfig"),
    (Call::FsconfigCreate, "fsconfig(create)"),
    (Call::Fsmount, "fsmount"),
    (Call::MoveMount, "move_mount"),
    (Call::OpenTree, "open_tree"),
    (Call::MountSetattr, "mount_setattr"),
    (Call::Mount, "mount"),
    (Call::Umount, "umount2"),
    (Call::Openat2, "openat2"),
    (Call::Mkdirat, "mkdirat"),
    (Call::Mknodat, "mknodat"),
    (Call::Symlinkat, "symlinkat"),
    (Call::Readlinkat, "readlinkat"),
    (Call::Utimensat, "utimensat"),
    (Call::Write, "write"),
    (Call::PivotRoot, "pivot_root"),
    (Call::Fchdir, "fchdir"),
    (Call::Chdir, "chdir"),
    (Call::Sethostname, "sethostname"),
    (Call::Setdomainname, "setdomainname"),
    (Call::Setsid, "setsid"),
    (Call::Ioctl, "ioctl"),
    (Call::Dup2, "dup2"),
    (Call::Sendmsg, "sendmsg"),
    (Call::Recvmsg, "recvmsg"),
    (Call::Keyctl, "keyctl"),
    (Call::Prlimit, "prlimit64"),
    (Call::Prctl, "prctl"),
    (Call::Seccomp, "seccomp"),
    (Call::Setresuid, "setgroups/setresgid/setresuid"),
    (Call::Capset, "capset"),
    (Call::Execve, "execve"),
    (Call::CloseRange, "close_range"),
    (Call::Sigaction, "sigaction"),
    (Call::Statx, "statx"),
    (Call::Clone3, "clone3"),
    (Call::Open, "open"),
];

impl Call {
    /// The system call's name.
    pub fn name(self) -> &'static str {
        CALLS[self as usize].1
    }

    fn from_number(number: u8) -> Self {
        CALLS.get(usize::from(number)).map_or(Self::Clone3, |entry| entry.0)
    }
}

/// The longest text that goes with a failure.
pub const TEXT: usize = 256;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Index of the step in the plan.
    pub step: usize,
    /// The system call.
    pub call: Call,
    /// What it said.
    pub errno: Errno,
    /// What the file system said beyond that; may be empty.
    pub text: String,
}

/// From the container's first process to the caller.
#[derive(Debug)]
pub enum FromChild {
    /// Everything but the start is done.
    Created,
    /// The caller's side of the container's terminal.
    Terminal(OwnedFd),
    /// A step failed that isn't needed; the process goes on.
    LeftOut(Failure),
    /// A step failed; the process is gone.
    Failed(Failure),
    /// The program could not be started; the process waits with its root open, so that the reason can be found.
    ExecFailed {
        /// What execve said.
        errno: Errno,
        /// The container's root directory as the process saw it.
        root: Option<OwnedFd>,
    },
    /// The process has started its program, or is gone.
    Closed,
}

/// From the monitor to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromMonitor {
    /// The container could not be cloned.
    CloneFailed(Errno),
    /// The first process ended with this code.
    Exited(i32),
    /// The first process was ended by this signal.
    Signaled(i32),
    /// The monitor is gone.
    Closed,
}

/// From the caller to the child: start.
pub const START: i32 = 0;

/// From the caller to the child: start, and don't say "created" before.
pub const START_AT_ONCE: i32 = 1;

const CREATED: u8 = 1;
const TERMINAL: u8 = 2;
const FAILED: u8 = 3;
const EXEC_FAILED: u8 = 4;
const CLONE_FAILED: u8 = 5;
const EXITED: u8 = 6;
const SIGNALED: u8 = 7;
const LEFT_OUT: u8 = 8;

const HEADER: usize = 16;

/// A connected pair of sockets; both ends close on exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

struct Packet {
    bytes: [u8; HEADER + TEXT],
    length: usize,
}

impl Packet {
    fn new(kind: u8, call: u8, first: u32, second: i32) -> Self {
        let mut bytes = [0; HEADER + TEXT];
        bytes[0] = kind;
        bytes[1] = call;
        bytes[4..8].copy_from_slice(&first.to_ne_bytes());
        bytes[8..12].copy_from_slice(&second.to_ne_bytes());
        Self { bytes, length: HEADER }
    }

    fn first(&self) -> u32 {
        u32::from_ne_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    fn second(&self) -> i32 {
        i32::from_ne_bytes([self.bytes[8], self.bytes[9], self.bytes[10], self.bytes[11]])
    }

    fn failure(&self) -> Failure {
        let text = String::from_utf8_lossy(&self.bytes[HEADER..self.length.max(HEADER)]);
        Failure {
            step: self.first() as usize,
            call: Call::from_number(self.bytes[1]),
            errno: self.errno(),
            text: text.trim().to_owned(),
        }
    }

    fn errno(&self) -> Errno {
        Errno::from_raw_os_error(self.second())
    }

    fn send(&self, socket: BorrowedFd<'_>, fd: Option<BorrowedFd<'_>>) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds;
        if let Some(fd) = fd {
            fds = [fd];
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        rustix::io::retry_on_intr(|| {
            sendmsg(
                socket,
                &[IoSlice::new(&self.bytes[..self.length])],
                &mut control,
                SendFlags::NOSIGNAL,
            )
        })
        .map(drop)
    }

    fn receive(socket: BorrowedFd<'_>, flags: RecvFlags) -> Result<Option<(Self, Option<OwnedFd>)>> {
        let mut packet = Self {
            bytes: [0; HEADER + TEXT],
            length: 0,
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(
                socket,
                &mut [IoSliceMut::new(&mut packet.bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC | flags,
            )
        })?;
        if received.bytes == 0 {
            return Ok(None);
        }
        packet.length = received.bytes;
        let mut fd = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                fd = fds.last();
            }
        }
        Ok(Some((packet, fd)))
    }
}

/// Child: everything but the start is done.
pub fn send_created(socket: BorrowedFd<'_>) -> Result<()> {
    Packet::new(CREATED, 0, 0, 0).send(socket, None)
}

/// Child: the caller's side of the terminal.
pub fn send_terminal(socket: BorrowedFd<'_>, terminal: BorrowedFd<'_>) -> Result<()> {
    Packet::new(TERMINAL, 0, 0, 0).send(socket, Some(terminal))
}

/// Child: step number `step` failed.
pub fn send_failed(socket: BorrowedFd<'_>, step: usize, call: Call, errno: Errno, text: &[u8]) -> Result<()> {
    let mut packet = failed(FAILED, step, call, errno);
    let length = text.len().min(TEXT);
    packet.bytes[HEADER..HEADER + length].copy_from_slice(&text[..length]);
    packet.length += length;
    packet.send(socket, None)
}

/// Child: step number `step` failed, and the container goes on without it.
pub fn send_left_out(socket: BorrowedFd<'_>, step: usize, call: Call, errno: Errno) -> Result<()> {
    failed(LEFT_OUT, step, call, errno).send(socket, None)
}

fn failed(kind: u8, step: usize, call: Call, errno: Errno) -> Packet {
    let step = u32::try_from(step).unwrap_or(u32::MAX);
    Packet::new(kind, call as u8, step, errno.raw_os_error())
}

/// Child: the program could not be started.
pub fn send_exec_failed(socket: BorrowedFd<'_>, errno: Errno, root: Option<BorrowedFd<'_>>) -> Result<()> {
    Packet::new(EXEC_FAILED, 0, 0, errno.raw_os_error()).send(socket, root)
}

/// Caller: the next message of the child.
pub fn receive_from_child(socket: &OwnedFd) -> Result<FromChild> {
    let Some((packet, fd)) = Packet::receive(socket.as_fd(), RecvFlags::empty())? else {
        return Ok(FromChild::Closed);
    };
    Ok(match packet.bytes[0] {
        CREATED => FromChild::Created,
        TERMINAL => FromChild::Terminal(fd.ok_or(Errno::BADMSG)?),
        LEFT_OUT => FromChild::LeftOut(packet.failure()),
        FAILED => FromChild::Failed(packet.failure()),
        EXEC_FAILED => FromChild::ExecFailed {
            errno: packet.errno(),
            root: fd,
        },
        _ => return Err(Errno::BADMSG),
    })
}

/// Monitor: the container could not be cloned.
pub fn send_clone_failed(socket: BorrowedFd<'_>, errno: Errno) -> Result<()> {
    Packet::new(CLONE_FAILED, 0, 0, errno.raw_os_error()).send(socket, None)
}

/// Monitor: the container's first process exited with `code`, or was ended by the signal `code`.
pub fn send_ended(socket: BorrowedFd<'_>, signaled: bool, code: i32) -> Result<()> {
    Packet::new(if signaled { SIGNALED } else { EXITED }, 0, 0, code).send(socket, None)
}

/// Caller: the next message of the monitor.
pub fn receive_from_monitor(socket: &OwnedFd) -> Result<FromMonitor> {
    let Some((packet, _)) = Packet::receive(socket.as_fd(), RecvFlags::empty())? else {
        return Ok(FromMonitor::Closed);
    };
    Ok(match packet.bytes[0] {
        CLONE_FAILED => FromMonitor::CloneFailed(packet.errno()),
        EXITED => FromMonitor::Exited(packet.second()),
        SIGNALED => FromMonitor::Signaled(packet.second()),
        _ => return Err(Errno::BADMSG),
    })
}

/// Caller: the error of the clone, where the monitor has already said that it failed. Its message stays to be received.
pub fn peek_clone_failed(socket: &OwnedFd) -> Option<Errno> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let (packet, _) = Packet::receive(socket.as_fd(), flags).ok()??;
    (packet.bytes[0] == CLONE_FAILED).then(|| packet.errno())
}

/// Child: whether the caller has said [`START_AT_ONCE`] by now.
pub fn is_to_start_at_once(socket: BorrowedFd<'_>) -> bool {
    let mut bytes = [0; 4];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    matches!(rustix::net::recv(socket, &mut bytes, flags), Ok((4, _)) if i32::from_ne_bytes(bytes) == START_AT_ONCE)
}

/// Caller to child ("start") and to monitor (a signal's number): one number.
pub fn send_number(socket: BorrowedFd<'_>, number: i32) -> Result<()> {
    rustix::io::retry_on_intr(|| rustix::net::send(socket, &number.to_ne_bytes(), SendFlags::NOSIGNAL)).map(drop)
}

/// Child and monitor: the next number; `None` when the other side is gone.
pub fn receive_number(socket: BorrowedFd<'_>) -> Result<Option<i32>> {
    let mut bytes = [0; 4];
    let (length, _) = rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut bytes, RecvFlags::empty()))?;
    Ok((length == bytes.len()).then(|| i32::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_in_order() {
        for (number, (call, _)) in CALLS.iter().enumerate() {
            assert_eq!(*call as usize, number);
        }
    }

    #[test]
    fn a_failure_arrives_whole() {
        let (ours, theirs) = pair().expect("socketpair");
        send_failed(theirs.as_fd(), 3, Call::Fsmount, Errno::PERM, b"e overlay: no\n").expect("send");
        drop(theirs);
        let FromChild::Failed(failure) = receive_from_child(&ours).expect("receive") else {
            panic!("not a failure")
        };
        let expected = Failure {
            step: 3,
            call: Call::Fsmount,
            errno: Errno::PERM,
            text: "e overlay: no".into(),
        };
        assert_eq!(failure, expected);
        assert!(matches!(receive_from_child(&ours), Ok(FromChild::Closed)));
    }

    #[test]
    fn a_descriptor_travels() {
        let (ours, theirs) = pair().expect("socketpair");
        let root = rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).expect("open");
        send_exec_failed(theirs.as_fd(), Errno::NOENT, Some(root.as_fd())).expect("send");
        let FromChild::ExecFailed { errno, root: Some(_) } = receive_from_child(&ours).expect("receive") else {
            panic!("no root")
        };
        assert_eq!(errno, Errno::NOENT);
    }
}
