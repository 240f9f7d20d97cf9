//! A docker daemon of our own, with its data where the benchmark's is.

use super::place::Place;
use crate::{Outcome, shell};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// Debian's docker command: others of this name may come first in PATH.
const DOCKER: &str = "/usr/bin/docker";

/// A running daemon; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts the daemon and waits until it answers.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        let run = PathBuf::from(format!("/run/wiac-bench-{}", std::process::id()));
        std::fs::create_dir_all(&run)?;
        let socket = run.join("docker.sock");
        let log = place.path("dockerd.log");
        let mut command = Command::new("dockerd");
        command
            .arg("--data-root")
            .arg(place.directory("docker")?)
            .arg("--exec-root")
            .arg(run.join("exec"));
        command
            .arg("--pidfile")
            .arg(run.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()));
        // No network is asked for by what we run, so none is set up; and the limits that need no capability.
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--default-ulimit=nofile=1024:1024",
        ]);
        command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let process = command
            .spawn()
            .map_err(|error| format!("dockerd: {error} (Debian: docker.io)"))?;
        let mut daemon = Self { process, socket };
        daemon.wait_until_ready(&log)?;
        Ok(daemon)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Outcome {
        let start = Instant::now();
        while !self
            .docker()
            .arg("version")
            .output()
            .is_ok_and(|output| output.status.success())
        {
            if self.process.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("dockerd doesn't start:\n{}", std::fs::read_to_string(log)?).into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// A docker command that talks to it.
    pub(crate) fn docker(&self) -> Command {
        let mut command = Command::new(DOCKER);
        command
            .arg("--host")
            .arg(format!("unix://{}", self.socket.display()))
            .env("DOCKER_BUILDKIT", "1");
        command
    }

    /// Its version.
    pub(super) fn version(&self) -> Outcome<String> {
        let version = shell::output(self.docker().args(["version", "--format", "{{.Server.Version}}"]))?;
        Ok(version.trim().to_owned())
    }

    /// Processor time so far of the daemon, its containerd, and what they have reaped (the latter in steps of 10 ms).
    pub(super) fn processor(&self) -> Outcome<Duration> {
        let own = i32::try_from(self.process.id())?;
        let children = std::fs::read_dir(format!("/proc/{own}/task"))?.flatten().map(|task| {
            let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            text.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        });
        let processes: Vec<i32> = std::iter::once(own)
            .chain(children.flatten().filter(|pid| is_containerd(*pid)))
            .collect();
        let mut sum = Duration::ZERO;
        for process in processes {
            sum += Duration::from(clock_gettime(ClockId::pid_cpu_clock_id(Pid::from_raw(process))?)?);
            sum += reaped(process)?;
        }
        Ok(sum)
    }
}

/// The daemon's other children are runc's processes, which count once they are reaped.
fn is_containerd(process: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "containerd")
}

/// Processor time of the children that a process has reaped: the fields cutime and cstime of proc(5).
fn reaped(process: i32) -> Outcome<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = text.rsplit_once(") ").ok_or("no fields in stat")?.1.split(' ');
    let ticks: u64 = fields
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let process = i32::try_from(self.process.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(process) = process {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        }
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() > PATIENCE {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
