//! Continue (Chat Completions): its command line `cn`, and by the same file its extensions of editors. `cn` takes a
//! configuration by `--config`, or from the folder that a variable names. Facts measured with 1.5.47.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::edit::{Change, Format, Step};
use super::settings_file::{self, folder};
use super::{
    Client, Conflict, Export, Install, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile, Start, Weight,
    run_file, typed,
};
use crate::host::Host;

/// Continue.
pub struct Continue;

/// The variable that names its folder.
const FOLDER: &str = "CONTINUE_GLOBAL_DIR";

/// The variable that holds the key; configurations name it as a secret.
const KEY: &str = "LLMUP_API_KEY";

/// A file without these three is refused.
const HEAD: [(&str, &str); 3] = [("name", "llmup"), ("version", "1.0.0"), ("schema", "v1")];

impl Client for Continue {
    fn id(&self) -> &'static str {
        "continue"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["cn", "continue-cli"]
    }

    fn title(&self) -> &'static str {
        "Continue"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["cn", "cn.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("@continuedev/cli")
    }

    fn minimum(&self) -> &'static str {
        "1.5.47"
    }

    fn session(&self, gateway: &Session, own: &Path) -> Vec<Export> {
        vec![
            Export::Comment(format!(
                "Continue takes its models from a file: llmup wrote {}",
                own.join("config.yaml").display()
            )),
            Export::Comment(format!(
                "your own ~/.continue is not read in this shell; unset {FOLDER} and use `cn --config FILE` for both"
            )),
            Export::set(FOLDER, own.to_string_lossy()),
            Export::set(KEY, &gateway.key),
        ]
    }

    fn files(&self, gateway: &Session, own: &Path, _old: &dyn Fn(&Path) -> Option<String>) -> Vec<OwnFile> {
        let config = json!({ "name": "llmup", "version": "1.0.0", "schema": "v1", "models": models(gateway) });
        // JSON is YAML.
        vec![OwnFile { path: own.join("config.yaml"), text: format!("{config:#}\n") }]
    }

    /// The user's folder stays, with permissions and conversations; only the models are others. Of two `--config` the
    /// last counts: one of the user's own is put into llmup's file, behind the gateway's models, as `cn` takes the first.
    fn overlay(&self, gateway: &Session, own: &Path, start: &Start<'_>) -> Result<Overlay, Conflict> {
        let (typed, theirs) = typed::take(start.typed, &["--config"], |_| true);
        let mut files = self.files(gateway, own, &|_| None);
        if let Some(said) = theirs.last() {
            let config = with_theirs(gateway, start, said)?;
            let path = run_file::path_of(own, gateway, &config.to_string(), "yaml");
            files = vec![OwnFile { path, text: format!("{config:#}\n") }];
        }
        let path = files.first().map(|file| file.path.to_string_lossy().into_owned());
        Ok(Overlay {
            exports: vec![Export::set(KEY, &gateway.key)],
            arguments: ["--config".to_owned()].into_iter().chain(path).collect(),
            typed: (!theirs.is_empty()).then_some(typed),
            files,
            links: Vec::new(),
        })
    }

    /// There is no file for one folder that `cn` would read.
    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        if scope == Scope::Project {
            return Vec::new();
        }
        let dir = user_dir(host, places);
        let path = dir.join("config.yaml");
        let now = settings_file::yaml(host, &path).unwrap_or_default();
        // The user's own names stay.
        let mut changes: Vec<Change> = HEAD
            .into_iter()
            .filter(|(key, _)| now.get(key).is_none())
            .map(|(key, value)| Change::set(&[key], value))
            .collect();
        for model in models(gateway) {
            let Some(name) = model["name"].as_str().map(str::to_owned) else { continue };
            let mut change = Change::set(&["models"], model);
            change.path.push(Step::Item { key: "name".into(), is: name });
            changes.push(change);
        }
        vec![
            SettingsFile { path, format: Format::Yaml, changes },
            // Secrets have a file of their own beside it.
            SettingsFile {
                path: dir.join(".env"),
                format: Format::Dotenv,
                changes: vec![Change::set(&[KEY], gateway.key.as_str())],
            },
        ]
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let path = user_dir(host, places).join("config.yaml");
        // In a shell with `llmup env continue` that is llmup's own.
        let Some(settings) = settings_file::yaml(host, &path) else { return Vec::new() };
        let models = settings.get("models").and_then(Value::as_array);
        let mut chat = models.into_iter().flatten().filter(|model| {
            let roles = model.get("roles").and_then(Value::as_array);
            roles.is_none_or(|roles| roles.iter().any(|role| role == "chat"))
        });
        let Some(first) = chat.next() else { return Vec::new() };
        let leads = |model: &Value| {
            let base = model.get("apiBase").and_then(Value::as_str);
            base.zip(gateway).is_some_and(|(base, root)| super::leads_to(base, root))
        };
        if leads(first) {
            return Vec::new();
        }
        let (shown, name) = (path.display(), first.get("name").and_then(Value::as_str).unwrap_or("a model"));
        if chat.any(leads) {
            // Measured: without a terminal it takes the first that can chat, and has no switch for another.
            return vec![Conflict {
                weight: Weight::Disturbs,
                origin: Origin::File(path.clone()),
                text: format!("{shown} has \"{name}\" before the gateway's model, and cn takes the first"),
                cure: Some(format!("move the entry \"llmup\" to the top of \"models\" in {shown}")),
            }];
        }
        vec![Conflict {
            weight: Weight::Note,
            origin: Origin::File(path.clone()),
            text: format!("{shown} has \"{name}\"; a session from `llmup env continue` does not read that file"),
            cure: None,
        }]
    }
}

