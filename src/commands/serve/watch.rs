//! The backends as they are asked and as they answer. A backend that does not answer is served all the same: callers
//! hear a 502 in their own dialect, and it is asked again until it tells what it has.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::probe::{self, Silent};
use super::target::Target;
use crate::gateway::{BackendState, Offer, Ready, Served};

/// Pause before a backend that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(15);

/// Models of one backend.
struct Group {
    members: Vec<(Target, watch::Sender<BackendState>)>,
    /// It has told what it has, or never will.
    done: bool,
}

/// All backends.
pub struct Backends {
    groups: Vec<Group>,
}

impl Backends {
    /// Asks every backend once, all at the same time. The last are lines for the user: what is wrong with them.
    pub async fn ask(targets: Vec<Target>) -> (Vec<Served>, Backends, Vec<String>) {
        let mut served = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        for target in targets {
            let (sender, backend) = watch::channel(BackendState::from(target.ready.clone()));
            served.push(Served::new(&target.name, backend));
            let same = |group: &&mut Group| group.members.iter().any(|(known, _)| together(known, &target));
            match groups.iter_mut().find(same) {
                Some(group) => group.members.push((target, sender)),
                None => groups.push(Group { done: !target.ask, members: vec![(target, sender)] }),
            }
        }
        let told = futures_util::future::join_all(groups.iter_mut().map(Group::ask)).await;
        (served, Backends { groups }, told.concat())
    }

    /// Asks again those that did not answer, until all did.
    pub async fn follow(mut self) {
        while self.groups.iter().any(|group| !group.done) {
            tokio::time::sleep(AGAIN).await;
            futures_util::future::join_all(self.groups.iter_mut().map(Group::ask)).await;
        }
        // The senders live as long as the backends are served: without them nobody could tell the gateway anything.
        std::future::pending().await
    }
}

/// Whether one answer speaks for both.
fn together(a: &Target, b: &Target) -> bool {
    let (x, y) = (&a.ready, &b.ready);
    a.ask == b.ask
        && (&x.base_url, &x.prefix, x.speaks, &x.api_key) == (&y.base_url, &y.prefix, y.speaks, &y.api_key)
        && x.options.headers == y.options.headers
}

impl Group {
    /// What is wrong with it, in lines for the user.
    async fn ask(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.done {
            return wrong;
        }
        let Some((target, _)) = self.members.first() else { return wrong };
        let told = probe::offers(&target.ready).await;
        self.done = !matches!(told, Err(Silent::Unreachable(_)));
        let place = &target.ready.base_url;
        match told {
            Ok(offers) => {
                let offers: Arc<[Offer]> = offers.into();
                for (target, state) in &self.members {
                    let ready = fitted(target, &offers);
                    if !ready.model.contains('*') && !offers.is_empty() && !listed(&offers, &ready.model) {
                        let known: Vec<&str> = offers.iter().take(5).map(|offer| offer.name.as_str()).collect();
                        wrong.push(format!("{place} does not list {}; it has {}", ready.model, known.join(", ")));
                    }
                    state.send_replace(BackendState::from(ready));
                }
            }
            Err(silent @ Silent::Unreachable(_)) => {
                wrong.push(format!("{}; it is served all the same, and answers once it is there", silent.at(place)));
            }
            Err(silent) => wrong.push(silent.at(place)),
        }
        wrong
    }
}

fn listed(offers: &[Offer], model: &str) -> bool {
    offers.iter().any(|offer| offer.name == model)
}

/// The backend with what it told: the model's context, and its name there when it has only one under another name.
fn fitted(target: &Target, offers: &Arc<[Offer]>) -> Ready {
    let mut ready = Ready { offers: Arc::clone(offers), ..target.ready.clone() };
    if let [only] = &offers[..]
        && ready.model == target.name
        && !ready.model.contains('*')
    {
        ready.model.clone_from(&only.name);
    }
    // Ollama's own names have a tag.
    let is = |offer: &&Offer| offer.name == ready.model || offer.name.strip_suffix(":latest") == Some(&ready.model);
    if let Some(offer) = offers.iter().find(is) {
        if !target.context_given && offer.context > 0 {
            ready.context = offer.context;
        }
        ready.accepts = ready.accepts.or(offer.accepts);
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, model: &str, context: Option<u64>) -> Target {
        let ready = Ready { context: context.unwrap_or(0), ..Ready::chat("http://h", model) };
        Target { name: name.into(), ready, context_given: context.is_some(), ask: true }
    }

    fn offers(pairs: &[(&str, u64)]) -> Arc<[Offer]> {
        pairs
            .iter()
            .map(|(name, context)| Offer { name: (*name).to_owned(), context: *context, ..Offer::default() })
            .collect()
    }

    #[test]
    fn the_backends_context_counts_unless_the_user_said_one() {
        let two = offers(&[("a", 1000), ("q:latest", 2000)]);
        let fit = |target: &Target, offers: &Arc<[Offer]>| {
            let ready = fitted(target, offers);
            (ready.model, ready.context)
        };
        assert_eq!(fit(&target("x", "a", None), &two), ("a".into(), 1000));
        assert_eq!(fit(&target("x", "a", Some(7)), &two), ("a".into(), 7));
        assert_eq!(fit(&target("x", "q", None), &two), ("q".into(), 2000));
        assert_eq!(fit(&target("x", "other", None), &two), ("other".into(), 0));
        // `--model mine` in front of a server with one model of another name.
        assert_eq!(fit(&target("mine", "mine", None), &offers(&[("a", 5)])), ("a".into(), 5));
        assert_eq!(fit(&target("mine", "theirs", None), &offers(&[("a", 5)])), ("theirs".into(), 0));
    }

    #[test]
    fn models_of_one_backend_are_asked_for_once() {
        let (a, b) = (target("a", "a", None), target("b", "b", None));
        assert!(together(&a, &b));
        let mut keyed = target("c", "c", None);
        keyed.ready.api_key = Some("k".into());
        assert!(!together(&a, &keyed));
    }
}
