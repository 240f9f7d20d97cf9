//! `wiac copy` as the shell commands that do the same by hand.

use super::words::{self, Destination};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use wiac_run::shell::quote;

/// A command, and what it's for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellStep {
    /// One line, without "#".
    pub comment: String,
    /// The command, for bash and GNU coreutils.
    pub command: String,
}

/// The commands that do by hand what [`super::copy_into_layer`] does. Looks at no file: the commands find out
/// themselves what is there. (Symlinks in the layer are the one difference: to cp they lead out of it.)
pub fn plan_in_shell(layer: &Path, sources: &[PathBuf], destination: &OsStr) -> Vec<ShellStep> {
    let wanted = Destination::parse(destination);
    let mut target = layer.join("diff");
    let made = if wanted.is_directory {
        wanted.names.len()
    } else {
        wanted.names.len().saturating_sub(1)
    };
    target.extend(words::clamped(&wanted.names[..made]));
    let mut steps = vec![ShellStep {
        comment: "Make the directory that the copies go into".to_owned(),
        command: format!("(umask 022 && mkdir -p -- {})", quoted(&target)),
    }];
    if !wanted.is_directory {
        target = layer.join("diff");
        target.extend(words::clamped(&wanted.names));
    }
    let into = if wanted.is_directory { "/" } else { "" };
    let (contents, whole): (Vec<_>, Vec<_>) = sources.iter().partition(|source| words::is_contents(source));
    if !whole.is_empty() {
        let words: Vec<String> = whole.iter().map(|source| quoted(source)).collect();
        steps.push(ShellStep {
            comment: "Copy with owners, modes, times, symlinks, hard links, attributes and holes".to_owned(),
            command: format!("cp -a -- {} {}{into}", words.join(" "), quoted(&target)),
        });
    }
    for source in contents {
        steps.push(contents_step(source, &target, wanted.is_directory));
    }
    steps
}

/// What is in a directory, into another one, which keeps its own owner, mode and times if it's there already.
fn contents_step(source: &Path, target: &Path, made: bool) -> ShellStep {
    let (from, to) = (quoted(source), quoted(target));
    // find takes a name that starts with "-" or "(" for something else.
    let start = if source.is_absolute() {
        from.clone()
    } else {
        quoted(&Path::new(".").join(source))
    };
    let find = format!("find {start} -mindepth 1 -maxdepth 1 -exec cp -a -t {to} -- {{}} +");
    let command = if made {
        find
    } else {
        format!("if [ -d {to} ]; then {find}; else cp -a -- {from} {to}; fi")
    };
    ShellStep {
        comment: "Copy what is in the directory; the one it goes into stays as it is".to_owned(),
        command,
    }
}

fn quoted(path: &Path) -> String {
    quote(path.as_os_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(sources: &[&str], destination: &str) -> Vec<String> {
        let sources: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
        let steps = plan_in_shell(Path::new("layer"), &sources, OsStr::new(destination));
        steps.into_iter().map(|step| step.command).collect()
    }

    #[test]
    fn plans_a_name() {
        assert_eq!(
            commands(&["a file"], "/etc/name"),
            [
                "(umask 022 && mkdir -p -- layer/diff/etc)",
                "cp -a -- 'a file' layer/diff/etc/name"
            ]
        );
        assert_eq!(
            commands(&["f"], "name"),
            ["(umask 022 && mkdir -p -- layer/diff)", "cp -a -- f layer/diff/name"]
        );
    }

    #[test]
    fn plans_a_directory() {
        assert_eq!(
            commands(&["a", "b"], "/../etc//./x/"),
            [
                "(umask 022 && mkdir -p -- layer/diff/etc/x)",
                "cp -a -- a b layer/diff/etc/x/"
            ]
        );
    }

    #[test]
    fn plans_contents() {
        assert_eq!(
            commands(&["-s/."], "/"),
            [
                "(umask 022 && mkdir -p -- layer/diff)",
                "find ./-s/. -mindepth 1 -maxdepth 1 -exec cp -a -t layer/diff -- {} +"
            ]
        );
        assert_eq!(
            commands(&["."], "/x")[1],
            "if [ -d layer/diff/x ]; then find ./. -mindepth 1 -maxdepth 1 -exec cp -a -t layer/diff/x -- {} +; \
             else cp -a -- . layer/diff/x; fi"
        );
    }
}
