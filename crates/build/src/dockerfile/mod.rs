//! A Dockerfile → layers → an image.
//!
//! The stages the target needs are built one after the other; each instruction either changes the stage's image
//! configuration, or makes a layer: first its key is looked up in the cache, and only then it is carried out.

pub(crate) use base::empty_config;

mod archive;
mod base;
mod below;
mod cached;
mod change;
mod chmod;
mod config;
mod hashing;
mod mounts;
mod prepared;
mod run;
mod selection;
pub mod shell;
mod signals;
mod stage;
mod transfer;
mod tree;
mod unpack;
mod workdir;
mod writer;

pub use change::apply_changes;
pub use mounts::Secret;

use crate::container::Network;
use crate::context::Source;
use crate::error::{Error, Result};
use crate::progress::{Event, Progress, Step};
use stage::Stage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use wiac_dockerfile::check::{self, Finding};
use wiac_dockerfile::stages::{Globals, StageGraph};
use wiac_dockerfile::{CheckOptions, Dockerfile, Instruction, Kind};
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Platform;
use wiac_oci::runtime::Rlimit;
use wiac_run::attach::Signals;
use wiac_run::user_namespace::UserNamespace;
use wiac_store::{ImageRecord, LayerId, Lock, Store};

/// An image to build on.
#[derive(Debug)]
pub struct Base {
    /// Its layers, base first, all in the store.
    pub layers: Vec<LayerId>,
    /// Its configuration.
    pub config: ImageConfig,
}

/// Where images named in FROM and `--from` come from, apart from stages, `scratch` and `bundle://`.
pub trait BaseImages {
    /// The image called `name`; of one for several platforms, that for `platform`.
    ///
    /// # Errors
    /// When there is none; the message says what was looked for where.
    fn find(&mut self, name: &str, platform: &Platform) -> Result<Base>;
}

/// What is to be built, and how.
#[derive(Debug, Default)]
pub struct Request {
    /// The directory of the build context.
    pub context: PathBuf,
    /// The Dockerfile's path, where it is a file: an ignore file may stand beside it.
    pub dockerfile_path: Option<PathBuf>,
    /// The Dockerfile's text.
    pub text: Vec<u8>,
    /// The stage to build; the last one where none is named.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// Run every step again.
    pub no_cache: bool,
    /// Run every step of these stages again.
    pub no_cache_stages: Vec<String>,
    /// SOURCE_DATE_EPOCH: the time of the image, of its history, and of what the build itself makes.
    pub epoch: Option<i64>,
    /// Directories that `--from`, `from=` and FROM know by a name.
    pub contexts: BTreeMap<String, PathBuf>,
    /// Images that they know by another name than their own.
    pub image_contexts: BTreeMap<String, String>,
    /// Show what a step says only where it fails.
    pub quiet: bool,
    /// The network of RUN.
    pub network: Network,
    /// What `RUN --mount=type=secret` may show, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// The sockets of SSH agents, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// What a Dockerfile may ask for beyond a confined step.
    pub allow: Vec<Entitlement>,
    /// Further lines of /etc/hosts of every RUN: a name and its address.
    pub hosts: Vec<(String, String)>,
    /// The size of /dev/shm of every RUN, in bytes.
    pub shm_size: Option<u64>,
    /// Resource limits of every RUN.
    pub limits: Vec<Rlimit>,
    /// The platform to build for; this machine's where none is named.
    pub platform: Option<Platform>,
    /// Which checks run, where the Dockerfile isn't to say that.
    pub check: Option<CheckOptions>,
    /// Labels beside those of the Dockerfile, which they override.
    pub labels: BTreeMap<String, String>,
}

/// What `--allow` grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entitlement {
    /// `RUN --network=host` where the build's network is another.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
    /// `RUN --device`.
    Device,
}

/// What a build is done with.
pub struct Tools<'t> {
    /// Takes the layers.
    pub store: &'t Store,
    /// Finds base images.
    pub images: &'t mut dyn BaseImages,
    /// Is told what happens.
    pub progress: &'t mut dyn Progress,
    /// The caller's signals: one of them ends the build.
    pub signals: &'t Signals,
    /// The namespace the caller is in.
    pub user_namespace: Option<&'t UserNamespace>,
}

