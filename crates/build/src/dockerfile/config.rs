//! The instructions that change the image's configuration alone.

use super::signals;
use super::stage::Stage;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use wiac_dockerfile::expand::{Expander, expand_pairs};
use wiac_dockerfile::stages::Globals;
use wiac_dockerfile::{Arg, ArgDefinition, Command, HealthCheck, Kind, Pair, Word};
use wiac_oci::convert::set_variable;
use wiac_oci::image::Healthcheck;

/// Carries out any instruction but RUN, COPY, ADD and WORKDIR.
pub(super) fn apply(
    stage: &mut Stage,
    globals: &Globals,
    build_args: &BTreeMap<String, String>,
    kind: &Kind,
) -> Result<()> {
    let said = match kind {
        Kind::Env(env) => set_environment(stage, &env.pairs)?,
        Kind::Label(label) => set_labels(stage, &label.pairs)?,
        Kind::Arg(arg) => declare(stage, globals, build_args, arg)?,
        Kind::User(word) => set_user(stage, word)?,
        Kind::Cmd(command) => set_command(stage, command),
        Kind::Entrypoint(command) => set_entrypoint(stage, command),
        Kind::Shell(shell) => {
            stage.config.config.shell.clone_from(shell);
            format!("SHELL {}", list(shell))
        }
        Kind::Expose(words) => expose(stage, words)?,
        Kind::Volume(words) => add_volumes(stage, words)?,
        Kind::StopSignal(word) => {
            let signal = stage.expand(word)?.text;
            if !signals::is_signal(&signal) {
                let hint = signals::nearest(&signal);
                let hint = hint.map_or("a name such as SIGTERM or a number is expected".to_owned(), |name| {
                    format!("did you mean {name}?")
                });
                return Err(Error::wrong_with_hint(
                    format!("STOPSIGNAL: there is no signal {signal}"),
                    hint,
                ));
            }
            stage.config.config.stop_signal = Some(signal.clone());
            format!("STOPSIGNAL {signal}")
        }
        Kind::HealthCheck(check) => set_health_check(stage, check),
        Kind::Maintainer(word) => {
            word.text.clone_into(&mut stage.config.author);
            format!("MAINTAINER {}", word.text)
        }
        Kind::OnBuild(on_build) => {
            stage.config.config.on_build.push(on_build.text.clone());
            // BuildKit gives it no entry in the history.
            return Ok(());
        }
        Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_) => {
            return Err(Error::wrong(format!("{} makes a layer", kind.name())));
        }
    };
    stage.add_history(said, true);
    Ok(())
}

fn list(items: &[String]) -> String {
    serde_json::to_string(items).unwrap_or_default()
}

fn pairs(stage: &Stage, pairs: &[Pair]) -> Result<Vec<(String, String)>> {
    // One snapshot of values for the whole instruction: `ENV a=1 b=$a` sees the old a.
    let lookup = |name: &str| stage.variable(name);
    Ok(expand_pairs(pairs, &Expander::new(stage.escape, &lookup))?.pairs)
}

fn set_environment(stage: &mut Stage, written: &[Pair]) -> Result<String> {
    let mut said = "ENV".to_owned();
    for (name, value) in pairs(stage, written)? {
        let entry = format!("{name}={value}");
        set_variable(&mut stage.config.config.env, &entry)?;
        said.push(' ');
        said.push_str(&entry);
    }
    Ok(said)
}

fn set_labels(stage: &mut Stage, written: &[Pair]) -> Result<String> {
    let mut said = "LABEL".to_owned();
    for (name, value) in pairs(stage, written)? {
        said = format!("{said} {name}={value}");
        stage.config.config.labels.insert(name, value);
    }
    Ok(said)
}

/// A build argument's value counts before its default; without either, a global argument of that name counts. As in
/// BuildKit a default sees the arguments that stand before it in the same instruction (those of ENV don't).
fn declare(stage: &mut Stage, globals: &Globals, build_args: &BTreeMap<String, String>, arg: &Arg) -> Result<String> {
    let mut said = "ARG".to_owned();
    for definition in &arg.definitions {
        let name = &definition.name.text;
        said = format!("{said} {name}");
        if let Some(value) = value_of(stage, globals, build_args, definition)? {
            said = format!("{said}={value}");
            stage.arguments.insert(name.clone(), value);
        }
    }
    Ok(said)
}

