//! aider (Chat Completions). It reads `.env` files over its environment, so a session is a file that it reads last.
//! Facts measured with 0.86.2.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::edit::{Change, Format};
use super::settings_file;
use super::{
    Client, Conflict, Export, Install, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile, Start, Weight,
    environment_conflicts, run_file, typed,
};
use crate::host::Host;

/// aider.
pub struct Aider;

/// The variable that names the file it reads last.
const FILE: &str = "AIDER_ENV_FILE";

/// Variables that lead it elsewhere when it is started without llmup; of a `.env` also.
const ELSEWHERE: [&str; 5] =
    ["OPENAI_BASE_URL", "OPENAI_API_BASE", "AIDER_OPENAI_API_BASE", "AIDER_MODEL", "AIDER_OPENAI_API_KEY"];

impl Client for Aider {
    fn id(&self) -> &'static str {
        "aider"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["aider-chat"]
    }

    fn title(&self) -> &'static str {
        "aider"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["aider", "aider.exe"]
    }

    fn install(&self) -> Install {
        Install::Python("aider-chat")
    }

    fn minimum(&self) -> &'static str {
        "0.86.2"
    }

    fn session(&self, _gateway: &Session, own: &Path) -> Vec<Export> {
        let file = own.join("llmup.env");
        vec![
            Export::Comment(format!(
                "aider reads .env files over its environment: llmup wrote {}, which it reads last",
                file.display()
            )),
            Export::set(FILE, file.to_string_lossy()),
        ]
    }

    fn files(&self, gateway: &Session, own: &Path, _old: &dyn Fn(&Path) -> Option<String>) -> Vec<OwnFile> {
        let metadata = own.join("models.json");
        let base = format!("{}/v1", gateway.base_url);
        let mut text = String::from("# Written by llmup for one session of aider.\n");
        for (name, value) in [
            ("AIDER_MODEL", named(&gateway.model).as_str()),
            ("AIDER_EDITOR_MODEL", &named(&gateway.model)),
            // Messages of commits and summaries.
            ("AIDER_WEAK_MODEL", &named(gateway.small())),
            // All three: the first beats the second, and a .aider.conf.yml the second but not the third.
            ("OPENAI_BASE_URL", &base),
            ("OPENAI_API_BASE", &base),
            ("AIDER_OPENAI_API_BASE", &base),
            ("OPENAI_API_KEY", &gateway.key),
            ("AIDER_OPENAI_API_KEY", &gateway.key),
            ("AIDER_MODEL_METADATA_FILE", &metadata.to_string_lossy()),
            // Without these it opens pages of a browser, asks for a list of prices and for updates.
            ("AIDER_SHOW_MODEL_WARNINGS", "false"),
            ("AIDER_SHOW_RELEASE_NOTES", "false"),
            ("AIDER_CHECK_UPDATE", "false"),
            // Not AIDER_ANALYTICS_DISABLE, which it would keep in the home for ever.
            ("AIDER_ANALYTICS", "false"),
            ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ] {
            text.push_str(&format!("{name}={}\n", quoted(value)));
        }
        let mut files = vec![OwnFile { path: own.join("llmup.env"), text }];
        files.push(OwnFile { path: metadata, text: metadata_text(gateway) });
        files
    }

    /// A file of the user's own in that place is put into llmup's, in front: what comes later in it counts.
    fn overlay(&self, gateway: &Session, own: &Path, start: &Start<'_>) -> Result<Overlay, Conflict> {
        let (typed, named) = typed::take(start.typed, &["--env-file"], |_| true);
        let mut overlay = Overlay {
            exports: self.session(gateway, own),
            files: self.files(gateway, own, &|_| None),
            typed: (!named.is_empty()).then_some(typed),
            ..Overlay::default()
        };
        let file = named.last().cloned().or_else(|| settings_file::variable(start.host, FILE));
        let path = file.map(|file| start.places.project.join(file)).filter(|path| !path.starts_with(own));
        let theirs = path.and_then(|path| settings_file::text(start.host, &path));
        if let Some((theirs, ours)) = theirs.zip(overlay.files.first_mut()) {
            let text = format!("{}\n{}", theirs.trim_start_matches('\u{feff}').trim_end(), ours.text);
            *ours = OwnFile { path: run_file::path_of(own, gateway, &theirs, "env"), text };
            overlay.exports.push(Export::set(FILE, ours.path.to_string_lossy()));
        }
        Ok(overlay)
    }

    fn settings(&self, gateway: &Session, _host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        // For one folder the key would lie in the folder.
        if scope == Scope::Project {
            return Vec::new();
        }
        let home = &places.home;
        let text = [
            ("model", named(&gateway.model)),
            ("editor-model", named(&gateway.model)),
            ("weak-model", named(gateway.small())),
            ("openai-api-base", format!("{}/v1", gateway.base_url)),
            ("openai-api-key", gateway.key.clone()),
        ];
        let mut changes: Vec<Change> = text.iter().map(|(key, value)| Change::set(&[key], value.as_str())).collect();
        changes.push(Change::set(&["show-model-warnings"], false));
        let models = [gateway.model.as_str(), gateway.small()];
        let models = models.map(|model| Change::set(&[&named(model)], metadata(gateway)));
        vec![
            SettingsFile { path: home.join(".aider.conf.yml"), format: Format::Yaml, changes },
            SettingsFile {
                path: home.join(".aider.model.metadata.json"),
                format: Format::Json,
                changes: if gateway.small.is_some() { models.into() } else { models.into_iter().take(1).collect() },
            },
        ]
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        // Two of these are other programs' too: nobody who does not have aider is told.
        let here = self.programs().iter().any(|name| host.which(name).is_some());
        let names = if here { &ELSEWHERE[..3] } else { &[] };
        let mut found = environment_conflicts(host, self, names, gateway);
        let mut dirs = vec![&places.home];
        if places.project != places.home {
            dirs.push(&places.project);
        }
        for path in dirs.into_iter().map(|dir| dir.join(".env")) {
            let names = settings_file::dotenv_names(host, &path, &ELSEWHERE);
            if !names.is_empty() {
                let (list, shown) = (names.join(", "), path.display());
                found.push(Conflict {
                    weight: Weight::Note,
                    origin: Origin::File(path.clone()),
                    text: format!("{shown} sets {list}; a session from `llmup env aider` is read after it"),
                    cure: None,
                });
            }
        }
        let project: PathBuf = places.project.join(".aider.conf.yml");
        let set = settings_file::yaml(host, &project).filter(|_| places.project != places.home);
        let model = set.as_ref().and_then(|set| set.get("model")?.as_str());
        if let Some(model) = model {
            found.push(Conflict {
                weight: Weight::Note,
                origin: Origin::File(project.clone()),
                text: format!(
                    "{} has model {model}; a session from `llmup env aider` does not follow it",
                    project.display()
                ),
                cure: None,
            });
        }
        found
    }
}

/// How aider names a model of a server that speaks OpenAI's protocol; the gateway gets the name without it.
fn named(model: &str) -> String {
    format!("openai/{model}")
}

/// What it would else look for in a list of prices: it sizes its map of the repository and its summaries by these.
fn metadata(gateway: &Session) -> serde_json::Value {
    json!({
        "max_input_tokens": gateway.context,
        "max_tokens": gateway.max_output,
        "max_output_tokens": gateway.max_output,
        "input_cost_per_token": 0,
        "output_cost_per_token": 0,
        "litellm_provider": "openai",
        "mode": "chat",
    })
}

fn metadata_text(gateway: &Session) -> String {
    let mut all = serde_json::Map::new();
    for model in [gateway.model.as_str(), gateway.small()] {
        all.insert(named(model), metadata(gateway));
    }
    format!("{:#}\n", serde_json::Value::Object(all))
}

/// A value as python-dotenv reads it: between single quotes only these two are escaped.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}
