//! `wiac debug`: a shell where a build failed.

use crate::data::Data;
use crate::error::{Failure, exit_code};
use crate::exit::ExitCode;
use crate::{Global, data, format, start_hint, terminal};
use clap::Args;
use rustix::termios::isatty;
use std::fmt::Write as _;
use wiac_build::container::{self, Workspace};
use wiac_build::debug::{Session, configure, kept};
use wiac_layer::merged::LayerStack;
use wiac_run::attach::{Manner, Signals, attach};
use wiac_run::plan::SeccompChoice;
use wiac_run::{Container, Plan};
use wiac_store::FailureRecord;
use wiac_store::temporary::Temporary;

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A failed step by its id, or last; ls lists them, rm ID… forgets them (rm all: every one)
    #[arg(value_name = "ID|ls|rm", default_value = "last")]
    what: String,
    /// A command instead of a shell
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let words = &arguments.words;
    match arguments.what.as_str() {
        "ls" if words.is_empty() => list(&data::open(global)?),
        "ls" => Err(Failure::usage("wiac debug ls takes no words")),
        "rm" => remove(&data::open(global)?, words),
        id => {
            let signals = Signals::catch()?;
            let data = data::open(global)?;
            open(&data, &signals, id, words)
        }
    }
}

/// Opens a shell, or runs a command, in the state of a failed step.
pub(crate) fn open(data: &Data, signals: &Signals, id: &str, words: &[String]) -> Result<ExitCode, Failure> {
    let failure = find(data, id)?;
    let step = kept(&failure)?;
    let held = data.store.hold_layers(&failure.layers)?;
    let held = data.store.fit(held, data.owner_policy())?;
    let stack = LayerStack::new(held.iter().map(|layer| data.store.layer_diff(&layer.id)).collect());
    let streams = terminal::streams(true, false, false)?;
    let session = Session {
        command: words.to_vec(),
        terminal: streams.terminal,
        size: streams.size,
    };
    let room = Temporary::new(&data.store)?;
    let (runtime, missing) = configure(&step, &stack, &session, room.path())?;
    for what in missing {
        eprintln!("wiac: warning: {what} isn't mounted: it went with the build");
    }
    if words.is_empty() && isatty(rustix::stdio::stderr()) {
        eprintln!(
            "wiac: in the state after {}; what is changed here is thrown away",
            one_line(&step.command)
        );
    }
    let workspace = Workspace {
        upper: room.create_dir("upper")?,
        work: room.create_dir("work")?,
        merged: room.create_dir("merged")?,
        volatile: true,
    };
    container::prepare_upper(&stack, &workspace.upper)?;
    let rootfs = container::overlay(&stack, workspace, data.store.form());
    let mut settings = container::settings(data.user_namespace.as_ref());
    if step.insecure {
        settings.seccomp = SeccompChoice::FromConfig;
    }
    let plan = Plan::new(&runtime, &rootfs, &settings)?;
    signals.catch_for_container()?;
    let mut container = match Container::run(plan, streams.io) {
        Ok(container) => container,
        Err(wiac_run::Error::Exec { errno, root }) => {
            let why = container::explain_start(&runtime, errno, root.as_ref());
            return Err(Failure::new(why.message).with_code(u8::try_from(why.code).unwrap_or(1)));
        }
        Err(error) => return Err(Failure::new(start_hint::with_hint(&error))),
    };
    let manner = Manner {
        takes_input: true,
        passes_signals_on: true,
    };
    Ok(exit_code(attach(&mut container, signals, manner)?.exit_code()))
}

fn find(data: &Data, id: &str) -> Result<FailureRecord, Failure> {
    let mut known = data.store.failures()?;
    if id == "last" {
        return known
            .pop()
            .ok_or_else(|| Failure::new("no failed step is kept: a RUN that fails is, until wiac prune"));
    }
    let mut found = known.into_iter().filter(|failure| failure.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(failure), None) => Ok(failure),
        (None, _) => Err(Failure::new(format!(
            "no failed step {id} is kept: wiac debug ls lists them"
        ))),
        (Some(_), Some(_)) => Err(Failure::new(format!(
            "{id} is the beginning of several ids: wiac debug ls lists them"
        ))),
    }
}

/// The newest first.
fn list(data: &Data) -> Result<ExitCode, Failure> {
    let mut text = String::new();
    for failure in data.store.failures()?.iter().rev() {
        let step = kept(failure)?;
        let _ = writeln!(
            text,
            "{}  {}  {}: exit code {}: {}",
            failure.id,
            failure.created,
            step.stage,
            step.code,
            one_line(&step.command)
        );
    }
    format::write(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn remove(data: &Data, ids: &[String]) -> Result<ExitCode, Failure> {
    if ids.is_empty() {
        return Err(Failure::usage("wiac debug rm: name a failed step, or all"));
    }
    let mut failed = Vec::new();
    for id in ids {
        let meant = if id == "all" {
            Ok(data.store.failures()?)
        } else {
            find(data, id).map(|failure| vec![failure])
        };
        match meant {
            Ok(failures) => failures
                .iter()
                .try_for_each(|failure| data.store.remove_failure(failure))?,
            Err(failure) => failed.push(failure),
        }
    }
    super::all_or(failed)
}

/// As much of a command as a line takes.
fn one_line(command: &str) -> String {
    const LONGEST: usize = 80;
    let line: String = command.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if command.chars().count() > LONGEST {
        format!("{line}…")
    } else {
        line
    }
}