/// A built image that is not in the store yet.
#[derive(Debug)]
pub struct Built {
    /// Its layers and configuration.
    pub record: ImageRecord,
    /// Of its layers: keep them until the record is written, since until then nothing refers to them.
    pub locks: Vec<Lock>,
}

/// Builds what `request` asks for. The layers are in the store, but not synced yet.
///
/// # Errors
/// The first thing that goes wrong; the layers made before it stay and are found again by the next build.
pub fn build(request: &Request, tools: Tools<'_>) -> Result<Built> {
    let dockerfile = wiac_dockerfile::parse(&request.text)?;
    let lookup = |name: &str| request.build_args.get(name).cloned();
    let target = dockerfile.target(request.target.as_deref())?;
    let platform = request.platform.clone().unwrap_or_else(Platform::host);
    let automatic = automatic_arguments(dockerfile.stages[target].name.as_deref(), &platform);
    let warnings = check_first(request, &dockerfile, &automatic)?;
    let globals = Globals::new(&dockerfile, automatic, &lookup)?;
    let images = globals.images(&dockerfile)?;
    let graph = StageGraph::new(&dockerfile, &images)?;
    let order = graph.reachable(target)?;
    let context = Source::context(tools.store, &request.context, request.dockerfile_path.as_deref())?;
    let mut contexts = BTreeMap::new();
    for (name, directory) in &request.contexts {
        contexts.insert(name.clone(), Source::named(tools.store, name, directory)?);
    }
    let count = order
        .iter()
        .map(|&index| 1 + dockerfile.stages[index].instructions.len())
        .sum();
    for warning in &warnings {
        tools.progress.event(Event::Warning(warning));
    }
    let build = Build {
        request,
        dockerfile: &dockerfile,
        globals: &globals,
        graph: &graph,
        context,
        contexts,
        tools,
        locks: Vec::new(),
        stages: BTreeMap::new(),
        building: Vec::new(),
        count,
        number: 0,
    };
    build.run(&order, target)
}

/// A build under way.
struct Build<'b, 't> {
    request: &'b Request,
    dockerfile: &'b Dockerfile,
    globals: &'b Globals,
    graph: &'b StageGraph<'b>,
    context: Source,
    /// Those of `--build-context` that are directories.
    contexts: BTreeMap<String, Source>,
    tools: Tools<'t>,
    /// Of every layer in use: nobody deletes it before the image is named.
    locks: Vec<Lock>,
    stages: BTreeMap<usize, Stage>,
    /// The stages under way: more than one where a base image's ONBUILD names a further one.
    building: Vec<usize>,
    count: usize,
    number: usize,
}

impl Build<'_, '_> {
    fn run(mut self, order: &[usize], target: usize) -> Result<Built> {
        let result = order.iter().try_for_each(|&index| self.build_stage(index));
        // Whatever happened, what was read need not be read again.
        let mut saved = self.context.save_hashes(self.tools.store);
        for context in self.contexts.values_mut() {
            saved = saved.and(context.save_hashes(self.tools.store));
        }
        result?;
        saved?;
        let stage = self
            .stages
            .remove(&target)
            .ok_or_else(|| Error::wrong("the target was not built"))?;
        let mut stage = stage;
        stage.config.config.labels.extend(self.request.labels.clone());
        self.warn_of_unused_arguments();
        Ok(Built {
            record: stage.into_record(),
            locks: self.locks,
        })
    }

    fn build_stage(&mut self, index: usize) -> Result<()> {
        let described = &self.dockerfile.stages[index];
        let name = described.display_name();
        self.building.push(index);
        let base = self
            .step(&name, &described.raw, |build| build.start_stage(index))
            .map_err(|e| e.at(described.span))?;
        let mut stage = base.stage;
        self.run_triggers(&mut stage, &base.triggers)
            .map_err(|e| e.at(described.span))?;
        let own = if base.is_replaced {
            &[]
        } else {
            described.instructions.as_slice()
        };
        for instruction in own {
            self.step(&name, &instruction.raw, |build| {
                let cached = build.instruction(&mut stage, instruction)?;
                Ok(((), cached))
            })
            .map_err(|error| error.at(instruction.span))?;
        }
        self.building.pop();
        self.stages.insert(index, stage);
        Ok(())
    }

