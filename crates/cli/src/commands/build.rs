//! `wiac build PATH`.

mod annotations;
mod arguments;
mod buildkit;
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
use crate::pulling::Pulling;
use crate::registry::RegistryOptions;
use crate::{Global, data, ending};
pub(crate) use arguments::Arguments;
use caches::{CacheFrom, CacheTo, Imports};
use calls::{Asked, Call};
use contexts::Contexts;
use input::Input;
use outputs::Output;
use platforms::Images;
use std::path::{Path, PathBuf};
pub(crate) use stopped::Stopped;
use stopped::stopped;
use told::Told;
use wiac_build::dockerfile::{Built, Request, Tools};
use wiac_build::import::StepCache;
use wiac_oci::manifest::Platform;
use wiac_run::attach::Signals;
use wiac_store::transfer::Packing;
use wiac_store::{HeldImage, ImageRecord};

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
            read(&data::open(global)?, arguments)?
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
    let mut arguments = arguments.clone();
    Output::complete(&mut arguments, &outputs)?;
    let arguments = &arguments;
    let epoch = epoch(arguments)?;
    let packing = Output::pushed_packing(&outputs, epoch)?;
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
    let is_inline = cache_to.iter().any(CacheTo::is_inline) || buildkit::has_inline_cache(&arguments.build_arg)?;
    let images = match Images::build(&data, &signals, arguments, sources, &imports, is_inline) {
        Err(Stopped::Interrupted(signal)) => return Ok(exit_code(128 + signal)),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Ok(images) => images,
    };
    let mut written = None;
    for output in &outputs {
        written = written.or(output.write(&data, &images, &arguments.tag, epoch)?);
    }
    let is_pushed = arguments.push || Output::repositories(&outputs).next().is_some();
    let is_kept = outputs.is_empty() || arguments.load || is_pushed || outputs.iter().any(Output::is_image);
    let held = is_kept.then(|| images.keep(&data)).transpose()?;
    let told = Told::find(&data, arguments, &images, (held.as_deref(), written), &packing)?;
    told.write(arguments, &images, Output::repositories(&outputs))?;
    // The image is kept all the same where its cache can't be written.
    let exported = cache_to
        .iter()
        .try_for_each(|to| caches::export(&data, (to, epoch), &images.stages, &imports));
    if let Some(held) = held {
        images.name(&data, &arguments.tag, &held, told.index())?;
        push(&data, arguments, (&images, &held, &outputs), &packing)?;
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

/// Pushes what was built, under each name where that is asked for, and where its digest alone is to name it.
fn push(
    data: &data::Data,
    arguments: &Arguments,
    (images, held, outputs): (&Images, &[HeldImage], &[Output]),
    packing: &Packing,
) -> Result<(), Failure> {
    let client = RegistryOptions::default().client(data.caller.uid);
    let is_quiet = style(arguments)? == Style::Quiet;
    for name in arguments.tag.iter().filter(|_| arguments.push) {
        let name = name.clone().with_default_tag();
        let image = (&*name.to_string(), None);
        super::push::send_stored(data, &client, image, &name, (packing, None), is_quiet)?;
    }
    for repository in Output::repositories(outputs) {
        let wanted = images.wanted(Vec::new(), Some(held));
        super::push::send_by_digest(data, &client, &wanted, repository, packing, is_quiet)?;
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
        let keeps_git_dir = buildkit::keeps_git_dir(&arguments.build_arg)?;
        Input::fetched(data, &arguments.path, file, keeps_git_dir)
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
        check: buildkit::check_options(&arguments.build_arg)?,
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
