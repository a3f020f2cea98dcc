//! What `connect` has written on this machine and how it stands to what runs now: for `doctor`.

use std::path::PathBuf;

use serde_json::Value;

use super::Connection;
use crate::client::journal::{Entry, Journal};
use crate::client::{CLIENTS, Client, Places, Scope, Session, edit, leads_to};
use crate::commands::running;
use crate::host::Host;
use crate::paths::Paths;
use crate::state::Instance;

/// One lasting connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// The client, as one types it.
    pub client: &'static str,
    /// For whom.
    pub scope: Scope,
    /// The settings file that has the address.
    pub path: PathBuf,
    /// The gateway's root that stands there.
    pub root: String,
    /// What is there now.
    pub stands: Stands,
}

/// How a connection stands to what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// A gateway runs there, and knows the key that the client has.
    Right,
    /// A gateway runs there that has another key or context; the settings that differ, by name.
    Outdated(Vec<String>),
    /// No llmup of this machine runs there.
    Gone,
    /// On another machine, of which nothing is known.
    Elsewhere,
}

/// Every connection that counts in this folder, as long as its address still stands in its file.
pub(in crate::commands) fn connected(
    instances: &[Instance],
    host: &dyn Host,
    places: &Places,
    paths: &Paths,
) -> Vec<Connected> {
    let entries = Journal::below(&paths.data).entries().unwrap_or_default();
    let mut found: Vec<Connected> = Vec::new();
    for entry in entries {
        let Some(client) = CLIENTS.iter().find(|client| client.id() == entry.client) else { continue };
        let (client, scope) = (*client, entry.scope);
        let here = scope == Scope::User || entry.shared || entry.path.starts_with(&places.project);
        let Some(root) = root(&entry).filter(|root| here && stands_in(host, &entry, root)) else { continue };
        if found.iter().any(|other| other.client == client.id() && other.scope == scope) {
            continue;
        }
        let there: Vec<Session> = instances
            .iter()
            .filter(|instance| leads_to(&instance.url, &root))
            .flat_map(|instance| instance.models().map(|model| running::session(instance, Some(&model.name))))
            .collect();
        let stands = if there.is_empty() {
            if on_this_machine(&root) { Stands::Gone } else { Stands::Elsewhere }
        } else {
            // Of several models it is connected to one.
            let differ = there.iter().map(|session| differing(client, session, host, places, scope, paths));
            match differ.min_by_key(Vec::len) {
                Some(names) if !names.is_empty() => Stands::Outdated(names),
                _ => Stands::Right,
            }
        };
        found.push(Connected { client: client.id(), scope, path: entry.path, root, stands });
    }
    found
}

/// The root of the gateway whose address was written.
fn root(entry: &Entry) -> Option<String> {
    let state = entry.states.last()?;
    let url = state.undo.iter().find_map(|undo| undo.wrote.as_ref().and_then(url))?;
    let root = url.split_once("/v1/").map_or(url, |(root, _)| root);
    Some(root.strip_suffix("/v1").unwrap_or(root).trim_end_matches('/').to_owned())
}

fn url(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => {
            Some(text.as_str()).filter(|text| text.starts_with("http://") || text.starts_with("https://"))
        }
        Value::Array(items) => items.iter().find_map(url),
        Value::Object(members) => members.values().find_map(url),
        _ => None,
    }
}

/// Whether nobody has led it elsewhere since.
fn stands_in(host: &dyn Host, entry: &Entry, root: &str) -> bool {
    host.read(&entry.path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(root))
}

fn on_this_machine(root: &str) -> bool {
    let host = root.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
}

/// The settings about key and context that `connect` would write otherwise now, by name. Others (a second model, a
/// longer answer) may have been asked for on its command line.
fn differing(
    client: &'static dyn Client,
    session: &Session,
    host: &dyn Host,
    places: &Places,
    scope: Scope,
    paths: &Paths,
) -> Vec<String> {
    let Ok(connection) = Connection::plan(client, session, host, places, scope, paths) else { return Vec::new() };
    let mut names = Vec::new();
    for file in connection.changing() {
        let value = |text: &str| edit::value(text, file.format()).unwrap_or_default();
        let old = file.old.as_deref().map(value).unwrap_or_default();
        differ(&old, &value(&file.new), "", &mut names);
    }
    names
}

/// Whether a setting of that name is a key, or the context where it had another one: what is only missing may be of
/// another model.
fn counts(name: &str, was_there: bool) -> bool {
    let name = name.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.ends_with(word));
    let key = is(&["key", "auth_token", "bearer_token", "authorization"]);
    key || (was_there && (name.contains("context") || is(&["max_input_tokens", "compact_token_limit"])))
}

/// Every value of `new` about key and context that `old` has not, by its path.
fn differ(old: &Value, new: &Value, path: &str, names: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match new {
        Value::Object(members) => {
            for (key, value) in members {
                differ(old.get(key).unwrap_or(&Value::Null), value, &below(key), names);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                differ(old.get(at).unwrap_or(&Value::Null), value, &below(&at.to_string()), names);
            }
        }
        value if old != value && counts(path, !old.is_null()) => names.push(path.to_owned()),
        _ => {}
    }
}
