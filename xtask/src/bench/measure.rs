//! Measuring commands: wall time until the command ends, processor time of all that it started.

use super::daemon::Daemon;
use crate::{Outcome, shell};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::event::{PollFd, PollFlags};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long processes that a command leaves behind may take to end.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A command that takes longer hangs.
const LONGEST: Duration = Duration::from_mins(2);

/// One run of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// From its start to its end.
    pub(super) wall: Duration,
    /// Of all its processes, those included that outlive it or work for it in a daemon.
    pub(super) processor: Duration,
}

/// What to do before a run.
pub(super) type Prepare<'a> = Box<dyn Fn() -> Outcome + 'a>;

/// Something that is measured.
pub(super) struct Contender<'a> {
    /// As shown.
    pub(super) name: String,
    /// Makes the command of a run.
    pub(super) command: Box<dyn Fn() -> Command + 'a>,
    /// Not measured.
    pub(super) prepare: Option<Prepare<'a>>,
    /// Works for the command.
    pub(super) daemon: Option<&'a Daemon>,
}

impl<'a> Contender<'a> {
    /// One that is a command alone.
    pub(super) fn new(name: &str, command: impl Fn() -> Command + 'a) -> Self {
        Self {
            name: name.to_owned(),
            command: Box::new(command),
            prepare: None,
            daemon: None,
        }
    }

    /// With something to do before each run.
    pub(super) fn after(mut self, prepare: impl Fn() -> Outcome + 'a) -> Self {
        self.prepare = Some(Box::new(prepare));
        self
    }

    /// With a daemon whose processor time counts as the command's.
    pub(super) fn served_by(mut self, daemon: &'a Daemon) -> Self {
        self.daemon = Some(daemon);
        self
    }
}

/// How often, and with which pause before each run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    /// Rounds that count.
    pub(super) counted: usize,
    /// Rounds before, that don't.
    pub(super) warm_up: usize,
    /// Before each run: back-to-back runs hide what an idle machine costs.
    pub(super) pause: Duration,
}

/// Runs all contenders in turn, round by round.
pub(super) fn race(contenders: &[Contender], rounds: Rounds, log: &Path) -> Outcome<Vec<Vec<Sample>>> {
    // What a command leaves behind becomes ours: its processor time is counted when we reap it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut samples = vec![Vec::with_capacity(rounds.counted); contenders.len()];
    for round in 0..rounds.warm_up + rounds.counted {
        for (contender, samples) in contenders.iter().zip(&mut samples) {
            if let Some(prepare) = &contender.prepare {
                prepare()?;
            }
            std::thread::sleep(rounds.pause);
            let sample = run(contender, log)?;
            if round >= rounds.warm_up {
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

fn run(contender: &Contender, log: &Path) -> Outcome<Sample> {
    let mut command = (contender.command)();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(log)?);
    let others = children()?;
    let before = processor(contender)?;
    let start = Instant::now();
    let mut child = command
        .spawn()
        .map_err(|error| format!("{}: {}: {error}", contender.name, shell::shown(&command)))?;
    await_end(&mut child).map_err(|error| format!("{}: {}: {error}", contender.name, shell::shown(&command)))?;
    let wall = start.elapsed();
    let status = child.wait()?;
    if !status.success() {
        let said = std::fs::read_to_string(log)?;
        return Err(format!("{}: {}: {status}\n{said}", contender.name, shell::shown(&command)).into());
    }
    reap(&others)?;
    Ok(Sample {
        wall,
        processor: processor(contender)?.saturating_sub(before),
    })
}

/// Returns as soon as the process has ended; one that hangs is killed.
fn await_end(child: &mut Child) -> Outcome {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
    if rustix::event::poll(&mut ended, Some(&LONGEST.try_into()?))? == 0 {
        child.kill()?;
        child.wait()?;
        return Err(format!("hangs: not ended after {} seconds", LONGEST.as_secs()).into());
    }
    Ok(())
}

/// Of all children reaped so far, and of the daemon.
fn processor(contender: &Contender) -> Outcome<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let sum = [usage.user_time(), usage.system_time()].into_iter().map(|time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    });
    let daemon = contender.daemon.map(Daemon::processor).transpose()?.unwrap_or_default();
    Ok(sum.sum::<Duration>() + daemon)
}

/// Waits for the processes that a command left to us.
fn reap(others: &BTreeSet<i32>) -> Outcome {
    let start = Instant::now();
    loop {
        let left: Vec<i32> = children()?.difference(others).copied().collect();
        if left.is_empty() {
            return Ok(());
        }
        if start.elapsed() > AFTERMATH {
            return Err(format!("processes {left:?} outlive their command").into());
        }
        for process in left {
            let process = rustix::process::Pid::from_raw(process);
            rustix::process::waitpid(process, rustix::process::WaitOptions::NOHANG)?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The children of this process.
fn children() -> Outcome<BTreeSet<i32>> {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    Ok(std::fs::read_to_string(path)?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?)
}
