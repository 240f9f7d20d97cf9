//! A command on a terminal of its own.

use super::call::Call;
use super::tools;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::OpenptFlags;
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take to appear, or the command to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// A command that runs on a terminal, as in a terminal window.
#[must_use = "say how it has to end: .ends(code)"]
pub struct OnTerminal {
    child: Child,
    /// The window's side; none once it is closed.
    master: Option<File>,
    said: Arc<Mutex<String>>,
    closed: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Call {
    /// Starts the command with a new terminal of `rows` and `columns` as its streams and its controlling terminal.
    pub fn on_terminal(self, rows: u16, columns: u16) -> OnTerminal {
        let master =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        rustix::pty::grantpt(&master).expect("grantpt");
        rustix::pty::unlockpt(&master).expect("unlockpt");
        let name = rustix::pty::ptsname(&master, Vec::new())
            .expect("ptsname")
            .into_string()
            .expect("text");
        if let Some(account) = self.owner() {
            std::os::unix::fs::chown(&name, Some(account.uid), Some(account.gid)).expect("the terminal's owner");
        }
        tcsetwinsize(&master, window(rows, columns)).expect("the size");
        let mut command = self.under_setsid();
        let open = || {
            File::options()
                .read(true)
                .write(true)
                .open(&name)
                .expect("the terminal's other side")
        };
        command
            .stdin(Stdio::from(open()))
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()));
        let child = command.spawn().expect("setsid starts");
        // The command's streams are its own alone: the terminal has to end with it.
        drop(command);
        let said = Arc::new(Mutex::new(String::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let reader = {
            let (master, said, closed) = (
                master.try_clone().expect("a copy"),
                Arc::clone(&said),
                Arc::clone(&closed),
            );
            std::thread::spawn(move || listen(master, &said, &closed))
        };
        OnTerminal {
            child,
            master: Some(File::from(master)),
            said,
            closed,
            reader: Some(reader),
        }
    }

    /// setsid(1) makes the terminal the controlling one, and then becomes the command.
    fn under_setsid(&self) -> Command {
        let plain = self.command();
        let mut command = Command::new(tools::setsid());
        command.arg("--ctty").arg(plain.get_program()).args(plain.get_args());
        command.env_clear().env("TERM", "xterm");
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(plain.get_current_dir().expect("a directory"));
        if let Some(account) = self.owner() {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

fn window(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Collects what comes from the terminal until it is closed on either side.
fn listen(master: OwnedFd, said: &Mutex<String>, closed: &AtomicBool) {
    let mut master = File::from(master);
    let mut bytes = [0; 4096];
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    while !closed.load(Ordering::SeqCst) {
        let mut fds = [PollFd::new(&master, PollFlags::IN)];
        if !matches!(poll(&mut fds, Some(&moment)), Ok(1..)) {
            continue;
        }
        let Ok(count @ 1..) = master.read(&mut bytes) else {
            return;
        };
        said.lock()
            .expect("not poisoned")
            .push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

impl OnTerminal {
    /// Types.
    pub fn types(&mut self, text: &str) -> &mut Self {
        self.master().write_all(text.as_bytes()).expect("the terminal takes it");
        self
    }

    /// Waits until this is on the screen.
    pub fn shows(&mut self, text: &str) -> &mut Self {
        let started = Instant::now();
        while !self.screen().contains(text) {
            assert!(
                started.elapsed() < PATIENCE,
                "{text:?} never came; the screen:\n{}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// Sends the command a signal: setsid(1) has become it.
    pub fn gets(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the command is there");
    }

    /// Changes the window's size.
    pub fn is_resized(&mut self, rows: u16, columns: u16) -> &mut Self {
        tcsetwinsize(self.master(), window(rows, columns)).expect("the size");
        self
    }

    /// Closes the window, and waits for the end that this should be.
    pub fn closes(mut self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(self.reader.take().map(JoinHandle::join));
        drop(self.master.take());
        let started = Instant::now();
        while self.child.try_wait().expect("waiting works").is_none() {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "still there 5 s after its terminal was closed"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end, which has to have this exit code; everything that was on the screen.
    pub fn ends(mut self, expected: i32) -> String {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waiting works") {
                break status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "not finished after {PATIENCE:?}; the screen:\n{}",
                self.screen()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        // The other side is closed with the command: the reader has come to the end of what was said.
        drop(self.reader.take().map(JoinHandle::join));
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let screen = self.screen();
        assert!(
            code == expected,
            "expected exit code {expected}, got {code}; the screen:\n{screen}"
        );
        screen
    }

    fn master(&self) -> &File {
        self.master.as_ref().expect("open until it is closed")
    }

    fn screen(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Does nothing where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
