//! Ending a client's transfers from another thread: for a program that got a signal and must not wait for a server.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use ureq::Agent;

/// Called once, with the first request: there is something to end from then on.
pub type Begun = Arc<dyn Fn(Ender) + Send + Sync>;

/// Whether the transfers of a client are to end, and how it is told that they begin.
#[derive(Clone, Default)]
pub struct Ending {
    state: Arc<State>,
    begun: Option<Begun>,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    is_ended: bool,
    /// Each has connections.
    agents: Vec<Agent>,
}

/// Ends the transfers of a client. It doesn't keep the client.
#[derive(Clone)]
pub struct Ender(Weak<State>);

impl Ending {
    /// Calls `begun` with the first request.
    #[must_use]
    pub fn watched(begun: Begun) -> Self {
        Self {
            state: Arc::default(),
            begun: Some(begun),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.lock().is_ended
    }

    /// Takes note of connections to end.
    pub(crate) fn take(&self, agent: &Agent) {
        let mut inner = self.lock();
        if inner.is_ended {
            agent.clone().shutdown();
        }
        let is_first = inner.agents.is_empty();
        inner.agents.push(agent.clone());
        drop(inner);
        if let Some(begun) = self.begun.as_ref().filter(|_| is_first) {
            begun(Ender(Arc::downgrade(&self.state)));
        }
    }

    /// Waits; false as soon as all is to end.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let start = Instant::now();
        let mut inner = self.lock();
        while !inner.is_ended {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return true;
            }
            let waited = self.state.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ender {
    /// Ends everything that is under way, at once, and lets all that follows fail. Only the search for a name and a
    /// connection that is just being made take their time, which is short.
    pub fn end(&self) {
        let Some(state) = self.0.upgrade() else { return };
        let mut inner = state.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.is_ended = true;
        for agent in &inner.agents {
            agent.clone().shutdown();
        }
        drop(inner);
        state.changed.notify_all();
    }

    /// Whether the client is still there.
    pub fn is_needed(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}
