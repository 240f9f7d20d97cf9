//! A build as a shell script that does the same by hand: `wiac build --dry-run=shell`.
//!
//! The Dockerfile is read as for a build: stages in order, variables expanded, the build context searched for what
//! COPY takes. What only the steps themselves can know (files of other stages, users of an image) the script looks up
//! when it runs. Nothing is run or written here.

mod copy;
mod run;
mod text;

use super::base::{empty_config, platform_of};
use super::checks::automatic_arguments;
use super::stage::Stage;
use super::{BaseImages, Request, config, prepared};
use crate::bundle;
use crate::context::Source;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use text::{Text, end_word};
use wiac_dockerfile::stages::{Globals, Source as StageSource, StageGraph};
use wiac_dockerfile::{Dockerfile, Instruction, Kind, Word};
use wiac_layer::Form;
use wiac_oci::image::ImageConfig;
use wiac_oci::manifest::Platform;
use wiac_run::shell::{FUNCTIONS, quote};
use wiac_run::user_namespace::UserNamespace;
use wiac_store::Store;

const HEADER: &str = "\
#!/usr/bin/env bash
# What wiac build would do, by hand, with bash, coreutils, findutils, tar, awk and util-linux. It makes each layer as a
# directory below the one named as its argument (by itself ./by-hand), with the image's configuration beside them, and
# prints the layers' directories, topmost first, as wiac build does.
# RUN's container is simpler than wiac's: no seccomp filter, nothing hidden in /proc and /sys, chroot(2) where wiac
# changes the root, and no groups of its user beside the first, which unshare(1) can't set. There is no cache: everything is done each time.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin
";

const START: &str = "\
exec 5<&-
set -eu
# Globs and sorting as for everybody.
export LC_ALL=C
# The newer mount calls, which mount(8) may use, take no more than 256 bytes for an option.
export LIBMOUNT_FORCE_MOUNT2=always
to=$1
tmp=$to/tmp
merged=$tmp/merged
mkdir -p -- \"$to/layers/empty\" \"$merged\"
number=0
mount --make-rprivate /
targets() { :; }
mounts() { :; }
hosts=
";

/// A script, and what it can't do.
#[derive(Debug)]
pub struct ByHand {
    /// The script, for bash.
    pub script: String,
    /// Steps that the script leaves out, a line each: its result would be another one.
    pub missing: Vec<String>,
}

/// What the script is made from.
pub struct Means<'m> {
    /// Holds base images.
    pub store: &'m Store,
    /// Finds them.
    pub images: &'m mut dyn BaseImages,
    /// The namespace the caller is in.
    pub user_namespace: Option<&'m UserNamespace>,
}

/// Renders the build that `request` asks for.
///
/// # Errors
/// What a build would find wrong before it runs anything.
pub fn by_hand(request: &Request, means: Means<'_>) -> Result<ByHand> {
    let dockerfile = wiac_dockerfile::parse(&request.text)?;
    let lookup = |name: &str| request.build_args.get(name).cloned();
    let target = dockerfile.target(request.target.as_deref())?;
    let platform = request.platform.clone().unwrap_or_else(Platform::host);
    let automatic = automatic_arguments(dockerfile.stages[target].name.as_deref(), &platform);
    let globals = Globals::new(&dockerfile, automatic, &lookup)?;
    let images = globals.images(&dockerfile)?;
    let graph = StageGraph::new(&dockerfile, &images)?;
    let order = graph.reachable(target)?;
    let context = Source::context(means.store, &request.context, request.dockerfile_path.as_deref())?;
    let mut contexts = BTreeMap::new();
    for (name, directory) in &request.contexts {
        contexts.insert(name.clone(), Source::named(means.store, name, directory)?);
    }
    let script = Script {
        request,
        dockerfile: &dockerfile,
        globals: &globals,
        graph: &graph,
        context,
        contexts,
        means,
        platform,
        text: Text::default(),
        missing: Vec::new(),
        stages: BTreeMap::new(),
        images: BTreeMap::new(),
        mounts: 0,
    };
    script.render(&order, target)
}

/// The script under way.
struct Script<'s, 'm> {
    request: &'s Request,
    dockerfile: &'s Dockerfile,
    globals: &'s Globals,
    graph: &'s StageGraph<'s>,
    context: Source,
    contexts: BTreeMap<String, Source>,
    means: Means<'m>,
    platform: Platform,
    text: Text,
    missing: Vec<String>,
    /// Configurations of finished stages; the layers are in arrays of the script.
    stages: BTreeMap<usize, Stage>,
    /// Images that the script has an array for, by name: its number.
    images: BTreeMap<String, usize>,
    /// How many places for mounts the script has made.
    mounts: usize,
}

