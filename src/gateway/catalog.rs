//! The models on offer, and which of them a request gets.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::watch;

use super::backend::{BackendState, Ready};
use super::bell::Bell;
use super::metrics::Counters;
use crate::protocol::{Problem, ProblemKind};

/// One model on offer, or with a `*` in its name many.
#[derive(Debug, Clone)]
pub struct Served {
    /// The name it is listed under. One `*` stands for anything; it also stands for it in the backend's name of the
    /// model, so that a caller's name can be passed on.
    pub name: String,
    /// Its backend as it comes, stays and goes.
    pub backend: watch::Receiver<BackendState>,
    /// What it has done.
    pub counters: Arc<Counters>,
    /// Rung when somebody asks for it while it does not answer, and when it may make room for who waits.
    pub wanted: Arc<Bell>,
}

impl Served {
    /// A model and its backend, with nothing counted.
    pub fn new(name: impl Into<String>, backend: watch::Receiver<BackendState>) -> Served {
        Served { name: name.into(), backend, counters: Arc::default(), wanted: Arc::default() }
    }

    /// What a name with a `*` says for `asked`; `None` when it does not match.
    fn captured<'n>(&self, asked: &'n str) -> Option<&'n str> {
        let (begin, end) = self.name.split_once('*')?;
        asked.strip_prefix(begin)?.strip_suffix(end)
    }

    /// Whether its name stands for many.
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*')
    }
}

/// What a request gets.
#[derive(Debug)]
pub struct Chosen<'c> {
    /// The entry.
    pub served: &'c Served,
    /// What the `*` in its name stands for, if it has one.
    captured: Option<String>,
}

impl Chosen<'_> {
    /// The name to show for it.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.captured {
            Some(part) => Cow::Owned(self.served.name.replacen('*', part, 1)),
            None => Cow::Borrowed(&self.served.name),
        }
    }

    /// Makes the backend the one of this very model: its name where the backend's has a `*`, and its context.
    pub fn fit(&self, backend: &mut Arc<Ready>) {
        let Some(part) = &self.captured else { return };
        let backend = Arc::make_mut(backend);
        if backend.model.contains('*') {
            backend.model = backend.model.replacen('*', part, 1);
        }
        if let Some(offer) = backend.offers.iter().find(|offer| offer.name == backend.model) {
            backend.context = offer.context;
            backend.accepts = backend.accepts.or(offer.accepts);
        }
    }
}

/// All models on offer.
#[derive(Debug, Clone)]
pub struct Catalog {
    served: Vec<Served>,
    /// Other names, each with the place of its model in `served`.
    aliases: Vec<(String, usize)>,
    /// The first model answers whatever name a caller asks for.
    any_name: bool,
}

impl Catalog {
    /// One model that answers to every name: coding tools ask for names of their own.
    #[cfg(test)]
    pub(super) fn single(name: impl Into<String>, backend: watch::Receiver<BackendState>) -> Catalog {
        Catalog::new(vec![Served::new(name, backend)], Vec::new())
    }

    /// Several models and other names for them (alias, name). Of two with one name the first counts; an alias of
    /// nothing is left out. A single model without a `*` answers to every name.
    pub fn new(served: Vec<Served>, aliases: Vec<(String, String)>) -> Catalog {
        let place = |(alias, name): (String, String)| {
            let at = served.iter().position(|served| served.name == name)?;
            Some((alias, at))
        };
        let aliases = aliases.into_iter().filter_map(place).collect();
        let any_name = matches!(served.as_slice(), [only] if !only.is_pattern());
        Catalog { served, aliases, any_name }
    }

    /// The models, in the order they are listed.
    pub fn served(&self) -> &[Served] {
        &self.served
    }

