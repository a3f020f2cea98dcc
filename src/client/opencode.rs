//! OpenCode (Chat Completions). A session is a whole configuration in one variable, which OpenCode lays over every file
//! of the user and of the folder. Facts measured with 1.18.33.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::edit::{Change, Format};
use super::settings_file::{self, folder, variable};
use super::{
    Client, Conflict, Export, Install, LEAN_BELOW, Origin, Places, Scope, Session, SettingsFile, Weight, leads_to,
};
use crate::host::{Host, Os};

/// OpenCode.
pub struct OpenCode;

/// The provider's name in OpenCode's configuration.
const PROVIDER: &str = "llmup";

/// Its own agents. One that the user gave a model of another provider would fail, as only this one is enabled: each is
/// told its model. The two of `SMALL` do side tasks.
const AGENTS: [&str; 5] = ["build", "plan", "general", "explore", "compaction"];
const SMALL: [&str; 2] = ["title", "summary"];

/// Tools that cost 9 of the 31 thousand bytes of each prompt.
const HEAVY: [&str; 4] = ["task", "todowrite", "webfetch", "skill"];

impl Client for OpenCode {
    fn id(&self) -> &'static str {
        "opencode"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["open-code"]
    }

    fn title(&self) -> &'static str {
        "OpenCode"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["opencode", "opencode.exe", "opencode.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("opencode-ai")
    }

    fn minimum(&self) -> &'static str {
        "1.18.33"
    }

    fn session(&self, gateway: &Session, _own: &Path) -> Vec<Export> {
        vec![
            Export::set("OPENCODE_CONFIG_CONTENT", configuration(gateway).to_string()),
            // The configuration names it, so that the key stands in one place.
            Export::set("LLMUP_API_KEY", &gateway.key),
            Export::set("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            // Its list of the world's models, which says nothing about this one.
            Export::set("OPENCODE_DISABLE_MODELS_FETCH", "1"),
        ]
    }

    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        let dir = match scope {
            Scope::User => configuration_dir(host, places),
            Scope::Project => places.project.clone(),
        };
        let path = dir.join("opencode.jsonc");
        // Both are read; what stands in the .jsonc counts more.
        let path = if host.exists(&path) { path } else { dir.join("opencode.json") };
        let now = settings_file::json(host, &path).unwrap_or_default();
        let mut changes = vec![
            Change::set(&["model"], named(&gateway.model)),
            Change::set(&["small_model"], named(gateway.small())),
            Change::set(&["provider", PROVIDER], provider(gateway, None)),
        ];
        // Lists of the user's that would keep the provider out.
        if let Some(mut enabled) = list(&now, "enabled_providers").filter(|list| !list.contains(&PROVIDER.into())) {
            enabled.push(PROVIDER.into());
            changes.push(Change::set(&["enabled_providers"], enabled));
        }
        if let Some(mut disabled) = list(&now, "disabled_providers").filter(|list| list.contains(&PROVIDER.into())) {
            disabled.retain(|name| name != PROVIDER);
            changes.push(Change::set(&["disabled_providers"], disabled));
        }
        // A model that the user gave one of OpenCode's own agents beats the one above.
        for (agents, model) in [(&AGENTS[..], gateway.model.as_str()), (&SMALL[..], gateway.small())] {
            for agent in agents {
                if now.pointer(&format!("/agent/{agent}/model")).is_some() {
                    changes.push(Change::set(&["agent", agent, "model"], named(model)));
                }
            }
        }
        if gateway.context < LEAN_BELOW {
            changes.extend(HEAVY.map(|tool| Change::set(&["tools", tool], false)));
        }
        // Keys have a file of their own, which nobody puts under version control.
        let key = json!({ "type": "api", "key": gateway.key });
        let keys = SettingsFile {
            path: folder(host, "XDG_DATA_HOME", places.home.join(".local/share")).join("opencode/auth.json"),
            format: Format::Json,
            changes: vec![Change::set(&[PROVIDER], key)],
        };
        vec![SettingsFile { path, format: Format::Json, changes }, keys]
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let user = configuration_dir(host, places);
        // A lasting connection stands in the user's own file, over which OpenCode lays these others.
        let connected = gateway.is_some_and(|root| {
            ["opencode.json", "opencode.jsonc"].iter().any(|name| leads_home(host, &user.join(name), root))
        });
        let over = if connected { Weight::Disturbs } else { Weight::Note };
        let mut files = Vec::new();
        files.extend(["config.json", "opencode.json", "opencode.jsonc"].map(|name| (user.join(name), Weight::Note)));
        files.extend(variable(host, "OPENCODE_CONFIG").map(|path| (path.into(), over)));
        if places.project != user {
            let dirs = [places.project.clone(), places.project.join(".opencode")];
            let names = ["opencode.json", "opencode.jsonc"];
            files.extend(dirs.iter().flat_map(|dir| names.map(|name| (dir.join(name), over))));
        }
        let managed = managed_dir(host.os());
        files.extend(["opencode.json", "opencode.jsonc"].map(|name| (managed.join(name), Weight::Managed)));
        files.iter().flat_map(|(path, weight)| file_conflicts(host, path, *weight)).collect()
    }
}

