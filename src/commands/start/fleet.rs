//! Which of several models run: those that fit beside each other stay, and what is asked for and does not fit is
//! started in the room of those that nobody has used for longest. Requests in flight are never cut: a model in use is
//! waited for. What fits is [`super::room`]'s arithmetic; the engines themselves belong to their [`super::runner`]s.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::member::{Member, Stand};
use super::room::{self, Bytes, Holder, Verdict};
use super::runner::{About, Order, Report};
use crate::commands::running::LiveModel;
use crate::error::Error;
use crate::gateway::{BackendState, Bell, Served};
use crate::hardware::{self, Hardware};
use crate::host::RealHost;
use crate::output;
use crate::plan::LaunchPlan;
use crate::state::Phase;

/// Requests that wait for a model in use let others go first for this long; then no new ones go to it before them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A model whose engine could not be had is tried again this long after, when somebody asks for it.
const AGAIN: Duration = Duration::from_secs(30);

/// Between two looks at what only time changes.
const LOOK: Duration = Duration::from_millis(500);

/// Devices may tell a moment late that memory is free again.
const SETTLES: Duration = Duration::from_secs(3);

/// All of them.
pub(super) struct Fleet {
    members: Vec<Member>,
    /// How many there were at the beginning: whoever joins later is not waited for by who started them.
    first: usize,
    /// The same for those who look.
    shown: Arc<Mutex<Vec<Shown>>>,
    wanted: Arc<Bell>,
    /// The machine is being looked at.
    looking: Option<JoinHandle<Hardware>>,
    /// What was seen, unless something was started or stopped since.
    seen: Option<Hardware>,
    /// When the last engine was stopped.
    stopped: Option<Instant>,
}

/// What is shown of a model.
type Shown = (Served, Arc<Mutex<About>>);

/// What a model whose turn it is has to wait for.
enum Turn {
    /// Nothing: it has been started, or will not be.
    Over,
    /// Something of ours, or a look at the machine.
    Waits,
}

impl Fleet {
    /// Nothing runs before the first [`Fleet::turn`]. `wanted` is the bell that all of them ring.
    pub fn new(members: Vec<Member>, wanted: Arc<Bell>) -> Fleet {
        let shown = Arc::new(Mutex::new(members.iter().map(shown).collect()));
        let first = members.len();
        let fleet = Fleet { members, first, shown, wanted, looking: None, seen: None, stopped: None };
        fleet.members.iter().filter(|member| !member.preload).for_each(|member| member.asleep(None));
        fleet
    }

    /// What the gateway shows of them.
    pub fn shown(&self) -> impl Fn() -> Vec<LiveModel> + Send + Sync + use<> {
        let members = Arc::clone(&self.shown);
        move || {
            let live = |(served, about): &Shown| {
                let about = about.lock().unwrap_or_else(PoisonError::into_inner);
                let (restarts, last_crash, napping) = (about.restarts, about.crash.clone(), about.napping);
                let mut live = LiveModel { restarts, last_crash, ..LiveModel::of(served) };
                if napping && live.state == "asleep" {
                    live.because = Some("in main memory".to_owned());
                }
                live
            };
            members.lock().unwrap_or_else(PoisonError::into_inner).iter().map(live).collect()
        }
    }

