//! Which stages are built, under way, or to be built next.

use super::stage::Stage;
use super::worker::lock;
use std::sync::{Arc, Condvar, Mutex};
use wiac_dockerfile::stages::{Source, StageGraph};

/// A RUN mostly waits for its program, so more stages are built at once than there are processors.
const PER_PROCESSOR: usize = 4;

/// Stages built at once on a small machine.
const LEAST: usize = 8;

/// How far a stage is.
#[derive(Debug, Clone)]
enum State {
    Idle,
    Building,
    Built(Arc<Stage>),
    /// Nobody waits for it any more.
    Failed,
}

/// A stage that the target needs, and the stages that it needs itself.
#[derive(Debug)]
struct Wanted {
    index: usize,
    base: Option<usize>,
    needs: Vec<usize>,
}

/// All stages of a build.
#[derive(Debug)]
pub(super) struct Stages {
    /// In a building order.
    wanted: Vec<Wanted>,
    states: Mutex<Vec<State>>,
    /// Some state is another one.
    changed: Condvar,
    most: usize,
}

/// What [`Stages::get`] finds.
pub(super) enum Found<'s> {
    Built(Arc<Stage>),
    /// Nobody builds it yet: the caller is to.
    Claimed(Claim<'s>),
    /// Somebody does.
    Building,
    Failed,
}

/// A stage that is the holder's to build. Dropped without a result, it has failed.
pub(super) struct Claim<'s> {
    stages: &'s Stages,
    pub(super) index: usize,
    is_done: bool,
}

impl Stages {
    /// None is built yet. `order`: those that the target needs, each after all it needs.
    pub(super) fn new(graph: &StageGraph<'_>, count: usize, order: &[usize]) -> Self {
        let wanted = order.iter().map(|&index| Wanted {
            index,
            base: match graph.base(index) {
                Source::Stage(base) => Some(*base),
                Source::Other(_) => None,
            },
            needs: graph.dependencies(index),
        });
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            wanted: wanted.collect(),
            states: Mutex::new(vec![State::Idle; count]),
            changed: Condvar::new(),
            most: LEAST.max(processors * PER_PROCESSOR),
        }
    }

    /// The next stage to build, and whether there is work for one more worker. `None` where there is nothing to do now;
    /// with `wait`, only where nothing is left to do at all.
    pub(super) fn next(&self, wait: bool) -> Option<(Claim<'_>, bool)> {
        let mut states = lock(&self.states);
        loop {
            if states.iter().any(|state| matches!(state, State::Failed)) {
                return None;
            }
            if let Some(index) = self.ready(&states) {
                states[index] = State::Building;
                let is_more = self.ready(&states).is_some();
                return Some((self.claim(index), is_more));
            }
            let is_left = |one: &Wanted| !matches!(states[one.index], State::Built(_));
            if !wait || !self.wanted.iter().any(is_left) {
                return None;
            }
            states = self
                .changed
                .wait(states)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// The first stage that has all it needs. Where none has, and there are workers enough, the first whose base is there:
    /// it can go on until it copies from one that is under way.
    fn ready(&self, states: &[State]) -> Option<usize> {
        let is_built = |index: &usize| matches!(states[*index], State::Built(_));
        let is_idle = |one: &&Wanted| matches!(states[one.index], State::Idle);
        let busy = states.iter().filter(|state| matches!(state, State::Building)).count();
        if busy >= self.most {
            return None;
        }
        let mut idle = self.wanted.iter().filter(is_idle);
        let whole = idle.find(|one| one.needs.iter().all(is_built));
        let begun = || {
            let mut idle = self.wanted.iter().filter(is_idle);
            idle.find(|one| busy < self.most / 2 && one.base.as_ref().is_none_or(is_built))
        };
        whole.or_else(begun).map(|one| one.index)
    }

    /// A stage; where nobody has begun with it, it becomes the caller's to build.
    pub(super) fn get(&self, index: usize) -> Found<'_> {
        let mut states = lock(&self.states);
        match &states[index] {
            State::Built(stage) => Found::Built(Arc::clone(stage)),
            State::Building => Found::Building,
            State::Failed => Found::Failed,
            State::Idle => {
                states[index] = State::Building;
                Found::Claimed(self.claim(index))
            }
        }
    }

    /// Waits until a stage that somebody builds is built or has failed.
    pub(super) fn wait(&self, index: usize) {
        let states = lock(&self.states);
        let is_building = |states: &mut Vec<State>| matches!(states[index], State::Building);
        drop(self.changed.wait_while(states, is_building));
    }

    /// A stage that is built.
    pub(super) fn built(&self, index: usize) -> Option<Arc<Stage>> {
        match lock(&self.states).get(index) {
            Some(State::Built(stage)) => Some(Arc::clone(stage)),
            _ => None,
        }
    }

    fn claim(&self, index: usize) -> Claim<'_> {
        Claim {
            stages: self,
            index,
            is_done: false,
        }
    }

    fn set(&self, index: usize, state: State) {
        lock(&self.states)[index] = state;
        self.changed.notify_all();
    }
}

impl Claim<'_> {
    /// Gives the stage to all who need it.
    pub(super) fn finish(mut self, stage: Stage) {
        self.is_done = true;
        self.stages.set(self.index, State::Built(Arc::new(stage)));
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.stages.set(self.index, State::Failed);
        }
    }
}
