//! `wiac build PATH`.

mod annotations;
mod by_hand;
mod caches;
mod calls;
mod contexts;
mod failed;
mod input;
mod outputs;
mod platforms;
mod stopped;
mod told;
mod values;
mod verify;

use super::DryRun;
use crate::error::{Failure, exit_code};
use crate::exit::ExitCode;
use crate::fetching;
use crate::images::AllImages;
use crate::progress::Style;
use crate::pulling::{Policy, Pulling};
use crate::registry::RegistryOptions;
use crate::{Global, data, ending};
use caches::{CacheFrom, CacheTo, Imports};
use calls::{Asked, Call};
use clap::Args;
use contexts::Contexts;
use input::Input;
use outputs::Output;
use platforms::Images;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
pub(crate) use stopped::Stopped;
use stopped::stopped;
use told::Told;
use wiac_build::container::Network;
use wiac_build::dockerfile::{Built, Request, Tools};
use wiac_build::import::StepCache;
use wiac_layer::compression::Compression;
use wiac_oci::manifest::Platform;
use wiac_oci::reference::Reference;
use wiac_run::attach::Signals;
use wiac_store::transfer::Packing;
use wiac_store::{HeldImage, ImageRecord};

/// What is done where a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    /// A shell in its state.
    Shell,
}

// What may be written; clap makes the help of the comments below.
#[derive(Debug, Default, Args)]
#[command(args_override_self = true)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Arguments {
    /// The build context: a directory, - for a tar or a Dockerfile on standard input, the URL of a tar, a git repository
    #[arg(value_name = "PATH|URL|-", default_value = ".")]
    path: OsString,
    /// The Dockerfile (default PATH/Dockerfile); - reads it from standard input, a URL is fetched
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
    #[arg(short, long, value_name = "NAME", value_parser = crate::place::new_name)]
    tag: Vec<Reference>,
    /// The network of RUN: host or none
    #[arg(long, value_name = "NETWORK", default_value = "host", value_parser = crate::network::parse)]
    network: Network,
    /// Say nothing, and print the image's id alone; for several platforms the index's digest
    #[arg(short, long)]
    quiet: bool,
    /// Run every step of this stage again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Show a secret to RUN: id=ID,src=FILE or id=ID,env=VARIABLE
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Show an SSH agent to RUN: default, or ID=SOCKET
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Grant what a step may ask for: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<String>,
    /// A further build context: NAME=DIRECTORY, or an image (containers-storage:…, oci-layout://…)
    #[arg(long, value_name = "NAME=CONTEXT")]
    build_context: Vec<String>,
    /// A further line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// The size of /dev/shm, such as 64m
    #[arg(long, value_name = "BYTES", value_parser = values::size)]
    shm_size: Option<u64>,
    /// A resource limit: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,
    /// A label of the image
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Use a build cache of another machine: type=local,src=DIR, type=registry,ref=NAME, or NAME
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,
    /// Write a build cache: type=local,dest=DIR, type=registry,ref=NAME, type=inline; mode=max for every stage
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,
    /// Write the result elsewhere: a directory, - for a tar, or type=local|tar|oci|docker|image,dest=FILE
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Write the image's id, as other tools know it, to this file; for several platforms the index's digest
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write what was built to this file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Don't build: say what can be asked of the Dockerfile
    #[arg(long, value_name = "CALL", value_enum)]
    call: Option<Call>,
    /// Short for --call=check
    #[arg(long)]
    check: bool,
    /// Fix every time: SOURCE_DATE_EPOCH, or 1970
    #[arg(long)]
    reproducible: bool,
    /// The platform to build for; several, with commas between, give an index
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<Platform>,
    /// An annotation: [KIND[[PLATFORM]],…:]NAME=VALUE; kinds: manifest, manifest-descriptor, index, index-descriptor
    #[arg(long, value_name = "ANNOTATION")]
    annotation: Vec<String>,
    /// How progress is shown: auto, plain, tty, quiet or rawjson (default: BUILDKIT_PROGRESS, or auto)
    #[arg(long, value_name = "STYLE")]
    progress: Option<Style>,
    /// Keep the image in the store, as is done anyway
    #[arg(long)]
    load: bool,
    /// false, as docker has it: nothing is attested in any case
    #[arg(long, value_name = "false", value_parser = values::nothing_attested, hide = true)]
    provenance: Option<bool>,
    /// The same
    #[arg(long, value_name = "false", value_parser = values::nothing_attested, hide = true)]
    sbom: Option<bool>,
    /// Push the image under each of its names
    #[arg(long, requires = "tag")]
    push: bool,
    /// Build nothing: print what would be done, as a script
    #[arg(long, value_name = "AS")]
    dry_run: Option<DryRun>,
    /// Where a step fails: shell opens a shell in its state, on a terminal
    #[arg(long, value_name = "DO", value_enum)]
    on_error: Option<OnError>,
    /// Tell of each step why it was carried out or not
    #[arg(long)]
    explain: bool,
    /// Build again without the cache, and show which files differ
    #[arg(long)]
    verify: bool,
    /// Pull base images even where they are here; or always, missing, never, newer
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = Policy::of_build
    )]
    pull: Option<Policy>,
}