    /// Tells of a step and carries it out; the work says whether an earlier result was used.
    fn step<T>(&mut self, stage: &str, text: &str, work: impl FnOnce(&mut Self) -> Result<(T, bool)>) -> Result<T> {
        if let Some(signal) = self.tools.signals.next_request_to_end() {
            return Err(Error::Interrupted { signal });
        }
        self.number += 1;
        let (number, count) = (self.number, self.count);
        let step = Step {
            number,
            count,
            stage,
            text,
        };
        self.tools.progress.event(Event::Started { step });
        let began = Instant::now();
        let (result, cached) = work(self)?;
        self.tools.progress.event(Event::Done {
            step,
            took: began.elapsed(),
            cached,
        });
        Ok(result)
    }

    /// Carries one instruction out; `true` where a layer of an earlier build was used.
    fn instruction(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<bool> {
        match &instruction.kind {
            Kind::Run(run) => self.run_command(stage, run),
            Kind::Copy(copy) => self.copy(stage, copy),
            Kind::Workdir(word) => self.workdir(stage, word),
            Kind::Add(add) => self.add(stage, add),
            other => {
                config::apply(stage, self.globals, &self.request.build_args, other)?;
                Ok(false)
            }
        }
    }

    /// Locks layers that the build relies on from here on.
    fn hold(&mut self, layers: &[LayerId]) -> Result<()> {
        for id in layers {
            self.locks.push(self.tools.store.use_layer(id)?);
        }
        Ok(())
    }

    fn warn_of_unused_arguments(&mut self) {
        let stages = self.dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
        let declared = stages.filter_map(|instruction| match &instruction.kind {
            Kind::Arg(arg) => Some(arg),
            _ => None,
        });
        let all = declared.chain(self.dockerfile.global_args.iter().map(|arg| &arg.kind));
        let names: Vec<&str> = all
            .flat_map(|arg| &arg.definitions)
            .map(|d| d.name.text.as_str())
            .collect();
        let is_unused =
            |name: &str| !names.contains(&name) && !stage::is_proxy(name) && self.globals.get(name).is_none();
        let unused: Vec<&str> = self
            .request
            .build_args
            .keys()
            .map(String::as_str)
            .filter(|n| is_unused(n))
            .collect();
        if !unused.is_empty() {
            let message = format!(
                "no ARG declares the build argument{} {}",
                if unused.len() > 1 { "s" } else { "" },
                unused.join(", ")
            );
            self.tools.progress.event(Event::Warning(&message));
        }
    }
}

/// The arguments that FROM knows without an ARG: dockerfile.md, "Automatic global".
fn automatic_arguments(target: Option<&str>, platform: &Platform) -> Vec<(String, String)> {
    let mut arguments = Vec::new();
    for (side, platform) in [("TARGET", platform), ("BUILD", &Platform::host())] {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        arguments.push((format!("{side}PLATFORM"), platform.to_string()));
        arguments.push((format!("{side}OS"), platform.os.clone()));
        arguments.push((format!("{side}OSVERSION"), text(&platform.os_version)));
        arguments.push((format!("{side}ARCH"), platform.architecture.clone()));
        arguments.push((format!("{side}VARIANT"), text(&platform.variant)));
    }
    arguments.push(("TARGETSTAGE".to_owned(), target.unwrap_or("default").to_owned()));
    arguments
}

/// What the checks find, a line each; an error where the file or the caller says that findings are errors.
fn check_first(request: &Request, dockerfile: &Dockerfile, automatic: &[(String, String)]) -> Result<Vec<String>> {
    let context = check::Context {
        automatic: automatic.iter().cloned().collect(),
        build_args: request.build_args.clone(),
        options: request.check.clone(),
        ..check::Context::default()
    };
    let options = request.check.as_ref().unwrap_or(&dockerfile.directives.check);
    let findings = check::check(dockerfile, &context);
    match findings.first() {
        Some(first) if options.error => Err(Error::wrong_with_hint(
            format!(
                "{} [{}], and check=error=true makes that an error",
                first.message,
                first.rule.name()
            ),
            "wiac build --check shows all that is found",
        )
        .at(first.span)),
        _ => {
            let line = |finding: &check::Finding| {
                let Finding { rule, message, span } = finding;
                format!("line {}: {message} [{}]", span.first_line, rule.name())
            };
            Ok(findings.iter().map(line).collect())
        }
    }
}

/// This machine's architecture by Go's name, as OCI documents use it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
