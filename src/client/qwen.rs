//! Qwen Code (Chat Completions). A session is a settings file of llmup's own in the place of the administrator's, which
//! beats the user's and the folder's. Facts measured with 0.24.4.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::edit::{Change, Format, Step};
use super::settings_file::{self, folder, variable};
use super::{
    Client, Conflict, Export, Install, LEAN_BELOW, Origin, OwnFile, Places, Scope, Session, SettingsFile, Weight,
};
use crate::host::{Host, Os};

/// Qwen Code.
pub struct Qwen;

/// The variable that names the administrator's settings.
const SYSTEM: &str = "QWEN_CODE_SYSTEM_SETTINGS_PATH";

/// The variable that holds the key.
const KEY: &str = "LLMUP_API_KEY";

/// It reports each session to its maker otherwise; the variable beats settings.
const STATISTICS: &str = "QWEN_USAGE_STATISTICS_ENABLED";

/// Tools that cost 23 of the 78 thousand bytes of each prompt. `tool_search` stays: without it twelve more are sent.
const HEAVY: [&str; 6] = ["agent", "notebook_edit", "get_goal", "update_goal", "list_agents", "skill"];

/// Below this even the lean prompt (14 thousand tokens) leaves no room for a conversation: only the smallest works.
const SIMPLE_BELOW: u64 = 24_576;

impl Client for Qwen {
    fn id(&self) -> &'static str {
        "qwen"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["qwen-code"]
    }

    fn title(&self) -> &'static str {
        "Qwen Code"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["qwen", "qwen.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("@qwen-code/qwen-code")
    }

    fn minimum(&self) -> &'static str {
        "0.24.4"
    }

    fn session(&self, gateway: &Session, own: &Path) -> Vec<Export> {
        if gateway.context < SIMPLE_BELOW {
            // This way of running reads no settings: what can be said in variables is said there.
            return vec![
                Export::Comment(format!(
                    "a context of {} tokens is small: Qwen Code runs with its smallest prompt and 6 tools, and reads \
                     no settings",
                    gateway.context
                )),
                Export::set("QWEN_CODE_SIMPLE", "1"),
                Export::set("OPENAI_BASE_URL", format!("{}/v1", gateway.base_url)),
                Export::set("OPENAI_API_KEY", &gateway.key),
                Export::set("OPENAI_MODEL", &gateway.model),
                Export::set("QWEN_CODE_MAX_OUTPUT_TOKENS", gateway.max_output.to_string()),
                Export::set(STATISTICS, "false"),
            ];
        }
        vec![
            Export::Comment(format!(
                "Qwen Code learns the context only from a file: llmup wrote {}",
                own.join("settings.json").display()
            )),
            Export::set(SYSTEM, own.join("settings.json").to_string_lossy()),
            Export::set(KEY, &gateway.key),
            Export::set(STATISTICS, "false"),
            Export::unset("QWEN_CODE_SIMPLE"),
        ]
    }

    fn files(&self, gateway: &Session, own: &Path, _old: &dyn Fn(&Path) -> Option<String>) -> Vec<OwnFile> {
        if gateway.context < SIMPLE_BELOW {
            return Vec::new();
        }
        let mut settings = json!({
            // Of this version's form: it would rewrite an older one.
            "$version": 4,
            "general": { "enableAutoUpdate": false },
            "security": { "auth": { "selectedType": "openai" } },
            "model": { "name": gateway.model },
            "modelProviders": { "openai": [provider(gateway)] },
        });
        if gateway.context < LEAN_BELOW {
            settings["permissions"] = json!({ "deny": HEAVY });
        }
        vec![OwnFile { path: own.join("settings.json"), text: format!("{settings:#}\n") }]
    }

    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        let user = user_file(host, places);
        let path = match scope {
            Scope::User => user.clone(),
            Scope::Project => places.project.join(".qwen/settings.json"),
        };
        let mut at = Change::set(&["modelProviders", "openai"], provider(gateway));
        at.path.push(Step::Item { key: "id".into(), is: gateway.model.clone() });
        let changes = vec![
            Change::set(&["security", "auth", "selectedType"], "openai"),
            Change::set(&["model", "name"], gateway.model.as_str()),
            at,
        ];
        // The key stands in the user's file also when the rest is a folder's, which may be under version control.
        let key = Change::set(&["env", KEY], gateway.key.as_str());
        if path == user {
            let changes = changes.into_iter().chain([key]).collect();
            return vec![SettingsFile { path, format: Format::Json, changes }];
        }
        vec![
            SettingsFile { path, format: Format::Json, changes },
            SettingsFile { path: user, format: Format::Json, changes: vec![key] },
        ]
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut files = vec![user_file(host, places)];
        let project = places.project.join(".qwen/settings.json");
        if project != files[0] {
            files.push(project);
        }
        let connected = gateway.is_some_and(|root| leads_home(host, &files[0], root));
        let mut found = Vec::new();
        for (at, path) in files.iter().enumerate() {
            // Qwen Code lays the folder's over the user's, where a lasting connection stands.
            found.extend(file_conflicts(host, path, gateway, connected && at > 0));
        }
        // llmup's own file takes this one's place for a session.
        let system = variable(host, SYSTEM).map_or_else(|| system_file(host.os()), PathBuf::from);
        let ours = system.ends_with(Path::new("clients/qwen/settings.json"));
        if !ours && host.exists(&system) {
            found.push(Conflict {
                weight: Weight::Note,
                origin: Origin::Machine(system.clone()),
                text: format!("{} is not read in a session from `llmup env qwen`", system.display()),
                cure: None,
            });
        }
        found
    }
}