impl Arguments {
    /// What clap makes of a path, `-q` and `-t NAME`. `None` where it has to look itself.
    pub(crate) fn of_words(words: &[OsString]) -> Option<Self> {
        let mut arguments = Self::default();
        let mut path = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_bytes() {
                b"-q" => arguments.quiet = true,
                b"-t" => arguments
                    .tag
                    .push(crate::place::new_name(words.next()?.to_str()?).ok()?),
                bytes if bytes.starts_with(b"-") || path.is_some() => return None,
                _ => path = Some(word.clone()),
            }
        }
        arguments.path = path?;
        Some(arguments)
    }
}

/// Runs the command.
pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let call = if arguments.check {
        Some(Call::Check)
    } else {
        arguments.call
    };
    if let Some(call) = call.filter(|call| *call != Call::Build) {
        let file = arguments.file.as_deref();
        let input = if input::is_remote(&arguments.path, file)? {
            Input::fetched(&data::open(global)?, &arguments.path, file)?
        } else {
            Input::local(&arguments.path, file)?
        };
        let asked = Asked {
            file_name: &input.file_name,
            text: &input.text,
            target: arguments.target.as_deref(),
            build_args: &arguments.build_arg,
        };
        return asked.answer(call);
    }
    told::forget(arguments)?;
    let outputs: Vec<Output> = parsed(&arguments.output, Output::parse)?;
    let cache_from: Vec<CacheFrom> = parsed(&arguments.cache_from, CacheFrom::parse)?;
    let cache_to: Vec<CacheTo> = parsed(&arguments.cache_to, CacheTo::parse)?;
    let chosen = style(arguments)?;
    let data = data::open(global)?;
    // Until signals are caught they end the command at once, whatever is being fetched.
    let input = read(&data, arguments)?;
    let contexts = contexts::contexts(&data, &arguments.build_context)?;
    if arguments.dry_run == Some(DryRun::Shell) {
        return by_hand::print(&data, arguments, (&input, &contexts));
    }
    let imports = Imports::open(&data, &cache_from, arguments.platform.first());
    let signals = ending::catch()?;
    let sources = (&input, &contexts);
    let is_inline = cache_to.iter().any(CacheTo::is_inline);
    let images = match Images::build(&data, &signals, arguments, sources, &imports, is_inline) {
        Err(Stopped::Interrupted(signal)) => return Ok(exit_code(128 + signal)),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Ok(images) => images,
    };
    let epoch = epoch(arguments)?;
    let mut written = None;
    for output in &outputs {
        written = written.or(output.write(&data, &images, &arguments.tag, epoch)?);
    }
    let is_kept = outputs.is_empty() || arguments.load || arguments.push || outputs.iter().any(Output::is_image);
    let held = is_kept.then(|| images.keep(&data)).transpose()?;
    let told = Told::find(&data, arguments, &images, (held.as_deref(), written), epoch)?;
    told.write(arguments, &images)?;
    // The image is kept all the same where its cache can't be written.
    let exported = cache_to
        .iter()
        .try_for_each(|to| caches::export(&data, (to, epoch), &images.stages, &imports));
    if let Some(held) = held {
        images.name(&data, &arguments.tag, &held, told.index())?;
        if arguments.push {
            push(&data, arguments, epoch)?;
        }
        let own = images.own();
        match told.id() {
            _ if chosen != Style::Quiet => println!("{}", chain(&data, &images.records[own])),
            Some(id) => println!("{id}"),
            None => println!("{}", held[own].id),
        }
    }
    exported?;
    finish(&data, &signals, arguments, (&input, &contexts), &images)
}