/// The array with the layers of a stage.
fn array(index: usize) -> String {
    format!("stage_{index}")
}

impl Script<'_, '_> {
    fn render(mut self, order: &[usize], target: usize) -> Result<ByHand> {
        for &index in order {
            let span = self.dockerfile.stages[index].span;
            self.stage(index).map_err(|error| error.at(span))?;
        }
        let stage = self.stages.remove(&target);
        let mut config = stage.map(|stage| stage.config).unwrap_or_default();
        config.config.labels.extend(self.request.labels.clone());
        self.end(&config, target);
        let body = self.text.0;
        let word = end_word(&body, "IN_THE_MOUNT_NAMESPACE");
        let unshare = match self.means.user_namespace {
            Some(namespace) => wiac_run::shell::unshare_user(namespace),
            None => "unshare".to_owned(),
        };
        let script = format!(
            "{HEADER}mkdir -p -- \"${{1:-by-hand}}\"\nto=$(realpath -- \"${{1:-by-hand}}\")\n\n\
             # All mounts are made in a mount namespace of the script's own and end with it.\n\
             exec {unshare} --mount \"$BASH\" /dev/fd/5 \"$to\" 5<<'{word}'\n{START}{options}\n{FUNCTIONS}\n{layers}\n\
             {copy}\n{run}{body}{word}\n",
            options = self.means.store.form().options(),
            layers = include_str!("layers.sh"),
            copy = include_str!("copy.sh"),
            run = include_str!("run.sh"),
        );
        Ok(ByHand {
            script,
            missing: self.missing,
        })
    }

    /// What has to be known of the finished image.
    fn end(&mut self, config: &ImageConfig, target: usize) {
        let document = serde_json::json!({
            "architecture": config.architecture,
            "os": config.os,
            "config": config.config,
        });
        self.text
            .note("The image's configuration, and what was only needed meanwhile.");
        self.text.line(&format!(
            "printf '%s\\n' {} >\"$to/config.json\"",
            quote(format!("{document:#}"))
        ));
        self.text.line("cd -- \"$to\"");
        self.text.line(
            "find_mounts \"$tmp\"\n\
             for ((last = ${#places[@]} - 1; last >= 0; last--)); do umount -- \"${places[last]}\"; done",
        );
        self.text.line("rm -rf -- \"$tmp\" \"$to/layers/empty\"");
        self.text.line(&format!(
            "chain=\nfor layer in \"${{{}[@]}}\"; do\n    layer=$(realpath -- \"$to/layers/$layer\")\n    \
             # As wiac run wants it: colons stand between directories.\n    \
             layer=${{layer//\\\\/\\\\\\\\}} layer=${{layer//:/\\\\:}}\n    chain=$layer${{chain:+:$chain}}\ndone\n\
             printf '%s\\n' \"$chain\"",
            array(target)
        ));
    }

    fn stage(&mut self, index: usize) -> Result<()> {
        let described = &self.dockerfile.stages[index];
        self.text.note(&described.raw);
        let platform = match self.globals.platform(described)? {
            Some(written) => written.text.parse().map_err(|error| Error::wrong(format!("{error}")))?,
            None => self.platform.clone(),
        };
        let replaced = described.name.clone().filter(|name| self.is_context(name));
        let is_replaced = replaced.is_some();
        let source = replaced.map_or_else(|| self.graph.base(index).clone(), StageSource::Other);
        let mut stage = self.base(index, source, &platform)?;
        stage.name = described.display_name();
        stage.epoch = self.request.epoch.and_then(wiac_oci::time::second);
        for trigger in std::mem::take(&mut stage.config.config.on_build) {
            let instruction = wiac_dockerfile::parse_trigger(&trigger)?;
            self.instruction(index, &mut stage, &instruction)?;
        }
        if !is_replaced {
            for instruction in &described.instructions {
                self.instruction(index, &mut stage, instruction)
                    .map_err(|error| error.at(instruction.span))?;
            }
        }
        self.stages.insert(index, stage);
        Ok(())
    }

    fn is_context(&self, name: &str) -> bool {
        self.contexts.contains_key(name) || self.request.image_contexts.contains_key(name)
    }

