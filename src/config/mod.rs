//! What the user wrote down: a LiteLLM configuration, as people have one. Read as data with the place of everything
//! in it, so that what is wrong or not used can be pointed at. What a provider's protocol is, is not known here.

mod document;
mod entry;
mod error;
mod launch;
mod policy;
mod provider;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use document::{Document, Node};
pub use error::ConfigError;
use launch::Said;
pub use launch::{Engine, Launch};
pub use policy::{DURATION, Policy, duration, shown};
pub use provider::{Provider, Speaks};

/// A configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The models, in the file's order; names may hold one `*`.
    pub models: Vec<Model>,
    /// Other names: alias and model name.
    pub aliases: Vec<(String, String)>,
    /// The key callers must show.
    pub master_key: Option<String>,
    /// What was found and is not used, or is not what it seems; each a line for the user, with its place.
    pub warnings: Vec<String>,
}

/// One model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What callers call it.
    pub name: String,
    /// Who serves it.
    pub backend: Backend,
    /// Members of requests for callers that leave them out, under Chat's names.
    pub defaults: Vec<(String, serde_json::Value)>,
    /// Whether it reads pictures, when the file says it.
    pub images: Option<bool>,
    /// Whether it reads documents, likewise.
    pub documents: Option<bool>,
    /// Whether it hears audio, likewise.
    pub audio: Option<bool>,
    /// Requests with parts it cannot read are refused, instead of a note in their place.
    pub refuses_media: bool,
    /// How long the head of an answer may take.
    pub timeout: Option<Duration>,
    /// How often a failed request is sent again.
    pub retries: u32,
    /// `file:line:column` of a model that is launched, for messages. It moves with the lines above it: compare
    /// `backend` to see whether a file says something else.
    pub place: Option<String>,
}

/// Who serves a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Backend {
    /// An engine that llmup launches.
    Launched(Launch),
    /// A server that runs already.
    Remote(Remote),
}

/// A model at a server that runs already.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// Whose server it is, and what it speaks.
    pub provider: &'static Provider,
    /// What the provider calls the model.
    pub model: String,
    /// Where, when not at the provider's own address.
    pub api_base: Option<String>,
    /// The provider's key.
    pub api_key: Option<String>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Context in tokens, when the file says it.
    pub context: Option<u64>,
}

impl Model {
    /// How it is launched, when llmup does it.
    pub fn launch(&self) -> Option<&Launch> {
        if let Backend::Launched(launch) = &self.backend { Some(launch) } else { None }
    }

    fn launch_mut(&mut self) -> Option<&mut Launch> {
        if let Backend::Launched(launch) = &mut self.backend { Some(launch) } else { None }
    }
}

/// Sections and keys of the file that are used; others are named in a warning.
const SECTIONS: &[&str] = &[
    "model_list",
    "litellm_settings",
    "router_settings",
    "general_settings",
    "environment_variables",
    "llmup_settings",
];

/// A variable of this process, for [`read`]; one that is empty is not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a configuration. `env` looks up variables. Relative paths in it are those from its own folder.
pub fn read(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| crate::fs::FileError::new("read", path, source))?;
    interpret((&path.display().to_string(), folder(path)), &text, env)
}

/// Reads a configuration's text; `file` is what it is called in messages.
pub fn parse(file: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    interpret((file, folder(Path::new(file))), text, env)
}

