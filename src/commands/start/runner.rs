//! One model's engine: started when it is told so, watched, started anew when it dies, ended when it is told so. One
//! task owns it; others send it [`Order`]s and hear its [`Report`]s. Read [`Runner::run`] first; how it rests and ends stands
//! in [`rest`].

mod rest;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use rest::Nap;

use super::backend::{Backend, LastChild, Source};
use super::entry::{self, Entry};
use super::heal::Crashes;
use super::launch::{self, GRACE};
use super::measure;
use super::watchdog::{End, Hung, Watchdog};
use crate::engine::driver;
use crate::error::Error;
use crate::gateway::{BackendState, Counters};
use crate::output;
use crate::plan::LaunchPlan;
use crate::protocol::Id;
use crate::state::{Engine, Phase};
use crate::supervisor::{ExitStatus, Stopped};

/// How long requests wait for an engine that is started anew: a large model takes minutes to load, and most clients
/// wait for five.
pub(super) const HOLD: Duration = Duration::from_secs(240);

/// What a runner is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Start the engine, if it does not run, or wake it; by this plan, if there is one.
    Start(Option<Box<LaunchPlan>>),
    /// End it, unless requests go to it: who orders this has turned them away before.
    Sleep {
        /// It may sleep in main memory instead, where it can.
        nap: bool,
    },
    /// End it and start it anew; requests wait.
    Restart,
    /// End it for good; this is how long it may take. A second one may shorten that.
    End(Duration),
}

/// What a runner tells.
#[derive(Debug)]
pub(super) enum Report {
    /// It answers.
    Ready,
    /// Its engine sleeps in main memory, as ordered.
    Napping,
    /// Its engine does not run any more, as ordered, or it died while it slept.
    Asleep,
    /// It cannot be had.
    Failed(Error),
}

/// What `status` tells about a runner.
#[derive(Debug, Default)]
pub(super) struct About {
    pub restarts: u32,
    /// The last crash, in the engine's words.
    pub crash: Option<String>,
    /// It sleeps in main memory.
    pub napping: bool,
}

/// Which of two came first.
enum First<T> {
    Done(T),
    Order(Order),
}

/// How a life of the engine is over.
enum Over {
    Asleep,
    Failed(Error),
    Ended(Option<Stopped>),
}

/// The one that owns the engine.
pub(super) struct Runner {
    /// Its place among the models.
    pub at: usize,
    /// The model.
    pub name: String,
    /// Every request is translated.
    pub translate: bool,
    pub entry: Arc<Entry>,
    pub last_child: LastChild,
    pub state: watch::Sender<BackendState>,
    pub counters: Arc<Counters>,
    pub about: Arc<Mutex<About>>,
    pub orders: mpsc::UnboundedReceiver<Order>,
    pub reports: mpsc::UnboundedSender<(usize, Report)>,
}

impl Runner {
    /// Until it is told to end. Nothing of the engine is left when this returns; the last word is about those that
    /// could not be ended.
    pub async fn run(mut self, mut source: Source) -> Option<Stopped> {
        let mut crashes = Crashes::default();
        loop {
            match self.orders.recv().await {
                Some(Order::Start(plan)) => {
                    // Who looks into the file sees at once what the gateway says already.
                    self.entry.change(self.at, |model| model.phase = Phase::Loading);
                    source.use_plan(plan);
                }
                // Nothing of it runs.
                Some(Order::Sleep { .. }) => {
                    self.tell(Report::Asleep);
                    continue;
                }
                Some(Order::Restart) => continue,
                Some(Order::End(_)) | None => return None,
            }
            match self.live(&mut source, &mut crashes).await {
                Over::Asleep => {
                    self.phase(Phase::Asleep);
                    self.tell(Report::Asleep);
                }
                Over::Failed(error) => {
                    self.state.send_replace(BackendState::Gone { reason: error.to_string() });
                    self.last_child.gone().await;
                    self.phase(Phase::Gone);
                    self.tell(Report::Failed(error));
                }
                Over::Ended(stopped) => return stopped,
            }
        }
    }

