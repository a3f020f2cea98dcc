//! How an engine that is not needed rests, in main memory or not at all, and how it is ended.

use std::time::Duration;

use super::{First, Order, Over, Report, Runner};
use crate::commands::start::backend::{Backend, Source};
use crate::commands::start::launch::GRACE;
use crate::commands::start::nap;
use crate::output;
use crate::plan::LaunchPlan;
use crate::state::Phase;
use crate::supervisor::Stopped;

/// A running Ollama gets this long to forget a model of ours.
const FORGETS: Duration = Duration::from_secs(1);

/// How a sleep in main memory is over.
pub(super) enum Nap {
    /// It is awake.
    Woken,
    /// It is gone, and is to be started.
    Anew,
    Over(Over),
}

impl Runner {
    /// Has the engine sleep in main memory until it is told otherwise or dies. Where it cannot, it is ended; where it
    /// does not wake, it is ended and started anew.
    pub(super) async fn nap(&mut self, backend: &Backend, source: &mut Source) -> Nap {
        let Some(plan) = source.naps() else { return Nap::Over(self.put_out(backend).await) };
        match self.or_order(nap::begin(backend, plan)).await {
            First::Done(Ok(())) => {}
            First::Done(Err(why)) => {
                let name = &self.name;
                output::note(&format!("{name} does not sleep in main memory, its engine is ended: {why}"));
                return Nap::Over(self.put_out(backend).await);
            }
            First::Order(Order::End(grace)) => return Nap::Over(Over::Ended(self.stop(backend, grace).await.0)),
            First::Order(_) => return Nap::Over(self.put_out(backend).await),
        }
        self.entry.change(self.at, |model| model.phase = Phase::Asleep);
        self.about().napping = true;
        self.tell(Report::Napping);
        let ordered = tokio::select! {
            order = self.orders.recv() => Some(order.unwrap_or(Order::End(GRACE))),
            () = exited(backend) => None,
        };
        self.about().napping = false;
        match ordered {
            Some(Order::Start(None)) => self.wake(backend, plan).await,
            Some(Order::Start(smaller)) => {
                let nap = self.ended(backend).await;
                source.use_plan(smaller);
                nap
            }
            Some(Order::Sleep { .. } | Order::Restart) => Nap::Over(self.put_out(backend).await),
            Some(Order::End(grace)) => Nap::Over(Over::Ended(self.stop(backend, grace).await.0)),
            None => {
                self.last_child.gone().await;
                output::note(&format!("the engine of {} ended while it slept; the next request starts it", self.name));
                Nap::Over(Over::Asleep)
            }
        }
    }

    async fn wake(&mut self, backend: &Backend, plan: &LaunchPlan) -> Nap {
        self.entry.change(self.at, |model| model.phase = Phase::Loading);
        match self.or_order(nap::end(backend, plan)).await {
            First::Done(Ok(())) => Nap::Woken,
            First::Done(Err(why)) => {
                output::note(&format!("{} does not wake up, its engine is started anew: {why}", self.name));
                self.ended(backend).await
            }
            First::Order(Order::Restart | Order::Start(_)) => self.ended(backend).await,
            First::Order(Order::Sleep { .. }) => Nap::Over(self.put_out(backend).await),
            First::Order(Order::End(grace)) => Nap::Over(Over::Ended(self.stop(backend, grace).await.0)),
        }
    }

    /// Ends an engine that is to be started anew.
    async fn ended(&mut self, backend: &Backend) -> Nap {
        match self.put_out(backend).await {
            Over::Asleep => Nap::Anew,
            over => Nap::Over(over),
        }
    }

    /// Ends an engine that nobody uses.
    pub(super) async fn put_out(&mut self, backend: &Backend) -> Over {
        match self.stop(backend, GRACE).await {
            (_, None) => Over::Asleep,
            (stopped, Some(_)) => Over::Ended(stopped),
        }
    }

    /// Ends the engine within `grace`, or less if that is ordered meanwhile: then the last order is given back.
    pub(super) async fn stop(&mut self, backend: &Backend, mut grace: Duration) -> (Option<Stopped>, Option<Order>) {
        let mut ordered = None;
        let stopped = loop {
            let ending = async {
                if let Some(derived) = &backend.derived {
                    let _ = tokio::time::timeout(FORGETS.min(grace), derived.remove()).await;
                }
                match &backend.child {
                    Some(child) => Some(child.stop(grace).await),
                    None => None,
                }
            };
            match self.or_order(ending).await {
                First::Done(stopped) => break stopped,
                First::Order(order) => {
                    if let Order::End(shorter) = order {
                        grace = grace.min(shorter);
                        ordered = Some(order);
                    }
                }
            }
        };
        self.last_child.gone().await;
        (stopped, ordered)
    }
}

/// When the engine is gone by itself.
async fn exited(backend: &Backend) {
    match &backend.child {
        Some(child) => {
            child.exited().await;
        }
        None => std::future::pending().await,
    }
}
