//! Gemini CLI, in its Vertex form: the only one that needs no settings file. Facts measured with 0.61.0.
//!
//! A sign-in that was chosen before (`security.auth.selectedType`) beats the environment. Settings of the system's rank
//! would beat that, and a variable names their file; but it is read only where it and every folder above it belong to root
//! and nobody else can write there (on Windows: to the administrators), which no file of an ordinary user does. So a
//! session of `llmup run` has a home of its own below llmup's folder, where all that the user has in `~/.gemini` is seen,
//! and only settings.json is another: the user's, with llmup's on top. Variables that must not be set are set to nothing:
//! a `.env` fills in only what is not there at all.

use std::path::Path;

use super::{
    Client, Conflict, Export, Install, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile, Start, Weight,
    environment_conflicts, jsonc, run_file,
};
use crate::host::{Host, Os};

mod home;
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

    fn overlay(&self, gateway: &Session, own: &Path, start: &Start<'_>) -> Result<Overlay, Conflict> {
        let home = home::Home::of(own, gateway, start);
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
        exports.push(Export::set(home::VARIABLE, home.root.to_string_lossy()));
        // Most of the context may be filled before the older part of it is compressed.
        let most = gateway.context.saturating_sub(gateway.max_output).min(gateway.context / 5 * 4);
        let threshold = most as f64 / ASSUMED_WINDOW as f64;
        let mut settings = match home.settings(start) {
            Ok(settings) => settings,
            Err(comment) => {
                exports.push(comment);
                serde_json::json!({})
            }
        };
        if let Some(refused) = home.beaten(start, &settings) {
            return Err(refused);
        }
        put(&mut settings, &["security", "auth"], serde_json::json!({ "selectedType": "vertex-ai" }));
        put(&mut settings, &["model", "name"], gateway.model.as_str().into());
        put(&mut settings, &["model", "compressionThreshold"], threshold.min(1.0).into());
        put(&mut settings, &["privacy", "usageStatisticsEnabled"], false.into());
        put(&mut settings, &["general", "enableAutoUpdate"], false.into());
        let file = OwnFile { path: home.root.join(".gemini/settings.json"), text: format!("{settings:#}\n") };
        Ok(Overlay { exports, files: vec![file], links: home.links(start), ..Overlay::default() })
    }

    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        settings::settings(gateway, host, places, scope)
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
        for (at, dir) in dirs.iter().enumerate() {
            found.extend(auth_conflict(host, &dir.join("settings.json"), connected, at > 0));
        }
        found.extend(prescribed(host));
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

/// The sign-in that the machine's settings choose, or the only one that they allow.
fn prescribed(host: &dyn Host) -> Option<Conflict> {
    let path = managed(host.os());
    let settings = jsonc::read(&String::from_utf8_lossy(&host.read(Path::new(path)).ok()?)).ok()?;
    ["enforcedType", "selectedType"].into_iter().find_map(|key| {
        let how = settings.pointer(&format!("/security/auth/{key}")).and_then(serde_json::Value::as_str)?;
        (how != "vertex-ai").then(|| Conflict {
            weight: Weight::Managed,
            origin: Origin::Machine(path.into()),
            text: format!("{path} signs in by \"{how}\" (security.auth.{key}), and nothing beats it"),
            cure: Some(format!("ask whoever looks after the machine to remove security.auth.{key} from {path}")),
        })
    })
}

/// `security.auth.selectedType` beats the variables unless it names the Vertex form itself, or the one that a lasting
/// connection uses.
fn auth_conflict(host: &dyn Host, path: &Path, connected: bool, project: bool) -> Option<Conflict> {
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
    let text = format!("{shown} signs in by \"{chosen}\" (security.auth.selectedType), which beats the environment");
    // A folder's settings beat all that a user has, in a folder that is trusted.
    let (weight, cure) = if project {
        (Weight::Managed, format!("remove security.auth.selectedType from {shown}, or set it to \"vertex-ai\""))
    } else {
        (
            Weight::Beats,
            format!(
                "`llmup run gemini` beats it; or remove security.auth.selectedType from {shown}, or set it to \"vertex-ai\""
            ),
        )
    };
    (!ours).then_some(Conflict { weight, origin: Origin::File(path.to_owned()), text, cure: Some(cure) })
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
