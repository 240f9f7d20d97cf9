//! Options and commands of docker that wiac doesn't have yet: known by name, so that the message can say so.

mod commands;
mod names;

use crate::commands::table::{COMMANDS, Entry};
use crate::error::Failure;
use clap::Arg;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use names::{BUILD, RUN};
use std::ffi::{OsStr, OsString};

/// An unknown option that docker knows is one that isn't there yet; any other error stays clap's.
pub(crate) fn explain(error: &clap::Error, arguments: &[OsString]) -> Failure {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(argument) = arguments.iter().find(|argument| argument.to_str().is_none())
    {
        return not_text(argument);
    }
    if let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand)
        // Not a word behind a command that has commands of its own.
        && arguments.get(1).is_some_and(|first| first == name.as_str())
        && let Some(failure) = commands::elsewhere(name)
    {
        return failure;
    }
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if error.kind() == ErrorKind::UnknownArgument => option,
        _ => return Failure::from_clap(error),
    };
    let has = |command: &str| arguments.iter().skip(1).any(|argument| argument == command);
    if has("run") {
        return unknown_run_option(unknown);
    }
    if has("copy")
        && matches!(
            unknown.as_str(),
            "-r" | "-R" | "-a" | "-p" | "--recursive" | "--archive"
        )
    {
        return Failure::usage(format!(
            "{unknown} isn't there: directories are copied with all that is in them, and everything a file has is kept"
        ));
    }
    let known: &[&str] = if has("build") { &BUILD } else { &[] };
    let other = || said_otherwise(unknown);
    let found = not_there_yet(unknown, known).or_else(other);
    found.unwrap_or_else(|| Failure::from_clap(error))
}

/// An argument that goes into a configuration, whose JSON has UTF-8 alone. (docker puts U+FFFD for what isn't.)
pub(crate) fn not_text(argument: &OsStr) -> Failure {
    let shown = argument.display();
    Failure::usage(format!(
        "the argument {shown} isn't text in UTF-8, which a configuration needs"
    ))
}

/// What podman, skopeo and docker say in another way of registries.
fn said_otherwise(option: &str) -> Option<Failure> {
    let name = option.split('=').next().unwrap_or(option);
    let ours = match name {
        "--insecure" | "--src-tls-verify" | "--dest-tls-verify" => "write --tls-verify=false",
        "--arch" | "--os" | "--variant" | "--override-arch" | "--override-os" | "--override-variant" => {
            "write --platform OS/ARCH[/VARIANT]"
        }
        "--src-cert-dir" | "--dest-cert-dir" => "write --cert-dir",
        "--src-authfile" | "--dest-authfile" => "write --authfile",
        "--dest-compress-format" => "write --compression",
        "--dest-compress-level" => "write --compression-level",
        "--disable-content-trust" | "--remove-signatures" | "--layers" => "leave it out: it is so by itself",
        "--tree" => "write wiac layers IMAGE",
        "--squash" => "write wiac squash IMAGE NAME afterwards",
        "--include-volumes" => "what lies in volumes is no part of the changes: copy it into the container first",
        "--force-compression" => "a layer that came in keeps its bytes, so that its digest stays",
        "--format" => "a manifest gets its kind where it goes out: push, manifest push and transfer have it",
        "--sign-by" | "--sign-by-sigstore" | "--sign-passphrase-file" => {
            "wiac makes no signatures: sign with cosign or skopeo"
        }
        _ => return None,
    };
    Some(Failure::usage(format!("{name} isn't there: {ours}")))
}

/// The long options of a command that are there.
fn here(name: &str) -> Vec<String> {
    let mut commands = COMMANDS.iter().filter(|entry| entry.name == name).map(Entry::command);
    let command = commands.next().map(|mut command| {
        command.build();
        command
    });
    let names = command
        .iter()
        .flat_map(clap::Command::get_arguments)
        .filter_map(Arg::get_long);
    names.chain(["data"]).map(|name| format!("--{name}")).collect()
}

/// An option of `run` that isn't there.
fn unknown_run_option(word: &str) -> Failure {
    not_there_yet(word, &RUN).unwrap_or_else(|| {
        let here = here("run");
        let names = RUN.iter().copied().chain(here.iter().map(String::as_str));
        let nearest = wiac_suggest::nearest(word, names.filter(|name| name.starts_with("--")));
        let hint = nearest
            .map(|nearest| format!(" (did you mean {nearest}?)"))
            .unwrap_or_default();
        Failure::usage(format!(
            "unknown option {word}{hint}; wiac run --help lists those there are"
        ))
    })
}

fn not_there_yet(option: &str, known: &[&str]) -> Option<Failure> {
    let name = option.split('=').next().unwrap_or(option);
    let bundled = || {
        let letters = name
            .strip_prefix('-')
            .filter(|rest| !rest.starts_with('-'))
            .unwrap_or_default();
        letters
            .chars()
            .map(|letter| format!("-{letter}"))
            .find(|short| known.contains(&short.as_str()))
    };
    let found = if known.contains(&name) {
        Some(name.to_owned())
    } else {
        bundled()
    };
    found.map(|name| {
        let hint = instead(&name).map(|hint| format!("\n{hint}")).unwrap_or_default();
        Failure::usage(format!(
            "{name} isn't there yet: docker or podman has it, wiac doesn't so far{hint}"
        ))
    })
}

/// What serves instead of an option of `run`.
fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "-p" | "-P" | "--publish" | "--publish-all" => {
            "a container has the host's network by itself: what listens in it is reachable at its own port"
        }
        "-d" | "--detach" => "the shell runs it in the background: wiac run … &",
        "--mount" => "a bind or a volume is written -v SOURCE:TARGET[:ro]",
        "--env-file" => "each variable is written -e NAME=VALUE, or -e NAME for that of the caller",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_said_to_be_missing() {
        for (command, missing) in [("run", &RUN[..]), ("build", &BUILD[..])] {
            let here = here(command);
            assert!(here.len() > 20, "{here:?}");
            let both: Vec<&&str> = missing
                .iter()
                .filter(|name| here.iter().any(|has| has == *name))
                .collect();
            assert!(both.is_empty(), "{command}: {both:?}");
        }
    }

    #[test]
    fn options_of_docker_are_known() {
        for option in [
            "--memory",
            "--memory=1g",
            "-d",
            "-dit",
            "--privileged",
            "--volumes-from=x",
            "--umask=077",
        ] {
            let failure = format!("{:?}", unknown_run_option(option));
            assert!(failure.contains("isn't there yet"), "{option}: {failure}");
        }
        let said = format!("{:?}", unknown_run_option("-dit"));
        assert!(said.contains("in the background"), "{said}");
        let said = format!("{:?}", unknown_run_option("--publish=80:80"));
        assert!(said.contains("at its own port"), "{said}");
        let said = format!("{:?}", said_otherwise("--arch=arm64").expect("a hint"));
        assert!(said.contains("--arch isn't there: write --platform"), "{said}");
        assert!(said_otherwise("--no-such").is_none());
        for (slip, meant) in [
            ("--interactiv", "--interactive"),
            ("--hostnam", "--hostname"),
            ("--readonly", "--read-only"),
        ] {
            let said = format!("{:?}", unknown_run_option(slip));
            assert!(said.contains(&format!("did you mean {meant}?")), "{said}");
        }
        assert!(format!("{:?}", not_there_yet("--memory=1g", &BUILD)).contains("isn't there yet"));
        let said = format!("{:?}", said_otherwise("--layers").expect("a hint"));
        assert!(said.contains("leave it out"), "{said}");
    }
}