/// How the configuration names a model of the gateway.
fn named(model: &str) -> String {
    format!("{PROVIDER}/{model}")
}

fn provider(gateway: &Session, key: Option<&str>) -> Value {
    let mut models = Map::new();
    for model in [gateway.model.as_str(), gateway.small()] {
        let limit = json!({ "context": gateway.context, "output": gateway.max_output });
        models.insert(model.to_owned(), json!({ "name": model, "limit": limit }));
    }
    let mut options = json!({ "baseURL": format!("{}/v1", gateway.base_url) });
    if let Some(key) = key {
        options["apiKey"] = key.into();
    }
    json!({ "npm": "@ai-sdk/openai-compatible", "name": PROVIDER, "options": options, "models": models })
}

fn configuration(gateway: &Session) -> Value {
    let mut agents = Map::new();
    for agent in AGENTS {
        agents.insert(agent.into(), json!({ "model": named(&gateway.model) }));
    }
    for agent in SMALL {
        agents.insert(agent.into(), json!({ "model": named(gateway.small()) }));
    }
    let mut all = json!({
        "model": named(&gateway.model),
        "small_model": named(gateway.small()),
        "enabled_providers": [PROVIDER],
        // Lists are replaced: one of the user's that names llmup would win otherwise.
        "disabled_providers": [],
        "autoupdate": false,
        "agent": agents,
        "provider": { PROVIDER: provider(gateway, Some("{env:LLMUP_API_KEY}")) },
    });
    if gateway.context < LEAN_BELOW {
        all["tools"] = HEAVY.iter().map(|tool| ((*tool).to_owned(), Value::Bool(false))).collect();
    }
    all
}

/// The folder of the user's configuration: this one on every system.
fn configuration_dir(host: &dyn Host, places: &Places) -> PathBuf {
    folder(host, "XDG_CONFIG_HOME", places.home.join(".config")).join("opencode")
}

/// What an administrator prescribes; nothing beats it. Read in the program.
fn managed_dir(os: Os) -> PathBuf {
    match os {
        Os::Linux => "/etc/opencode",
        Os::Macos => "/Library/Application Support/opencode",
        Os::Windows => r"C:\ProgramData\opencode",
    }
    .into()
}

