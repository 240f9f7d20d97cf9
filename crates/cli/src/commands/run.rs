//! `wiac run`: a command on a chain of directories, on an image, or on a bundle.

mod arguments;
mod layers;
mod request;

use super::DryRun;
use super::build::{Stopped, build_directory};
use crate::data::{self, Data};
use crate::docker_options::not_text;
use crate::error::{CONTAINER_NOT_RUN, Failure, exit_code};
use crate::exit::ExitCode;
use crate::volumes::Volumes;
use crate::{Global, ending, environment, start_hint, terminal, volumes};
pub(crate) use arguments::Arguments;
use layers::Ground;
use request::Request;
use std::ffi::OsString;
use std::path::PathBuf;
use wiac_build::container::{self, DefaultName, Wishes};
use wiac_layer::Form;
use wiac_oci::convert::ProcessOverrides;
use wiac_oci::runtime::RuntimeConfig;
use wiac_run::attach::{Manner, Signals, attach};
use wiac_run::io::Io;
use wiac_run::plan::{MOUNT_TABLE, Settings};
use wiac_run::{Container, Plan};

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: Arguments) -> Result<ExitCode, Failure> {
    run_container(global, arguments).map_err(|stopped| match stopped {
        Stopped::Failed(failure) => failure,
        Stopped::Interrupted(signal) => Failure::new("interrupted").with_code(u8::try_from(128 + signal).unwrap_or(1)),
    })
}

fn run_container(global: &Global, mut arguments: Arguments) -> Result<ExitCode, Stopped> {
    let signals = ending::catch().map_err(not_run)?;
    let request = Request::parse(&mut arguments.what, arguments.container.rm)
        .map_err(|failure| failure.with_code(CONTAINER_NOT_RUN))?;
    let volumes = Volumes::parse(&arguments.container.volume)?;
    let data = data::open(global).map_err(|failure| failure.with_code(CONTAINER_NOT_RUN))?;
    // An image without a name is kept by its lock until its layers have theirs.
    let mut built_image = None;
    let request = match request {
        Request::Build(path) => {
            // Nothing of the container has run: that is what the exit code says, as where a pull fails in docker.
            let built = build_directory(&data, &signals, &path).map_err(|stopped| match stopped {
                Stopped::Failed(failure) => Stopped::Failed(failure.with_code(CONTAINER_NOT_RUN)),
                interrupted @ Stopped::Interrupted(_) => interrupted,
            });
            let image = built_image.insert(built?.0);
            Request::Image(image.id.to_string())
        }
        request => request,
    };
    let in_background = terminal::is_in_background(rustix::stdio::stdin());
    // As in the original, a command on directories has the caller's input: what it doesn't read is left for others.
    let is_chain = matches!(request, Request::Chain { .. });
    let streams = terminal::streams(
        arguments.process.interactive || is_chain && !in_background,
        arguments.process.tty,
        is_chain,
    )?;
    let dry_layer = DryLayer::new(&request, arguments.dry_run.is_some());
    let ground = Ground::prepare(&data, request, arguments.container.name.as_deref(), &arguments.pulling);
    // What broke when the user asked for the end (a download) is its consequence.
    let ground = ground.map_err(|failure| match signals.next_request_to_end() {
        Some(signal) => Stopped::Interrupted(signal),
        None => Stopped::Failed(failure.with_code(CONTAINER_NOT_RUN)),
    })?;
    drop(built_image);
    // Only now: a container that can't be had leaves no directory behind.
    let missing = volumes.make_missing()?;
    let wishes = Wishes {
        process: overrides(&arguments, streams.terminal)?,
        network: arguments.container.network,
        volumes: volumes.mounts,
        size: streams.size,
        default_name: DefaultName::Own(ground.id.clone()),
        ..Wishes::default()
    };
    let (plan, runtime) = plan(&data, &ground, &wishes).map_err(|failure| {
        missing.remove();
        failure.with_code(CONTAINER_NOT_RUN)
    })?;
    let mut targets = container::mount_targets(&runtime);
    targets.push(PathBuf::from(MOUNT_TABLE));
    ground.note_mounts(&targets)?;
    if arguments.dry_run == Some(DryRun::Shell) {
        let printed = print_script(&plan, &data, &ground, &missing.volumes);
        missing.remove();
        drop(dry_layer);
        return Ok(printed?);
    }
    let manner = Manner {
        takes_input: streams.takes_input,
        passes_signals_on: arguments.process.sig_proxy,
    };
    let (container, code) = execute(
        plan,
        &runtime,
        streams.io,
        (&signals, manner),
        &ground,
        data.store.form(),
    )?;
    ground.clear(container);
    Ok(code)
}

/// A container layer that only a dry run made, to be taken away again: a plan needs directories that are there.
struct DryLayer(Option<PathBuf>);

impl DryLayer {
    fn new(request: &Request, dry_run: bool) -> Self {
        match request {
            Request::Chain { layer, .. } if dry_run && layer.symlink_metadata().is_err() => Self(Some(layer.clone())),
            _ => Self(None),
        }
    }
}