/// What comes after the result is told.
fn finish(
    data: &data::Data,
    signals: &Signals,
    arguments: &Arguments,
    sources: (&Input, &Contexts),
    images: &Images,
) -> Result<ExitCode, Failure> {
    if !arguments.verify {
        return Ok(ExitCode::SUCCESS);
    }
    match verify::run(data, signals, arguments, sources, images) {
        Err(Stopped::Interrupted(signal)) => Ok(exit_code(128 + signal)),
        Err(Stopped::Failed(failure)) => Err(failure),
        Ok(code) => Ok(code),
    }
}

/// The values of an option that may be repeated.
fn parsed<T>(written: &[String], parse: impl Fn(&str) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    written.iter().map(|text| parse(text)).collect()
}

/// Pushes what was built, under each name.
fn push(data: &data::Data, arguments: &Arguments, clamp: Option<i64>) -> Result<(), Failure> {
    let client = RegistryOptions::default().client(data.caller.uid);
    let packing = Packing {
        compression: Compression::Gzip,
        level: None,
        clamp,
    };
    let is_quiet = style(arguments)? == Style::Quiet;
    for name in &arguments.tag {
        let name = name.clone().with_default_tag();
        super::push::send_stored(
            data,
            &client,
            (&name.to_string(), None),
            &name,
            (&packing, None),
            is_quiet,
        )?;
    }
    Ok(())
}

/// How progress is shown.
fn style(arguments: &Arguments) -> Result<Style, Failure> {
    if arguments.quiet {
        return Ok(Style::Quiet);
    }
    Style::choose(arguments.progress)
}

/// The time that everything gets: a build argument or variable of the name SOURCE_DATE_EPOCH, or 1970 where all times
/// are to be fixed and none is named.
fn epoch(arguments: &Arguments) -> Result<Option<i64>, Failure> {
    let named = values::build_arguments(&arguments.build_arg)?.remove("SOURCE_DATE_EPOCH");
    let named = match named.filter(|text| !text.is_empty()) {
        Some(text) => Some(i64::from(text.parse::<u32>().map_err(|_| {
            Failure::usage(format!(
                "SOURCE_DATE_EPOCH={text}: a number of seconds since 1970 is expected"
            ))
        })?)),
        None => super::save::source_date_epoch()?,
    };
    Ok(named.or(arguments.reproducible.then_some(0)))
}

/// Builds a directory with the defaults of the command.
pub(crate) fn build_directory(
    data: &data::Data,
    signals: &Signals,
    path: &Path,
) -> Result<(HeldImage, ImageRecord), Stopped> {
    let arguments = Arguments {
        path: path.as_os_str().to_owned(),
        ..Arguments::default()
    };
    let input = Input::local(&arguments.path, None)?;
    let built = make(data, signals, &arguments, ((&input, &Contexts::default()), None), None)?;
    Ok((data.store.add_image(&built.record)?, built.record))
}

