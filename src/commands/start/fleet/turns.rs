//! Whose turn it is: what starts, what ends, and what waits for what.

use std::time::{Duration, Instant};

use super::Fleet;
use crate::commands::start::member::{Member, Stand};
use crate::commands::start::room::{self, Bytes, Holder, Verdict};
use crate::gateway::BackendState;
use crate::hardware;
use crate::host::RealHost;
use crate::output;
use crate::plan::LaunchPlan;

/// Requests that wait for a model in use let others go first for this long; then no new ones go to it before them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A model whose engine could not be had is tried again this long after, when somebody asks for it.
const AGAIN: Duration = Duration::from_secs(30);

/// Devices may tell a moment late that memory is free again.
const SETTLES: Duration = Duration::from_secs(3);

/// What a model whose turn it is has to wait for.
enum Turn {
    /// Nothing: it has been started, or will not be.
    Over,
    /// Something of ours, or a look at the machine.
    Waits,
}

impl Fleet {
    /// Starts and stops what has to be.
    pub fn turn(&mut self) {
        let mut waiting = Vec::new();
        for (at, member) in self.members.iter_mut().enumerate() {
            if matches!(member.stand, Stand::Failed(since) if since.elapsed() >= AGAIN) {
                member.stand = Stand::Asleep;
                member.show_asleep(None);
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
                member.show_asleep(None);
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
            let starts = other.stand == Stand::Starting;
            let name = other.name();
            let why = if starts { format!("{name} is being started") } else { format!("{name} is being stopped") };
            self.members[at].show_asleep(Some(&why));
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
            member.show_asleep(None);
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
            self.members[at].show_asleep(Some(&why));
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
        self.members[at].show_asleep(Some("room is being made for it"));
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
