//! `profiles/engines/<id>.yaml`: what one version of an engine accepts, so that flags are checked before it is started.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::catalog::parse;
use super::{EngineRecipe, ProfileError};

static ENGINES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/engines");

/// What an engine accepts, as read from one of its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineProfile {
    /// The engine's id; equals the file's name.
    pub name: String,
    /// The version these lists were read from.
    pub version: String,
    /// Values of `--tool-call-parser`.
    #[serde(default)]
    pub tool_parsers: Vec<String>,
    /// Values of `--reasoning-parser`.
    #[serde(default)]
    pub reasoning_parsers: Vec<String>,
    /// Flags older recipes show and this version refuses.
    #[serde(default)]
    pub removed_flags: Vec<String>,
    /// What took the place of some of them, in words.
    #[serde(default)]
    pub replaced_flags: BTreeMap<String, String>,
    /// What a model without a profile of its own needs, by `architectures[0]`.
    #[serde(default)]
    pub architectures: BTreeMap<String, EngineRecipe>,
    /// By protocol (`chat`, `messages`, `count_tokens`, `responses`): whether its own endpoint is right.
    #[serde(default)]
    pub native: BTreeMap<String, Native>,
    /// Where the lists come from.
    pub sources: Vec<String>,
}

/// Whether an engine's own endpoint for a protocol is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Native {
    /// The oldest version known to be right.
    pub since: Option<String>,
    /// Why it is not right in any version.
    pub not: Option<String>,
    /// Where that comes from.
    pub source: String,
}

impl EngineProfile {
    /// Whether this version refuses `flag`, given with or without a value (`--task=generate`), dashes or underscores.
    pub fn removed(&self, flag: &str) -> bool {
        self.removed_flags.contains(&plain(flag))
    }

    /// What took the place of `flag`, in words.
    pub fn instead(&self, flag: &str) -> Option<&str> {
        self.replaced_flags.get(&plain(flag)).map(String::as_str)
    }
}

/// A flag's name, without a value.
fn plain(flag: &str) -> String {
    flag.split('=').next().unwrap_or(flag).replace('_', "-")
}

/// The facts about an engine by its id (`vllm`); `None` when there is no file for it.
pub fn engine(id: &str) -> Result<Option<EngineProfile>, ProfileError> {
    let file = format!("{id}.yaml");
    let Some(text) = ENGINES.get_file(&file).and_then(|f| f.contents_utf8()) else {
        return Ok(None);
    };
    parse(&format!("built-in profile engines/{file}"), text).map(Some)
}
