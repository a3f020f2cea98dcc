//! Gemini CLI's settings.json, which chooses the way to sign in, and the `.env` beside it, which has key and address
//! (measured with 0.61.0). A project's would be read only in a trusted folder and be committed, so there is none.

use crate::client::edit::{self, Change, Format};
use crate::client::{Places, Scope, Session, SettingsFile, leads_to, settings_file};
use crate::host::Host;

/// Headers of the user's own, which beat the client's.
const HEADERS: &str = "GEMINI_CLI_CUSTOM_HEADERS";

pub(super) fn settings(gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
    if scope == Scope::Project {
        return Vec::new();
    }
    let folder = places.home.join(".gemini");
    let mut variables = vec![
        Change::set(&["GEMINI_API_KEY"], gateway.key.as_str()),
        Change::set(&["GOOGLE_GEMINI_BASE_URL"], gateway.base_url.as_str()),
        // It would beat the model in settings.json.
        Change::remove(&["GEMINI_MODEL"]),
    ];
    let now = settings_file::text(host, &folder.join(".env")).and_then(|text| edit::value(&text, Format::Dotenv).ok());
    let headers = now.as_ref().and_then(|now| now.get(HEADERS)?.as_str()).unwrap_or_default().to_ascii_lowercase();
    // Another key in them would be sent in the place of the gateway's.
    if ["x-goog-api-key", "authorization"].iter().any(|name| headers.contains(name)) {
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

/// Whether this `.env` leads to the gateway at `root`.
pub(super) fn leads_home(text: &str, root: &str) -> bool {
    let settings = edit::value(text, Format::Dotenv).unwrap_or_default();
    settings.get("GOOGLE_GEMINI_BASE_URL").and_then(|url| url.as_str()).is_some_and(|url| leads_to(url, root))
}
