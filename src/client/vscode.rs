//! VS Code's own chat (Chat Completions), by its provider "Custom Endpoint": one group of models in
//! `chatLanguageModels.json`, a list in the folder of its settings, which it watches. Measured with 1.139.1, signed in nowhere.
//!
//! From microsoft/vscode: the form of the file (`languageModelsConfigurationService.ts`), the provider's fields
//! (`extensions/copilot/package.json`, `customEndpointProvider.ts`), the folder (`userDataPath.ts`). A plain `apiKey` is no
//! use: that field only names a secret in VS Code's own store (`languageModels.ts`). A header of a model is sent as it stands
//! there, and `x-api-key` is none of those it keeps for itself (`customHeaderSanitizer.ts`; in 1.122 `openAIEndpoint.ts`).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::edit::{Change, Format, Step};
use super::settings_file::{self, folder, variable};
use super::{Client, Conflict, Export, Install, Origin, Places, Scope, Session, SettingsFile, Weight};
use crate::host::{Host, Os};

/// VS Code.
pub struct VsCode;

/// The folders of its builds: the stable one, and the daily one.
const BUILDS: [&str; 2] = ["Code", "Code - Insiders"];

/// The file, in the folder of a build's settings.
const FILE: &str = "chatLanguageModels.json";

/// What llmup's group is called.
const GROUP: &str = "llmup";

/// The provider of the group.
const VENDOR: &str = "customendpoint";

impl Client for VsCode {
    fn id(&self) -> &'static str {
        "vscode"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["vs-code", "code", "copilot-chat"]
    }

    fn title(&self) -> &'static str {
        "VS Code"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["code", "code.cmd", "code-insiders", "code-insiders.cmd"]
    }

    fn install(&self) -> Install {
        Install::Described("https://code.visualstudio.com")
    }

    fn minimum(&self) -> &'static str {
        "1.139"
    }

    fn only_settings(&self) -> bool {
        true
    }

    fn then(&self, gateway: &Session) -> Option<String> {
        Some(format!("in its chat, choose {} in the list of models", gateway.model))
    }

    /// No variable of its environment says where its models are.
    fn session(&self, _gateway: &Session, _own: &Path) -> Vec<Export> {
        Vec::new()
    }

    /// Each build that was started here; the usual one where none was. A folder has no file for this.
    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        if scope == Scope::Project {
            return Vec::new();
        }
        let folders: Vec<PathBuf> = BUILDS.iter().filter_map(|build| user_dir(host, places, build)).collect();
        let mut here: Vec<&PathBuf> = folders.iter().filter(|dir| host.entries(dir).is_ok()).collect();
        if here.is_empty() {
            here.extend(folders.first());
        }
        let file =
            |dir: &PathBuf| SettingsFile { path: dir.join(FILE), format: Format::JsonList, changes: changes(gateway) };
        here.into_iter().map(file).collect()
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut found = Vec::new();
        for path in BUILDS.iter().filter_map(|build| Some(user_dir(host, places, build)?.join(FILE))) {
            found.extend(settings_file::broken(host, &path, self));
            let groups = settings_file::json(host, &path).unwrap_or_default();
            let ours = groups.as_array().into_iter().flatten().find(|group| group["name"] == GROUP);
            let models = ours.and_then(|group| group["models"].as_array());
            let mut urls = models.into_iter().flatten().filter_map(|model| model["url"].as_str());
            let Some(other) = urls.find(|url| gateway.is_some_and(|root| !super::leads_to(url, root))) else {
                continue;
            };
            found.push(Conflict {
                weight: Weight::Disturbs,
                origin: Origin::File(path.clone()),
                text: format!("{} leads VS Code's chat to {other}", path.display()),
                cure: Some("connect it anew: `llmup connect vscode`".to_owned()),
            });
        }
        found
    }
}

/// llmup's group, member by member: VS Code adds members of its own to it.
fn changes(gateway: &Session) -> Vec<Change> {
    let member = |steps: Vec<Step>, to: Value| {
        let group = Step::Item { key: "name".into(), is: GROUP.into() };
        Change { path: [vec![group], steps].concat(), to: Some(to) }
    };
    let model = json!({
        "id": gateway.model,
        "name": gateway.model,
        "url": format!("{}/v1/chat/completions", gateway.base_url),
        // Without it the model is not offered to the agent.
        "toolCalling": true,
        "vision": false,
        // Together they are the context.
        "maxInputTokens": gateway.context.saturating_sub(gateway.max_output),
        "maxOutputTokens": gateway.max_output,
        "requestHeaders": { "x-api-key": gateway.key },
    });
    vec![
        member(vec![Step::Key("vendor".into())], VENDOR.into()),
        member(vec![Step::Key("apiType".into())], "chat-completions".into()),
        member(vec![Step::Key("models".into()), Step::Item { key: "id".into(), is: gateway.model.clone() }], model),
    ]
}

/// The folder of a build's settings, as its `userDataPath.ts` has it. `None` on a Windows without `APPDATA`.
fn user_dir(host: &dyn Host, places: &Places, build: &str) -> Option<PathBuf> {
    let above = match host.os() {
        Os::Windows => PathBuf::from(variable(host, "APPDATA")?),
        Os::Macos => places.home.join("Library/Application Support"),
        Os::Linux => folder(host, "XDG_CONFIG_HOME", places.home.join(".config")),
    };
    Some(above.join(build).join("User"))
}