/// One entry of the models that Qwen Code offers.
fn provider(gateway: &Session) -> Value {
    json!({
        "id": gateway.model,
        "name": gateway.model,
        "baseUrl": format!("{}/v1", gateway.base_url),
        "envKey": KEY,
        "generationConfig": {
            "contextWindowSize": gateway.context,
            "samplingParams": { "max_tokens": gateway.max_output },
        },
    })
}

fn user_file(host: &dyn Host, places: &Places) -> PathBuf {
    folder(host, "QWEN_HOME", places.home.join(".qwen")).join("settings.json")
}

/// The administrator's settings. Read in the program.
fn system_file(os: Os) -> PathBuf {
    match os {
        Os::Linux => "/etc/qwen-code/settings.json",
        Os::Macos => "/Library/Application Support/QwenCode/settings.json",
        Os::Windows => r"C:\ProgramData\qwen-code\settings.json",
    }
    .into()
}

/// Whether the model that this file chooses is one of the gateway at `root`.
fn leads_home(host: &dyn Host, path: &Path, root: &str) -> bool {
    settings_file::json(host, path).is_some_and(|settings| chooses(&settings, root))
}

fn chooses(settings: &Value, root: &str) -> bool {
    let model = settings.pointer("/model/name").and_then(Value::as_str);
    let providers = settings.pointer("/modelProviders/openai").and_then(Value::as_array);
    providers.into_iter().flatten().any(|provider| {
        let is = |key: &str| provider.get(key).and_then(Value::as_str);
        is("id") == model && is("baseUrl").is_some_and(|url| super::leads_to(url, root))
    })
}

/// `over`: laid over the user's own, which lead to the gateway.
fn file_conflicts(host: &dyn Host, path: &Path, gateway: Option<&str>, over: bool) -> Vec<Conflict> {
    if let Some(broken) = settings_file::broken(host, path, &Qwen) {
        return vec![broken];
    }
    let Some(settings) = settings_file::json(host, path) else { return Vec::new() };
    let model = settings.pointer("/model/name").and_then(Value::as_str);
    let chosen = settings.pointer("/security/auth/selectedType").and_then(Value::as_str);
    let ours = gateway.is_some_and(|root| chooses(&settings, root));
    if ours || (model.is_none() && chosen.is_none()) {
        return Vec::new();
    }
    let set = [("security.auth.selectedType", chosen), ("model.name", model)];
    let set: Vec<String> = set.into_iter().filter_map(|(key, value)| Some(format!("{key} \"{}\"", value?))).collect();
    let (shown, list, origin) = (path.display(), set.join(", "), Origin::File(path.to_owned()));
    vec![if over {
        Conflict {
            weight: Weight::Disturbs,
            origin,
            text: format!("{shown} has {list}, which Qwen Code lays over your own settings"),
            cure: Some(format!("`llmup run qwen` beats it; or remove these from {shown}")),
        }
    } else {
        let text = format!("{shown} has {list}; a session from `llmup env qwen` does not follow it");
        Conflict { weight: Weight::Note, origin, text, cure: None }
    }]
}
