//! A container on a failed step, in exactly its state: what it changes is thrown away.

mod tools;

use crate::container::{self, DefaultName, Network, Wishes};
use crate::dockerfile::KeptRun;
use crate::error::{Error, IoExt, Result};
use std::path::{Path, PathBuf};
use tools::Tools;
use wiac_layer::merged::{Found, LayerStack};
use wiac_oci::convert::ProcessOverrides;
use wiac_oci::image::ImageConfig;
use wiac_oci::runtime::{Mount, RuntimeConfig};
use wiac_store::FailureRecord;

/// Where tools of the host are seen in a root that has no shell.
const TOOLS: &str = "/.wiac-tools";

/// What is to run, and how.
#[derive(Debug, Default)]
pub struct Session {
    /// The command; a shell where it is empty.
    pub command: Vec<String>,
    /// It gets a terminal.
    pub terminal: bool,
    /// Rows and columns of that.
    pub size: Option<(u16, u16)>,
}

/// How a failed step ran.
///
/// # Errors
/// A record of another version.
pub fn kept(failure: &FailureRecord) -> Result<KeptRun> {
    serde_json::from_value(failure.details.clone()).map_err(|error| {
        Error::wrong_with_hint(
            format!("the failed step {} can't be read: {error}", failure.id),
            format!("wiac debug rm {} forgets it", failure.id),
        )
    })
}

/// The container on `stack`, and what of the step's mounts isn't there any more. `room`: a directory that lives as long as
/// the container.
///
/// # Errors
/// Neither the image nor the host has a shell; or what the disk says.
pub fn configure(
    run: &KeptRun,
    stack: &LayerStack,
    session: &Session,
    room: &Path,
) -> Result<(RuntimeConfig, Vec<String>)> {
    let mut missing = run.missing.clone();
    let mut mounts = Vec::new();
    let mut env = run.env.clone();
    for mount in &run.mounts {
        match &mount.source {
            Some(source) if mount.kind.as_deref() != Some("tmpfs") && !source.exists() => {
                missing.push(mount.destination.clone());
            }
            _ => mounts.push(mount.clone()),
        }
    }
    add_secrets(run, &mut mounts, &mut env, &mut missing);
    for (socket, target) in &run.agents {
        if socket.exists() {
            mounts.push(Mount::bind(socket, &target.to_string_lossy(), &[]));
            env.push(format!("SSH_AUTH_SOCK={}", target.display()));
        } else {
            missing.push(target.display().to_string());
        }
    }
    let mut command = session.command.clone();
    if command.is_empty() {
        command = match shell(run, stack)? {
            Some(shell) => vec![shell],
            None => add_tools(&mut mounts, &mut env, room)?,
        };
    }
    let mut image = ImageConfig::default();
    image.config.env.clone_from(&run.env);
    image.config.user.clone_from(&run.user);
    image.config.working_dir.clone_from(&run.working_dir);
    let wishes = Wishes {
        process: ProcessOverrides {
            entrypoint: Some(Vec::new()),
            command,
            env,
            terminal: session.terminal,
            ..ProcessOverrides::default()
        },
        network: if run.no_network { Network::None } else { Network::Host },
        mounts,
        volumes: Vec::new(),
        size: session.size,
        hosts: run.hosts.clone(),
        shm_size: run.shm_size,
        limits: run.limits.clone(),
        insecure: run.insecure,
        default_name: DefaultName::Step,
    };
    let files = room.join("files");
    std::fs::create_dir(&files).on("create", &files)?;
    Ok((container::configure(stack, &image, &wishes, &files)?, missing))
}

/// Secrets from where they came from. One that was a variable can't be shown as a file: it would be written to the disk.
fn add_secrets(run: &KeptRun, mounts: &mut Vec<Mount>, env: &mut Vec<String>, missing: &mut Vec<String>) {
    for secret in &run.secrets {
        let value = || match (&secret.file, &secret.variable) {
            (Some(path), _) => std::fs::read_to_string(path).ok(),
            (None, Some(name)) => std::env::var(name).ok(),
            (None, None) => None,
        };
        if let Some(name) = &secret.env {
            match value() {
                Some(value) => env.push(format!("{name}={value}")),
                None => missing.push(format!("secret {}", secret.id)),
            }
        }
        let Some(target) = &secret.target else { continue };
        match secret.file.as_ref().filter(|path| path.exists()) {
            Some(path) => mounts.push(Mount::bind(path, &target.to_string_lossy(), &["ro"])),
            None => missing.push(format!("secret {} ({})", secret.id, target.display())),
        }
    }
}

/// The stage's shell, or /bin/sh, where the image has it.
fn shell(run: &KeptRun, stack: &LayerStack) -> Result<Option<String>> {
    let own = run.shell.first().map(String::as_str);
    for candidate in own.into_iter().chain(["/bin/sh"]) {
        let found = stack.resolve(Path::new(candidate))?.found;
        if candidate.starts_with('/')
            && matches!(found, Some(Found::Other { status, .. }) if status.st_mode & 0o111 != 0)
        {
            return Ok(Some(candidate.to_owned()));
        }
    }
    Ok(None)
}

/// A shell and tools of the host, beside the root; the command that starts the shell.
fn add_tools(mounts: &mut Vec<Mount>, env: &mut Vec<String>, room: &Path) -> Result<Vec<String>> {
    let place: PathBuf = room.join("tools");
    std::fs::create_dir(&place).on("create", &place)?;
    let Tools { command, variables } = tools::make(&place, Path::new(TOOLS))?;
    mounts.push(Mount::bind(&place, TOOLS, &["ro"]));
    let path = env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or_default();
    env.push(format!("PATH={path}:{TOOLS}/bin"));
    env.extend(variables);
    Ok(command)
}
