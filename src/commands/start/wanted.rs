//! What a start is to bring up: the models of the command line, or those of a file, with what is only reached.

use std::sync::Arc;

use super::target::name_of;
use crate::cli::StartArgs;
use crate::commands::serve::target;
use crate::config::{self, Backend, Launch, Model, Policy};
use crate::error::{Plain, Result, paste};
use crate::exit::Exit;
use crate::gateway::Options;
use crate::protocol::accepts::Accepts;

/// One model to launch.
pub(super) struct One {
    /// What callers call it; `None`: as the model is called.
    pub name: Option<String>,
    /// As if it were started alone.
    pub args: StartArgs,
    pub policy: Policy,
    /// What its requests carry besides.
    pub options: Arc<Options>,
    /// What it can read, as far as the user says.
    pub accepts: Accepts,
}

impl One {
    /// A model as the command line names it.
    pub fn named(args: StartArgs) -> One {
        let (policy, options) = (args.policy(), Arc::default());
        One { name: None, args, policy, options, accepts: Accepts::default() }
    }
}

/// All that is asked for.
pub(super) struct Wanted {
    pub models: Vec<One>,
    /// Models at servers that run already.
    pub reached: Vec<target::Target>,
    pub aliases: Vec<(String, String)>,
    /// The key callers must show, when a file says it.
    pub key: Option<String>,
    /// What the user should know about the file.
    pub warnings: Vec<String>,
}

impl Wanted {
    /// Reads the command line, and the file it names.
    pub fn of(args: &StartArgs) -> Result<Wanted> {
        let Some(file) = &args.config else {
            let one = |model: &str| StartArgs { model: model.to_owned(), more: Vec::new(), ..args.clone() };
            let models = args.models().map(|model| One::named(one(model))).collect();
            return Wanted { models, reached: Vec::new(), aliases: Vec::new(), key: None, warnings: Vec::new() }
                .distinct();
        };
        let config = config::read(file, &config::variable)?;
        let (mut models, mut reached) = (Vec::new(), Vec::new());
        for model in &config.models {
            match &model.backend {
                Backend::Launched(launch) => models.push(launched(args, model, launch)?),
                Backend::Remote(remote) => reached.push(target::of_remote(model, remote)?),
            }
        }
        if models.is_empty() {
            let message = format!("{} names no model to launch (`model: llmup/NAME`)", file.display());
            let hint = format!("serve what runs elsewhere: `llmup serve --config {}`", paste::path(file));
            return Err(Plain::new(Exit::Config, message, hint).into());
        }
        Wanted { models, reached, aliases: config.aliases, key: config.master_key, warnings: config.warnings }
            .distinct()
    }

    /// Refuses two models of one name: nobody could ask for the second.
    fn distinct(self) -> Result<Wanted> {
        let names = self.names();
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        let Some((_, name)) = twice else { return Ok(self) };
        let from_file = self.models.iter().any(|one| one.name.is_some());
        let message = format!("two of the models have the name {name}");
        Err(if from_file {
            Plain::new(Exit::Config, message, "give each `model_name` once among those that are launched").into()
        } else {
            Plain::new(Exit::Usage, message, format!("name it once: `llmup start {name}`")).into()
        })
    }

    /// The models' names, as far as they are known before anything is looked at.
    pub fn names(&self) -> Vec<String> {
        self.models.iter().map(|one| one.name.clone().unwrap_or_else(|| name_of(&one.args))).collect()
    }
}

/// An entry of a file as the command line that would start it.
fn launched(args: &StartArgs, model: &Model, launch: &Launch) -> Result<One> {
    Ok(One {
        name: Some(model.name.clone()),
        args: args.launching(launch),
        policy: launch.policy.clone(),
        options: Arc::new(target::options(model)?),
        accepts: target::accepts(model),
    })
}