    /// Brings the engine up and watches it, over its crashes, until it is told otherwise or cannot be had.
    async fn live(&mut self, source: &mut Source, crashes: &mut Crashes) -> Over {
        let mut crashed = false;
        'anew: loop {
            let backend = match self.or_order(source.bring()).await {
                First::Done(Ok(backend)) => backend,
                // The first start fails for good: nothing has changed since it was asked for.
                First::Done(Err(error)) if !crashed => return Over::Failed(error),
                First::Done(Err(error)) => match self.pause(crashes, error).await {
                    None => continue,
                    Some(over) => return over,
                },
                First::Order(order) => {
                    // The one that was being started holds memory until it is gone.
                    self.last_child.gone().await;
                    match order {
                        Order::Sleep { .. } => return Over::Asleep,
                        Order::End(_) => return Over::Ended(None),
                        Order::Start(_) | Order::Restart => continue,
                    }
                }
            };
            if let Some(warning) = measure::beside_the_gpu(&backend, source.plan()) {
                output::warning(warning);
            }
            self.ready(&backend, source);
            let slow = source.plan().is_some_and(|plan| plan.speed() < 2);
            let end = loop {
                let watch = Watchdog::new(&backend, source.heals(), slow, &self.counters);
                match self.or_order(watch.end_of(backend.child.as_ref())).await {
                    // Nothing of ours to start anew.
                    First::Order(Order::Restart) if !source.heals() => {}
                    // It became ready while that was said: nobody has turned requests away yet.
                    First::Order(Order::Sleep { .. }) if matches!(*self.state.borrow(), BackendState::Ready(_)) => {
                        self.tell(Report::Ready);
                    }
                    First::Order(Order::Sleep { nap: true }) if source.naps().is_some() => {
                        match self.nap(&backend, source).await {
                            Nap::Woken => self.ready(&backend, source),
                            Nap::Anew => continue 'anew,
                            Nap::Over(over) => return over,
                        }
                    }
                    end => break end,
                }
            };
            let failure = match end {
                First::Done(End::Exited(status)) => self.crashed(&backend, status, source).await,
                First::Done(End::Hung(hung)) => self.hung(&backend, hung).await,
                First::Order(Order::Sleep { .. }) => return self.put_out(&backend).await,
                First::Order(Order::End(grace)) => return Over::Ended(self.stop(&backend, grace).await.0),
                First::Order(Order::Start(_) | Order::Restart) => {
                    output::note(&format!("restarting the engine of {}; requests wait for it", self.name));
                    self.hold();
                    if let (stopped, Some(_)) = self.stop(&backend, GRACE).await {
                        return Over::Ended(stopped);
                    }
                    self.about().restarts += 1;
                    crashed = true;
                    continue;
                }
            };
            if !source.heals() {
                return Over::Failed(failure);
            }
            crashed = true;
            if let Some(over) = self.pause(crashes, failure).await {
                return over;
            }
        }
    }

    /// Waits for `work`, unless something is ordered meanwhile.
    async fn or_order<T>(&mut self, work: impl Future<Output = T>) -> First<T> {
        tokio::select! {
            done = work => First::Done(done),
            order = order(&mut self.orders) => First::Order(order),
        }
    }

    /// The backend answers: requests go to it, and who looks sees it.
    fn ready(&mut self, backend: &Backend, source: &Source) {
        let plan = source.plan();
        let mut ready = backend.ready.clone();
        ready.heals = backend.child.is_some();
        if self.translate {
            ready.native.retain(|id| *id == Id::Chat);
        }
        self.state.send_replace(BackendState::from(ready));
        self.entry.change(self.at, |model| {
            model.phase = Phase::Ready;
            model.context = backend.ready.context;
            model.engine = Engine {
                port: backend.port,
                log: backend.log.clone(),
                ..entry::of_child(backend.engine.name(), backend.child.as_ref())
            };
            model.planned = plan.map(measure::planned);
            model.measured = Some(measure::sizes(&backend.measured));
        });
        self.tell(Report::Ready);
    }

    /// From now on requests wait for the next backend.
    fn hold(&self) {
        self.state.send_replace(BackendState::Loading { since: Instant::now(), retry_after: 5, hold: HOLD });
    }

    /// The engine died. All of its tree is gone when this returns.
    async fn crashed(&mut self, backend: &Backend, status: ExitStatus, source: &mut Source) -> Error {
        if source.heals() {
            self.hold();
        } else {
            self.state.send_replace(BackendState::Gone { reason: status.to_string() });
        }
        self.last_child.gone().await;
        let log = backend.log.clone().unwrap_or_default();
        let failure = launch::ended(driver(backend.engine), status, log).while_serving();
        if let Some(said) = source.leaner(&failure) {
            output::warning(said);
        }
        failure.into()
    }

    /// The engine hangs. All of its tree is gone when this returns: it would not hear a request to end.
    async fn hung(&mut self, backend: &Backend, hung: Hung) -> Error {
        self.hold();
        self.stop(backend, Duration::ZERO).await;
        hung.into()
    }

    /// Waits before the next start; `Some` when there shall be none.
    async fn pause(&mut self, crashes: &mut Crashes, why: Error) -> Option<Over> {
        let Some(pause) = crashes.one(Instant::now()) else {
            let (name, times) = (&self.name, crashes.count());
            output::note(&format!("{name} crashed {times} times in a few minutes and is not started again"));
            return Some(Over::Failed(why));
        };
        {
            let mut about = self.about();
            about.restarts += 1;
            about.crash = Some(why.to_string());
        }
        let when = if pause.is_zero() { "now".to_owned() } else { format!("in {} s", pause.as_secs()) };
        output::warning(format_args!("{why}; starting it anew {when}"));
        match self.or_order(tokio::time::sleep(pause)).await {
            First::Done(()) | First::Order(Order::Restart | Order::Start(_)) => None,
            First::Order(Order::Sleep { .. }) => Some(Over::Asleep),
            First::Order(Order::End(_)) => Some(Over::Ended(None)),
        }
    }

    fn phase(&self, phase: Phase) {
        self.entry.change(self.at, |model| {
            model.phase = phase;
            model.engine.process = None;
        });
    }

    fn tell(&self, report: Report) {
        // Who listens ends only after this has.
        let _ = self.reports.send((self.at, report));
    }

    fn about(&self) -> std::sync::MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next order that means something to an engine that runs, or is about to.
async fn order(orders: &mut mpsc::UnboundedReceiver<Order>) -> Order {
    loop {
        match orders.recv().await {
            Some(Order::Start(_)) => {}
            Some(order) => return order,
            None => return Order::End(GRACE),
        }
    }
}
