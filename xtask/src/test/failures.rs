//! Runs `cargo test`, and says once more at the very end which tests failed and what they said: of a long log, CI shows
//! its readers the last lines.
//!
//! The output is passed on as it comes, and what libtest writes is picked out of it: a block `---- NAME stdout ----` for
//! each test that failed and said something, then the names of all that failed.

use crate::{Outcome, shell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Of what a test said these many lines are kept from the beginning, and so many up to the end: that is where panics are.
const FIRST_LINES: usize = 15;
const LAST_LINES: usize = 45;

/// Longer lines are cut.
const LINE_LENGTH: usize = 500;

/// So many tests are kept with what they said; of further ones the number is told.
const TESTS: usize = 50;

/// How long to wait for the end of the output when cargo has ended: a program that a test left behind may hold it open.
const AFTER_THE_END: Duration = Duration::from_secs(2);

/// Runs the tests; what failed is told last.
pub(super) fn run(command: &mut Command) -> Outcome {
    let shown = shell::shown(command);
    eprintln!("+ {shown}");
    let cargo = command.stdout(Stdio::piped()).spawn();
    let mut cargo = cargo.map_err(|error| format!("{shown}: {error}"))?;
    let output = cargo.stdout.take().ok_or("cargo has no output")?;
    let seen = Arc::new(Mutex::new(Failures::default()));
    let (ended, end) = mpsc::channel();
    let reading = Arc::clone(&seen);
    std::thread::spawn(move || {
        let passed_on = pass_on(output, io::stdout(), |bytes| lock(&reading).take(bytes));
        let _ = ended.send(passed_on);
    });
    let status = cargo.wait()?;
    if let Ok(passed_on) = end.recv_timeout(AFTER_THE_END) {
        passed_on?;
    }
    let mut seen = lock(&seen);
    seen.finish();
    eprint!("{seen}");
    if status.success() {
        return Ok(());
    }
    Err(format!("{shown}: {status}").into())
}

fn lock(seen: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies, at once, what comes; shows it to `see`, too.
fn pass_on(mut from: impl Read, mut to: impl Write, mut see: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 8192];
    loop {
        let length = match from.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        if length == 0 {
            return Ok(());
        }
        see(&buffer[..length]);
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

/// Which tests failed, picked out of the output of `cargo test`. What is kept is bounded, however much comes.
#[derive(Debug, Default)]
struct Failures {
    tests: Vec<Said>,
    /// Further ones.
    more: usize,
    place: Place,
    /// The line that is coming, as far as it is kept.
    line: Vec<u8>,
    /// The last lines of the test program that is running.
    running: Option<Said>,
}

/// Where in libtest's output we are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Tests,
    /// After the first `failures:`, among the blocks.
    Blocks,
    /// After the second one.
    Names,
}

impl Failures {
    fn take(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LINE_LENGTH.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..room.min(text.len())]);
            if text.len() < piece.len() {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                self.take_line(line);
            }
        }
    }

    /// The output has ended: a program that was still running its tests has died.
    fn finish(&mut self) {
        if !self.line.is_empty() {
            self.take(b"\n");
        }
        self.program_ended();
    }

    fn take_line(&mut self, line: String) {
        if is_start(&line) {
            self.program_ended();
            self.running = Some(Said::new("a test program that ended before its tests did"));
        } else if line.starts_with("test result: ") {
            self.running = None;
            self.place = Place::Tests;
        } else if line == "failures:" {
            self.place = match self.place {
                Place::Tests => Place::Blocks,
                Place::Blocks | Place::Names => Place::Names,
            };
        } else if let (Place::Blocks, Some(name)) = (self.place, block(&line)) {
            self.add(Said::new(name));
        } else {
            self.take_content(line);
        }
    }

    fn take_content(&mut self, line: String) {
        match self.place {
            Place::Tests => {
                if let Some(running) = &mut self.running {
                    running.add(line);
                }
            }
            Place::Blocks => {
                if let Some(test) = self.tests.last_mut().filter(|_| self.more == 0) {
                    test.add(line);
                }
            }
            // One that said nothing has no block.
            Place::Names => {
                let name = line.strip_prefix("    ").filter(|name| !name.is_empty());
                let is_new = |name: &&str| !self.tests.iter().any(|test| test.name == **name);
                if let Some(name) = name.filter(is_new).filter(|_| self.more == 0) {
                    self.add(Said::new(name));
                }
            }
        }
    }

    fn program_ended(&mut self) {
        self.place = Place::Tests;
        if let Some(died) = self.running.take() {
            self.add(died);
        }
    }

    fn add(&mut self, test: Said) {
        if self.tests.len() < TESTS {
            self.tests.push(test);
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tests.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n==== what failed ====")?;
        for test in &self.tests {
            writeln!(f, "{test}")?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more", self.more)?;
        }
        for test in &self.tests {
            writeln!(f, "failed: {}", test.name)?;
        }
        Ok(())
    }
}

