//! Reading the configuration again while requests run: the new models and key count from the next request on, those on
//! their way end as they began. A file that cannot be used changes nothing.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use tokio::task::JoinHandle;

use super::target::Target;
use super::{Wanted, instance, key_for, wanted, watch};
use crate::cli::ServeArgs;
use crate::control::Told;
use crate::error::Error;
use crate::gateway::{Catalog, Terms};
use crate::output;
use crate::paths::Paths;
use crate::state::{self, Instance};

/// What a running `serve` needs to do it.
pub(super) struct Reloader<'a> {
    pub args: &'a ServeArgs,
    pub paths: &'a Paths,
    pub terms: Terms,
    /// As the state folder has it.
    pub instance: Instance,
    /// What is served.
    pub models: Models,
    /// Asks the backends that did not answer.
    pub following: JoinHandle<()>,
}

impl Reloader<'_> {
    /// Reads the file again; nothing has changed when it is refused, or when this is dropped half-way.
    pub async fn again(&mut self) -> Told {
        let Some(file) = &self.args.config else {
            let said = "it serves what its flags say: there is no configuration to read again";
            return Told::Done(vec![said.to_owned()]);
        };
        let read = wanted(self.args).and_then(|mut wanted| {
            let key = key_for(self.args, wanted.key.take(), self.paths)?;
            Ok((wanted, key))
        });
        let (wanted, key) = match read {
            Ok(read) => read,
            Err(error) => return refused(&error),
        };
        let Wanted { targets, aliases, warnings, .. } = wanted;
        let models = Models::of(&targets, &aliases);
        let (served, backends, silent) = watch::Backends::ask(targets).await;
        let catalog = Catalog::new(served, aliases);
        self.terms.replace(key.clone(), catalog.clone());
        // What asked for the old ones is done; streams from them need nobody that asks.
        std::mem::replace(&mut self.following, tokio::spawn(backends.follow())).abort();

        let mut said = vec![format!("read {} again: {}", file.display(), self.models.changes(&models))];
        let now = instance(&catalog, self.instance.url.clone(), key);
        if now.key != self.instance.key {
            said.push("the key is another one now".to_owned());
        }
        self.models = models;
        let (control, started_at) = (self.instance.control.take(), self.instance.started_at);
        self.instance = Instance { control, started_at, ..now };
        if let Err(error) = state::write(&self.paths.state(), &self.instance) {
            said.push(error.to_string());
        }
        said.extend(warnings.into_iter().chain(silent).map(|warning| format!("note: {warning}")));
        Told::Done(said)
    }
}

/// The error as the one who asked shall see it.
fn refused(error: &Error) -> Told {
    let lines = error.lines().into_iter().map(|(label, text)| (label.trim().to_owned(), text));
    Told::Refused(lines.collect())
}

/// The same for our own log.
pub(super) fn note(told: &Told) {
    match told {
        Told::Done(said) => said.iter().for_each(|line| output::note(line)),
        Told::Refused(lines) => {
            output::note("the configuration was not read again; what was served is served on");
            lines.iter().for_each(|(label, text)| output::note(&format!("{label}: {text}")));
        }
    }
}

/// What is served, as far as it takes to tell what changes.
#[derive(Debug, Default)]
pub(super) struct Models {
    /// Name and a number that is another one when anything about the model is.
    each: Vec<(String, u64)>,
    aliases: Vec<(String, String)>,
}

impl Models {
    pub(super) fn of(targets: &[Target], aliases: &[(String, String)]) -> Models {
        let number = |target: &Target| {
            let mut hasher = DefaultHasher::new();
            format!("{target:?}").hash(&mut hasher);
            hasher.finish()
        };
        let each = targets.iter().map(|target| (target.name.clone(), number(target))).collect();
        Models { each, aliases: aliases.to_vec() }
    }

    /// In words, from these to `new`.
    fn changes(&self, new: &Models) -> String {
        let of = |models: &Models, name: &str| models.each.iter().find(|(known, _)| known == name).map(|(_, n)| *n);
        let listed = |what: &str, names: Vec<&str>| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
        let names = |models: &'_ Models| models.each.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let (old_names, new_names) = (names(self), names(new));
        let added = new_names.iter().filter(|name| of(self, name).is_none());
        let removed = old_names.iter().filter(|name| of(new, name).is_none());
        let changed =
            new_names.iter().filter(|name| of(self, name).is_some_and(|number| of(new, name) != Some(number)));
        let aliases = (self.aliases != new.aliases).then(|| "other aliases".to_owned());
        let parts: Vec<String> = [
            listed("added", added.map(String::as_str).collect()),
            listed("removed", removed.map(String::as_str).collect()),
            listed("changed", changed.map(String::as_str).collect()),
            aliases,
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() { "the same models".to_owned() } else { parts.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(text: &str) -> Models {
        let config = crate::config::parse("c", text, &|_| None).unwrap();
        let targets = crate::commands::serve::targets(&config.models, std::path::Path::new("c")).unwrap();
        Models::of(&targets, &config.aliases)
    }

    #[test]
    fn what_changes_is_said_by_name() {
        let entry = |name: &str, model: &str, more: &str| {
            format!(
                "  - {{model_name: {name}, litellm_params: {{model: openai/{model}, api_base: 'http://h:1', {more}}}}}\n"
            )
        };
        let old = models(&format!("model_list:\n{}{}", entry("a", "x", "api_key: k"), entry("b", "x", "")));
        let same = models(&format!("model_list:\n{}{}", entry("a", "x", "api_key: k"), entry("b", "x", "")));
        assert_eq!(old.changes(&same), "the same models");
        let new = models(&format!(
            "model_list:\n{}{}router_settings: {{model_group_alias: {{z: a}}}}\n",
            entry("a", "x", "api_key: other"),
            entry("c", "x", "")
        ));
        assert_eq!(old.changes(&new), "added c; removed b; changed a; other aliases");
    }
}
