//! A running llmup takes in one more model, which another `start` asks for ([`super::join`]): planned for the machine as
//! it was before our own engines ran, then a member of the fleet like the others. What has to be asked of a human, or
//! downloaded, was done by that other command.

use super::decide::{choose, with_engine};
use super::entry::Entry;
use super::join::{Told, WAKE, Wish};
use super::post::Post;
use super::room::Bytes;
use super::session::Session;
use super::target::TargetError;
use super::wanted::One;
use super::{beside, in_wsl, launch, nap, ollama, serve};
use crate::cli::StartArgs;
use crate::commands::log_files;
use crate::control;
use crate::engine::{EngineId, find};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::gateway::Catalog;
use crate::hardware::Hardware;
use crate::host::RealHost;
use crate::output;
use crate::paths::Paths;
use crate::state::{Model, Phase};

/// What planning one more model needs.
pub(super) struct Recruiter {
    /// What llmup was started with.
    pub args: StartArgs,
    pub paths: Paths,
    /// The machine before our engines ran.
    pub hardware: Hardware,
}

impl Recruiter {
    /// What who wants to join has to know.
    pub fn told(&self) -> serde_json::Value {
        let hardware = self.hardware.clone();
        let told = Told { version: env!("CARGO_PKG_VERSION").to_owned(), host: self.args.host, hardware };
        serde_json::to_value(told).unwrap_or_default()
    }

    /// Plans it beside those that hold so much.
    fn post(&self, wish: serde_json::Value, held: &Bytes) -> Result<Post> {
        let wish: Wish = serde_json::from_value(wish).map_err(|error| {
            let message = format!("the running llmup does not understand what is asked for: {error}");
            Plain::new(Exit::Taken, message, "start it beside that one: add `--port 0`")
        })?;
        let found = in_wsl::counts(find::find(&RealHost, &self.paths));
        let one = One::named(wish.args(&self.args));
        let (target, plan) = choose(&one, &self.hardware, &found, &self.paths)?;
        let mut model = with_engine(one, target, plan?, &found, &self.paths)?;
        if let Some(needs) = model.plan.needs {
            return Err(Plain { message: needs.what, exit: Exit::Missing, hints: needs.how }.into());
        }
        if let Some(variant) = model.target.missing.take()
            && model.plan.engine != EngineId::Ollama
        {
            return Err(TargetError::NoWeights { name: model.target.name, variant: Box::new(variant) }.into());
        }
        let reuse = (model.plan.engine == EngineId::Ollama).then(ollama::running).flatten();
        if model.engine.is_none() && reuse.is_none() {
            let engine = model.plan.engine;
            let message = format!("the running llmup finds no {engine}");
            return Err(
                Plain::new(Exit::Missing, message, format!("install it: `llmup engine install {engine}`")).into()
            );
        }
        if model.one.policy.preload {
            beside::one(&mut model, &self.hardware, &found, held);
        }
        nap::settle(std::slice::from_mut(&mut model), &self.hardware, true);
        serve::equip(&mut model, reuse.is_some(), &mut Vec::new(), (&self.hardware, &self.paths))?;
        model.plan.warnings.iter().for_each(output::warning);
        Ok(serve::post(model, reuse, &self.paths, serve::random_key()?))
    }
}

impl Session<'_> {
    /// Somebody asks for one more model; it is planned while all else goes on.
    pub(super) fn wished(&mut self, join: control::Join) {
        if let Some(name) = join.wish.get(WAKE).and_then(serde_json::Value::as_str) {
            self.wake(name);
            return join.answer(control::Told::Done(Vec::new()));
        }
        // Without an answer its connection ends.
        let Some(recruiter) = self.recruiter.clone() else { return };
        let held = self.fleet.held();
        self.recruits.spawn_blocking(move || {
            let post = recruiter.post(join.wish.clone(), &held);
            (join, post)
        });
    }

    /// It is planned, or refused.
    pub(super) fn recruited(&mut self, join: control::Join, post: Result<Post>) {
        join.answer(match post {
            Ok(post) => control::Told::Done(vec![self.take_in(post)]),
            Err(error) => refused(&error),
        });
    }

    /// One more model for clients, `status` and the fleet; what is said about that.
    fn take_in(&mut self, post: Post) -> String {
        let name = post.name.clone();
        let at = match self.names.iter().position(|known| *known == name) {
            Some(at)
                if self.fleet.failed(at) || (self.entry.gone(at) && self.fleet.asleep().any(|other| other == at)) =>
            {
                at
            }
            Some(_) => return format!("{name} is served already"),
            None => self.names.len(),
        };
        let phase = if post.policy.preload { Phase::Loading } else { Phase::Asleep };
        self.entry.enlist(at, Model { context: post.context, phase, ..Model::loading(&name) });
        let (member, runner) = self.ground.enlist(at, post);
        let mut served = self.terms.catalog().served().to_vec();
        match served.get_mut(at).filter(|_| at < self.names.len()) {
            Some(old) => *old = member.served.clone(),
            // What is only reached comes after what is ours.
            None => served.insert(at.min(served.len()), member.served.clone()),
        }
        self.fleet.enlist(at, member);
        self.runners.push(runner);
        if at == self.names.len() {
            let log = launch::log(&self.paths, &name);
            self.watching.push(tokio::spawn(log_files::watch(vec![log], self.limit)));
            self.names.push(name.clone());
        }
        self.terms.replace(Some(self.key.clone()), Catalog::new(served, self.aliases.clone()));
        self.joining.push(at);
        output::note(&format!("{name} joins: another `llmup start` asked for it"));
        format!("{name} is served beside {}", others(&self.names, at))
    }

    /// Somebody wants a model to run that does not.
    fn wake(&mut self, name: &str) {
        if let Some(at) = self.fleet.wake(name) {
            self.entry.change(at, |model| model.phase = Phase::Loading);
            self.joining.push(at);
        } else if let Some(at) = self.fleet.starting(name) {
            // Its runner says so in a moment: until then, who asked would take it for asleep.
            self.entry.change(at, |model| {
                if model.phase == Phase::Asleep {
                    model.phase = Phase::Loading;
                }
            });
        }
    }

    /// Tells what became of those that joined or are to be woken.
    pub(super) fn follow_up(&mut self) {
        let (fleet, entry): (_, &Entry) = (&self.fleet, &self.entry);
        self.joining.retain(|at| {
            let outcome = fleet.outcome(*at);
            if let Some(Some(phase)) = outcome {
                entry.change(*at, |model| model.phase = phase);
            }
            outcome.is_none()
        });
    }
}

fn others(names: &[String], at: usize) -> String {
    let others = names.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, name)| name.as_str());
    others.collect::<Vec<_>>().join(", ")
}

/// The error for who asked, with its exit code.
fn refused(error: &Error) -> control::Told {
    let lines = error.lines().into_iter().map(|(label, text)| (label.trim().to_owned(), text));
    control::Told::Refused(lines.chain([("exit".to_owned(), error.exit().code().to_string())]).collect())
}