fn read(data: &data::Data, arguments: &Arguments) -> Result<Input, Failure> {
    let file = arguments.file.as_deref();
    if input::is_remote(&arguments.path, file)? {
        Input::fetched(data, &arguments.path, file)
    } else {
        Input::local(&arguments.path, file)
    }
}

/// What is to be built.
fn request(
    arguments: &Arguments,
    (input, contexts): (&Input, &Contexts),
    platform: Option<&Platform>,
) -> Result<Request, Failure> {
    Ok(Request {
        context: input.context.clone(),
        dockerfile_path: input.dockerfile_path.clone(),
        text: input.text.clone(),
        target: arguments.target.clone(),
        build_args: values::build_arguments(&arguments.build_arg)?,
        no_cache: arguments.no_cache,
        apart: false,
        explain: arguments.explain,
        kept: std::sync::Mutex::default(),
        no_cache_stages: arguments.no_cache_filter.clone(),
        epoch: epoch(arguments)?,
        contexts: contexts.directories.clone(),
        image_contexts: contexts.images.clone(),
        separate_streams: style(arguments)? == Style::RawJson,
        network: arguments.network,
        secrets: values::secrets(&arguments.secret)?,
        ssh: values::agents(&arguments.ssh)?,
        allow: values::entitlements(&arguments.allow)?,
        hosts: values::hosts(&arguments.add_host)?,
        shm_size: arguments.shm_size,
        limits: values::limits(&arguments.ulimit)?,
        labels: values::labels(&arguments.label)?,
        platform: platform.cloned(),
        check: calls::check_options()?,
    })
}

/// When base images are pulled, and for which platform.
fn pulling(arguments: &Arguments, platform: Option<&Platform>) -> Pulling {
    Pulling {
        pull: arguments.pull.unwrap_or_default(),
        platform: platform.cloned(),
        ..Pulling::default()
    }
}

fn make(
    data: &data::Data,
    signals: &Signals,
    arguments: &Arguments,
    ((input, contexts), imports): ((&Input, &Contexts), Option<&Imports<'_>>),
    platform: Option<&Platform>,
) -> Result<Built, Stopped> {
    let request = request(arguments, (input, contexts), platform)?;
    carry_out(data, signals, arguments, imports, (&input.file_name, &request))
}

fn carry_out(
    data: &data::Data,
    signals: &Signals,
    arguments: &Arguments,
    imports: Option<&Imports<'_>>,
    (file_name, request): (&str, &Request),
) -> Result<Built, Stopped> {
    let mut view = style(arguments)?.view();
    let tools = Tools {
        store: &data.store,
        images: &mut AllImages::new(data, pulling(arguments, request.platform.as_ref())),
        fetcher: &fetching::Network::new(data.caller.uid),
        cache: imports.map(|imports| imports as &dyn StepCache),
        progress: &mut *view,
        signals,
        user_namespace: data.user_namespace.as_ref(),
    };
    let result = wiac_build::dockerfile::build(request, tools);
    let is_shown = view.has_shown_failure();
    // What it shows is complete before anything else is said.
    drop(view);
    if let (Err(error), Some(_)) = (&result, imports)
        && matches!(error.cause(), wiac_build::Error::CacheLost { .. })
    {
        eprintln!("wiac: warning: {}; building without it", error.cause());
        return carry_out(data, signals, arguments, None, (file_name, request));
    }
    result.map_err(|error| {
        let stopped = stopped(error, file_name, &request.text, is_shown);
        let kept = request.kept.lock().ok().and_then(|mut kept| kept.pop());
        failed::after(data, signals, stopped, kept.as_deref(), arguments.on_error.is_some())
    })
}

/// The directories of the layers, topmost first, ready for `wiac run`.
fn chain(data: &data::Data, record: &ImageRecord) -> String {
    let directories: Vec<_> = record.layers.iter().rev().map(|id| data.store.layer_diff(id)).collect();
    super::chain(directories.iter().map(PathBuf::as_path))
}
