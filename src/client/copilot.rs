//! GitHub Copilot CLI with a provider of one's own (Chat Completions); it needs no account then. Facts measured with
//! 1.0.102.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::edit::{Change, Format, Step};
use super::settings_file::{self, folder, variable};
use super::{
    Client, Conflict, Export, Install, LEAN_BELOW, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile,
    Start, Weight, environment_conflicts,
};
use crate::host::Host;

/// GitHub Copilot CLI.
pub struct Copilot;

/// Variables that change where requests go, how they are signed or what they look like.
const ELSEWHERE: [&str; 9] = [
    "COPILOT_PROVIDER_TRANSPORT",
    "COPILOT_PROVIDER_BEARER_TOKEN",
    "COPILOT_PROVIDER_API_KEY_COMMAND",
    "COPILOT_PROVIDER_HEADERS",
    "COPILOT_PROVIDER_MODEL_ID",
    "COPILOT_PROVIDER_WIRE_MODEL",
    "COPILOT_PROVIDER_AZURE_API_VERSION",
    "COPILOT_PROVIDER_GHES_HOST",
    "COPILOT_PROVIDER_GHES_TOKEN",
];

/// Where GitHub's token may stand. It refuses to start with one of the old kind, also when it needs none.
const TOKENS: [&str; 3] = ["COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"];

/// Tools that, with what the system prompt says about them, cost 25 of the 49 thousand bytes of each prompt.
const HEAVY: [&str; 8] = [
    "sql",
    "session_store_sql",
    "task",
    "read_agent",
    "list_agents",
    "write_agent",
    "skill",
    "fetch_copilot_cli_documentation",
];

impl Client for Copilot {
    fn id(&self) -> &'static str {
        "copilot"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["copilot-cli", "github-copilot"]
    }

    fn title(&self) -> &'static str {
        "Copilot CLI"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["copilot", "copilot.exe", "copilot.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("@github/copilot")
    }

    fn minimum(&self) -> &'static str {
        "1.0.102"
    }

    fn session(&self, gateway: &Session, own: &Path) -> Vec<Export> {
        let mut exports = vec![
            Export::set("COPILOT_PROVIDER_TYPE", "openai"),
            Export::set("COPILOT_PROVIDER_WIRE_API", "completions"),
            Export::set("COPILOT_PROVIDER_BASE_URL", format!("{}/v1", gateway.base_url)),
            Export::set("COPILOT_PROVIDER_API_KEY", &gateway.key),
            Export::set("COPILOT_MODEL", &gateway.model),
            Export::set("COPILOT_PROVIDER_MAX_PROMPT_TOKENS", prompt_limit(gateway).to_string()),
            Export::set("COPILOT_PROVIDER_MAX_OUTPUT_TOKENS", gateway.max_output.to_string()),
            // An entry of the user's own with this name would win.
            Export::set("COPILOT_PROVIDERS_CONFIG", own.join("providers.json").to_string_lossy()),
            // No sign-in, nothing sent to GitHub, and a start that is two seconds faster.
            Export::set("COPILOT_OFFLINE", "true"),
            Export::set("COPILOT_AUTO_UPDATE", "false"),
        ];
        exports.extend(ELSEWHERE.map(Export::unset));
        if gateway.context < LEAN_BELOW {
            exports.push(Export::Comment(format!(
                "a context of {} tokens is small: start it as copilot {}",
                gateway.context,
                without_heavy()
            )));
        }
        exports
    }

    fn machine(&self, host: &dyn Host) -> Vec<Export> {
        let old = |name: &&str| variable(host, name).is_some_and(|token| token.starts_with("ghp_"));
        TOKENS.into_iter().filter(old).map(Export::unset).collect()
    }

    fn files(&self, _gateway: &Session, own: &Path, _old: &dyn Fn(&Path) -> Option<String>) -> Vec<OwnFile> {
        let text = format!("{:#}\n", json!({ "providers": [], "models": [] }));
        vec![OwnFile { path: own.join("providers.json"), text }]
    }

    fn overlay(&self, gateway: &Session, own: &Path, _start: &Start<'_>) -> Result<Overlay, Conflict> {
        let lean = gateway.context < LEAN_BELOW;
        Ok(Overlay {
            exports: self.session(gateway, own),
            arguments: lean.then(without_heavy).into_iter().collect(),
            files: self.files(gateway, own, &|_| None),
            ..Overlay::default()
        })
    }

    /// What a folder says about models has no effect there.
    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        if scope == Scope::Project {
            return Vec::new();
        }
        let dir = user_dir(host, places);
        let item = |list: &str, key: &str, is: &str, value: Value| {
            let mut change = Change::set(&[list], value);
            change.path.push(Step::Item { key: key.into(), is: is.into() });
            change
        };
        let provider = json!({
            "name": "llmup",
            "type": "openai",
            "wireApi": "completions",
            "baseUrl": format!("{}/v1", gateway.base_url),
            "apiKey": gateway.key,
        });
        let model = json!({
            "id": gateway.model,
            "provider": "llmup",
            "maxPromptTokens": prompt_limit(gateway),
            "maxOutputTokens": gateway.max_output,
            "maxContextWindowTokens": gateway.context,
        });
        vec![
            SettingsFile {
                path: dir.join("providers.json"),
                format: Format::Json,
                changes: vec![
                    item("providers", "name", "llmup", provider),
                    item("models", "id", &gateway.model, model),
                ],
            },
            SettingsFile {
                path: dir.join("settings.json"),
                format: Format::Json,
                changes: vec![Change::set(&["model"], format!("llmup/{}", gateway.model))],
            },
        ]
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut names = vec!["COPILOT_PROVIDER_BASE_URL"];
        names.extend(ELSEWHERE);
        let mut found = environment_conflicts(host, self, &names, gateway);
        let here = self.programs().iter().any(|name| host.which(name).is_some());
        for export in self.machine(host).into_iter().filter(|_| here) {
            if let Export::Unset { name } = export {
                found.push(Conflict {
                    weight: Weight::Disturbs,
                    origin: Origin::Variable(name.clone()),
                    text: format!("{name} holds a classic token of GitHub, with which Copilot CLI does not start"),
                    cure: Some(format!(
                        "`llmup env copilot` takes {name} out for one shell; or use a fine-grained token"
                    )),
                });
            }
        }
        let dir = user_dir(host, places);
        for name in ["providers.json", "settings.json"] {
            found.extend(settings_file::broken(host, &dir.join(name), self));
        }
        let path = dir.join("settings.json");
        let settings = settings_file::json(host, &path).unwrap_or_default();
        let model = settings.get("model").and_then(Value::as_str).filter(|model| !model.starts_with("llmup/"));
        if let Some(model) = model {
            found.push(Conflict {
                weight: Weight::Note,
                origin: Origin::File(path.clone()),
                text: format!(
                    "{} has model \"{model}\"; a session from `llmup env copilot` does not follow it",
                    path.display()
                ),
                cure: None,
            });
        }
        found
    }
}

fn user_dir(host: &dyn Host, places: &Places) -> PathBuf {
    folder(host, "COPILOT_HOME", places.home.join(".copilot"))
}

/// What a prompt may take when the longest answer is kept free.
fn prompt_limit(gateway: &Session) -> u64 {
    gateway.context.saturating_sub(gateway.max_output)
}

/// One word: what comes after it is never taken for one more tool.
fn without_heavy() -> String {
    format!("--excluded-tools={}", HEAVY.join(","))
}