/// Where relative paths begin.
fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn interpret(
    (file, folder): (&str, &Path),
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let document = Document::parse(file, text)?;
    let root = document.root();
    let mut reader = Reader { env, folder, own: Vec::new(), launched: Said::default(), warnings: Vec::new() };
    root.map()?;
    reader.unused(&root, SECTIONS)?;
    if let Some(section) = root.get("environment_variables") {
        for (name, value) in section.map()? {
            reader.own.push((name, reader.resolved(&value)?));
        }
    }
    let (mut timeout, mut retries) = (None, 0);
    // The two places the same settings may stand in.
    for (name, known) in [
        ("router_settings", &["model_group_alias", "num_retries", "timeout", "request_timeout"][..]),
        ("litellm_settings", &["drop_params", "num_retries", "request_timeout"][..]),
    ] {
        let Some(section) = root.get(name).filter(|section| !section.is_null()) else { continue };
        section.map()?;
        reader.unused(&section, known)?;
        for key in ["timeout", "request_timeout"] {
            if let Some(value) = section.get(key).filter(|_| known.contains(&key)) {
                timeout = Some(value.seconds()?);
            }
        }
        if let Some(value) = section.get("num_retries") {
            retries = value.small_number()?;
        }
        // What a backend does not know is always left out, so there is nothing to switch.
        section.get("drop_params").map(|value| value.boolean()).transpose()?;
    }
    let (mut master_key, mut refuses_media) = (None, false);
    if let Some(section) = root.get("general_settings").filter(|section| !section.is_null()) {
        section.map()?;
        reader.unused(&section, &["master_key", "unreadable_media"])?;
        if let Some(value) = section.get("unreadable_media") {
            refuses_media = match value.text()?.as_str() {
                "note" => false,
                "refuse" => true,
                _ => return Err(value.wrong("note or refuse")),
            };
        }
        master_key = section.get("master_key").map(|key| reader.resolved(&key)).transpose()?;
        master_key = master_key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    }
    if let Some(section) = root.get("llmup_settings").filter(|section| !section.is_null()) {
        reader.launched = Said::settings(&mut reader, &section)?;
    }
    let list = root.get("model_list").ok_or_else(|| root.wrong("a `model_list`: there is none"))?;
    let (mut models, mut items): (Vec<Model>, Vec<Node<'_>>) = (Vec::new(), Vec::new());
    for item in list.list()? {
        // Only what is used must be complete: a second entry may want a key that is not there.
        let named = item.get("model_name");
        let name = named.and_then(|name| name.text().ok());
        if let Some(first) = name.and_then(|name| models.iter().position(|known| known.name == name)) {
            again(&mut reader, &item, (items.get(first), models.get(first)))?;
        } else if let Some(model) = entry::read(&mut reader, &item, (timeout, retries))? {
            models.push(model);
            items.push(item);
        }
    }
    if models.is_empty() {
        return Err(list.wrong("at least one model that can be used"));
    }
    launch::groups(&mut reader, &items, &mut models)?;
    models.iter_mut().for_each(|model| model.refuses_media = refuses_media);
    let aliases = match root.get("router_settings").and_then(|section| section.get("model_group_alias")) {
        Some(section) => aliases(&mut reader, &section, &list, &models)?,
        None => Vec::new(),
    };
    Ok(Config { models, aliases, master_key, warnings: reader.warnings })
}

/// A second entry of a name.
fn again(
    reader: &mut Reader<'_>,
    item: &Node<'_>,
    (first, known): (Option<&Node<'_>>, Option<&Model>),
) -> Result<(), ConfigError> {
    let named = item.get("model_name").unwrap_or(*item);
    let name = known.map_or("", |model| model.name.as_str());
    let model = item.get("litellm_params").and_then(|params| params.get("model"));
    let launched = model.and_then(|model| reader.resolved(&model).ok()).is_some_and(|m| m.starts_with(launch::PREFIX));
    if launched || known.is_some_and(|model| model.launch().is_some()) {
        let place = first.map(|first| first.place_of("model_name")).unwrap_or_default();
        let why = format!("{name} is the name of another entry ({place}), and llmup launches one model for a name");
        return Err(named.against(None, &why));
    }
    let note = "only the first is used; sharing requests between several is not done yet";
    reader.warnings.push(format!("{}: another entry named {name}: {note}", named.place()));
    Ok(())
}

/// Aliases lead to a `model_name`; many files name the entry by its provider's name instead, which is as clear.
fn aliases(
    reader: &mut Reader<'_>,
    section: &Node<'_>,
    list: &Node<'_>,
    models: &[Model],
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut aliases = Vec::new();
    for (alias, value) in section.map()? {
        // Either the name, or `{model: NAME, hidden: …}`.
        let target = value.get("model").unwrap_or(value).text()?;
        let is_target = |item: &Node<'_>| {
            let model = item.get("litellm_params").and_then(|params| params.get("model"));
            model.is_some_and(|model| model.text().is_ok_and(|model| model == target))
        };
        let by_provider = || {
            let item = list.list().ok()?.into_iter().find(is_target)?;
            item.get("model_name")?.text().ok()
        };
        let named = Some(target.clone()).filter(|target| models.iter().any(|model| model.name == *target));
        match named.or_else(by_provider).filter(|name| models.iter().any(|model| model.name == *name)) {
            Some(name) => aliases.push((alias, name)),
            None => {
                let place = section.get(&alias).unwrap_or(*section).place();
                reader.warnings.push(format!("{place}: the alias {alias} leads to {target}, which is no model_name"));
            }
        }
    }
    Ok(aliases)
}

/// Keys that other entries use, and the sentence that says so of one of them.
type Elsewhere<'a> = (&'a [&'a str], &'a dyn Fn(&str) -> String);

/// What reading needs to know, and what it has to say.
struct Reader<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
    /// The file's.
    folder: &'e Path,
    /// `environment_variables` of the file itself.
    own: Vec<(String, String)>,
    /// `llmup_settings`.
    launched: Said,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// Warns of keys that are not in `known`, each name once.
    fn unused(&mut self, node: &Node<'_>, known: &[&str]) -> Result<(), ConfigError> {
        self.unused_here(node, known, (&[], &str::to_owned))
    }

    /// The same; those in `elsewhere` are used in other entries, which is told with this sentence.
    fn unused_here(
        &mut self,
        node: &Node<'_>,
        known: &[&str],
        (elsewhere, sentence): Elsewhere<'_>,
    ) -> Result<(), ConfigError> {
        for (key, _) in node.map()? {
            if known.contains(&key.as_str()) {
                continue;
            }
            let name = node.name_of(&key);
            let used = elsewhere.contains(&key.as_str());
            let said = if used { sentence(&name) } else { format!("{name} is not used by llmup") };
            let said = format!(": {said}");
            if !self.warnings.iter().any(|warning| warning.ends_with(&said)) {
                self.warnings.push(format!("{}{said}", node.place_of(&key)));
            }
        }
        Ok(())
    }

    /// A path, from the file's folder or the user's.
    fn path(&self, text: &str) -> PathBuf {
        let home = || (self.env)("HOME").or_else(|| (self.env)("USERPROFILE"));
        if let Some(rest) = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', '\\']))
            && let Some(home) = home()
        {
            return Path::new(&home).join(rest.trim_start_matches(['/', '\\']));
        }
        // A path that is absolute stays as it is.
        self.folder.join(text)
    }

    /// A text, with `os.environ/NAME` and `${NAME}` looked up.
    fn resolved(&self, node: &Node<'_>) -> Result<String, ConfigError> {
        let text = node.text()?;
        let look_up = |name: &str| {
            let own = self.own.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            (self.env)(name).or(own).ok_or_else(|| node.missing_variable(name))
        };
        if let Some(name) = text.strip_prefix("os.environ/") {
            return look_up(name.trim());
        }
        let mut out = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else { break };
            out.push_str(before);
            // `${NAME:-default}`, as in a shell.
            match name.split_once(":-") {
                Some((name, default)) => out.push_str(&look_up(name).unwrap_or_else(|_| default.to_owned())),
                None => out.push_str(&look_up(name)?),
            }
            rest = behind;
        }
        Ok(out + rest)
    }
}
