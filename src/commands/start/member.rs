//! One model of a [`super::fleet`]: where it stands, what it takes and holds, and what its runner is told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::room::{self, Bytes, Holder, Nap};
use super::runner::{About, HOLD, Order};
use crate::config::Policy;
use crate::gateway::{BackendState, Served};
use crate::hardware::Hardware;
use crate::plan::{LaunchPlan, PlanError};

/// A request waits this long for room, or for an engine that is started for it.
const WAITS: Duration = Duration::from_secs(600);

/// What a start plans by, on a machine as it is.
pub(super) type Planner = Box<dyn Fn(&Hardware) -> Result<LaunchPlan, PlanError> + Send>;

/// Where a model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Asleep,
    Starting,
    Up,
    Stopping,
    /// It could not be had.
    Failed(Instant),
}

/// One model that llmup runs.
pub(super) struct Member {
    pub policy: Policy,
    pub served: Served,
    pub state: watch::Sender<BackendState>,
    pub orders: mpsc::UnboundedSender<Order>,
    pub about: Arc<Mutex<About>>,
    /// What its plan takes; empty for an engine that runs already and takes nothing more.
    pub needs: Bytes,
    /// Plans it anew where its plan does not fit.
    pub planner: Option<Planner>,
    /// It can sleep in main memory.
    pub nap: Option<Nap>,
    /// It does, while it stands [`Stand::Asleep`], or is ended there.
    pub napping: bool,
    pub stand: Stand,
    /// It is to be started although nobody has asked yet.
    pub preload: bool,
    /// Since when somebody waits for it.
    pub asked: Option<Instant>,
    /// What it was before new requests to it had to wait for others'.
    pub closed: Option<BackendState>,
}

impl Member {
    /// One that does not run yet.
    pub fn new(
        served: Served,
        state: watch::Sender<BackendState>,
        orders: mpsc::UnboundedSender<Order>,
        policy: Policy,
        (needs, nap, planner): (Bytes, Option<Nap>, Option<Planner>),
    ) -> Member {
        let preload = policy.preload;
        let about = Arc::default();
        let (stand, asked, closed) = (Stand::Asleep, None, None);
        let napping = false;
        Member { policy, served, state, orders, about, needs, planner, nap, napping, stand, preload, asked, closed }
    }

    pub fn name(&self) -> &str {
        &self.served.name
    }

    pub fn wanted(&self) -> bool {
        self.served.counters.idle().is_none()
    }

    /// New requests wait for it, and are told what it waits for.
    pub fn show_asleep(&self, waits_for: Option<&str>) {
        let new = waits_for.map(Arc::from);
        self.state.send_if_modified(|state| {
            let same = matches!(state, BackendState::Asleep { waits_for, .. } if *waits_for == new);
            if !same {
                *state = BackendState::Asleep { hold: WAITS, waits_for: new };
            }
            !same
        });
    }

    pub fn start(&mut self, plan: Option<LaunchPlan>) {
        // Who starts llmup and asks at once has no reason to think that it is up.
        let (retry_after, hold) = if self.preload { (2, Duration::ZERO) } else { (5, HOLD) };
        self.state.send_replace(BackendState::Loading { since: Instant::now(), retry_after, hold });
        let _ = self.orders.send(Order::Start(plan.map(Box::new)));
        self.stand = Stand::Starting;
        (self.napping, self.asked) = (false, None);
    }

    /// What it takes when it is started, or woken.
    pub fn takes(&self) -> &Bytes {
        self.nap.as_ref().filter(|_| self.napping).map_or(&self.needs, |nap| &nap.wakes)
    }

    /// Whether what it holds, now or in a moment, lies where `needs` does.
    pub fn near(&self, needs: &Bytes) -> bool {
        let naps = self.nap.as_ref().is_some_and(|nap| room::overlap(&nap.holds, needs));
        naps || room::overlap(&self.needs, needs)
    }

    /// Ends its engine, unless somebody uses it: whoever comes from now on waits, and who came before is seen. With
    /// `nap` it may sleep in main memory instead, if it does not yet; nobody can use it there.
    pub fn put_to_sleep(&mut self, nap: bool) -> bool {
        if self.napping {
            let _ = self.orders.send(Order::Sleep { nap: false });
            self.stand = Stand::Stopping;
            return true;
        }
        let before = self.closed.take().unwrap_or_else(|| self.state.borrow().clone());
        self.show_asleep(None);
        if self.wanted() {
            self.state.send_replace(before);
            return false;
        }
        let _ = self.orders.send(Order::Sleep { nap });
        self.stand = Stand::Stopping;
        true
    }

    /// New requests wait from now on.
    pub fn close(&mut self, for_whom: &str) {
        if self.closed.is_none() {
            self.closed = Some(self.state.borrow().clone());
            self.show_asleep(Some(&format!("{for_whom} was asked for before and gets its room first")));
        }
    }

    pub fn reopen(&mut self) {
        let Some(before) = self.closed.take() else { return };
        // Unless its engine died meanwhile, and something else is true.
        self.state.send_if_modified(|state| {
            let ours = matches!(state, BackendState::Asleep { .. });
            if ours {
                *state = before;
            }
            ours
        });
    }

    pub fn runs(&self) -> bool {
        !matches!(self.stand, Stand::Asleep | Stand::Failed(_))
    }

    pub fn holds(&self) -> bool {
        self.runs() || self.napping
    }

    /// What it holds now.
    pub fn holder(&self, at: usize) -> Holder {
        let idle = self.served.counters.idle();
        match &self.nap {
            // Who asks for it waits for it to wake, or to be started.
            Some(nap) if self.napping => {
                Holder { at, holds: nap.holds.clone(), idle: Some(idle.unwrap_or_default()), keep: false }
            }
            _ => Holder { at, holds: self.needs.clone(), idle, keep: self.policy.keep },
        }
    }
}
