//! Gemini CLI's settings.json, which chooses the way to sign in, and the `.env` beside it, which has key and address
//! (measured with 0.61.0).
//!
//! For one folder the folder's settings.json chooses the Vertex form, whose key and address then stand in the user's own
//! `.env`: nothing else reads these two. It is read in a trusted folder only, and a `.env` in the folder hides the user's.

use std::path::Path;

use serde_json::Value;

use crate::client::edit::{self, Change, Format};
use crate::client::{Conflict, Origin, Places, Scope, Session, SettingsFile, Weight, leads_to, settings_file};
use crate::host::Host;

/// Headers of the user's own, which beat the client's.
const HEADERS: &str = "GEMINI_CLI_CUSTOM_HEADERS";

pub(super) fn settings(gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
    let folder = places.home.join(".gemini");
    if scope == Scope::Project {
        return project(gateway, host, places, &folder);
    }
    let mut variables = vec![
        Change::set(&["GEMINI_API_KEY"], gateway.key.as_str()),
        Change::set(&["GOOGLE_GEMINI_BASE_URL"], gateway.base_url.as_str()),
        // It would beat the model in settings.json.
        Change::remove(&["GEMINI_MODEL"]),
    ];
    if other_key(&variables_of(host, &folder)) {
        variables.push(Change::remove(&[HEADERS]));
    }
    let chosen = vec![
        Change::set(&["security", "auth", "selectedType"], "gemini-api-key"),
        Change::set(&["model", "name"], gateway.model.as_str()),
    ];
    vec![
        SettingsFile { path: folder.join(".env"), format: Format::Dotenv, changes: variables },
        SettingsFile { path: folder.join("settings.json"), format: Format::Json, changes: chosen },
    ]
}

/// What stands in the `.env` of that folder.
fn variables_of(host: &dyn Host, folder: &Path) -> Value {
    let text = settings_file::text(host, &folder.join(".env"));
    text.and_then(|text| edit::value(&text, Format::Dotenv).ok()).unwrap_or_default()
}

/// Whether headers of the user's own hold a key, which would be sent in the place of the gateway's.
fn other_key(variables: &Value) -> bool {
    let headers = variables.get(HEADERS).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    ["x-goog-api-key", "authorization"].iter().any(|name| headers.contains(name))
}

/// Nothing where the user's own settings need what it would change: a project and a location beat the key of this form,
/// and one that signs in by it everywhere has a key there already.
fn project(gateway: &Session, host: &dyn Host, places: &Places, folder: &Path) -> Vec<SettingsFile> {
    let own = settings_file::json(host, &folder.join("settings.json")).unwrap_or_default();
    let vertex = own.pointer("/security/auth/selectedType").and_then(Value::as_str) == Some("vertex-ai");
    let now = variables_of(host, folder);
    let beaten = ["GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"].iter().any(|name| now.get(name).is_some());
    if vertex || beaten || other_key(&now) || places.project == places.home {
        return Vec::new();
    }
    let variables = vec![
        Change::set(&["GOOGLE_API_KEY"], gateway.key.as_str()),
        Change::set(&["GOOGLE_VERTEX_BASE_URL"], gateway.base_url.as_str()),
    ];
    let chosen = vec![
        Change::set(&["security", "auth", "selectedType"], "vertex-ai"),
        Change::set(&["model", "name"], gateway.model.as_str()),
    ];
    let here = places.project.join(".gemini/settings.json");
    vec![
        SettingsFile { path: folder.join(".env"), format: Format::Dotenv, changes: variables },
        SettingsFile { path: here, format: Format::Json, changes: chosen },
    ]
}

/// Whether this folder is connected to the gateway at `root`; then what hides the key from it, if something does.
pub(super) fn of_project(host: &dyn Host, places: &Places, root: &str) -> Option<Option<Conflict>> {
    let chosen = settings_file::json(host, &places.project.join(".gemini/settings.json"))?;
    let vertex = chosen.pointer("/security/auth/selectedType").and_then(Value::as_str) == Some("vertex-ai");
    let now = variables_of(host, &places.home.join(".gemini"));
    let leads = now.get("GOOGLE_VERTEX_BASE_URL").and_then(Value::as_str).is_some_and(|url| leads_to(url, root));
    if !vertex || !leads || places.project == places.home {
        return None;
    }
    let files = [".gemini/.env", ".env"].map(|name| places.project.join(name));
    Some(files.into_iter().find(|path| host.exists(path)).map(|path| {
        Conflict {
        weight: Weight::Disturbs,
        origin: Origin::File(path.clone()),
        text: format!("{} hides the .env of your own ~/.gemini, which has the gateway's key", path.display()),
        cure: Some(
            "put GOOGLE_API_KEY and GOOGLE_VERTEX_BASE_URL into it, too (`llmup env gemini` has both), and keep it out \
             of version control"
                .to_owned(),
        ),
    }
    }))
}

/// Whether this `.env` leads to the gateway at `root`.
pub(super) fn leads_home(text: &str, root: &str) -> bool {
    let settings = edit::value(text, Format::Dotenv).unwrap_or_default();
    settings.get("GOOGLE_GEMINI_BASE_URL").and_then(|url| url.as_str()).is_some_and(|url| leads_to(url, root))
}