impl Drop for DryLayer {
    fn drop(&mut self) {
        if let Some(layer) = &self.0 {
            // What is left would be an empty container layer: no harm.
            let _ = std::fs::remove_dir_all(layer);
        }
    }
}

/// Prints the script, with the files and directories that would be gone when it is run.
fn print_script(plan: &Plan, data: &Data, ground: &Ground, directories: &[PathBuf]) -> Result<ExitCode, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&ground.files)? {
        let path = entry?.path();
        let contents = std::fs::read(&path)?;
        files.push((path, contents));
    }
    files.sort();
    print!(
        "{}",
        wiac_run::shell::script_with_files(plan, data.user_namespace.as_ref(), &files, directories)
    );
    Ok(ExitCode::SUCCESS)
}

fn not_run(error: impl std::error::Error) -> Failure {
    Failure::new(error).with_code(CONTAINER_NOT_RUN)
}

fn overrides(arguments: &Arguments, terminal: bool) -> Result<ProcessOverrides, Failure> {
    // As in docker, a name that isn't set here isn't set there either, whatever the image says.
    let from_environment = |text: &String| match text.split_once('=') {
        Some(_) => Ok(text.clone()),
        None => Ok(environment::value(text)?.map_or_else(|| text.clone(), |value| format!("{text}={value}"))),
    };
    let (process, container) = (&arguments.process, &arguments.container);
    let env = process.env.iter().map(from_environment);
    Ok(ProcessOverrides {
        entrypoint: process.entrypoint.as_ref().map(|program| vec![program.clone()]),
        command: arguments.what.words.iter().map(text).collect::<Result<_, _>>()?,
        env: env.collect::<Result<_, Failure>>()?,
        user: process.user.clone(),
        // As docker has it, an empty one is none: a script's variable may be unset.
        workdir: process.workdir.clone().filter(|directory| !directory.is_empty()),
        terminal,
        hostname: container.hostname.as_deref().map(host_name).transpose()?,
        read_only: container.read_only,
        ..ProcessOverrides::default()
    })
}

/// A word of the command, which goes into a configuration.
fn text(word: &OsString) -> Result<String, Failure> {
    word.to_str().map(str::to_owned).ok_or_else(|| not_text(word))
}

/// A host name that the kernel takes (sethostname(2)), and that stays one word in /etc/hosts.
fn host_name(name: &str) -> Result<String, Failure> {
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return Err(Failure::usage(format!(
            "--hostname {name}: it has {} bytes, and a host name has {LONGEST} at most",
            name.len()
        )));
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Failure::usage(format!(
            "--hostname {name:?}: a host name has no spaces and no control characters in it"
        )));
    }
    Ok(name.to_owned())
}

fn plan(data: &Data, ground: &Ground, wishes: &Wishes) -> Result<(Plan, RuntimeConfig), Failure> {
    let runtime = container::configure(&ground.seen(), &ground.image, wishes, &ground.files)?;
    let rootfs = container::overlay(&ground.stack, ground.workspace.clone(), data.store.form());
    let settings = Settings {
        optional_hostname: wishes.process.hostname.is_none(),
        mount_table: true,
        image_volumes: volumes::of_image(&ground.image.config),
        ..container::settings(data.user_namespace.as_ref())
    };
    Ok((Plan::new(&runtime, &rootfs, &settings)?, runtime))
}

fn execute(
    plan: Plan,
    runtime: &RuntimeConfig,
    io: Io,
    (signals, manner): (&Signals, Manner),
    ground: &Ground,
    form: Form,
) -> Result<(Container, ExitCode), Failure> {
    if manner.passes_signals_on {
        signals.catch_for_container().map_err(not_run)?;
    }
    let mut container = match Container::run(plan, io) {
        Ok(container) => container,
        Err(wiac_run::Error::Exec { errno, root }) => {
            let mut why = container::explain_start(runtime, errno, root.as_ref());
            let command = runtime.process.as_ref().and_then(|process| process.args.first());
            if command.is_some_and(|command| command.starts_with('-')) {
                why.message.push_str(
                    "\nit was taken for the command: wiac's options stand before the image or the directories",
                );
            }
            return Err(Failure::new(why.message).with_code(u8::try_from(why.code).unwrap_or(CONTAINER_NOT_RUN)));
        }
        Err(error) => return Err(Failure::new(start_hint::with_hint(&error)).with_code(CONTAINER_NOT_RUN)),
    };
    for error in container.left_out() {
        eprintln!(
            "wiac: warning: {error}; going on without it (a seccomp filter around wiac, as podman's, may forbid it)"
        );
    }
    let code = attach(&mut container, signals, manner).map_err(not_run)?.exit_code();
    if let Some(reason) = container::explain_end(&ground.seen(), form, runtime, code) {
        eprintln!("wiac: {reason}");
    }
    Ok((container, exit_code(code)))
}
