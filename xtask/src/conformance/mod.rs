//! `cargo xtask conformance`: the same Dockerfiles built by wiac, docker's BuildKit and buildah, and the images compared
//! entry by entry.
//!
//! A case is a directory of tests/conformance: `Dockerfile`, and where needed `prepare.sh` (makes the context's files,
//! since git keeps neither owners nor modes) and `arguments` (of the build, one a line). Every context has busybox in
//! `root/`. A difference is a failure unless `differences` names it with its reason; a reason that nothing needs any
//! more is one too.

mod differences;
mod image;
mod tools;

use crate::bench::daemon::Daemon;
use crate::bench::newest;
use crate::bench::place::Place;
use crate::{Outcome, shell};
use differences::Differences;
use image::Image;
use std::path::{Path, PathBuf};
use std::process::Command;
use tools::Tool;

/// Where the cases are.
const CASES: &str = "tests/conformance";

/// The arguments.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Only cases whose name contains this
    only: Option<String>,
    /// This binary instead of the release build
    #[arg(long, value_name = "WIAC")]
    binary: Option<PathBuf>,
    /// What the task itself adds when it starts again inside the root of the newest Debian
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

/// Runs the task.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if let Some(directory) = &arguments.inside {
        return inside(arguments, &Place::existing(directory));
    }
    if !rustix::process::geteuid().is_root() {
        return Err("the peers need root (sudo cargo xtask conformance)".into());
    }
    let place = Place::new(false)?;
    let wiac = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => shell::build_release(&[])?,
    };
    place.install(&wiac, "wiac")?;
    place
        .install(Path::new("/bin/busybox"), "busybox")
        .map_err(|error| format!("{error} (Debian: busybox-static)"))?;
    let copied = place.path("cases");
    shell::finish(
        Command::new("cp")
            .arg("-a")
            .arg(shell::workspace().join(CASES))
            .arg(&copied),
    )?;
    // Here, where there is every compressor; in the root of the peers there isn't.
    for name in names(&copied)? {
        prepare(&place, &copied.join(&name), &name)?;
    }
    let root = newest::root()?;
    newest::in_namespace(|| newest::enter(&root, &place))
}

/// Everything is in place: builds and compares.
fn inside(arguments: &Arguments, place: &Place) -> Outcome {
    let daemon = Daemon::start(place)?;
    let cases = place.path("cases");
    let mut differences = Differences::read(&cases.join("differences"))?;
    let names = names(&cases)?;
    let is_wanted = |name: &&String| arguments.only.as_ref().is_none_or(|only| name.contains(only));
    let mut failed = 0;
    for name in names.iter().filter(is_wanted) {
        failed += usize::from(!case(place, &daemon, &cases.join(name), name, &mut differences)?);
    }
    if arguments.only.is_none() {
        for unused in differences.unused() {
            println!("a reason that nothing needs: {unused}");
            failed += 1;
        }
    }
    if failed > 0 {
        return Err(format!("{failed} of the cases differ without a reason").into());
    }
    println!("{} cases: no difference without a reason", names.len());
    Ok(())
}

/// The cases, sorted.
fn names(cases: &Path) -> Outcome<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(cases)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn context_of(case: &str) -> String {
    format!("contexts/{case}")
}

/// Builds one case with every tool; `false` where something differs without a reason.
fn case(place: &Place, daemon: &Daemon, directory: &Path, name: &str, differences: &mut Differences) -> Outcome<bool> {
    let context = place.path(&context_of(name));
    let options = std::fs::read_to_string(directory.join("arguments")).unwrap_or_default();
    let options: Vec<&str> = options.lines().collect();
    let ours = Tool::Wiac.build(place, daemon, &context, &options)?;
    let mut is_fine = true;
    for tool in [Tool::Docker, Tool::Buildah] {
        let theirs = tool.build(place, daemon, &context, &options)?;
        for difference in compare(&ours, &theirs) {
            let key = format!("{name} {} {}", tool.name(), difference.what);
            if let Some(reason) = differences.reason(&key) {
                println!("{key}: {} ({reason})", difference.how);
            } else {
                println!("{key}: {} (WITHOUT A REASON)", difference.how);
                is_fine = false;
            }
        }
    }
    println!("{name}: {}", if is_fine { "ok" } else { "differs" });
    Ok(is_fine)
}

/// Makes the build context of a case.
fn prepare(place: &Place, directory: &Path, name: &str) -> Outcome {
    let context = place.fresh(&context_of(name))?;
    let bin = context.join("root/bin");
    std::fs::create_dir_all(&bin)?;
    std::fs::create_dir_all(context.join("root/etc"))?;
    std::fs::copy(place.program("busybox"), bin.join("busybox"))?;
    for applet in [
        "sh", "awk", "cat", "chmod", "chown", "cp", "df", "echo", "env", "find", "grep", "id", "ln", "ls", "mkdir",
        "mkfifo", "mv", "pwd", "rm", "rmdir", "sort", "stat", "tail", "test", "touch", "tr", "true",
    ] {
        std::os::unix::fs::symlink("busybox", bin.join(applet))?;
    }
    std::fs::write(
        context.join("root/etc/passwd"),
        "root:x:0:0:root:/:/bin/sh\nann:x:1000:1000:Ann:/home:/bin/sh\n",
    )?;
    std::fs::write(context.join("root/etc/group"), "root:x:0:\nann:x:1000:\nstaff:x:50:\n")?;
    std::fs::copy(directory.join("Dockerfile"), context.join("Dockerfile"))?;
    let script = directory.join("prepare.sh");
    if script.exists() {
        shell::finish(Command::new("bash").arg("-eu").arg(&script).current_dir(&context))?;
    }
    Ok(())
}

/// One thing that isn't the same.
struct Difference {
    /// A path, or a field of the configuration.
    what: String,
    how: String,
}

/// What a build came to: an image, or an error.
type Result<'a> = &'a std::result::Result<Image, String>;

fn compare(ours: Result<'_>, theirs: Result<'_>) -> Vec<Difference> {
    let difference = |what: &str, how: String| Difference {
        what: what.to_owned(),
        how,
    };
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(_), Err(_)) => return Vec::new(),
        (Err(error), Ok(_)) => return vec![difference("build", format!("only wiac fails: {}", error.trim()))],
        (Ok(_), Err(error)) => return vec![difference("build", format!("only the other fails: {}", error.trim()))],
    };
    let mut found = Vec::new();
    for (kind, ours, theirs) in [
        ("", &ours.files, &theirs.files),
        ("config.", &ours.config, &theirs.config),
    ] {
        let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let (ours, theirs) = (ours.get(name), theirs.get(name));
            if ours != theirs {
                let shown = |value: Option<&String>| value.map_or("nothing".to_owned(), |value| format!("{value:?}"));
                found.push(difference(
                    &format!("{kind}{name}"),
                    format!("wiac has {}, the other {}", shown(ours), shown(theirs)),
                ));
            }
        }
    }
    found
}
