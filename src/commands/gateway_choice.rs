//! Which gateway `env`, `run` and `connect` point a client at: the one that runs, or one that is named.

use crate::cli::GatewayArgs;
use crate::client::{CLIENTS, Client, Export, Session, find, output_limit};
use crate::error::Explain;
use crate::exit::Exit;
use crate::host::Host;

/// Context to assume for a gateway nothing is known about, tokens.
pub const ASSUMED_CONTEXT: u64 = 32_768;
/// Below this no client has room for its own prompt.
const SMALLEST_CONTEXT: u64 = 1024;

/// Why no client can be pointed anywhere.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Nobody knows that client.
    #[error("llmup does not know the client {name:?}")]
    Unknown {
        /// What was typed.
        name: String,
        /// The subcommand it was typed after.
        command: &'static str,
    },
    /// It is connected by its settings only.
    #[error("no start of {title} can be told where its models are: it reads that from a file of settings")]
    OnlySettings {
        /// The client.
        title: &'static str,
        /// What people type.
        id: &'static str,
    },
    /// Nothing runs and no other gateway was named.
    #[error("no gateway is running")]
    NotRunning {
        /// The command that was typed, without `llmup`: `env claude`.
        command: String,
    },
    /// Not something a client can be pointed at.
    #[error("{url:?} is not a base URL: {reason}")]
    BaseUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A context nothing can work in.
    #[error("a context of {context} tokens is too small for a coding agent")]
    Context {
        /// What was given.
        context: u64,
    },
}

impl Explain for ChoiceError {
    fn exit(&self) -> Exit {
        match self {
            ChoiceError::NotRunning { .. } => Exit::Missing,
            ChoiceError::Unknown { .. }
            | ChoiceError::OnlySettings { .. }
            | ChoiceError::BaseUrl { .. }
            | ChoiceError::Context { .. } => Exit::Usage,
        }
    }

    fn finding(&self) -> Option<&'static str> {
        matches!(self, ChoiceError::NotRunning { .. }).then_some("LLMUP-G003")
    }

    fn hints(&self) -> Vec<String> {
        match self {
            ChoiceError::Unknown { name, command } => {
                let ids: Vec<&str> = CLIENTS.iter().map(|client| client.id()).collect();
                let mut hints = vec![format!("clients: {}; which of them are here: `llmup env`", ids.join(", "))];
                if super::connect::open_webui::NAMES.contains(&name.as_str()) {
                    hints.insert(0, "what Open WebUI needs prints `llmup connect open-webui`".to_owned());
                } else if let Some(near) = nearest(name) {
                    hints.insert(0, format!("did you mean `llmup {command} {near}`?"));
                }
                hints
            }
            ChoiceError::OnlySettings { id, .. } => {
                vec![format!("llmup puts it there, and takes it out again: `llmup connect {id}`")]
            }
            ChoiceError::NotRunning { command } => vec![
                "start one: `llmup start demo --yes`".into(),
                format!("or name one: `llmup {command} --base-url http://127.0.0.1:PORT --api-key KEY`"),
            ],
            ChoiceError::BaseUrl { .. } => vec!["it looks like `--base-url http://127.0.0.1:8080`".into()],
            ChoiceError::Context { .. } => {
                vec![format!("give at least {SMALLEST_CONTEXT}; 32768 is comfortable: `--context 32768`")]
            }
        }
    }
}

/// The client of that name; `command` is the subcommand it was typed after.
pub fn client(name: &str, command: &'static str) -> Result<&'static dyn Client, ChoiceError> {
    find(name).ok_or_else(|| ChoiceError::Unknown { name: name.to_owned(), command })
}

/// The same, of those that one start can be told the gateway.
pub fn started(name: &str, command: &'static str) -> Result<&'static dyn Client, ChoiceError> {
    let client = client(name, command)?;
    if client.only_settings() {
        return Err(ChoiceError::OnlySettings { title: client.title(), id: client.id() });
    }
    Ok(client)
}

fn nearest(name: &str) -> Option<&'static str> {
    // Comparing takes the product of the lengths.
    let name = Some(name).filter(|name| name.len() <= 64)?.to_ascii_lowercase();
    CLIENTS
        .iter()
        .flat_map(|client| {
            client.aliases().iter().chain([&client.id()]).map(|alias| (client.id(), *alias)).collect::<Vec<_>>()
        })
        .map(|(id, alias)| (id, strsim::jaro_winkler(&name, alias)))
        .filter(|(_, score)| *score > 0.7)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(id, _)| id)
}

