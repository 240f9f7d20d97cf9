//! `wiac build PATH`.

use crate::error::{Failure, exit_code, words};
use crate::images::AllImages;
use crate::progress::Lines;
use crate::pulling::Pulling;
use crate::{Global, data, overlay_hint};
use clap::Args;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wiac_build::container::Network;
use wiac_build::dockerfile::{Request, Tools};
use wiac_oci::reference::Reference;
use wiac_run::attach::Signals;
use wiac_store::{HeldImage, ImageRecord};

/// The names a Dockerfile is looked for by, in order.
const NAMES: [&str; 3] = ["Dockerfile", "dockerfile", "Containerfile"];

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory of the build context
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// The Dockerfile (default PATH/Dockerfile); - reads it from standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Build this stage
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Set a build argument; without a value it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Run every step again
    #[arg(long)]
    no_cache: bool,
    /// Name the image
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<Reference>,
    /// The network of RUN: host or none
    #[arg(long, value_name = "NETWORK", default_value = "host", value_parser = crate::network::parse)]
    network: Network,
    /// Say nothing, and print the image's id alone
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let signals = Signals::catch()?;
    let data = data::open(global)?;
    let (image, record) = match build(&data, &signals, arguments) {
        Err(Stopped::Interrupted(signal)) => return Ok(exit_code(128 + signal)),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Ok(built) => built,
    };
    if arguments.quiet {
        println!("{}", image.id);
    } else {
        println!("{}", chain(&data, &record));
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a build ended early.
pub(crate) enum Stopped {
    /// The user asked for it by this signal.
    Interrupted(i32),
    /// It failed.
    Failed(Failure),
}

impl<F: Into<Failure>> From<F> for Stopped {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// Builds a directory with the defaults of the command.
pub(crate) fn build_directory(
    data: &data::Data,
    signals: &Signals,
    path: &Path,
) -> Result<(HeldImage, ImageRecord), Stopped> {
    let arguments = Arguments {
        path: path.to_owned(),
        file: None,
        target: None,
        build_arg: Vec::new(),
        no_cache: false,
        tag: Vec::new(),
        network: Network::Host,
        quiet: false,
    };
    build(data, signals, &arguments)
}

fn build(data: &data::Data, signals: &Signals, arguments: &Arguments) -> Result<(HeldImage, ImageRecord), Stopped> {
    let (file_name, dockerfile_path, text) = read_dockerfile(arguments)?;
    let request = Request {
        context: arguments.path.clone(),
        dockerfile_path,
        text,
        target: arguments.target.clone(),
        build_args: build_arguments(&arguments.build_arg),
        no_cache: arguments.no_cache,
        quiet: arguments.quiet,
        network: arguments.network,
        ..Request::default()
    };
    let tools = Tools {
        store: &data.store,
        images: &mut AllImages::new(data, Pulling::default()),
        progress: &mut Lines { quiet: arguments.quiet },
        signals,
        user_namespace: data.user_namespace.as_ref(),
    };
    let built =
        wiac_build::dockerfile::build(&request, tools).map_err(|error| stopped(error, &file_name, &request.text))?;
    let image = data.store.add_image(&built.record)?;
    for name in &arguments.tag {
        data.store.name_image(name, &image.id)?;
    }
    Ok((image, built.record))
}

/// The Dockerfile's name for messages, its path where it is a file, its text.
fn read_dockerfile(arguments: &Arguments) -> Result<(String, Option<PathBuf>, Vec<u8>), Failure> {
    if arguments.file.as_deref() == Some(Path::new("-")) {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        return Ok(("standard input".to_owned(), None, text));
    }
    if !arguments.path.is_dir() {
        return Err(Failure::new(format!(
            "{}: not a directory; name the directory that is the build context",
            arguments.path.display()
        )));
    }
    let path = match &arguments.file {
        Some(file) => file.clone(),
        None => find_dockerfile(&arguments.path)?,
    };
    let text = std::fs::read(&path)
        .map_err(|error| Failure::new(format!("can't read {}: {}", path.display(), words(&error))))?;
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    Ok((name, Some(path), text))
}

fn find_dockerfile(directory: &Path) -> Result<PathBuf, Failure> {
    NAMES
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Failure::new(format!(
                "there is no Dockerfile in {}; write one, or name it with -f",
                directory.display()
            ))
        })
}

/// `NAME=VALUE`; `NAME` alone is read from the environment, and left out where it isn't set.
fn build_arguments(written: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), std::env::var(text).ok()?)),
    };
    written.iter().filter_map(pair).collect()
}

/// An error with the place in the Dockerfile it belongs to.
fn stopped(error: wiac_build::Error, file_name: &str, text: &[u8]) -> Stopped {
    use wiac_build::Error;
    match error {
        Error::Dockerfile(error) => Stopped::Failed(Failure::new(error.render(file_name, text))),
        Error::Step { span, source } => match *source {
            Error::Interrupted { signal } => Stopped::Interrupted(signal),
            source => {
                let mut message = format!("{file_name}:{}: {source}", span.first_line);
                if let Error::Failed {
                    reason: Some(reason), ..
                } = &source
                {
                    message = format!("{message}\n{reason}");
                }
                if let Error::Run(error) = &source
                    && let Some(hint) = overlay_hint::hint(error)
                {
                    message = format!("{message}\n{hint}");
                }
                Stopped::Failed(Failure::new(format!(
                    "{message}\n{}",
                    wiac_dockerfile::excerpt(span, text)
                )))
            }
        },
        other => Stopped::Failed(other.into()),
    }
}

/// The directories of the layers, topmost first, ready for `wiac run`.
fn chain(data: &data::Data, record: &ImageRecord) -> String {
    let directories: Vec<_> = record.layers.iter().rev().map(|id| data.store.layer_diff(id)).collect();
    super::chain(directories.iter().map(PathBuf::as_path))
}
