//! The peak memory of wiac's own processes while a container runs.

use super::place::Place;
use crate::Outcome;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process of wiac and its peak resident memory in KiB.
pub(super) type Peak = (&'static str, u64);

/// Starts a container that waits, and reads VmHWM of the command and of its monitor.
pub(super) fn peaks(place: &Place, image: &str) -> Outcome<Vec<Peak>> {
    let mut wiac = place
        .wiac()
        .args(["run", image, "/pause"])
        .stdin(Stdio::null())
        .spawn()?;
    let peaks = sample(&wiac);
    wiac.kill()?;
    wiac.wait()?;
    peaks
}

/// Runs a command to its end and gives its peak resident memory in KiB.
pub(super) fn peak_of(mut command: Command) -> Outcome<u64> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut highest = 0;
    // The figure only grows, so that the last look is off by what the last milliseconds added.
    while child.try_wait()?.is_none() {
        highest = peak(child.id()).unwrap_or(highest).max(highest);
        std::thread::sleep(Duration::from_millis(2));
    }
    if child.wait()?.success() {
        Ok(highest)
    } else {
        Err("the command whose memory is measured failed".into())
    }
}

fn sample(wiac: &Child) -> Outcome<Vec<Peak>> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
        let Some(monitor) = child(wiac.id())? else { continue };
        let Some(payload) = child(monitor)? else { continue };
        if std::fs::read_link(format!("/proc/{payload}/exe")).is_ok_and(|path| path.ends_with("pause")) {
            return Ok(vec![("wiac run", peak(wiac.id())?), ("its monitor", peak(monitor)?)]);
        }
    }
    Err("the container to measure memory with doesn't start".into())
}

fn child(process: u32) -> Outcome<Option<u32>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    Ok(text.split_whitespace().next().map(str::parse).transpose()?)
}

fn peak(process: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