/// The configuration that the user named, with the gateway's models in front of theirs.
fn with_theirs(gateway: &Session, start: &Start<'_>, said: &str) -> Result<Value, Conflict> {
    let mut config = settings_file::yaml(start.host, &start.places.project.join(said))
        .filter(Value::is_object)
        .ok_or_else(|| Conflict {
            weight: Weight::Managed,
            origin: Origin::Typed,
            text: format!("--config {said} is no file of settings, and would take the place of the gateway's model"),
            cure: Some("name a file, or leave it out: `llmup run continue`".to_owned()),
        })?;
    let ours = models(gateway);
    let theirs = config.get("models").and_then(Value::as_array).cloned().unwrap_or_default();
    let others = theirs.into_iter().filter(|model| ours.iter().all(|own| own.get("name") != model.get("name")));
    let all: Vec<Value> = ours.iter().cloned().chain(others).collect();
    config["models"] = all.into();
    for (key, value) in HEAD {
        if config.get(key).is_none() {
            config[key] = value.into();
        }
    }
    Ok(config)
}

fn user_dir(host: &dyn Host, places: &Places) -> PathBuf {
    folder(host, FOLDER, places.home.join(".continue"))
}

/// One entry for conversations; one for completions while typing, which `cn` has no use for and editors do. None for
/// embeddings: an engine that holds a chat model has them seldom, and Continue's extension brings its own.
fn models(gateway: &Session) -> [Value; 2] {
    let base = format!("{}/v1", gateway.base_url);
    let key = format!("${{{{ secrets.{KEY} }}}}");
    let chat = json!({
        "name": "llmup",
        "provider": "openai",
        "model": gateway.model,
        "apiBase": base,
        "apiKey": key,
        "roles": ["chat", "edit", "apply", "summarize"],
        "capabilities": ["tool_use"],
        "defaultCompletionOptions": { "contextLength": gateway.context, "maxTokens": gateway.max_output },
    });
    let typing = json!({
        "name": "llmup, while typing",
        "provider": "openai",
        "model": gateway.small(),
        "apiBase": base,
        "apiKey": key,
        "roles": ["autocomplete"],
        // A prompt with marks for what comes before and after must not be put into a conversation.
        "useLegacyCompletionsEndpoint": true,
    });
    [chat, typing]
}