    fn base(&mut self, index: usize, source: StageSource, platform: &Platform) -> Result<Stage> {
        let escape = self.dockerfile.directives.escape;
        let array = array(index);
        match source {
            StageSource::Stage(earlier) => {
                let stage = self.stages.get(&earlier).cloned();
                let mut stage = stage.ok_or_else(|| Error::wrong("an earlier stage is missing"))?;
                stage.own_cmd = false;
                self.text.line(&format!("{array}=(\"${{stage_{earlier}[@]}}\")"));
                Ok(stage)
            }
            StageSource::Other(name) => {
                self.text.line(&format!("{array}=()"));
                let config = if self.contexts.contains_key(&name) {
                    self.text.line(&format!("begin {array}"));
                    self.whole_context(&name)?;
                    self.text.line(&format!("finish {array}"));
                    empty_config(platform)
                } else if name == "scratch" {
                    empty_config(platform)
                } else {
                    self.image(&array, &name, platform)?
                };
                Stage::new(self.means.store, &[], config, escape)
            }
        }
    }

    /// The layers of an image into an array.
    fn image(&mut self, array: &str, name: &str, platform: &Platform) -> Result<ImageConfig> {
        let name = self.request.image_contexts.get(name).map_or(name, String::as_str);
        if let Some(programs) = name.strip_prefix(bundle::SCHEME) {
            let (closure, config) = bundle::plan(programs)?;
            let script = crate::bundle_shell::script(&closure, Path::new("/"), Path::new("."));
            // The host's owners mean nothing in a user namespace.
            let script = match self.means.store.form() {
                Form::Trusted => script,
                Form::User => script.replace("\ncp -a --parents ", "\ncp -a --no-preserve=ownership --parents "),
            };
            let word = end_word(&script, "BUNDLE");
            self.text.line(&format!("begin {array}"));
            self.text.line(&format!("\"$BASH\" <<'{word}'\n{script}{word}"));
            self.text.line(&format!("finish {array}"));
            return Ok(config);
        }
        let base = self.means.images.find(name, platform)?;
        for id in &base.layers {
            let directory = self.means.store.layer_diff(id);
            self.text.command("add_layer", &[array.as_ref(), directory.as_os_str()]);
        }
        Ok(base.config)
    }

    /// One instruction: a step of the script, or a change of the configuration that it ends up with.
    fn instruction(&mut self, index: usize, stage: &mut Stage, instruction: &Instruction) -> Result<()> {
        self.text.note(&instruction.raw);
        match &instruction.kind {
            Kind::Run(run) => self.run(index, stage, run),
            Kind::Copy(copy) => self.copy(index, stage, copy),
            Kind::Add(add) => self.add(index, stage, add),
            Kind::Workdir(word) => self.workdir(index, stage, word),
            other => {
                self.text.remark("(It changes the image's configuration alone.)");
                config::apply(stage, self.globals, &self.request.build_args, other)
            }
        }
    }

    fn workdir(&mut self, index: usize, stage: &mut Stage, word: &Word) -> Result<()> {
        let text = stage.expand(word)?.text;
        let path = prepared::clean(&stage.working_directory().join(&text));
        stage.config.config.working_dir = path.to_string_lossy().into_owned();
        let (array, path) = (array(index), text::path(&path));
        let owner = match stage.config.config.user.as_str() {
            "" => "0:0".to_owned(),
            user => format!("\"$(ids {})\"", quote(user)),
        };
        self.text.line(&format!("begin {array}"));
        self.text.line(&format!(
            "if [ -d \"$(inside {path})\" ]; then abandon; else make_directory {path} {owner}; finish {array}; fi"
        ));
        Ok(())
    }

    /// Says that a step can't be put into the script.
    fn leave_out(&mut self, what: String) {
        self.text.remark(&format!("MISSING: {what}"));
        self.text.line("fail 'a step that this script has no commands for'");
        self.missing.push(what);
    }

    /// The platform of the programs in a stage.
    fn is_foreign(stage: &Stage) -> bool {
        !Platform::host().takes(&platform_of(&stage.config))
    }
}

/// The options of overlay mounts, as wiac gives them.
trait OverlayOptions {
    fn options(&self) -> &'static str;
}

impl OverlayOptions for Form {
    fn options(&self) -> &'static str {
        match self {
            Self::Trusted => {
                "# Every option is explicit: the host's defaults must not decide what a layer looks like.\n\
                 view_options=index=off,metacopy=off,redirect_dir=nofollow\noptions=$view_options,volatile"
            }
            Self::User => {
                "# Every option is explicit: the host's defaults must not decide what a layer looks like. Without root,\n\
                 # overlayfs keeps its marks in the attributes user.overlay.*.\n\
                 view_options=index=off,metacopy=off,redirect_dir=nofollow,userxattr\noptions=$view_options,volatile"
            }
        }
    }
}
