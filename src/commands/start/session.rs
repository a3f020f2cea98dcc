//! One run of `start`: the gateway in front, the models behind it as they come and go, and everything that can end it.
//! Read [`Session::run`] first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::entry::Entry;
use super::fleet::{self, Fleet};
use super::post::{Ground, Post};
use super::recruit::Recruiter;
use super::runner::Report;
use super::serve::{given, kept_key};
use super::{detach, launch, ready};
use crate::cli::StartArgs;
use crate::client::shell;
use crate::commands::log_files::{self, Limit};
use crate::commands::request_log::{REQUESTS, RequestLog};
use crate::commands::running::{Live, LiveModel};
use crate::commands::{reach, service};
use crate::control::{self, Order};
use crate::error::{Error, Plain, Result, paste};
use crate::exit::Exit;
use crate::gateway::{Bell, Catalog, Counters, Gateway, Limits, Served, Settings, Terms};
use crate::host::RealHost;
use crate::output;
use crate::paths::Paths;
use crate::state::Phase;
use crate::supervisor::Stopped;
use crate::supervisor::signal::{Interrupt, Interrupts, interrupts};

/// How long requests in flight may go on after the first Ctrl-C.
const DRAIN: Duration = Duration::from_millis(1500);

/// When the engines are made to end, after the first Ctrl-C: five seconds after it nothing may be left, and the system
/// needs some of them to remove processes: on two processors at a load of 12, 1.6 s were once too few for llama.cpp's
/// and 2.0 s for vLLM's.
const ENDS: Duration = Duration::from_millis(2500);

/// What a run serves.
pub(super) struct Offer {
    /// The models llmup runs, or reaches by `--engine-url`.
    pub posts: Vec<Post>,
    /// Others, which it only reaches, and what keeps asking them.
    pub reached: Vec<Served>,
    /// Other names of them all.
    pub aliases: Vec<(String, String)>,
    /// Plans models that join; `None`: nobody may.
    pub recruiter: Option<Recruiter>,
}

/// The gateway and everything that can end it.
pub(super) struct Session<'a> {
    args: &'a StartArgs,
    pub(super) entry: Arc<Entry>,
    pub(super) fleet: Fleet,
    reports: mpsc::UnboundedReceiver<(usize, Report)>,
    pub(super) runners: Vec<JoinHandle<Option<Stopped>>>,
    pub(super) names: Vec<String>,
    interrupts: Interrupts,
    control: control::Opened,
    shutdown: Option<oneshot::Sender<()>>,
    gateway: JoinHandle<()>,
    log: RequestLog,
    pub(super) paths: Paths,
    pub(super) limit: Limit,
    /// Keep the logs small that others write.
    pub(super) watching: Vec<JoinHandle<()>>,
    /// What counts for the next request.
    pub(super) terms: Terms,
    pub(super) key: String,
    pub(super) aliases: Vec<(String, String)>,
    pub(super) ground: Ground,
    /// Plans models that join; `None`: nobody may.
    pub(super) recruiter: Option<Arc<Recruiter>>,
    /// Those it is at.
    pub(super) recruits: JoinSet<(control::Join, Result<Post>)>,
    /// Models that joined, or are to be woken, of which it is not yet known whether there is room.
    pub(super) joining: Vec<usize>,
}

/// A word to the session from outside.
#[derive(Debug)]
enum Outside {
    Interrupt(Interrupt),
    Order(Order),
    Join(control::Join),
}

impl Outside {
    /// The exit code of a session that ends for it.
    fn exit(&self) -> u8 {
        match self {
            Outside::Interrupt(interrupt) => Exit::signal(interrupt.number()),
            Outside::Order(_) | Outside::Join(_) => Exit::Ok.code(),
        }
    }
}

impl<'a> Session<'a> {
    /// Opens the gateway; requests for a model are answered once it is ready.
    pub async fn open(
        args: &'a StartArgs,
        paths: &Paths,
        entry: &Arc<Entry>,
        listener: std::net::TcpListener,
        offer: Offer,
    ) -> Result<Session<'a>> {
        let bug = |e: std::io::Error| Error::from(Plain::new(Exit::Bug, e.to_string(), "run `llmup doctor`"));
        let listener = TcpListener::from_std(listener).map_err(bug)?;
        let address = listener.local_addr().map_err(bug)?;
        let key = match given(args.api_key.as_deref()) {
            Some(key) => key,
            None => kept_key(paths)?,
        };
        let loopback = address.ip().is_loopback();
        if !loopback {
            let told = reach::told(address, if offer.posts.len() > 1 { "the models" } else { "the model" });
            output::warning(told);
        }
        let limit = Limit::of_user();
        let log = RequestLog::to_file(&paths.logs().join(REQUESTS), limit)?;
        let names: Vec<String> = offer.posts.iter().map(|post| post.name.clone()).collect();
        let mut others: Vec<_> = names.iter().map(|name| launch::log(paths, name)).collect();
        others.push(detach::log(&names, paths));
        let watching = tokio::spawn(log_files::watch(others, limit));

