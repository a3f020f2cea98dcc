//! What pulls a client away from the gateway, how much, and who can change it.

use std::path::PathBuf;

use super::Client;
use crate::host::Host;

/// How much a setting disturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Worth knowing; an llmup session is not touched by it.
    Note,
    /// Disturbs a client started without `llmup env`, or may disturb.
    Disturbs,
    /// Beats what `llmup env` sets; `llmup run` beats it.
    Beats,
    /// Leads elsewhere also what `llmup run` starts: mostly set by whoever looks after the machine.
    Managed,
}

/// Where it stands, which decides who can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a variable of the process: only the user's shell can.
    Variable(String),
    /// In a settings file of the user's or of the project's.
    File(PathBuf),
    /// In such a file, which the client cannot read.
    Broken(PathBuf),
    /// In a file of whoever looks after the machine.
    Machine(PathBuf),
    /// In what the user typed for this start.
    Typed,
    /// In a program that is not there, or not where the client looks.
    Program,
}

/// Something on this machine that pulls a client away from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// How much it disturbs.
    pub weight: Weight,
    /// Where it stands.
    pub origin: Origin,
    /// What it is and where; never shows a secret's value.
    pub text: String,
    /// What to do, commands in backquotes.
    pub cure: Option<String>,
}

/// Variables of `names` that are set in the environment and lead elsewhere than to `gateway`.
pub(crate) fn environment_conflicts(
    host: &dyn Host,
    client: &dyn Client,
    names: &[&str],
    gateway: Option<&str>,
) -> Vec<Conflict> {
    names
        .iter()
        .filter_map(|name| host.env(name).filter(|value| !value.is_empty()).map(|value| (name, value)))
        .filter(|(_, value)| !gateway.is_some_and(|root| leads_to(value, root)))
        .map(|(name, value)| {
            // Keys and tokens are named, never shown.
            let shown = if name.ends_with("_URL") || name.starts_with("CLAUDE_CODE_USE") {
                format!("{name}={value}")
            } else {
                format!("{name} is set")
            };
            Conflict {
                weight: Weight::Disturbs,
                origin: Origin::Variable((*name).to_owned()),
                text: format!("{shown}: {} started without llmup follows it", client.title()),
                cure: Some(format!(
                    "`llmup env {}` puts it right for one shell; or remove {name} for good",
                    client.id()
                )),
            }
        })
        .collect()
}

/// Whether `url` is the gateway at `root` or below it.
pub(crate) fn leads_to(url: &str, root: &str) -> bool {
    let root = root.trim_end_matches('/');
    let same_name = |text: &str| text.replacen("://localhost", "://127.0.0.1", 1);
    let (url, root) = (same_name(url), same_name(root));
    url.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
