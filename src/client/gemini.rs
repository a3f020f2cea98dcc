//! Gemini CLI, in its Vertex form: the only one that needs no settings file. Facts measured with 0.61.0.

use std::path::Path;

use super::{
    Client, Conflict, Export, Install, Places, Scope, Session, SettingsFile, Weight, environment_conflicts, jsonc,
};
use crate::host::Host;

mod settings;

/// Gemini CLI.
pub struct Gemini;

/// Variables that lead Gemini CLI to another service or another way to sign in. A project and a location beat the
/// key of the Vertex form.
const ELSEWHERE: [&str; 5] = [
    "GEMINI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_USE_GCA",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
];

impl Client for Gemini {
    fn id(&self) -> &'static str {
        "gemini"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["gemini-cli"]
    }

    fn title(&self) -> &'static str {
        "Gemini CLI"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["gemini", "gemini.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("@google/gemini-cli")
    }

    fn minimum(&self) -> &'static str {
        "0.61.0"
    }

    fn session(&self, gateway: &Session, _own: &Path) -> Vec<Export> {
        let mut exports = vec![
            Export::set("GOOGLE_GENAI_USE_VERTEXAI", "true"),
            Export::set("GOOGLE_API_KEY", &gateway.key),
            Export::set("GOOGLE_VERTEX_BASE_URL", &gateway.base_url),
            Export::set("GEMINI_MODEL", &gateway.model),
        ];
        exports.extend(ELSEWHERE.map(Export::unset));
        exports.push(Export::Comment(
            "in scripts (gemini -p) also set GEMINI_CLI_TRUST_WORKSPACE to true, or it refuses the folder (exit 55)"
                .into(),
        ));
        exports
    }

    fn settings(&self, gateway: &Session, _host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        settings::settings(gateway, places, scope)
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut names = vec!["GOOGLE_VERTEX_BASE_URL"];
        names.extend(ELSEWHERE);
        let mut found = environment_conflicts(host, self, &names, gateway);
        let mut dirs = vec![places.home.join(".gemini")];
        if places.project != places.home {
            dirs.push(places.project.join(".gemini"));
        }
        let connected = gateway.is_some_and(|root| {
            let read = host.read(&places.home.join(".gemini/.env"));
            read.is_ok_and(|bytes| settings::leads_home(&String::from_utf8_lossy(&bytes), root))
        });
        for dir in &dirs {
            found.extend(auth_conflict(host, &dir.join("settings.json"), connected));
        }
        for dir in dirs.iter().chain([&places.project, &places.home]) {
            let before = found.len();
            // Ours, and what it hides.
            if connected && (*dir == dirs[0] || *dir == places.home) {
                continue;
            }
            found.extend(dotenv_conflict(host, &dir.join(".env")));
            // Gemini CLI reads the first .env it meets; one report is enough, also when home is the project.
            if found.len() > before {
                break;
            }
        }
        found
    }
}

/// `security.auth.selectedType` beats the variables unless it names the Vertex form itself, or the one that a lasting
/// connection uses.
fn auth_conflict(host: &dyn Host, path: &Path, connected: bool) -> Option<Conflict> {
    let bytes = host.read(path).ok()?;
    let shown = path.display();
    let settings = match jsonc::read(&String::from_utf8_lossy(&bytes)) {
        Ok(settings) => settings,
        Err(error) => {
            return Some(Conflict {
                weight: Weight::Disturbs,
                text: format!("{shown} cannot be read: {error}"),
                cure: Some("correct it at that place; Gemini CLI refuses to start with it".into()),
            });
        }
    };
    let chosen = settings.pointer("/security/auth/selectedType").and_then(serde_json::Value::as_str)?;
    let ours = chosen == "vertex-ai" || (connected && chosen == "gemini-api-key");
    (!ours).then(|| Conflict {
        weight: Weight::Beats,
        text: format!("{shown} signs in by \"{chosen}\" (security.auth.selectedType), which beats the environment"),
        cure: Some(format!("remove security.auth.selectedType from {shown}, or set it to \"vertex-ai\"")),
    })
}

/// A `.env` fills in variables that the session leaves unset.
fn dotenv_conflict(host: &dyn Host, path: &Path) -> Option<Conflict> {
    let bytes = host.read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(name, _)| name.trim())
        .filter(|name| ELSEWHERE.contains(name))
        .collect();
    (!names.is_empty()).then(|| Conflict {
        weight: Weight::Disturbs,
        text: format!("{} sets {}, which Gemini CLI reads at its start", path.display(), names.join(", ")),
        cure: Some(format!("remove {} from {} while you use the gateway", names.join(", "), path.display())),
    })
}