        let (reporting, reports) = mpsc::unbounded_channel();
        let wanted = Arc::<Bell>::default();
        let (mut served, mut members, mut runners) = (Vec::new(), Vec::new(), Vec::new());
        let ground = Ground { entry: Arc::clone(entry), wanted: Arc::clone(&wanted), reporting };
        for (at, post) in offer.posts.into_iter().enumerate() {
            let (member, runner) = ground.enlist(at, post);
            served.push(member.served.clone());
            members.push(member);
            runners.push(runner);
        }
        let fleet = Fleet::new(members, wanted);
        served.extend(offer.reached);
        let (shutdown, ended) = oneshot::channel::<()>();
        let settings = Settings {
            key: Some(key.clone()),
            catalog: Catalog::new(served, offer.aliases.clone()),
            loopback,
            grace: DRAIN,
            limits: Limits::default(),
            log: Some(log.access_log()),
        };
        let gateway = Gateway::new(settings);
        let terms = gateway.terms();
        let recruiter = offer.recruiter.map(Arc::new);
        let joiners = recruiter.as_ref().map(|recruiter| recruiter.told());
        let status = status(gateway.counters(), terms.clone(), fleet.shown());
        let control = control::open_for_more(status, joiners).await.map_err(bug)?;
        let gateway = tokio::spawn(async move {
            let ended = async {
                let _ = ended.await;
            };
            gateway.serve(listener, ended).await;
        });
        entry.change_all(|instance| {
            for (at, name) in names.iter().enumerate() {
                if let Some(model) = instance.model_mut(at) {
                    model.name.clone_from(name);
                }
            }
            instance.url = reach::url(address);
            instance.key.clone_from(&key);
            instance.control = Some(control.endpoint.clone());
        });
        Ok(Session {
            args,
            entry: Arc::clone(entry),
            fleet,
            reports,
            runners,
            names,
            interrupts: interrupts().map_err(bug)?,
            control,
            shutdown: Some(shutdown),
            gateway,
            log,
            paths: paths.clone(),
            limit,
            watching: vec![watching],
            terms,
            key,
            aliases: offer.aliases,
            ground,
            recruiter,
            recruits: JoinSet::new(),
            joining: Vec::new(),
        })
    }

    /// Brings the models up and serves, over their engines' crashes, until something ends the run; then takes
    /// everything down in order. Gives the exit code.
    pub async fn run(mut self) -> Result<u8> {
        let mut told_ready = false;
        let result = loop {
            self.fleet.turn();
            self.follow_up();
            if !told_ready && self.fleet.settled() {
                self.ready();
                told_ready = true;
            }
            tokio::select! {
                word = outside(self.args, &mut self.interrupts, &mut self.control) => match word {
                    Outside::Order(Order::Restart(model)) => self.fleet.restart(model.as_deref()),
                    Outside::Order(Order::Sleep(model)) => self.fleet.sleep(&model),
                    Outside::Join(join) => self.wished(join),
                    word => break self.stop(word).await,
                },
                Some((at, report)) = self.reports.recv() => {
                    self.fleet.heard(at, &report);
                    let name = self.names.get(at).map(String::as_str).unwrap_or_default();
                    match report {
                        Report::Ready if told_ready => output::note(&format!("{name} is ready{}", self.again(at))),
                        Report::Failed(error) if !self.fleet.alive() => break self.failed(error).await,
                        Report::Failed(error) => fleet::say_failed(name, &error),
                        Report::Ready | Report::Napping | Report::Asleep => {}
                    }
                }
                Some(recruited) = self.recruits.join_next() => {
                    // One that failed in another way than by saying so is told by the end of its connection.
                    if let Ok((join, post)) = recruited {
                        self.recruited(join, post);
                    }
                }
                () = self.fleet.changed() => {}
            }
        };
        self.watching.iter().for_each(JoinHandle::abort);
        self.log.flush();
        result
    }

    /// Whether a model is ready for another time.
    fn again(&self, at: usize) -> &'static str {
        if self.fleet.restarts(at) > 0 { " again" } else { "" }
    }

    /// All is as it was asked for: whoever started it is told. What clients need stands in the file by now.
    fn ready(&mut self) {
        let asleep: Vec<usize> = self.fleet.asleep().collect();
        let instance = self.entry.change_all(|instance| {
            for at in asleep {
                if let Some(model) = instance.model_mut(at) {
                    model.phase = Phase::Asleep;
                }
            }
        });
        ready::show(&instance, shell::detect(&RealHost, &shell::ancestors()), None);
        self.entry.change_all(|instance| instance.phase = Phase::Ready);
        if self.args.json {
            output::json(&ready::as_json(&instance, None));
        }
        service::ready(&format!("{} is ready", self.names.join(", ")));
    }

    /// The run is over because no backend can be had.
    async fn failed(&mut self, error: Error) -> Result<u8> {
        let _ = self.shutdown.take().map(|s| s.send(()));
        let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.gateway).await;
        self.fleet.end(Duration::ZERO);
        gone(&mut self.runners).await;
        Err(error)
    }

    /// In order: no new requests, those in flight drain, the engines are asked, then made to end. A second Ctrl-C, or
    /// the order to end at once, skips to the end.
    async fn stop(&mut self, word: Outside) -> Result<u8> {
        let at_once = matches!(word, Outside::Order(Order::Kill));
        let exit = word.exit();
        let began = Instant::now();
        service::stopping();
        let running = self.fleet.running();
        if running {
            output::note(if at_once { "stopping at once" } else { "stopping (Ctrl-C again ends at once)" });
        }
        let _ = self.shutdown.take().map(|s| s.send(()));
        let mut now = at_once;
        if running && !at_once {
            tokio::select! {
                _ = tokio::time::timeout(DRAIN, &mut self.gateway) => {}
                () = at_once_told(self.args, &mut self.interrupts, &mut self.control) => now = true,
            }
        }
        self.fleet.end(if now { Duration::ZERO } else { ENDS.saturating_sub(began.elapsed()) });
        let stuck = tokio::select! {
            stuck = gone(&mut self.runners) => stuck,
            () = at_once_told(self.args, &mut self.interrupts, &mut self.control), if !now => {
                self.fleet.end(Duration::ZERO);
                gone(&mut self.runners).await
            }
        };
        match stuck.is_empty() {
            true => output::note("stopped; nothing is left running"),
            false => output::note(&format!("these processes could not be ended: {stuck:?}")),
        }
        Ok(exit)
    }
}

