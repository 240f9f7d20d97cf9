//! What a build starts from: a directory, a tar on standard input or of the web, a git repository; and its Dockerfile.

use crate::data::Data;
use crate::error::{Failure, words};
use crate::fetching::{Network, git};
use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use wiac_build::dockerfile::{Arrived, receive_context};
use wiac_build::fetch::Alone;
use wiac_dockerfile::remote::Remote;
use wiac_store::temporary::Temporary;
use wiac_sys::root::Root;

/// The names a Dockerfile is looked for by, in order.
const NAMES: [&str; 3] = ["Dockerfile", "dockerfile", "Containerfile"];

/// Larger than any Dockerfile.
const LARGEST: u64 = 4 << 20;

/// The context and the Dockerfile of a build.
pub(super) struct Input {
    /// The directory of the context.
    pub(super) context: PathBuf,
    /// The Dockerfile's name, for messages.
    pub(super) file_name: String,
    /// Its path, where it is a file.
    pub(super) dockerfile_path: Option<PathBuf>,
    /// Its text.
    pub(super) text: Vec<u8>,
    /// Where a context was fetched to: deleted with this, or by the next command.
    room: Option<Temporary>,
}

/// A context that was fetched.
pub(super) struct Fetched {
    /// Its directory.
    pub(super) directory: PathBuf,
    /// Where no files came but a Dockerfile: its text.
    text: Option<Vec<u8>>,
    /// Where that is: deleted with this.
    room: Temporary,
}

/// Whether anything has to be fetched or unpacked, for which a data directory is needed.
pub(super) fn is_remote(context: &OsStr, file: Option<&Path>) -> Result<bool, Failure> {
    Ok(context == "-" || file.is_some_and(is_address) || remote(context)?.is_some())
}

/// What has to be fetched for a context; a directory of that name counts first.
pub(super) fn remote(context: &OsStr) -> Result<Option<Remote>, Failure> {
    // No address is other than UTF-8.
    let Some(context) = context.to_str().filter(|context| !Path::new(context).exists()) else {
        return Ok(None);
    };
    Remote::of_context(context).map_err(|reason| Failure::usage(format!("{context}: {reason}")))
}

/// The Dockerfile that `-f` names: from here, or else in the context, as in podman.
fn named(context: &Path, file: &Path) -> PathBuf {
    let inside = context.join(file);
    if !file.exists() && inside.is_file() {
        return inside;
    }
    file.to_owned()
}

fn is_address(file: &Path) -> bool {
    let text = file.to_string_lossy();
    matches!(Remote::of_source(&text), Ok(Some(Remote::Web(_))))
}

impl Input {
    /// A directory of this machine with its Dockerfile.
    ///
    /// # Errors
    /// What can't be read.
    pub(super) fn local(context: &OsStr, file: Option<&Path>) -> Result<Self, Failure> {
        let context = PathBuf::from(context);
        if file == Some(Path::new("-")) {
            let mut text = Vec::new();
            std::io::stdin().take(LARGEST).read_to_end(&mut text)?;
            return Ok(Self::of_text(context, "standard input", text, None));
        }
        let wrong = match context.metadata() {
            Ok(meta) if meta.is_dir() => None,
            Ok(_) => Some("not a directory".to_owned()),
            Err(error) => Some(words(&error)),
        };
        if let Some(wrong) = wrong {
            return Err(Failure::new(format!(
                "{}: {wrong}; name the directory that is the build context",
                context.display()
            )));
        }
        let path = match file {
            Some(file) => named(&context, file),
            None => find_dockerfile(&context)?,
        };
        let text = std::fs::read(&path)
            .map_err(|error| Failure::new(format!("can't read {}: {}", path.display(), words(&error))))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            file_name: name.to_string_lossy().into_owned(),
            dockerfile_path: Some(path),
            context,
            text,
            room: None,
        })
    }

    /// Anything else: fetched into a room of the store. `keeps_git_dir`: of a repository `.git` too, if its address
    /// says nothing of that.
    ///
    /// # Errors
    /// What can't be had or read.
    pub(super) fn fetched(
        data: &Data,
        context: &OsStr,
        file: Option<&Path>,
        keeps_git_dir: bool,
    ) -> Result<Self, Failure> {
        if context == "-" && file == Some(Path::new("-")) {
            return Err(Failure::usage(
                "standard input can't be the context and the Dockerfile; name one of them otherwise",
            ));
        }
        let shown = context.to_string_lossy();
        let fetched = match (&*shown, remote(context)?) {
            ("-", _) => {
                if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
                    return Err(Failure::usage(
                        "standard input is a terminal: send a tar or a Dockerfile into it",
                    ));
                }
                receive(data, Box::new(std::io::stdin()), "standard input")?
            }
            (_, Some(mut remote)) => {
                if let (Remote::Git(source), true) = (&mut remote, keeps_git_dir) {
                    source.keep_git_dir.get_or_insert(true);
                }
                fetch(data, remote)?
            }
            (_, None) => {
                // Only the Dockerfile is elsewhere.
                let address = file.unwrap_or(Path::new("")).to_string_lossy().into_owned();
                let text = download_text(data, &address)?;
                return Ok(Self::of_text(PathBuf::from(context), &address, text, None));
            }
        };
        let Fetched { directory, text, room } = fetched;
        match (file, text) {
            (None, Some(text)) => Ok(Self::of_text(directory, "Dockerfile", text, Some(room))),
            (Some(file), _) if file == Path::new("-") => {
                let mut text = Vec::new();
                std::io::stdin().take(LARGEST).read_to_end(&mut text)?;
                Ok(Self::of_text(directory, "standard input", text, Some(room)))
            }
            (Some(file), _) if is_address(file) => {
                let address = file.to_string_lossy().into_owned();
                let text = download_text(data, &address)?;
                Ok(Self::of_text(directory, &address, text, Some(room)))
            }
            (Some(_), Some(_)) => Err(Failure::usage(format!(
                "{shown}: that is a Dockerfile by itself; leave -f out"
            ))),
            (file, None) => {
                let (name, text) = read_inside(&directory, file, &shown)?;
                Ok(Self {
                    dockerfile_path: Some(directory.join(&name)),
                    context: directory,
                    file_name: name,
                    text,
                    room: Some(room),
                })
            }
        }
    }

    /// Whether the context goes with this.
    pub(super) fn is_fetched(&self) -> bool {
        self.room.is_some()
    }

    fn of_text(context: PathBuf, name: &str, text: Vec<u8>, room: Option<Temporary>) -> Self {
        Self {
            context,
            file_name: name.to_owned(),
            dockerfile_path: None,
            text,
            room,
        }
    }
}