/// `running 3 tests`.
fn is_start(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    matches!(words.as_slice(), ["running", count, "test" | "tests"] if count.parse::<u32>().is_ok())
}

/// The name in `---- NAME stdout ----`.
fn block(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

/// What a test said: its first lines and its last ones.
#[derive(Debug)]
struct Said {
    name: String,
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: usize,
}

impl Said {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            first: Vec::new(),
            last: VecDeque::new(),
            left_out: 0,
        }
    }

    fn add(&mut self, line: String) {
        if self.first.len() < FIRST_LINES {
            self.first.push(line);
            return;
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
            self.left_out += 1;
        }
        self.last.push_back(line);
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "---- {} ----", self.name)?;
        let lines: Vec<&String> = self.first.iter().chain(&self.last).collect();
        let blank = lines.iter().rev().take_while(|line| line.is_empty()).count();
        for (number, line) in lines.iter().take(lines.len() - blank).enumerate() {
            if number == FIRST_LINES && self.left_out > 0 {
                writeln!(f, "[{} lines left out]", self.left_out)?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str]) -> String {
        let mut seen = Failures::default();
        for piece in pieces {
            seen.take(piece.as_bytes());
        }
        seen.finish();
        seen.to_string()
    }

    const FAILED: &str = "
running 3 tests
test a::good ... ok
test a::bad ... FAILED
test silent ... FAILED

failures:

---- a::bad stdout ----
before
thread 'a::bad' panicked at src/lib.rs:1:1:
assertion failed

---- another stdout ----
it says why


failures:
    a::bad
    another
    silent

test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

";

    #[test]
    fn what_failed_is_told_with_what_it_said() {
        let expected = "
==== what failed ====
---- a::bad ----
before
thread 'a::bad' panicked at src/lib.rs:1:1:
assertion failed

---- another ----
it says why

---- silent ----

failed: a::bad
failed: another
failed: silent
";
        assert_eq!(told(&[FAILED]), expected);
        let pieces: Vec<String> = FAILED.chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        assert_eq!(told(&pieces), expected);
    }

    #[test]
    fn nothing_is_told_where_all_is_well() {
        let good = "\nrunning 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n";
        assert_eq!(told(&[good, good]), "");
    }

    #[test]
    fn programs_that_died_are_told() {
        let told = told(&[
            "running 2 tests\ntest a ... ok\nhalf a line",
            "\n",
            FAILED,
            "running 1 test\ntest z",
        ]);
        let died = "---- a test program that ended before its tests did ----\n";
        assert!(told.contains(&format!("{died}test a ... ok\nhalf a line\n")), "{told}");
        assert!(told.contains("---- a::bad ----\nbefore\n"), "{told}");
        assert!(told.contains(&format!("{died}test z\n")), "{told}");
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let mut seen = Failures::default();
        seen.take(b"running 1000 tests\n\nfailures:\n\n");
        for test in 0..200 {
            seen.take(format!("---- t{test} stdout ----\n").as_bytes());
            for line in 0..100 {
                seen.take(format!("{line} ").as_bytes());
                seen.take(&[b'x'; 2000]);
                seen.take(b"\n");
            }
        }
        seen.take(b"test result: FAILED. 0 passed\n");
        seen.finish();
        let text = seen.to_string();
        assert!(text.len() < TESTS * (FIRST_LINES + LAST_LINES + 5) * LINE_LENGTH);
        assert!(text.contains("---- t0 ----\n0 xxx"), "{text}");
        assert!(text.contains("\n[40 lines left out]\n55 xxx"), "{text}");
        assert!(text.contains("\nand 150 more\n"), "{text}");
        assert!(text.ends_with("failed: t49\n"), "{text}");
    }

    #[test]
    fn output_is_passed_on_as_it_is() {
        let (mut to, mut seen) = (Vec::new(), Vec::new());
        let from = b"a\xff\nb".chain(&b"c"[..]);
        pass_on(from, &mut to, |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!((to.as_slice(), seen.as_slice()), (&b"a\xff\nbc"[..], &b"a\xff\nbc"[..]));
    }

    #[test]
    fn a_failure_of_cargo_is_an_error() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let error = run(&mut command).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        run(&mut Command::new("true")).unwrap();
    }
}
