//! RUN `--mount`: what is made ready beside the container's root before the step, and taken away after it.

mod cache;
mod lock;
mod own_namespace;
mod secret;
mod ssh;
mod views;

pub use secret::Secret;

use super::hashing::{self, How};
use super::stage::Stage;
use super::transfer::Origin;
use super::tree::{self, Picked};
use super::worker::Worker;
use crate::context::Source;
use crate::error::{Error, Result};
use crate::key::KeyMaker;
use lock::CacheLock;
use own_namespace::Attached;
use ssh::Forwarding;
use std::path::{Path, PathBuf};
use wiac_dockerfile::expand::Expander;
use wiac_dockerfile::ignore::IgnorePatterns;
use wiac_dockerfile::stages::Source as StageSource;
use wiac_dockerfile::{Mount, Run, Word};
use wiac_oci::runtime;

/// A mount with its variables replaced, and where it goes to.
#[derive(Debug)]
pub(super) struct Wanted {
    mount: Mount,
    /// Absolute; `None` for a secret that is a variable alone, and where the builder chooses.
    target: Option<PathBuf>,
}

impl Wanted {
    /// What is mounted.
    pub(super) fn mount(&self) -> &Mount {
        &self.mount
    }

    /// Where it is seen.
    pub(super) fn target(&self) -> Option<&Path> {
        self.target.as_deref()
    }

    /// What to call it where it changes, and what it is; what it shows stays out.
    pub(super) fn described(&self) -> (String, String) {
        let place = self.target.as_deref().unwrap_or(Path::new("")).display();
        (format!("the mount {place}"), format!("{:?}", self.mount))
    }
}

/// What a RUN's mounts are while it runs. Dropping it unmounts, ends what forwards, and lets locks go.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) mounts: Vec<runtime::Mount>,
    /// Variables for the container alone.
    pub(super) environment: Vec<String>,
    attached: Vec<Attached>,
    forwardings: Vec<Forwarding>,
    locks: Vec<CacheLock>,
}

impl Worker<'_, '_> {
    /// The mounts of a RUN, those that lie in others after them.
    pub(super) fn wanted_mounts(stage: &Stage, run: &Run) -> Result<Vec<Wanted>> {
        let lookup = |name: &str| stage.variable(name);
        let expander = Expander::new(stage.escape, &lookup);
        let mut wanted = Vec::with_capacity(run.mounts.len());
        for written in &run.mounts {
            let mount = written.resolve(&expander)?;
            let target =
                target_of(&mount).map(|target| super::prepared::clean(&stage.working_directory().join(target)));
            if target.as_deref() == Some(Path::new("/")) {
                return Err(Error::wrong_with_hint(
                    format!("--mount={}: nothing can be mounted on / itself", written.raw),
                    "name a directory by target=",
                ));
            }
            wanted.push(Wanted { mount, target });
        }
        wanted.sort_by_key(|one| one.target.as_ref().map_or(0, |target| target.components().count()));
        Ok(wanted)
    }

    /// Adds to the key of a RUN what its mounts show it. Of caches, secrets and agents that is their names alone.
    pub(super) fn add_mounts_to_key(&mut self, wanted: &[Wanted], key: &mut KeyMaker) -> Result<()> {
        for Wanted { mount, target } in wanted {
            key.add(format!("{target:?}"));
            match mount {
                Mount::Bind {
                    from,
                    source,
                    read_only,
                    ..
                } => {
                    key.add(format!("bind {source} {read_only}"));
                    self.add_source_to_key(from.as_deref(), source, key)?;
                }
                // What is in it first is what nobody relies on: a cache may be emptied at any time.
                other => {
                    key.add(format!("{other:?}"));
                    self.await_first_contents(other)?;
                }
            }
        }
        Ok(())
    }

    /// The stage that a cache mount begins with is waited for before the step has its turn: with that, nobody waits for a
    /// stage any more.
    fn await_first_contents(&mut self, mount: &Mount) -> Result<()> {
        let Mount::Cache { from: Some(from), .. } = mount else {
            return Ok(());
        };
        let shared = self.shared;
        if let Some(word) = word(Some(from.as_str()))
            && !self.is_context(from)
            && let StageSource::Stage(index) = shared.dockerfile.source(&word)?
        {
            self.stage(index)?;
        }
        Ok(())
    }

    fn add_source_to_key(&mut self, from: Option<&str>, source: &str, key: &mut KeyMaker) -> Result<()> {
        match self.origin(word(from).as_ref())? {
            Origin::Layers { layers, .. } => {
                let lineages: Vec<&String> = layers.iter().map(|layer| &layer.lineage).collect();
                key.add_all(&lineages);
            }
            Origin::Local(name) => {
                let local = self.local(name.as_deref())?;
                let picked = pick(local, source)?;
                hashing::add_to_key(local, &picked, &IgnorePatterns::default(), How::default(), key)?;
            }
        }
        Ok(())
    }

    /// Makes everything ready. `room`: a directory that is deleted after the step.
    pub(super) fn ready_mounts(&mut self, wanted: &[Wanted], room: &Path) -> Result<Ready> {
        let mut ready = Ready::default();
        let caches = self.cache_directories(wanted, room, &mut ready)?;
        for (number, Wanted { mount, target }) in wanted.iter().enumerate() {
            let room = room.join(format!("mount-{number}"));
            let place = target.clone().unwrap_or_default();
            match mount {
                Mount::Bind {
                    from,
                    source,
                    read_only,
                    ..
                } => self.bind(&mut ready, (from.as_deref(), source), *read_only, &place, &room)?,
                Mount::Cache { read_only, .. } => {
                    if let Some(directory) = caches.get(&number) {
                        ready.bind(directory, &place, *read_only);
                    }
                }
                Mount::Tmpfs { size, read_only, .. } => ready.tmpfs(*size, *read_only, &place),
                Mount::Secret { .. } => self.secret(&mut ready, mount, target.as_deref(), &room)?,
                Mount::Ssh { .. } => self.ssh(&mut ready, mount, target.as_deref(), &room)?,
            }
        }
        Ok(ready)
    }
}

impl Ready {
    fn bind(&mut self, source: &Path, target: &Path, read_only: bool) {
        let options: &[&str] = if read_only { &["ro"] } else { &[] };
        let mount = runtime::Mount::bind(source, &target.to_string_lossy(), options);
        self.mounts.push(mount);
    }

    fn tmpfs(&mut self, size: u64, read_only: bool, target: &Path) {
        let size = format!("size={size}");
        let mut options = vec!["nosuid"];
        if size != "size=0" {
            options.push(&size);
        }
        if read_only {
            options.push("ro");
        }
        let target = target.to_string_lossy();
        self.mounts
            .push(runtime::Mount::new(&target, "tmpfs", "tmpfs", &options));
    }
}

fn target_of(mount: &Mount) -> Option<&str> {
    match mount {
        Mount::Bind { target, .. } | Mount::Cache { target, .. } | Mount::Tmpfs { target, .. } => Some(target),
        Mount::Secret { target, .. } | Mount::Ssh { target, .. } => target.as_deref(),
    }
}

/// `from` as the word that it was.
fn word(from: Option<&str>) -> Option<Word> {
    from.map(|text| Word {
        text: text.to_owned(),
        span: wiac_dockerfile::Span::default(),
    })
}

/// The one entry that a mount shows.
fn pick(source: &Source, path: &str) -> Result<Vec<Picked>> {
    tree::pick_literal(source, path).map(|one| vec![one])
}
