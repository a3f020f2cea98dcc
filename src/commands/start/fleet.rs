//! Which of several models run: those that fit beside each other stay, and what is asked for and does not fit is
//! started in the room of those that nobody has used for longest. Requests in flight are never cut: a model in use is
//! waited for. Here stands who they are and what they are told; whose turn it is, in [`turns`]. What fits is
//! [`super::room`]'s arithmetic; the engines themselves belong to their [`super::runner`]s.

mod turns;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::member::{Member, Stand};
use super::room::{self, Bytes};
use super::runner::{About, Order, Report};
use crate::commands::running::LiveModel;
use crate::error::Error;
use crate::gateway::{Bell, Served};
use crate::hardware::Hardware;
use crate::output;
use crate::state::Phase;

/// Between two looks at what only time changes.
const LOOK: Duration = Duration::from_millis(500);

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

impl Fleet {
    /// Nothing runs before the first [`Fleet::turn`]. `wanted` is the bell that all of them ring.
    pub fn new(members: Vec<Member>, wanted: Arc<Bell>) -> Fleet {
        let shown = Arc::new(Mutex::new(members.iter().map(shown).collect()));
        let first = members.len();
        let fleet = Fleet { members, first, shown, wanted, looking: None, seen: None, stopped: None };
        fleet.members.iter().filter(|member| !member.preload).for_each(|member| member.show_asleep(None));
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
            member.show_asleep(None);
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
                member.show_asleep(None);
            }
            Stand::Asleep => {}
            _ => return None,
        }
        member.preload = true;
        self.seen = None;
        Some(at)
    }

    /// Which model of that name is being started.
    pub fn starting(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name() == name && member.stand == Stand::Starting)
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
                member.show_asleep(None);
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
                member.show_asleep(None);
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
}

fn shown(member: &Member) -> Shown {
    (member.served.clone(), Arc::clone(&member.about))
}

/// Says that a model cannot be had, beside others that can.
pub(super) fn say_failed(name: &str, error: &Error) {
    for (at, (label, text)) in error.lines().into_iter().enumerate() {
        match at {
            0 => output::warning(format_args!("{name} cannot be had: {text}")),
            _ => output::note(&format!("{label}: {text}")),
        }
    }
}