/// What of the administrator's settings takes a session away from the gateway (tried one by one), and what only a
/// connected OpenCode.
fn prescribed(settings: &Value, path: &Path) -> Vec<Conflict> {
    let shown = path.display();
    let elsewhere = |model: Option<&Value>| {
        model.and_then(Value::as_str).is_some_and(|model| !model.starts_with(&format!("{PROVIDER}/")))
    };
    let mut away = Vec::new();
    if list(settings, "enabled_providers").is_some_and(|list| !list.contains(&PROVIDER.into())) {
        away.push("enabled_providers".to_owned());
    }
    if list(settings, "disabled_providers").is_some_and(|list| list.contains(&PROVIDER.into())) {
        away.push("disabled_providers".to_owned());
    }
    let own = AGENTS.iter().chain(&SMALL);
    let of_agents = own.filter(|name| elsewhere(settings.pointer(&format!("/agent/{name}/model"))));
    away.extend(of_agents.map(|name| format!("agent.{name}.model")));
    if settings.pointer(&format!("/provider/{PROVIDER}")).is_some() {
        away.push(format!("provider.{PROVIDER}"));
    }
    let other = ["model", "small_model"].into_iter().filter(|key| elsewhere(settings.get(key))).map(str::to_owned);
    let other: Vec<String> = other.collect();
    [(Weight::Managed, away), (Weight::Disturbs, other)]
        .into_iter()
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(weight, keys)| {
            let list = keys.join(", ");
            Conflict {
                weight,
                origin: Origin::Machine(path.to_owned()),
                text: format!("{shown} sets {list}, which OpenCode lays over everything else"),
                cure: Some(format!("ask who looks after this machine to take {list} out of {shown}")),
            }
        })
        .collect()
}

/// Whether the model that this file names is one of the gateway at `root`.
fn leads_home(host: &dyn Host, path: &Path, root: &str) -> bool {
    let Some(settings) = settings_file::json(host, path) else { return false };
    let text = |at: &str| settings.pointer(at).and_then(Value::as_str);
    text("/model").is_some_and(|model| model.starts_with(&format!("{PROVIDER}/")))
        && text(&format!("/provider/{PROVIDER}/options/baseURL")).is_some_and(|url| leads_to(url, root))
}

fn list(settings: &Value, key: &str) -> Option<Vec<String>> {
    let items = settings.get(key)?.as_array()?;
    Some(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn file_conflicts(host: &dyn Host, path: &Path, weight: Weight) -> Vec<Conflict> {
    if let Some(broken) = settings_file::broken(host, path, &OpenCode) {
        return vec![broken];
    }
    let Some(settings) = settings_file::json(host, path) else { return Vec::new() };
    let shown = path.display();
    let elsewhere = |model: &&str| !model.starts_with("llmup/");
    let model = settings.get("model").and_then(Value::as_str).filter(elsewhere);
    let mut found = Vec::new();
    if weight == Weight::Managed {
        return prescribed(&settings, path);
    }
    if let Some(model) = model {
        let (text, cure) = if weight == Weight::Note {
            (format!("{shown} has model \"{model}\"; a session from `llmup env opencode` does not follow it"), None)
        } else {
            (
                format!("{shown} has model \"{model}\", which OpenCode lays over your own settings"),
                Some(format!("`llmup run opencode` beats it; or remove \"model\" from {shown}")),
            )
        };
        found.push(Conflict { weight, origin: Origin::File(path.to_owned()), text, cure });
    }
    let agents = settings.get("agent").and_then(Value::as_object);
    let strange = agents.into_iter().flatten().filter(|(name, agent)| {
        let own = AGENTS.contains(&name.as_str()) || SMALL.contains(&name.as_str());
        !own && agent.get("model").and_then(Value::as_str).is_some_and(|model| elsewhere(&model))
    });
    let strange: Vec<&str> = strange.map(|(name, _)| name.as_str()).collect();
    if !strange.is_empty() {
        let list = strange.join(", ");
        found.push(Conflict {
            weight: Weight::Disturbs,
            origin: Origin::File(path.to_owned()),
            text: format!("{shown} gives {list} a model of another provider, which a session on the gateway has not"),
            cure: Some(format!("do not call {list} there, or take its \"model\" out of {shown}")),
        });
    }
    found
}
