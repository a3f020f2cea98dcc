//! goose (Chat Completions). Its environment beats its configuration. Facts measured with 1.52.0.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::edit::{Change, Format};
use super::settings_file::{self, variable};
use super::{
    Client, Conflict, Export, Install, Origin, Places, Scope, Session, SettingsFile, Weight, environment_conflicts,
};
use crate::host::{Host, Os};

/// goose.
pub struct Goose;

/// Where requests go, below the root. A user's own value would lead to another protocol.
const BASE_PATH: &str = "v1/chat/completions";

impl Client for Goose {
    fn id(&self) -> &'static str {
        "goose"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["goose-cli"]
    }

    fn title(&self) -> &'static str {
        "goose"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["goose", "goose.exe"]
    }

    fn install(&self) -> Install {
        // Its npm packages are one per system, and the one named `goose-ai` elsewhere is something else.
        Install::Described("https://github.com/aaif-goose/goose")
    }

    fn minimum(&self) -> &'static str {
        "1.52.0"
    }

    fn session(&self, gateway: &Session, _own: &Path) -> Vec<Export> {
        vec![
            Export::set("GOOSE_PROVIDER", "openai"),
            Export::set("GOOSE_MODEL", &gateway.model),
            Export::set("OPENAI_HOST", &gateway.base_url),
            Export::set("OPENAI_BASE_PATH", BASE_PATH),
            Export::set("OPENAI_API_KEY", &gateway.key),
            Export::set("GOOSE_CONTEXT_LIMIT", gateway.context.to_string()),
            Export::set("GOOSE_MAX_TOKENS", gateway.max_output.to_string()),
            // Its first request would be for a title, beside the first prompt.
            Export::set("GOOSE_DISABLE_SESSION_NAMING", "true"),
        ]
    }

    /// A provider of its own, because goose keeps the key of OpenAI's in the system's keyring. There is no file for one
    /// folder.
    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        let Some(dir) = config_dir(host, places).filter(|_| scope == Scope::User) else { return Vec::new() };
        let provider = [
            ("name", json!("llmup")),
            ("engine", json!("openai")),
            ("display_name", json!("llmup")),
            ("description", json!("your own models")),
            ("api_key_env", json!("")),
            ("base_url", json!(format!("{}/{BASE_PATH}", gateway.base_url))),
            ("models", json!([{ "name": gateway.model, "context_limit": gateway.context }])),
            ("headers", json!({ "Authorization": format!("Bearer {}", gateway.key) })),
            ("supports_streaming", json!(true)),
            ("requires_auth", json!(false)),
        ];
        let config = dir.join("config.yaml");
        let mut changes = vec![
            Change::set(&["GOOSE_PROVIDER"], "llmup"),
            Change::set(&["GOOSE_MODEL"], gateway.model.as_str()),
            Change::set(&["GOOSE_MAX_TOKENS"], gateway.max_output),
        ];
        // A newer form of the same, which beats the older where it stands.
        if settings_file::yaml(host, &config).is_some_and(|now| now.get("active_provider").is_some()) {
            changes.extend([
                Change::set(&["active_provider"], "llmup"),
                Change::set(&["providers", "llmup", "enabled"], true),
                Change::set(&["providers", "llmup", "model"], gateway.model.as_str()),
            ]);
        }
        vec![
            SettingsFile { path: config, format: Format::Yaml, changes },
            SettingsFile {
                path: dir.join("custom_providers/llmup.json"),
                format: Format::Json,
                changes: provider.into_iter().map(|(key, value)| Change::set(&[key], value)).collect(),
            },
        ]
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut found = environment_conflicts(host, self, &["OPENAI_HOST"], gateway);
        // In a shell with `llmup env goose` these are llmup's own.
        let ours = variable(host, "OPENAI_HOST").zip(gateway).is_some_and(|(url, root)| super::leads_to(&url, root));
        for name in ["GOOSE_PROVIDER", "GOOSE_MODEL"] {
            if let Some(value) = variable(host, name).filter(|_| !ours) {
                found.push(Conflict {
                    weight: Weight::Disturbs,
                    origin: Origin::Variable(name.to_owned()),
                    text: format!("{name}={value}: goose started without llmup follows it"),
                    cure: Some(format!("`llmup env goose` puts it right for one shell; or remove {name} for good")),
                });
            }
        }
        let path = config_dir(host, places).map(|dir| dir.join("config.yaml"));
        let Some(path) = path else { return found };
        let settings = settings_file::yaml(host, &path).unwrap_or_default();
        let chosen = ["active_provider", "GOOSE_PROVIDER"].into_iter().find_map(|key| settings.get(key)?.as_str());
        if let Some(provider) = chosen.filter(|provider| *provider != "llmup") {
            found.push(Conflict {
                weight: Weight::Note,
                origin: Origin::File(path.clone()),
                text: format!(
                    "{} has provider {provider}; a session from `llmup env goose` does not follow it",
                    path.display()
                ),
                cure: None,
            });
        }
        found
    }
}

/// Where its configuration lies (read in its sources). `None` on a Windows without `APPDATA`.
fn config_dir(host: &dyn Host, places: &Places) -> Option<PathBuf> {
    if let Some(root) = variable(host, "GOOSE_PATH_ROOT") {
        return Some(PathBuf::from(root).join("config"));
    }
    match host.os() {
        Os::Windows => Some(PathBuf::from(variable(host, "APPDATA")?).join("Block/goose/config")),
        Os::Linux | Os::Macos => Some(places.home.join(".config/goose")),
    }
}
