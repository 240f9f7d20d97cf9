//! `wiac build --verify`: a second build beside the first, and what it made in another way.

use super::contexts::Contexts;
use super::input::Input;
use super::platforms::Images;
use super::stopped::Stopped;
use super::{Arguments, carry_out, epoch, request};
use crate::data::Data;
use crate::exit::ExitCode;
use crate::progress::Style;
use std::fmt::Write as _;
use wiac_build::verify::{StepDifference, Verdict, verify};
use wiac_layer::compare::Aspect;
use wiac_oci::manifest::Platform;
use wiac_run::attach::Signals;

/// Builds each platform's image again, and tells on standard error what differs. Nothing of the second build stays.
pub(super) fn run(
    data: &Data,
    signals: &Signals,
    arguments: &Arguments,
    sources: (&Input, &Contexts),
    images: &Images,
) -> Result<ExitCode, Stopped> {
    let mut is_same = true;
    for (number, first) in images.records.iter().enumerate() {
        let platform: Option<&Platform> = arguments.platform.get(number);
        let mut request = request(arguments, sources, platform)?;
        request.no_cache = true;
        request.apart = true;
        request.explain = false;
        if super::style(arguments)? != Style::Quiet {
            eprintln!("wiac: building again, without the cache");
        }
        let second = carry_out(data, signals, arguments, None, (&sources.0.file_name, &request))?;
        let verdict = verify(&data.store, first, &second.record, epoch(arguments)?);
        // Whatever came of it: the layers go as soon as nobody holds them.
        drop(second.locks);
        for layer in &second.made {
            data.store.discard_layer(layer)?;
        }
        let verdict = verdict?;
        eprint!("{}", shown(&verdict, epoch(arguments)?.is_some()));
        is_same &= verdict.is_same();
    }
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(verdict: &Verdict, has_epoch: bool) -> String {
    let mut text = String::new();
    if verdict.is_same() {
        let _ = writeln!(text, "{} layers, {} files: the same", verdict.layers, verdict.entries);
        return text;
    }
    for step in &verdict.steps {
        step_shown(&mut text, step, has_epoch);
    }
    for other in &verdict.others {
        let _ = writeln!(text, "{other}");
    }
    let files: usize = verdict.steps.iter().map(|step| step.differences.len()).sum();
    let (differ, layers) = (verdict.steps.len(), verdict.layers);
    let _ = writeln!(text, "{differ} of {layers} layers differ, in {files} files");
    text
}

/// The step, and a line for each path; those that differ in their times alone are counted.
fn step_shown(text: &mut String, step: &StepDifference, has_epoch: bool) {
    let first_line = step.created_by.lines().next().unwrap_or_default();
    let _ = writeln!(text, "{}", first_line.escape_debug());
    let mut times = 0;
    for difference in &step.differences {
        if difference.aspects == [Aspect::Time] {
            times += 1;
            continue;
        }
        let aspects: Vec<String> = difference.aspects.iter().map(ToString::to_string).collect();
        let path = difference.path.to_string_lossy();
        let _ = writeln!(text, "    {}: {}", path.escape_debug(), aspects.join(", "));
    }
    if times > 0 {
        let hint = if has_epoch { "" } else { " (--reproducible fixes them)" };
        let _ = writeln!(text, "    {times} more in their times alone{hint}");
    }
}
