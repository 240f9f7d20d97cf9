//! What all stages of a build share, and who builds one of them: stages that don't need each other are built at the same
//! time, by a thread each.

use super::kept::KeptRun;
use super::stage::Stage;
use super::stages::{Claim, Stages};
use super::stop::Stop;
use super::why::{Inputs, Ledger};
use super::{BaseImages, Request, config};
use crate::context::Source;
use crate::error::{Error, Result};
use crate::fetch::{Fetcher, Surroundings};
use crate::import::StepCache;
use crate::progress::{Event, Progress, Step};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope};
use std::time::Instant;
use wiac_dockerfile::stages::{Globals, StageGraph};
use wiac_dockerfile::{Dockerfile, Instruction, Kind};
use wiac_run::Container;
use wiac_run::user_namespace::UserNamespace;
use wiac_store::{LayerId, Lock, Store};

/// What every worker of a build sees.
pub(super) struct Shared<'b> {
    /// What goes into the steps' keys, and went into them before.
    pub(super) ledger: Ledger,
    pub(super) request: &'b Request,
    pub(super) dockerfile: &'b Dockerfile,
    pub(super) globals: &'b Globals,
    pub(super) graph: &'b StageGraph<'b>,
    pub(super) context: Source,
    /// Those of `--build-context` that are directories.
    pub(super) contexts: BTreeMap<String, Source>,
    pub(super) store: &'b Store,
    pub(super) user_namespace: Option<&'b UserNamespace>,
    pub(super) images: Mutex<&'b mut (dyn BaseImages + Send)>,
    pub(super) fetcher: &'b dyn Fetcher,
    pub(super) cache: Option<&'b dyn StepCache>,
    pub(super) progress: Mutex<&'b mut (dyn Progress + Send)>,
    pub(super) stop: Arc<Stop>,
    pub(super) stages: Stages,
    /// Of every layer in use: nobody deletes it before the image is named.
    pub(super) locks: Mutex<Vec<Lock>>,
    /// Layers that this build made.
    pub(super) made: Mutex<Vec<LayerId>>,
    /// Held while a container starts: its first process has a part in this process's memory and descriptors until then.
    pub(super) starting: Mutex<()>,
    /// The number of each stage's first step.
    pub(super) numbers: BTreeMap<usize, usize>,
    /// How many steps are known of.
    pub(super) count: AtomicUsize,
    /// What went wrong in which stage.
    pub(super) failures: Mutex<Vec<(usize, Error)>>,
}

/// Builds one stage after the other.
pub(super) struct Worker<'w, 'b> {
    pub(super) shared: &'w Shared<'b>,
    /// The stages under way: more than one where a base image's ONBUILD names a further one.
    building: Vec<Building>,
    /// What goes into the key that is looked up next.
    pub(super) inputs: Option<Inputs>,
    /// How the step ran that has just failed.
    pub(super) failed: Option<KeptRun>,
    /// The container of the last RUN: the kernel takes its mounts down while the step is committed.
    pub(super) ending: Option<Container>,
}

/// A stage under way.
#[derive(Debug)]
struct Building {
    index: usize,
    /// Which step of the build.
    number: usize,
    /// Which one of the stage.
    position: usize,
    /// How many the stage has.
    count: usize,
}

/// What a mutex guards: a worker that panicked has left it whole, since every change is one call.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds all stages that are wanted. The caller's thread builds too; others are started only where there is work.
///
/// # Errors
/// What went wrong: the caller's signal before all, then the failure of the stage that comes first in the file. After a
/// failure the other stages are ended.
pub(super) fn build_all(shared: &Shared<'_>) -> Result<()> {
    std::thread::scope(|scope| work(shared, scope, true));
    let mut failures = std::mem::take(&mut *lock(&shared.failures));
    let rank = |(index, error): &(usize, Error)| match error.cause() {
        Error::Interrupted { .. } => (0, *index),
        Error::Cancelled => (2, *index),
        _ => (1, *index),
    };
    failures.sort_by_key(rank);
    failures.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
}

/// Builds stages until nothing is left to do, or, but for the caller's own thread, until there is nothing to do now.
fn work<'scope, 'env, 'b>(shared: &'env Shared<'b>, scope: &'scope Scope<'scope, 'env>, is_caller: bool)
where
    'b: 'env,
{
    while let Some((claim, is_more)) = shared.stages.next(is_caller) {
        if is_more {
            // Without another thread it just takes longer.
            let _ = Builder::new()
                .name("stage".to_owned())
                .spawn_scoped(scope, || work(shared, scope, false));
        }
        let index = claim.index;
        let mut worker = Worker {
            shared,
            building: Vec::new(),
            inputs: None,
            failed: None,
            ending: None,
        };
        if let Err(error) = worker.build_stage(claim) {
            lock(&shared.failures).push((index, error));
        }
    }
}

impl Shared<'_> {
    /// Tells of an event.
    pub(super) fn tell(&self, event: Event<'_>) {
        lock(&self.progress).event(event);
    }

    /// Locks layers that the build relies on from here on.
    pub(super) fn hold(&self, layers: &[LayerId]) -> Result<()> {
        for id in layers {
            let held = self.store.use_layer(id)?;
            self.keep(held);
        }
        Ok(())
    }

    /// Keeps a layer's lock to the end of the build.
    pub(super) fn keep(&self, held: Lock) {
        lock(&self.locks).push(held);
    }

    /// Room for `count` steps more; the number of the first of them.
    fn add_steps(&self, count: usize) -> usize {
        let before = self.count.fetch_add(count, Ordering::Relaxed);
        self.tell(Event::Planned { steps: before + count });
        before + 1
    }
}