/// A gateway to point a client at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The gateway.
    pub session: Session,
    /// Its context is not known, only assumed.
    pub assumed: bool,
}

/// What the user named, and what runs for all the rest. `command` is what was typed, without `llmup`.
pub fn choose(args: &GatewayArgs, running: Option<Session>, command: &str) -> Result<Chosen, ChoiceError> {
    let mut assumed = false;
    let mut session = match (&args.base_url, running) {
        (None, None) => return Err(ChoiceError::NotRunning { command: command.to_owned() }),
        (None, Some(running)) => running,
        (Some(url), running) => {
            let base_url = root(url)?;
            match running.filter(|running| running.base_url == base_url) {
                Some(running) => running,
                None => {
                    assumed = args.context.is_none();
                    Session {
                        base_url,
                        // Clients refuse an empty key; a gateway without keys ignores this one.
                        key: "none".into(),
                        model: "local-model".into(),
                        small: None,
                        context: ASSUMED_CONTEXT,
                        max_output: output_limit(ASSUMED_CONTEXT),
                    }
                }
            }
        }
    };
    if let Some(model) = &args.model {
        session.model.clone_from(model);
    }
    session.small.clone_from(&args.small_model);
    if let Some(key) = &args.api_key {
        session.key.clone_from(key);
    }
    if let Some(context) = args.context {
        if context < SMALLEST_CONTEXT {
            return Err(ChoiceError::Context { context });
        }
        session.context = context;
        session.max_output = output_limit(context);
    }
    Ok(Chosen { session, assumed })
}

/// The gateway's root from what the user gave: without final slashes and `/v1`, which clients add themselves.
fn root(url: &str) -> Result<String, ChoiceError> {
    let bad = |reason| ChoiceError::BaseUrl { url: url.into(), reason };
    let trimmed = url.trim().trim_end_matches('/');
    let trimmed = trimmed.strip_suffix("/v1").unwrap_or(trimmed).trim_end_matches('/');
    let parsed: http::Uri = trimmed.parse().map_err(|_| bad("it cannot be parsed"))?;
    match parsed.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(bad("it must start with http:// or https://")),
    }
    if parsed.query().is_some() {
        return Err(bad("it must have no query"));
    }
    Ok(trimmed.to_owned())
}

/// Clients send even loopback requests to a proxy unless `NO_PROXY` names the address.
pub fn around_proxy(base_url: &str, host: &dyn Host) -> Vec<Export> {
    if !super::doctor::proxied(host) {
        return Vec::new();
    }
    let mut exports = direct(base_url, host);
    if !exports.is_empty() {
        exports.insert(0, Export::Comment("a proxy is set: keep it away from the gateway on this machine".into()));
    }
    exports
}

/// The same also where the environment has no proxy: clients take one from settings of their own, too.
pub fn direct(base_url: &str, host: &dyn Host) -> Vec<Export> {
    let name = base_url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let local = matches!(name.as_str(), "127.0.0.1" | "localhost" | "[::1]");
    if !local || super::doctor::loopback_is_direct(host) {
        return Vec::new();
    }
    let old = ["no_proxy", "NO_PROXY"].iter().find_map(|name| host.env(name).filter(|value| !value.is_empty()));
    let value = old.map_or_else(String::new, |old| format!("{old},")) + "127.0.0.1,localhost";
    vec![Export::set("NO_PROXY", &value), Export::set("no_proxy", value)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_open_webui_is_told_where_it_is() {
        let hints = ChoiceError::Unknown { name: "open-webui".into(), command: "env" }.hints();
        assert!(
            hints[0].contains("`llmup connect open-webui`") && !hints.concat().contains("did you mean"),
            "{hints:?}"
        );
    }

    #[test]
    fn the_root_is_what_clients_extend() {
        for url in ["http://127.0.0.1:8/v1/", "http://127.0.0.1:8", " http://127.0.0.1:8// "] {
            assert_eq!(root(url).unwrap(), "http://127.0.0.1:8");
        }
        for url in ["127.0.0.1:8", "ftp://a", "", "http://", "http://a b", "http://a/?x"] {
            assert!(matches!(root(url), Err(ChoiceError::BaseUrl { .. })), "{url}");
        }
    }
}
