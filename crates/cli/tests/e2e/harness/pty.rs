//! A command on a terminal of its own.

use super::call::Call;
use super::tools;
use rustix::fd::OwnedFd;
use rustix::termios::{Winsize, tcsetwinsize};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A command that runs on a terminal, as in a terminal window.
#[must_use = "say how it has to end: .ends(code)"]
pub struct OnTerminal {
    child: Child,
    master: std::fs::File,
    said: Arc<Mutex<String>>,
}

impl Call {
    /// Starts the command with a new terminal of `rows` and `columns` as its streams and its controlling terminal.
    pub fn on_terminal(self, rows: u16, columns: u16) -> OnTerminal {
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC)
            .expect("a terminal");
        rustix::pty::grantpt(&master).expect("grantpt");
        rustix::pty::unlockpt(&master).expect("unlockpt");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("ptsname").into_string().expect("text");
        if let Some(account) = self.owner() {
            std::os::unix::fs::chown(&name, Some(account.uid), Some(account.gid)).expect("the terminal's owner");
        }
        let open = || std::fs::File::options().read(true).write(true).open(&name).expect("the terminal's other side");
        resize(&master, rows, columns);
        let plain = self.command();
        // setsid(1) makes the terminal the controlling one, and then becomes the command.
        let mut command = Command::new(tools::setsid());
        command.arg("--ctty").arg(plain.get_program()).args(plain.get_args()).env_clear().env("TERM", "xterm");
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(plain.get_current_dir().expect("a directory"));
        if let Some(account) = self.owner() {
            command.uid(account.uid).gid(account.gid);
        }
        command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        let child = command.spawn().expect("setsid starts");
        drop(command);
        let said = Arc::new(Mutex::new(String::new()));
        let (mut reader, heard) = (std::fs::File::from(master.try_clone().expect("a copy")), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                heard.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        OnTerminal { child, master: master.into(), said }
    }
}

fn resize(master: &OwnedFd, rows: u16, columns: u16) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("the size");
}

impl OnTerminal {
    /// Types.
    pub fn types(&mut self, text: &str) -> &mut Self {
        self.master.write_all(text.as_bytes()).expect("the terminal takes it");
        self
    }

    /// Waits until this is on the screen.
    pub fn shows(&mut self, text: &str) -> &mut Self {
        let started = Instant::now();
        while !self.screen().contains(text) {
            assert!(started.elapsed() < Duration::from_secs(20), "{text:?} never came; the screen:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// Changes the window's size.
    pub fn is_resized(&mut self, rows: u16, columns: u16) -> &mut Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("the size");
        self
    }

    /// Closes the window.
    pub fn is_closed(self) -> Child {
        self.child
    }

    /// Whether the terminal echoes and edits lines, as it does before and after a command that wants it raw.
    pub fn is_cooked(&self) -> bool {
        let settings = rustix::termios::tcgetattr(&self.master).expect("settings");
        settings.local_modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO)
    }

    /// Waits for the end; everything that was on the screen.
    pub fn ends(mut self, expected: i32) -> String {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("waiting works") {
                break status;
            }
            if started.elapsed() > Duration::from_secs(20) {
                let _ = self.child.kill();
                panic!("not finished after 20 s; the screen:\n{}", self.screen());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        // What was written last may still be on its way.
        std::thread::sleep(Duration::from_millis(50));
        let screen = self.screen();
        assert!(code == expected, "expected exit code {expected}, got {code}; the screen:\n{screen}");
        screen
    }

    fn screen(&self) -> String {
        self.said.lock().expect("not poisoned").clone()
    }
}