    /// One more at the end, or another one in the place of one that could not be had.
    pub fn enlist(&mut self, at: usize, member: Member) {
        if !member.preload {
            member.asleep(None);
        }
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.members.get_mut(at), all.get_mut(at)) {
            (Some(old), Some(seen)) => {
                let _ = old.orders.send(Order::End(Duration::ZERO));
                (*seen, *old) = (shown(&member), member);
            }
            _ => {
                all.push(shown(&member));
                self.members.push(member);
            }
        }
        self.seen = None;
    }

    /// Whether it could not be had.
    pub fn failed(&self, at: usize) -> bool {
        self.members.get(at).is_some_and(|member| matches!(member.stand, Stand::Failed(_)))
    }

    /// Bytes that those hold which run, or are about to.
    pub fn held(&self) -> Bytes {
        let mut held = Bytes::new();
        let all = self.members.iter().enumerate().filter(|(_, member)| member.holds() || member.preload);
        all.for_each(|(at, member)| room::add(&mut held, &member.holder(at).holds));
        held
    }

    /// Has a model started that does not run, if there is room beside the others; its place.
    pub fn wake(&mut self, name: &str) -> Option<usize> {
        let at = self.members.iter().position(|member| member.name() == name)?;
        let member = &mut self.members[at];
        match member.stand {
            Stand::Failed(_) => {
                member.stand = Stand::Asleep;
                member.asleep(None);
            }
            Stand::Asleep => {}
            _ => return None,
        }
        member.preload = true;
        self.seen = None;
        Some(at)
    }

    /// What became of a model that is to be started: `None` while that is open; without a phase when its runner has it,
    /// and tells.
    pub fn outcome(&self, at: usize) -> Option<Option<Phase>> {
        match self.members.get(at) {
            Some(Member { stand: Stand::Asleep, preload: true, .. }) => None,
            Some(Member { stand: Stand::Asleep, .. }) => Some(Some(Phase::Asleep)),
            Some(Member { stand: Stand::Failed(_), .. }) => Some(Some(Phase::Gone)),
            _ => Some(None),
        }
    }

    /// A runner tells.
    pub fn heard(&mut self, at: usize, report: &Report) {
        self.seen = None;
        let Some(member) = self.members.get_mut(at) else { return };
        member.preload = false;
        member.closed = None;
        match report {
            Report::Ready => member.stand = Stand::Up,
            // It died while it slept, before it heard that it is to wake: it is being started instead.
            Report::Asleep if member.stand == Stand::Starting => {}
            Report::Napping | Report::Asleep => {
                member.napping = matches!(report, Report::Napping);
                member.stand = Stand::Asleep;
                member.asleep(None);
                self.stopped = Some(Instant::now());
            }
            Report::Failed(_) => member.stand = Stand::Failed(Instant::now()),
        }
    }

    /// The models whose engines do not run.
    pub fn asleep(&self) -> impl Iterator<Item = usize> {
        self.members.iter().enumerate().filter(|(_, member)| member.stand == Stand::Asleep).map(|(at, _)| at)
    }

    /// Whether nothing is left of what was to be started at once.
    pub fn settled(&self) -> bool {
        self.members.iter().take(self.first).all(|member| !member.preload && member.stand != Stand::Starting)
    }

    /// Whether there is a model that answers, or may once it is asked for.
    pub fn alive(&self) -> bool {
        self.members.iter().any(|member| !matches!(member.stand, Stand::Failed(_)))
    }

    /// How often the engine of a model was started anew.
    pub fn restarts(&self, at: usize) -> u32 {
        let about = self.members.get(at).map(|member| member.about.lock().unwrap_or_else(PoisonError::into_inner));
        about.map_or(0, |about| about.restarts)
    }

    /// Whether anything runs.
    pub fn running(&self) -> bool {
        self.members.iter().any(|member| member.stand == Stand::Up)
    }

    /// Tells the runner of this model, or all.
    pub fn restart(&self, name: Option<&str>) {
        for member in self.members.iter().filter(|member| name.is_none_or(|name| name == member.name())) {
            let _ = member.orders.send(Order::Restart);
        }
    }

    /// Ends the engine of a model once nobody uses it; requests that come meanwhile wait, and wake it again.
    pub fn sleep(&mut self, name: &str) {
        for member in self.members.iter_mut().filter(|member| member.name() == name && member.holds()) {
            member.preload = false;
            if member.stand == Stand::Up && !member.put_to_sleep(false) {
                output::note(&format!("{name} is in use; it is not stopped"));
            } else if member.stand == Stand::Asleep {
                member.put_to_sleep(false);
            } else if member.stand == Stand::Starting {
                member.asleep(None);
                let _ = member.orders.send(Order::Sleep { nap: false });
                member.stand = Stand::Stopping;
            }
        }
    }

    /// Tells all runners to end their engines within `grace`.
    pub fn end(&self, grace: Duration) {
        for member in &self.members {
            let _ = member.orders.send(Order::End(grace));
        }
    }

    /// Waits until there may be something to do.
    pub async fn changed(&mut self) {
        let timed = |m: &Member| m.asked.is_some() || m.policy.ttl.is_some() || matches!(m.stand, Stand::Failed(_));
        let timed = self.members.iter().any(timed);
        let looked = async {
            match &mut self.looking {
                Some(looking) => looking.await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            hardware = looked => {
                self.looking = None;
                self.seen = hardware;
            }
            () = self.wanted.rung() => {}
            () = tokio::time::sleep(LOOK), if timed => {}
        }
    }

    /// Starts and stops what has to be.
    pub fn turn(&mut self) {
        let mut waiting = Vec::new();
        for (at, member) in self.members.iter_mut().enumerate() {
            if matches!(member.stand, Stand::Failed(since) if since.elapsed() >= AGAIN) {
                member.stand = Stand::Asleep;
                member.asleep(None);
            }
            let idle = member.served.counters.idle();
            let stale = member.policy.ttl.zip(idle).is_some_and(|(ttl, idle)| idle >= ttl);
            if member.stand == Stand::Up && stale && member.put_to_sleep(true) {
                let how = if member.nap.is_some() { "put to sleep" } else { "stopped" };
                output::note(&format!("nobody has used {} for a while: its engine is {how}", member.name()));
            }
            if member.stand == Stand::Asleep && (member.preload || idle.is_none()) {
                let asked = *member.asked.get_or_insert_with(Instant::now);
                // What is asked for comes before what might be.
                waiting.push((idle.is_some(), asked, at));
            } else if member.stand == Stand::Asleep {
                member.asked = None;
                member.asleep(None);
            }
        }
        waiting.sort_unstable();
        let mut reserved: Vec<Bytes> = Vec::new();
        for (_, asked, at) in waiting {
            // Who came first is not robbed of the room it waits for.
            if reserved.iter().any(|needs| room::overlap(needs, self.members[at].takes())) {
                continue;
            }
            if let Turn::Waits = self.consider(at, asked) {
                reserved.push(self.members[at].takes().clone());
            }
        }
        if reserved.is_empty() {
            self.members.iter_mut().for_each(Member::reopen);
        }
    }

    /// The turn of a model that is to be started.
    fn consider(&mut self, at: usize, asked: Instant) -> Turn {
        let (needs, group) = (self.members[at].takes().clone(), self.members[at].policy.group.clone());
        // With nobody to share with, or nothing to share, there is nothing to work out.
        if needs.is_empty() || self.members.len() == 1 {
            return self.start(at, None);
        }
        let rivals: Vec<usize> = self
            .others(at)
            .filter(|(_, m)| group.is_some() && m.policy.group == group && m.runs())
            .map(|(o, _)| o)
            .collect();
        let changing = |m: &Member| matches!(m.stand, Stand::Starting | Stand::Stopping);
        let in_the_way = self.others(at).find(|(other, m)| changing(m) && (m.near(&needs) || rivals.contains(other)));
        if let Some((_, other)) = in_the_way {
            let doing = if other.stand == Stand::Starting { "started" } else { "stopped" };
            let why = format!("{} is being {doing}", other.name());
            self.members[at].asleep(Some(&why));
            return Turn::Waits;
        }
        let (gone, busy) = if rivals.is_empty() {
            let Some(hardware) = &self.seen else {
                self.look();
                return Turn::Waits;
            };
            let holders: Vec<Holder> = self.others(at).map(|(other, m)| m.holder(other)).collect();
            let verdict = room::verdict(&needs, &room::free(hardware), &holders);
            if verdict != Verdict::Fits && self.stopped.is_some_and(|then| then.elapsed() < SETTLES) {
                self.seen = None;
                return Turn::Waits;
            }
            match verdict {
                Verdict::Fits => return self.start(at, None),
                Verdict::After(gone) => (gone, None),
                Verdict::Busy(other) => (Vec::new(), Some(other)),
                Verdict::Never => {
                    let stoppable = holders.iter().filter(|h| !h.keep && room::overlap(&h.holds, &needs));
                    match stoppable.clone().find(|holder| holder.idle.is_none()) {
                        Some(busy) => (Vec::new(), Some(busy.at)),
                        None => (stoppable.map(|holder| holder.at).collect(), None),
                    }
                }
            }
        } else {
            let busy = rivals.iter().find(|other| self.members[**other].wanted()).copied();
            (if busy.is_some() { Vec::new() } else { rivals }, busy)
        };
        if gone.is_empty() && busy.is_none() {
            return self.beside(at);
        }
        // Only what is asked for pushes others aside.
        if !self.members[at].wanted() {
            let member = &mut self.members[at];
            (member.preload, member.asked) = (false, None);
            member.asleep(None);
            let name = member.name();
            output::note(&format!("{name} does not fit beside the others: it is started when somebody asks for it"));
            return Turn::Over;
        }
        let name = self.members[at].name().to_owned();
        if let Some(other) = busy {
            let holder = &mut self.members[other];
            let why = format!("{} has its room and is in use", holder.name());
            if asked.elapsed() >= PATIENCE {
                holder.close(&name);
            }
            self.members[at].asleep(Some(&why));
            return Turn::Waits;
        }
        for other in gone {
            let naps = self.members[other].nap.is_some() && !self.members[other].napping;
            if self.members[other].put_to_sleep(true) {
                let doing = if naps { "putting to sleep" } else { "stopping" };
                output::note(&format!("{doing} {} to make room for {name}", self.members[other].name()));
            }
        }
        self.seen = None;
        self.members[at].asleep(Some("room is being made for it"));
        Turn::Waits
    }

    /// Everything that may go has gone, and its plan does not fit: it is planned for what there is.
    fn beside(&mut self, at: usize) -> Turn {
        let Some(hardware) = &self.seen else {
            self.look();
            return Turn::Waits;
        };
        match self.members[at].planner.as_ref().map(|plan| plan(hardware)) {
            None => self.start(at, None),
            Some(Ok(plan)) => {
                let member = &mut self.members[at];
                member.needs = room::needs(&plan);
                member.nap = member.nap.take().map(|_| room::nap(&plan));
                let (name, context) = (member.name(), plan.max_model_len);
                output::note(&format!("{name} gets less room than it was planned for: a context of {context} tokens"));
                self.start(at, Some(plan))
            }
            Some(Err(error)) => {
                let member = &mut self.members[at];
                let kept = "the others are to stay";
                let reason = format!("{} does not fit beside the others: {error}", member.name());
                output::warning(format_args!("{reason} ({kept})"));
                member.state.send_replace(BackendState::Gone { reason });
                (member.stand, member.preload, member.asked) = (Stand::Failed(Instant::now()), false, None);
                Turn::Over
            }
        }
    }

    fn start(&mut self, at: usize, plan: Option<LaunchPlan>) -> Turn {
        self.seen = None;
        self.members[at].start(plan);
        Turn::Over
    }

    /// Those besides this one that run, or are about to, or not yet gone.
    fn others(&self, at: usize) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate().filter(move |(other, member)| *other != at && member.holds())
    }

    /// Looks at the machine, which may take long where a driver hangs.
    fn look(&mut self) {
        if self.looking.is_none() {
            self.looking = Some(tokio::task::spawn_blocking(|| hardware::detect(&RealHost)));
        }
    }
}

fn shown(member: &Member) -> Shown {
    (member.served.clone(), Arc::clone(&member.about))
}

/// The failure of a model beside others.
pub(super) fn told(name: &str, error: &Error) {
    for (at, (label, text)) in error.lines().into_iter().enumerate() {
        match at {
            0 => output::warning(format_args!("{name} cannot be had: {text}")),
            _ => output::note(&format!("{label}: {text}")),
        }
    }
}