    /// Other names of models, each with the model's own.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, at)| (alias.as_str(), self.served[*at].name.as_str()))
    }

    /// The names to list, each with its model: those of the file, then aliases, and for a name with a `*` what its
    /// backend told it has. Nobody can ask for a `*` itself, so it is not listed.
    pub fn names(&self) -> Vec<(String, Chosen<'_>)> {
        let mut names = Vec::new();
        let mut add = |name: String, chosen| {
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, chosen));
            }
        };
        for served in self.served.iter().filter(|served| !served.is_pattern()) {
            add(served.name.clone(), Chosen { served, captured: None });
        }
        for (alias, at) in &self.aliases {
            add(alias.clone(), Chosen { served: &self.served[*at], captured: None });
        }
        for served in self.served.iter().filter(|served| served.is_pattern()) {
            let state = served.backend.borrow();
            let BackendState::Ready(backend) = &*state else { continue };
            let Some((begin, end)) = backend.model.split_once('*') else { continue };
            for offer in backend.offers.iter() {
                let part = offer.name.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
                if let Some(part) = part {
                    add(served.name.replacen('*', part, 1), Chosen { served, captured: Some(part.to_owned()) });
                }
            }
        }
        names
    }

    /// The model of that very name: itself, an alias, or the longest name with a `*` that matches.
    pub fn exactly(&self, name: &str) -> Option<Chosen<'_>> {
        if let Some(served) = self.served.iter().find(|served| served.name == name) {
            return Some(Chosen { served, captured: None }).filter(|_| !served.is_pattern());
        }
        if let Some((_, at)) = self.aliases.iter().find(|(alias, _)| alias == name) {
            return Some(Chosen { served: &self.served[*at], captured: None });
        }
        let matching = self.served.iter().filter_map(|served| Some((served, served.captured(name)?)));
        // Of equally long ones the first: `max_by_key` would give the last.
        let longest = matching.rev().max_by_key(|(served, _)| served.name.len());
        longest.map(|(served, part)| Chosen { served, captured: Some(part.to_owned()) })
    }

    /// The model for a request that asks for `name`.
    pub fn find(&self, name: Option<&str>) -> Result<Chosen<'_>, Problem> {
        if let Some(chosen) = name.and_then(|name| self.exactly(name)) {
            return Ok(chosen);
        }
        if let Some(served) = self.served.first().filter(|_| self.any_name) {
            return Ok(Chosen { served, captured: None });
        }
        let known: Vec<&str> = self.served.iter().map(|served| served.name.as_str()).collect();
        let known = match known.len() {
            0..=20 => known.join(", "),
            more => format!("{} and {} more, see /v1/models", known[..20].join(", "), more - 20),
        };
        let message = match name {
            Some(name) => format!("there is no model {name:?}; there is {known}"),
            None => format!("the request names no model; there is {known}"),
        };
        Err(Problem::new(ProblemKind::NotFound, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Offer;

    fn served(name: &str, model: &str, offers: &[&str]) -> Served {
        let offers =
            offers.iter().map(|name| Offer { name: (*name).to_owned(), context: 4096, ..Offer::default() }).collect();
        let ready = Ready { offers, ..Ready::chat("http://x", model) };
        Served::new(name, watch::channel(BackendState::from(ready)).1)
    }

    fn model(catalog: &Catalog, name: Option<&str>) -> Result<(String, String), u16> {
        let chosen = catalog.find(name).map_err(|problem| problem.status())?;
        let mut ready = chosen.served.backend.borrow().ready().unwrap().clone();
        chosen.fit(&mut ready);
        Ok((chosen.name().into_owned(), ready.model.clone()))
    }

    #[test]
    fn names_come_before_aliases_and_both_before_wildcards_the_longest_first() {
        let catalog = Catalog::new(
            vec![
                served("*", "*", &[]),
                served("claude-*", "big", &[]),
                served("claude-haiku-*", "small/*", &[]),
                served("glm", "zai/glm", &[]),
                served("glm", "never", &[]),
            ],
            vec![("gpt-4".into(), "glm".into()), ("lost".into(), "nothing".into()), ("glm".into(), "*".into())],
        );
        let is = |asked: &str, name: &str, at: &str| {
            assert_eq!(model(&catalog, Some(asked)), Ok((name.to_owned(), at.to_owned())), "{asked}");
        };
        is("glm", "glm", "zai/glm");
        is("gpt-4", "glm", "zai/glm");
        is("claude-opus", "claude-opus", "big");
        is("claude-haiku-4", "claude-haiku-4", "small/4");
        is("org/any:tag", "org/any:tag", "org/any:tag");
        is("lost", "lost", "lost");
        assert_eq!(model(&catalog, None), Err(404));
    }

    #[test]
    fn one_model_answers_to_every_name_and_several_name_what_there_is() {
        let one = Catalog::new(vec![served("glm", "zai/glm", &[])], Vec::new());
        assert_eq!(model(&one, Some("gpt-5")).unwrap().1, "zai/glm");
        assert_eq!(model(&one, None).unwrap().1, "zai/glm");
        let two = Catalog::new(vec![served("a", "a", &[]), served("b-*", "b", &[])], Vec::new());
        let problem = two.find(Some("gpt-5")).unwrap_err();
        assert_eq!((problem.status(), problem.message.as_str()), (404, "there is no model \"gpt-5\"; there is a, b-*"));
        let pattern = Catalog::new(vec![served("b-*", "b", &[])], Vec::new());
        assert_eq!(model(&pattern, Some("c")), Err(404));
    }

    #[test]
    fn the_list_has_no_wildcards_but_what_stands_behind_them() {
        let catalog = Catalog::new(
            vec![
                served("local/*", "org/*", &["org/a", "other", "org/b"]),
                served("x", "x", &[]),
                served("*", "y", &[]),
            ],
            vec![("alias".into(), "x".into())],
        );
        let names: Vec<String> = catalog.names().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["x", "alias", "local/a", "local/b"]);
        assert!(catalog.exactly("local/*").is_none());
        let chosen = catalog.exactly("local/a").unwrap();
        let mut ready = chosen.served.backend.borrow().ready().unwrap().clone();
        chosen.fit(&mut ready);
        assert_eq!((ready.model.as_str(), ready.context), ("org/a", 4096));
    }
}
