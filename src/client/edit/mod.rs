//! Edits of settings files that belong to the user, key by key: comments, order, line ends and everything that is not
//! named stay as they are. Pure: text in, text out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a settings file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON with comments and trailing commas, as its owners read it.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// `NAME=value` lines.
    Dotenv,
}

/// One step from the root of a file to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The member of that name.
    Key(String),
    /// The item of a list whose member `key` has the value `is`.
    Item {
        /// The member that tells the items apart.
        key: String,
        /// Its value.
        is: String,
    },
}

/// A value to set or to remove.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where it stands; parents that are missing are made.
    pub path: Vec<Step>,
    /// What shall stand there; `None`: nothing.
    pub to: Option<Value>,
}

impl Change {
    /// The member at these keys gets that value.
    pub fn set(keys: &[&str], to: impl Into<Value>) -> Change {
        Change { path: Self::keys(keys), to: Some(to.into()) }
    }

    /// The member at these keys is removed.
    pub fn remove(keys: &[&str]) -> Change {
        Change { path: Self::keys(keys), to: None }
    }

    fn keys(keys: &[&str]) -> Vec<Step> {
        keys.iter().map(|key| Step::Key((*key).to_owned())).collect()
    }
}
