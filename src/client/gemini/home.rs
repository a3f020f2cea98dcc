//! The home of one session of `llmup run gemini`: the user's, but for settings.json (measured with 0.61.0, which asks
//! `GEMINI_CLI_HOME` for the folder above `.gemini`).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::run_file;
use crate::client::settings_file::{self, folder};
use crate::client::{Conflict, Export, Link, Origin, Session, Start, Weight, jsonc};

/// The variable that names the folder in which `.gemini` lies.
pub(super) const VARIABLE: &str = "GEMINI_CLI_HOME";

/// The file that is not the user's.
const SETTINGS: &str = "settings.json";

/// Where the session's home is, and the user's.
pub(super) struct Home {
    /// The folder in which the session's `.gemini` lies.
    pub(super) root: PathBuf,
    theirs: PathBuf,
}

impl Home {
    pub(super) fn of(own: &Path, gateway: &Session, start: &Start<'_>) -> Home {
        let theirs = folder(start.host, VARIABLE, start.places.home.clone()).join(".gemini");
        Home { root: run_file::path(own, gateway, "home"), theirs }
    }

    /// The user's settings; where they cannot be read, words about it.
    pub(super) fn settings(&self, start: &Start<'_>) -> Result<Value, Export> {
        let path = self.theirs.join(SETTINGS);
        let Some(text) = settings_file::text(start.host, &path) else { return Ok(serde_json::json!({})) };
        match jsonc::read(&text) {
            Ok(Value::Null) => Ok(serde_json::json!({})),
            Ok(settings) if settings.is_object() => Ok(settings),
            Ok(_) => Err(Export::Comment(format!("{} holds no settings: this session has none of it", path.display()))),
            Err(error) => {
                Err(Export::Comment(format!("{} cannot be read: {error}; this session has none of it", path.display())))
            }
        }
    }

    /// Settings that beat the session's: in the user's home the client takes the user's own for the folder's.
    pub(super) fn beaten(&self, start: &Start<'_>, settings: &Value) -> Option<Conflict> {
        let chosen = settings.pointer("/security/auth/selectedType").and_then(Value::as_str)?;
        let here = self.theirs.parent() == Some(&*start.places.project) && chosen != "vertex-ai";
        here.then(|| Conflict {
            weight: Weight::Managed,
            origin: Origin::File(self.theirs.join(SETTINGS)),
            text: format!(
                "in this folder {} beats everything, and signs in by \"{chosen}\"",
                self.theirs.join(SETTINGS).display()
            ),
            cure: Some("go to the folder of a project: `cd PROJECT`".to_owned()),
        })
    }

    /// Everything else of the user's: memory, commands, extensions, conversations, trusted folders.
    pub(super) fn links(&self, start: &Start<'_>) -> Vec<Link> {
        let here = self.root.join(".gemini");
        let names = start.host.entries(&self.theirs).unwrap_or_default();
        let names = names.into_iter().filter_map(|entry| entry.file_name().map(ToOwned::to_owned));
        names
            // A start that was cut short leaves some behind.
            .filter(|name| name != SETTINGS && !name.to_string_lossy().ends_with(".tmp"))
            .map(|name| Link { at: here.join(&name), to: self.theirs.join(&name) })
            .collect()
    }
}
