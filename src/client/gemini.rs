//! Gemini CLI, in its Vertex form: the only one that needs no settings file. Facts measured with 0.61.0.
//!
//! A sign-in that was chosen before (`security.auth.selectedType`) beats the environment; the system's settings beat that,
//! and a variable names their file. `llmup run` names one of its own, with what the machine's has and llmup's on top. It
//! is refused when a folder above it can be written by others, with a warning; the environment alone holds then. Variables
//! that must not be set are set to nothing: a `.env` fills in only what is not there at all.

use std::path::Path;

use super::{
    Client, Conflict, Export, Install, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile, Weight,
    environment_conflicts, jsonc, run_file,
};
use crate::host::{Host, Os};

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

/// More that only a session of `llmup run` needs to clear.
const ALSO_ELSEWHERE: [&str; 2] = ["GOOGLE_CLOUD_PROJECT_ID", "GEMINI_CLI_CUSTOM_HEADERS"];

/// The window Gemini CLI assumes for a model it does not know, tokens; its threshold for compression is a share of it.
const ASSUMED_WINDOW: u64 = 1_048_576;

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

    fn overlay(&self, gateway: &Session, own: &Path, old: &dyn Fn(&Path) -> Option<String>) -> Overlay {
        let path = run_file::path(own, gateway, "json");
        let mut exports: Vec<Export> = self
            .session(gateway, own)
            .into_iter()
            .filter_map(|export| match export {
                Export::Unset { name } => Some(Export::set(name, "")),
                Export::Set { .. } => Some(export),
                Export::Comment(_) => None,
            })
            .collect();
        exports.extend(ALSO_ELSEWHERE.map(|name| Export::set(name, "")));
        exports.push(Export::set("GEMINI_CLI_SYSTEM_SETTINGS_PATH", path.to_string_lossy()));
        // Most of the context may be filled before the older part of it is compressed.
        let most = gateway.context.saturating_sub(gateway.max_output).min(gateway.context / 5 * 4);
        let threshold = most as f64 / ASSUMED_WINDOW as f64;
        let mut settings = old(Path::new(managed(Os::current())))
            .and_then(|text| jsonc::read(&text).ok())
            .filter(serde_json::Value::is_object)
            .unwrap_or_else(|| serde_json::json!({}));
        put(&mut settings, &["security", "auth", "selectedType"], "vertex-ai".into());
        put(&mut settings, &["model", "name"], gateway.model.as_str().into());
        put(&mut settings, &["model", "compressionThreshold"], threshold.min(1.0).into());
        put(&mut settings, &["privacy", "usageStatisticsEnabled"], false.into());
        put(&mut settings, &["general", "enableAutoUpdate"], false.into());
        Overlay { exports, arguments: Vec::new(), files: vec![OwnFile { path, text: format!("{settings:#}\n") }] }
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
        found.extend(enforced(host));
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

/// Sets the value at these keys; what is in the way and no object is replaced.
fn put(settings: &mut serde_json::Value, keys: &[&str], to: serde_json::Value) {
    let Some((first, rest)) = keys.split_first() else {
        *settings = to;
        return;
    };
    if !settings.is_object() {
        *settings = serde_json::json!({});
    }
    if let Some(members) = settings.as_object_mut() {
        put(members.entry((*first).to_owned()).or_insert(serde_json::Value::Null), rest, to);
    }
}

/// The settings of the whole machine.
fn managed(os: Os) -> &'static str {
    match os {
        Os::Linux => "/etc/gemini-cli/settings.json",
        Os::Macos => "/Library/Application Support/GeminiCli/settings.json",
        Os::Windows => r"C:\ProgramData\gemini-cli\settings.json",
    }
}

/// Where only one sign-in is allowed, Gemini CLI starts with no other.
fn enforced(host: &dyn Host) -> Option<Conflict> {
    let path = managed(host.os());
    let settings = jsonc::read(&String::from_utf8_lossy(&host.read(Path::new(path)).ok()?)).ok()?;
    let only = settings.pointer("/security/auth/enforcedType").and_then(serde_json::Value::as_str)?;
    (only != "vertex-ai").then(|| Conflict {
        weight: Weight::Managed,
        origin: Origin::Machine(path.into()),
        text: format!("{path} allows no sign-in but \"{only}\" (security.auth.enforcedType)"),
        cure: Some(format!("ask whoever looks after the machine to remove security.auth.enforcedType from {path}")),
    })
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
                origin: Origin::Broken(path.to_owned()),
                text: format!("{shown} cannot be read: {error}"),
                cure: Some("correct it at that place; Gemini CLI refuses to start with it".into()),
            });
        }
    };
    let chosen = settings.pointer("/security/auth/selectedType").and_then(serde_json::Value::as_str)?;
    let ours = chosen == "vertex-ai" || (connected && chosen == "gemini-api-key");
    (!ours).then(|| Conflict {
        weight: Weight::Beats,
        origin: Origin::File(path.to_owned()),
        text: format!("{shown} signs in by \"{chosen}\" (security.auth.selectedType), which beats the environment"),
        cure: Some(format!(
            "`llmup run gemini` beats it; or remove security.auth.selectedType from {shown}, or set it to \"vertex-ai\""
        )),
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
        origin: Origin::File(path.to_owned()),
        text: format!("{} sets {}, which Gemini CLI reads at its start", path.display(), names.join(", ")),
        cure: Some(format!("remove {} from {} while you use the gateway", names.join(", "), path.display())),
    })
}