impl Surroundings for Shared<'_> {
    fn start(&self, start: &mut dyn FnMut()) {
        let _alone = lock(&self.starting);
        start();
    }

    fn is_ending(&self) -> bool {
        self.stop.check().is_err()
    }
}

impl Worker<'_, '_> {
    /// Builds a stage and gives it to all who need it.
    pub(super) fn build_stage(&mut self, claim: Claim<'_>) -> Result<()> {
        let result = self.all_steps(claim.index);
        self.building.pop();
        // Others mount its layer.
        self.ending = None;
        match result {
            Ok(stage) => {
                claim.finish(stage);
                Ok(())
            }
            Err(error) => {
                // Before the stage counts as failed: who waits for it shall find out that it is to end.
                self.shared.stop.fail();
                Err(error)
            }
        }
    }

    fn all_steps(&mut self, index: usize) -> Result<Stage> {
        let shared = self.shared;
        let described = &shared.dockerfile.stages[index];
        let count = 1 + described.instructions.len();
        let number = shared.numbers.get(&index).copied();
        self.building.push(Building {
            index,
            number: number.unwrap_or_else(|| shared.add_steps(count)),
            position: 1,
            count,
        });
        let base = self
            .step(&described.raw, |worker| worker.start_stage(index))
            .map_err(|e| e.at(described.span))?;
        let mut stage = base.stage;
        shared.ledger.add_base(&stage);
        self.run_triggers(&mut stage, &base.triggers)
            .map_err(|e| e.at(described.span))?;
        let own = if base.is_replaced {
            &[]
        } else {
            described.instructions.as_slice()
        };
        for instruction in own {
            self.step(&instruction.raw, |worker| {
                let cached = worker.instruction(&mut stage, instruction)?;
                Ok(((), cached))
            })
            .map_err(|error| error.at(instruction.span))?;
        }
        Ok(stage)
    }

    /// Makes room for steps that the Dockerfile doesn't have.
    pub(super) fn insert_steps(&mut self, count: usize) {
        if count > 0
            && let Some(building) = self.building.last_mut()
        {
            self.shared.add_steps(count);
            building.count += count;
        }
    }

    /// Tells of a step and carries it out; the work says whether an earlier result was used.
    pub(super) fn step<T>(&mut self, text: &str, work: impl FnOnce(&mut Self) -> Result<(T, bool)>) -> Result<T> {
        self.shared.stop.check()?;
        let building = self
            .building
            .last()
            .ok_or_else(|| Error::wrong("a step belongs to no stage"))?;
        let name = self.shared.dockerfile.stages[building.index].display_name();
        let step = Step {
            number: building.number,
            position: building.position,
            count: building.count,
            stage: &name,
            text,
        };
        self.shared.tell(Event::Started { step });
        let began = Instant::now();
        // What broke when the caller asked for the end (a download, say) is its consequence.
        let result = work(self).map_err(|error| match self.shared.stop.check() {
            Err(interrupted @ Error::Interrupted { .. }) => interrupted,
            _ => error,
        });
        let took = began.elapsed();
        match &result {
            Ok((_, cached)) => self.shared.tell(Event::Done {
                step,
                took,
                cached: *cached,
            }),
            Err(error) => {
                let is_ended = matches!(error.cause(), Error::Interrupted { .. } | Error::Cancelled);
                let reason = (!is_ended).then(|| error.to_string());
                self.shared.tell(Event::Failed {
                    step,
                    took,
                    reason: reason.as_deref(),
                });
            }
        }
        if let Some(building) = self.building.last_mut() {
            building.number += 1;
            building.position += 1;
        }
        result.map(|(result, _)| result)
    }

    /// The number of the step under way.
    pub(super) fn number(&self) -> usize {
        self.building.last().map_or(0, |building| building.number)
    }

    /// Which step of its stage is under way.
    pub(super) fn position(&self) -> usize {
        self.building.last().map_or(0, |building| building.position)
    }

    /// The stage under way.
    pub(super) fn index(&self) -> Option<usize> {
        self.building.last().map(|building| building.index)
    }

    /// Says that the step under way waits, and what for.
    pub(super) fn tell_waiting(&self, reason: &str) {
        let number = self.number();
        self.shared.tell(Event::Waiting { number, reason });
    }

    /// Carries one instruction out; `true` where a layer of an earlier build was used.
    pub(super) fn instruction(&mut self, stage: &mut Stage, instruction: &Instruction) -> Result<bool> {
        match &instruction.kind {
            Kind::Run(run) => self.run_command(stage, run),
            Kind::Copy(copy) => self.copy(stage, copy),
            Kind::Workdir(word) => self.workdir(stage, word),
            Kind::Add(add) => self.add(stage, add),
            other => {
                config::apply(stage, self.shared.globals, &self.shared.request.build_args, other)?;
                Ok(false)
            }
        }
    }
}
