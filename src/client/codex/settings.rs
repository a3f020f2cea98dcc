//! Codex's config.toml: a provider of its own, with the key in it, and a catalogue entry for the model (measured with
//! 0.169.0). A project's config.toml cannot name a provider, so there is none for one project.

use std::path::PathBuf;

use serde_json::Value;

use super::{catalog_text, compact_at};
use crate::client::edit::{self, Change, Format};
use crate::client::{Places, Scope, Session, SettingsFile, leads_to};
use crate::host::Host;
use crate::paths::Paths;

/// The folder Codex keeps its own files in.
pub(super) fn home(host: &dyn Host, places: &Places) -> PathBuf {
    host.env("CODEX_HOME").filter(|dir| !dir.is_empty()).map_or_else(|| places.home.join(".codex"), PathBuf::from)
}

/// The catalogue of a lasting connection: not the one that `llmup env` rewrites.
fn catalog() -> PathBuf {
    Paths::of_user().data.join("clients").join("codex").join("connected-models.json")
}

pub(super) fn settings(gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
    if scope == Scope::Project {
        return Vec::new();
    }
    let provider = |key: &str, value: Value| Change::set(&["model_providers", "llmup", key], value);
    let changes = vec![
        Change::set(&["model"], gateway.model.as_str()),
        Change::set(&["model_provider"], "llmup"),
        Change::set(&["model_context_window"], gateway.context),
        Change::set(&["model_auto_compact_token_limit"], compact_at(gateway)),
        Change::set(&["model_catalog_json"], catalog().to_string_lossy().into_owned()),
        provider("name", "llmup".into()),
        provider("base_url", format!("{}/v1", gateway.base_url).into()),
        provider("wire_api", "responses".into()),
        provider("experimental_bearer_token", gateway.key.as_str().into()),
        // A variable that is named here must be set, or Codex does not start.
        Change::remove(&["model_providers", "llmup", "env_key"]),
    ];
    let models =
        serde_json::from_str::<Value>(&catalog_text(gateway)).ok().and_then(|text| text.get("models").cloned());
    vec![
        // First: Codex does not start when the catalogue that its configuration names is not there.
        SettingsFile {
            path: catalog(),
            format: Format::Json,
            changes: vec![Change { path: Change::set(&["models"], 0).path, to: models }],
        },
        SettingsFile { path: home(host, places).join("config.toml"), format: Format::Toml, changes },
    ]
}

/// Whether the provider that this config.toml chooses is the gateway at `root`.
pub(super) fn leads_home(text: &str, root: &str) -> bool {
    let Ok(settings) = edit::value(text, Format::Toml) else { return false };
    let provider = settings.get("model_provider").and_then(Value::as_str);
    let url = provider.and_then(|id| settings.get("model_providers")?.get(id)?.get("base_url")?.as_str());
    url.is_some_and(|url| leads_to(url, root))
}