/// Fetches a context: a repository's files, a tar's, or a Dockerfile.
///
/// # Errors
/// What can't be had.
pub(super) fn fetch(data: &Data, remote: Remote) -> Result<Fetched, Failure> {
    match remote {
        Remote::Web(address) => {
            let file = Network::new(data.caller.uid).open(&address)?;
            let shown = address.split('?').next().unwrap_or_default().to_owned();
            receive(data, Box::new(file), &shown)
        }
        Remote::Git(source) => {
            let room = Temporary::new(&data.store)?;
            let directory = room.create_dir("context")?;
            let commit = git::resolve(&source, &Alone)?;
            if let Some(expected) = source
                .checksum
                .as_ref()
                .filter(|expected| !commit.starts_with(*expected))
            {
                return Err(Failure::new(format!(
                    "{}: it is at the commit {commit}, and {expected} is expected",
                    source.shown()
                )));
            }
            git::checkout(
                &source,
                &commit,
                source.keep_git_dir.unwrap_or(false),
                &directory,
                &Alone,
            )?;
            let directory = below(&directory, &source.directory, &source.shown())?;
            Ok(Fetched {
                directory,
                text: None,
                room,
            })
        }
    }
}

fn receive(data: &Data, source: Box<dyn Read + Send>, shown: &str) -> Result<Fetched, Failure> {
    let room = Temporary::new(&data.store)?;
    let directory = room.create_dir("context")?;
    let text = match receive_context(data.store.form(), source, shown, &directory)? {
        Arrived::Files => None,
        Arrived::Text(text) => Some(text),
    };
    Ok(Fetched { directory, text, room })
}

/// A directory of a fetched context, which no symlink in it leads out of.
fn below(directory: &Path, relative: &str, shown: &str) -> Result<PathBuf, Failure> {
    if relative.is_empty() {
        return Ok(directory.to_owned());
    }
    let missing = |_| Failure::new(format!("{shown}: there is no directory {relative} in it"));
    let resolved = Root::open(directory)?
        .resolve(Path::new("/").join(relative))
        .map_err(missing)?;
    let path = directory.join(resolved.path.strip_prefix("/").unwrap_or(&resolved.path));
    if path.is_dir() {
        Ok(path)
    } else {
        Err(Failure::new(format!("{shown}: {relative} isn't a directory of it")))
    }
}

/// The Dockerfile of a fetched context, read inside of it.
fn read_inside(directory: &Path, file: Option<&Path>, shown: &str) -> Result<(String, Vec<u8>), Failure> {
    let root = Root::open(directory)?;
    let written = file.map(|file| file.to_string_lossy().into_owned());
    let names: Vec<&str> = written.as_deref().map_or(NAMES.to_vec(), |name| vec![name]);
    for name in &names {
        if let Ok(opened) = root.open_file(Path::new("/").join(name)) {
            let mut text = Vec::new();
            opened.take(LARGEST).read_to_end(&mut text)?;
            return Ok(((*name).to_owned(), text));
        }
    }
    let name = written.as_deref().unwrap_or("Dockerfile");
    Err(Failure::new(format!(
        "there is no {name} in {shown}; name the one that there is with -f"
    )))
}

fn download_text(data: &Data, address: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let file = Network::new(data.caller.uid).open(address)?;
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(Failure::new(format!("{address}: it is too large for a Dockerfile")));
    }
    Ok(text)
}

fn find_dockerfile(directory: &Path) -> Result<PathBuf, Failure> {
    for path in NAMES.iter().map(|name| directory.join(name)) {
        match path.metadata() {
            Ok(meta) if meta.is_file() => return Ok(path),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Failure::new(format!(
                    "can't read {}: {}",
                    path.display(),
                    words(&error)
                )));
            }
            _ => {}
        }
    }
    Err(Failure::new(format!(
        "there is no Dockerfile in {}; write one, or name it with -f",
        directory.display()
    )))
}