fn value_of(
    stage: &Stage,
    globals: &Globals,
    build_args: &BTreeMap<String, String>,
    definition: &ArgDefinition,
) -> Result<Option<String>> {
    let name = definition.name.text.as_str();
    if let Some(value) = build_args.get(name) {
        return Ok(Some(value.clone()));
    }
    match &definition.default {
        Some(default) => Ok(Some(stage.expand(default)?.text)),
        None => Ok(globals.get(name).map(str::to_owned)),
    }
}

fn set_user(stage: &mut Stage, word: &Word) -> Result<String> {
    // Where nothing is left of its variables it is the default again: root.
    let user = stage.expand(word)?.text;
    stage.config.config.user.clone_from(&user);
    Ok(format!("USER {user}"))
}

/// A shell form becomes the shell with the text as its last argument.
pub(super) fn arguments(stage: &Stage, command: &Command) -> Vec<String> {
    match command {
        Command::Exec(arguments) => arguments.clone(),
        Command::Shell(text) => {
            let mut arguments = stage.shell();
            arguments.push(text.clone());
            arguments
        }
    }
}

fn set_command(stage: &mut Stage, command: &Command) -> String {
    let arguments = arguments(stage, command);
    let said = format!("CMD {}", list(&arguments));
    stage.config.config.cmd = (!arguments.is_empty()).then_some(arguments);
    stage.own_cmd = true;
    said
}

/// A new ENTRYPOINT clears a CMD that came from the base image, which was meant for another.
fn set_entrypoint(stage: &mut Stage, command: &Command) -> String {
    let arguments = arguments(stage, command);
    let said = format!("ENTRYPOINT {}", list(&arguments));
    stage.config.config.entrypoint = (!arguments.is_empty()).then_some(arguments);
    if !stage.own_cmd {
        stage.config.config.cmd = None;
    }
    said
}

fn expose(stage: &mut Stage, words: &[Word]) -> Result<String> {
    let mut said = "EXPOSE".to_owned();
    for word in words {
        for port in stage.expand(word)?.words {
            for port in ports(&port).ok_or_else(|| Error::wrong(format!("EXPOSE: {port:?} is no port")))? {
                said.push(' ');
                said.push_str(&port);
                stage.config.config.exposed_ports.insert(port);
            }
        }
    }
    Ok(said)
}

/// `80`, `80/udp`, `8000-8010/tcp` → each port with its protocol. What stands before a colon is the host's and doesn't
/// count (there is a check that says so), nor does a slash without a protocol: that of `80/$PROTOCOL`.
fn ports(text: &str) -> Option<Vec<String>> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, ""));
    let range = range.rsplit(':').next().unwrap_or(range);
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return None,
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first <= last).then(|| (first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn add_volumes(stage: &mut Stage, words: &[Word]) -> Result<String> {
    let mut said = "VOLUME".to_owned();
    for word in words {
        let path = stage.expand(word)?.text;
        if path.is_empty() {
            return Err(Error::wrong("VOLUME: a path is empty"));
        }
        said.push(' ');
        said.push_str(&path);
        stage.config.config.volumes.insert(path);
    }
    Ok(said)
}

fn set_health_check(stage: &mut Stage, check: &HealthCheck) -> String {
    let health = match check {
        HealthCheck::None => Healthcheck {
            test: vec!["NONE".to_owned()],
            ..Healthcheck::default()
        },
        HealthCheck::Check(check) => Healthcheck {
            test: match &check.command {
                Command::Exec(arguments) => std::iter::once("CMD".to_owned())
                    .chain(arguments.iter().cloned())
                    .collect(),
                Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            },
            interval: nanoseconds(check.interval),
            timeout: nanoseconds(check.timeout),
            start_period: nanoseconds(check.start_period),
            start_interval: nanoseconds(check.start_interval),
            retries: check.retries.unwrap_or_default().into(),
            ..Healthcheck::default()
        },
    };
    let said = format!("HEALTHCHECK {}", list(&health.test));
    stage.config.config.healthcheck = Some(health);
    said
}

fn nanoseconds(duration: Option<std::time::Duration>) -> i64 {
    duration.map_or(0, |duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        assert_eq!(ports("80").expect("a port"), ["80/tcp"]);
        assert_eq!(ports("53/UDP").expect("a port"), ["53/udp"]);
        assert_eq!(
            ports("8000-8002").expect("a range"),
            ["8000/tcp", "8001/tcp", "8002/tcp"]
        );
        assert_eq!(ports("127.0.0.1:8080:80").expect("a port"), ["80/tcp"]);
        assert_eq!(ports("80/").expect("a port"), ["80/tcp"]);
        assert!(ports("/tcp").is_none() && ports("80/tcp/udp").is_none());
        assert!(ports("http").is_none() && ports("9-1").is_none() && ports("70000").is_none());
    }
}