/// The next word from outside that is not answered at once.
async fn outside(args: &StartArgs, interrupts: &mut Interrupts, control: &mut control::Opened) -> Outside {
    loop {
        tokio::select! {
            interrupt = interrupts.next() => return Outside::Interrupt(interrupt),
            Some(order) = control.orders.recv() => return Outside::Order(order),
            Some(join) = control.joins.recv() => return Outside::Join(join),
            Some(wish) = control.reloads.recv() => wish.answer(not_read_again(args)),
        }
    }
}

/// Returns when it is told to end at once.
async fn at_once_told(args: &StartArgs, interrupts: &mut Interrupts, control: &mut control::Opened) {
    while !matches!(outside(args, interrupts, control).await, Outside::Interrupt(_) | Outside::Order(Order::Kill)) {}
}

/// `reload` is for `serve`: engines that run cannot become others.
fn not_read_again(args: &StartArgs) -> control::Told {
    let Some(file) = &args.config else {
        let said = "it was started by flags: there is no configuration to read again";
        return control::Told::Done(vec![said.to_owned()]);
    };
    let message = format!("start reads {} once: what its engines were started with stays", file.display());
    let hint =
        format!("end it and start it again: `llmup stop --all`, then `llmup start --config {}`", paste::path(file));
    control::Told::Refused(vec![("error".to_owned(), message), ("hint".to_owned(), hint)])
}

/// Waits until all runners are done; the processes that could not be ended. May be dropped and called again.
async fn gone(runners: &mut Vec<JoinHandle<Option<Stopped>>>) -> Vec<u32> {
    let mut stuck = Vec::new();
    while let Some(runner) = runners.last_mut() {
        let ended: std::result::Result<_, JoinError> = runner.await;
        if let Ok(Some(Stopped::Stuck(pids))) = ended {
            stuck.extend(pids);
        }
        runners.pop();
    }
    stuck
}

/// What the control endpoint answers.
fn status(
    counters: Arc<Counters>,
    terms: Terms,
    models: impl Fn() -> Vec<LiveModel> + Send + Sync + 'static,
) -> control::Status {
    Arc::new(move || Live::told(counters.read(), models(), &terms.catalog()).json())
}
