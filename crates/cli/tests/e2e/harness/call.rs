//! A command with its expectation: nothing runs until the test has said how it has to end.

use super::tools::Account;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long any command may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a command finds in its environment beside what the test sets.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command that has not run yet.
#[must_use = "nothing runs until the test says how it has to end: .succeeds() or .fails(code)"]
#[derive(Debug, Clone)]
pub struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    account: Option<Account>,
    input: Option<Vec<u8>>,
    patience: Duration,
}

/// What a command that has run said.
#[derive(Debug)]
pub struct Said {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// What ran, and everything it said, for messages.
    report: String,
}

impl Call {
    /// `program`, started in `directory`.
    pub fn new(program: &Path, directory: &Path) -> Self {
        let environment = vec![
            ("PATH".into(), PATH.into()),
            ("HOME".into(), directory.into()),
            ("LC_ALL".into(), "C".into()),
        ];
        Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            environment,
            directory: directory.to_owned(),
            account: None,
            input: None,
            patience: PATIENCE,
        }
    }

    /// It may take as long as downloads and compilers take.
    pub fn that_takes_long(mut self) -> Self {
        self.patience = Duration::from_mins(10);
        self
    }

    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// One more argument.
    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// Where it starts.
    pub fn within(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory.push(directory);
        self
    }

    /// The user it runs as.
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// The user it runs as, where it isn't root.
    pub fn owner(&self) -> Option<Account> {
        self.account
    }

    /// What it reads; /dev/null otherwise.
    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.input = Some(text.as_ref().to_vec());
        self
    }

    /// The same command, started by a shell that runs `before` first: `umask 077`, `exec 7</etc/passwd` …
    pub fn after(mut self, before: &str) -> Self {
        let mut arguments: Vec<OsString> = vec!["-c".into(), format!("{before}\nexec \"$@\"").into(), "bash".into()];
        arguments.push(std::mem::replace(&mut self.program, "/bin/bash".into()).into());
        arguments.append(&mut self.arguments);
        self.arguments = arguments;
        self
    }

    /// Runs it; it has to exit with 0.
    pub fn succeeds(self) -> Said {
        self.ends(0)
    }

    /// Runs it; it has to exit with `code`.
    pub fn fails(self, code: i32) -> Said {
        assert_ne!(code, 0, "a failure has an exit code other than 0");
        self.ends(code)
    }

    /// Runs it; it has to exit with one of `codes`, where the test is about something else.
    pub fn ends_with_any(self, codes: &[i32]) -> Said {
        let (code, said) = self.said();
        assert!(codes.contains(&code), "expected one of {codes:?} from\n{}", said.report);
        said
    }

    fn ends(self, expected: i32) -> Said {
        let (code, said) = self.said();
        assert!(code == expected, "expected exit code {expected} from\n{}", said.report);
        said
    }

    fn said(&self) -> (i32, Said) {
        let started = Instant::now();
        let (code, stdout, stderr) = self.collect();
        let seconds = started.elapsed().as_secs_f64();
        let mut report = format!("{}\nexit code {code} after {seconds:.1} s\n", self.describe());
        let _ = write!(report, "--- stdout\n{stdout}--- stderr\n{stderr}---");
        (code, Said { stdout, stderr, report })
    }

    /// Starts it and lets it run beside the test, its output thrown away.
    pub fn in_background(self) -> Background {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {}: {error}", self.describe()));
        Background { child, ended: false }
    }

    fn collect(&self) -> (i32, String, String) {
        let mut command = self.command();
        command.stdin(if self.input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {}: {error}", self.describe()));
        if let (Some(text), Some(mut stdin)) = (self.input.clone(), child.stdin.take()) {
            // A command that reads nothing closes its end: that is its right.
            std::thread::spawn(move || drop(stdin.write_all(&text)));
        }
        let stdout = read_all(child.stdout.take());
        let stderr = read_all(child.stderr.take());
        let code = self.wait(&mut child);
        let text = |from: mpsc::Receiver<Vec<u8>>, name: &str| {
            let bytes = from.recv_timeout(Duration::from_secs(5));
            let bytes =
                bytes.unwrap_or_else(|_| panic!("{name} is still open 5 s after the end of {}", self.describe()));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (code, text(stdout, "standard output"), text(stderr, "standard error"))
    }

    fn wait(&self, child: &mut Child) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the command can be waited for") {
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            if started.elapsed() > self.patience {
                let _ = child.kill();
                panic!("not finished after {:?}: {}", self.patience, self.describe());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The command for a test that starts it by itself: in the background, or on a terminal.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    fn describe(&self) -> String {
        let words = self
            .arguments
            .iter()
            .map(|argument| format!(" {:?}", argument.to_string_lossy()));
        let user = self
            .account
            .map(|account| format!("uid {}: ", account.uid))
            .unwrap_or_default();
        format!("{user}{}{}", self.program.display(), words.collect::<String>())
    }
}

/// A command that runs beside the test. It is killed when the test forgets it.
#[must_use = "a command in the background ends when this is dropped"]
#[derive(Debug)]
pub struct Background {
    child: Child,
    ended: bool,
}

impl Background {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// Sends it a signal.
    pub fn gets(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the command is there");
    }

    /// Sends it a signal by its name, or by its number where it has none (37 is RTMIN+3).
    pub fn gets_by_name(&self, signal: &str) {
        let kill = format!("kill -s {signal} {}", self.child.id());
        let status = std::process::Command::new("bash").args(["-c", &kill]).status();
        assert!(status.expect("bash is there").success(), "{kill}");
    }

    /// Waits for its end and gives its exit code, 128 and the signal's number where a signal ended it.
    pub fn exit_code(&mut self) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the command can be waited for") {
                self.ended = true;
                return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
            }
            assert!(
                started.elapsed() < Duration::from_secs(15),
                "the command in the background never ended"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_all(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        // The receiver may have given up.
        let _ = send.send(bytes);
    });
    receive
}

impl Said {
    /// Standard output is exactly this, but for blank space around it.
    pub fn says(self, expected: &str) -> Self {
        assert!(
            self.stdout.trim() == expected.trim(),
            "expected on standard output\n{expected}\nfrom {}",
            self.report
        );
        self
    }

    /// Standard output has this in it.
    pub fn mentions(self, expected: &str) -> Self {
        assert!(
            self.stdout.contains(expected),
            "expected on standard output: {expected:?}, from\n{}",
            self.report
        );
        self
    }

    /// Standard output doesn't have this in it.
    pub fn never_mentions(self, unexpected: &str) -> Self {
        assert!(
            !self.stdout.contains(unexpected),
            "not expected on standard output: {unexpected:?}, from\n{}",
            self.report
        );
        self
    }

    /// Standard error has each of these in it.
    pub fn complains(self, expected: &[&str]) -> Self {
        for part in expected {
            assert!(
                self.stderr.contains(part),
                "expected on standard error: {part:?}, from\n{}",
                self.report
            );
        }
        self
    }

    /// Standard error doesn't have this in it.
    pub fn never_complains(self, unexpected: &str) -> Self {
        assert!(
            !self.stderr.contains(unexpected),
            "not expected on standard error: {unexpected:?}, from\n{}",
            self.report
        );
        self
    }

    /// Standard error doesn't rest with the kernel's bare words.
    pub fn explains(self, expected: &[&str]) -> Self {
        let said = self.complains(expected);
        let bare = said.stderr.trim().ends_with("No such file or directory") && said.stderr.trim().lines().count() == 1;
        assert!(!bare, "this explains nothing:\n{}", said.report);
        said
    }

    /// Standard output without the blank space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// The lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}
