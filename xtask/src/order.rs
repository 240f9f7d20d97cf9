//! `cargo xtask order`: which functions a start calls, for the linker to put side by side.
//!
//! A program's text is mapped in windows of 64 KB as it is needed, and what one start calls lies strewn over all of it. The
//! list that this task makes (`crates/cli/startup.order`) lets the linker gather it. `crates/cli/build.rs` hands it over where
//! the compiler is the one that the list was made with: another one names functions in another way.
//!
//! ```text
//! release binary ─► names and addresses ─► each command below, with a breakpoint on every function ─► first calls, in order
//! ```
//!
//! To be run again when the compiler or much of the start is another; `cargo xtask test` says when most names are gone.

use crate::test::binary;
use crate::{Outcome, shell};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the list is, from the workspace's directory.
const LIST: &str = "crates/cli/startup.order";

/// `int3`.
const BREAKPOINT: u8 = 0xcc;

/// The image that is run and built: every kind of step that costs milliseconds.
const DOCKERFILE: &str =
    "FROM bundle://sh\nCOPY Dockerfile /\nRUN echo 1 >/1\nRUN echo 2 >/2\nCMD [\"sh\", \"-c\", \":\"]\n";

/// What is watched, the most frequent first: what comes first in the list comes first in the binary.
const COMMANDS: [&[&str]; 5] = [
    &["run", "order"],
    &["bundle", "--list", "bash", "ls", "git"],
    &["run", "--network", "none", "order"],
    &["build", "-q", "--no-cache", "."],
    &["build", "-q", "."],
];

/// Runs the task.
pub(crate) fn run() -> Outcome {
    let built = shell::build_release(&[])?;
    let place = Place::new()?;
    let program = place.0.join("wiac");
    std::fs::copy(built, &program)?;
    std::fs::write(place.0.join("Dockerfile"), DOCKERFILE)?;
    let functions = binary::functions(&std::fs::read(&program)?)?;
    shell::run(place.wiac(&program).args(["build", "-q", "-t", "order", "."]))?;
    let mut called: Vec<Vec<u64>> = Vec::new();
    for arguments in COMMANDS {
        called.push(watch(place.stopped(&program, arguments), &functions)?);
    }
    // What all call comes first of all: each needs a window less of what it shares with others.
    let sets: Vec<BTreeSet<&u64>> = called.iter().map(|addresses| addresses.iter().collect()).collect();
    let (common, own): (Vec<u64>, Vec<u64>) = called
        .iter()
        .flatten()
        .partition(|address| sets.iter().all(|set| set.contains(address)));
    let called = common.iter().chain(&own).filter_map(|address| functions.get(address));
    let called = called.flatten().map(String::as_str);
    let mut list = format!("# {}\n", binary::compiler()?);
    let mut listed = BTreeSet::new();
    for name in called.filter(|name| listed.insert(*name)) {
        writeln!(list, "{name}")?;
    }
    std::fs::write(shell::workspace().join(LIST), list)?;
    eprintln!("{LIST}: {} functions of {}", listed.len(), functions.len());
    Ok(())
}

/// A directory that is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Outcome<Self> {
        let directory = Path::new("/var/tmp").join(format!("wiac-order-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }

    fn wiac(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        self.surround(&mut command);
        command
    }

    /// The same, stopped before it begins, and loaded where it always is.
    fn stopped(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("setarch");
        let script = "kill -STOP $$; exec \"$@\"";
        command.args(["--addr-no-randomize", "sh", "-c", script, "sh"]);
        command.arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        command.current_dir(&self.0).env("WIAC_DATA", self.0.join("data"));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("can't remove {}: {error}", self.0.display());
        }
    }
}

/// The addresses of the functions that the program calls, itself and in processes that share or copy its memory, in the order
/// of their first calls.
fn watch(mut command: Command, functions: &BTreeMap<u64, Vec<String>>) -> Outcome<Vec<u64>> {
    let process = Pid::from_raw(i32::try_from(command.spawn()?.id())?);
    waitpid(process, Some(WaitPidFlag::WUNTRACED))?;
    let options = ptrace::Options::PTRACE_O_TRACEEXEC
        | ptrace::Options::PTRACE_O_TRACECLONE
        | ptrace::Options::PTRACE_O_TRACEFORK
        | ptrace::Options::PTRACE_O_TRACEVFORK
        | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(process, options)?;
    kill(process, Signal::SIGCONT)?;
    let mut breakpoints: Option<Breakpoints> = None;
    let mut called = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(which, code)) if which == process && code != 0 => {
                return Err(format!("{}: exit code {code}", shell::shown(&command)).into());
            }
            Ok(WaitStatus::PtraceEvent(which, _, event)) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => {
                // The first one is wiac. Another one is what it has started.
                if breakpoints.is_some() {
                    ptrace::detach(which, None)?;
                    continue;
                }
                breakpoints = Some(Breakpoints::set(which, functions)?);
                ptrace::cont(which, None)?;
            }
            Ok(WaitStatus::PtraceEvent(which, ..)) => ptrace::cont(which, None)?,
            Ok(WaitStatus::Stopped(which, signal)) => {
                let met = breakpoints.as_ref().filter(|_| signal == Signal::SIGTRAP);
                let address = met.map(|breakpoints| breakpoints.pass(which)).transpose()?.flatten();
                called.extend(address);
                ptrace::cont(which, Some(signal).filter(|_| address.is_none()))?;
            }
            Ok(_) => {}
            Err(nix::errno::Errno::ECHILD) => return Ok(called),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What was in the program's memory where breakpoints are now.
struct Breakpoints {
    /// Where the program was loaded.
    base: u64,
    instructions: BTreeMap<u64, u8>,
}

impl Breakpoints {
    fn set(process: Pid, functions: &BTreeMap<u64, Vec<String>>) -> Outcome<Self> {
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
        let (base, _) = maps.split_once('-').ok_or("nothing is mapped")?;
        let base = u64::from_str_radix(base, 16)?;
        let memory = memory(process)?;
        let mut instructions = BTreeMap::new();
        for &address in functions.keys() {
            let mut instruction = [0];
            memory.read_exact_at(&mut instruction, base + address)?;
            memory.write_all_at(&[BREAKPOINT], base + address)?;
            instructions.insert(address, instruction[0]);
        }
        Ok(Self { base, instructions })
    }

    /// Takes away the breakpoint that the process has met, and turns it back to what was there: the function's address, or
    /// `None` where it stopped elsewhere.
    fn pass(&self, process: Pid) -> Outcome<Option<u64>> {
        let mut registers = ptrace::getregs(process)?;
        let at = registers.rip.wrapping_sub(1);
        let address = at.wrapping_sub(self.base);
        let Some(instruction) = self.instructions.get(&address) else {
            return Ok(None);
        };
        memory(process)?.write_all_at(&[*instruction], at)?;
        registers.rip = at;
        ptrace::setregs(process, registers)?;
        Ok(Some(address))
    }
}

fn memory(process: Pid) -> Outcome<File> {
    let path = format!("/proc/{process}/mem");
    Ok(OpenOptions::new().read(true).write(true).open(path)?)
}
