//! A model and its place in a run: what it takes to have it, and how it gets its member and its runner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::backend::{LastChild, Source};
use super::entry::Entry;
use super::member::{Member, Planner};
use super::room::{Bytes, Nap};
use super::runner::{Report, Runner};
use crate::config::Policy;
use crate::gateway::{BackendState, Bell, Served};
use crate::supervisor::Stopped;

/// One model of a run.
pub(super) struct Post {
    /// What callers call it.
    pub name: String,
    /// Where its backend comes from: made when its place among the models is known.
    pub source: Box<dyn FnOnce(Place) -> Source + Send>,
    pub policy: Policy,
    /// Every request is translated.
    pub translate: bool,
    /// What its plan takes.
    pub needs: Bytes,
    /// What of it is where while it sleeps in main memory, if it can.
    pub nap: Option<Nap>,
    pub planner: Option<Planner>,
    /// The context of its plan, tokens; 0 when there is none.
    pub context: u64,
}

/// What a backend has to know of the run it belongs to.
pub(super) struct Place {
    pub at: usize,
    pub entry: Arc<Entry>,
    pub last: LastChild,
}

/// What all models of a run share.
pub(super) struct Ground {
    pub entry: Arc<Entry>,
    /// The bell that all of them ring.
    pub wanted: Arc<Bell>,
    /// Where their runners tell.
    pub reporting: mpsc::UnboundedSender<(usize, Report)>,
}

impl Ground {
    /// A model in its place; its runner waits for orders.
    pub fn enlist(&self, at: usize, post: Post) -> (Member, JoinHandle<Option<Stopped>>) {
        let loading = BackendState::Loading { since: Instant::now(), retry_after: 2, hold: Duration::ZERO };
        let (state, backend) = watch::channel(loading);
        let served = Served { wanted: Arc::clone(&self.wanted), ..Served::new(post.name.as_str(), backend) };
        let (orders, received) = mpsc::unbounded_channel();
        let counters = Arc::clone(&served.counters);
        let member = Member::new(served, state.clone(), orders, post.policy, (post.needs, post.nap, post.planner));
        let last_child = LastChild::default();
        let source = (post.source)(Place { at, entry: Arc::clone(&self.entry), last: last_child.clone() });
        let runner = Runner {
            at,
            name: post.name,
            translate: post.translate,
            entry: Arc::clone(&self.entry),
            last_child,
            state,
            counters,
            about: Arc::clone(&member.about),
            orders: received,
            reports: self.reporting.clone(),
        };
        (member, tokio::spawn(runner.run(source)))
    }
}
