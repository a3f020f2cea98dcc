//! Edits of settings files that belong to the user, key by key: comments, order, line ends and everything that is not
//! named stay as they are. Pure: text in, text out. [`apply`] says how to take its edits back, [`restore`] takes them
//! back also when somebody else has edited the file since.
//!
//! Each format finds the place in the text and puts other text there. Whatever it did is then read with an ordinary
//! parser and held against what was asked for: an edit that changed anything else is an error, never written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod dotenv;
mod error;
mod json;
mod splice;
mod toml;
mod tree;
mod yaml;

#[cfg(test)]
mod tests;

pub use error::EditError;

/// Files above this many bytes are nobody's settings, and are left alone.
pub const LARGEST: usize = 4 * 1024 * 1024;

const MARK: char = '\u{feff}';

/// How a settings file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON with comments and trailing commas, as its owners read it.
    Json,
    /// The same, where the whole file is one list of groups (VS Code's models).
    JsonList,
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

/// A path as one would say it: `env.ANTHROPIC_MODEL`, `models[name=llmup].model`.
pub fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text = format!("{text}.{key}"),
            Step::Item { key, is } => text = format!("{text}[{key}={is}]"),
        }
    }
    text
}

/// How one change is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    /// Where.
    pub path: Vec<Step>,
    /// What we left there; `None`: nothing.
    pub wrote: Option<Value>,
    /// What stood there before.
    pub had: Had,
}

/// What stood at a place before a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Had {
    /// A value.
    Value {
        /// As it was written, where the format has it in one piece.
        raw: Option<String>,
        /// What it means.
        value: Value,
    },
    /// Nothing.
    Nothing {
        /// How many of the path's last steps we made: 1 is the value itself, above that its parents too.
        made: usize,
    },
}

/// An edited text.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// The whole new text.
    pub text: String,
    /// How to take the changes back; what already stood as asked has no entry.
    pub undo: Vec<Undo>,
}

/// A text whose edits were taken back.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The whole new text.
    pub text: String,
    /// Where somebody else has written since; that stays.
    pub kept: Vec<Vec<Step>>,
}

/// The text of a settings file: not too large, and Unicode.
pub fn decode(bytes: &[u8]) -> Result<&str, EditError> {
    if bytes.len() > LARGEST {
        return Err(EditError::TooLarge { bytes: bytes.len() });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        EditError::NotUnicode { line: before.iter().filter(|byte| **byte == b'\n').count() + 1 }
    })
}

/// Makes the changes, in their order.
pub fn apply(text: &str, format: Format, changes: &[Change]) -> Result<Edited, EditError> {
    let mut work = Work::open(text, format)?;
    let mut undo = Vec::new();
    for change in flattened(format, changes) {
        // An item of a list has the member it is found by.
        let last = change.path.len().saturating_sub(1);
        let change = Change { to: change.to.map(|to| tree::nested(&change.path[last..], &to)), ..change };
        let old = work.get(&change.path)?.cloned();
        if old == change.to {
            continue;
        }
        let had = match old {
            Some(value) => {
                let raw = work.raw(&change.path);
                if raw.is_none() && tree::peculiar(&value) {
                    let reason = "a value only this format has";
                    return Err(EditError::Unsupported { path: shown(&change.path), reason });
                }
                Had::Value { raw, value }
            }
            None => Had::Nothing { made: change.path.len() - tree::depth(&work.value, &change.path) },
        };
        match &change.to {
            Some(to) => work.set(&change.path, to, None)?,
            None => work.remove(&change.path)?,
        }
        undo.push(Undo { path: change.path, wrote: change.to, had });
    }
    Ok(Edited { text: work.close()?, undo })
}

/// Takes changes back, key by key: what still is as we left it becomes what it was; parents we made go when they are
/// empty; what somebody else has written since stays and is listed.
pub fn restore(text: &str, format: Format, undo: &[Undo]) -> Result<Restored, EditError> {
    let mut work = Work::open(text, format)?;
    let mut kept = Vec::new();
    for Undo { path, wrote, had } in undo.iter().rev() {
        let now = work.get(path)?.cloned();
        match had {
            Had::Value { value, .. } if now.as_ref() == Some(value) => {}
            Had::Value { raw, value } if now == *wrote => work.set(path, value, raw.as_deref())?,
            Had::Nothing { made } if now == *wrote || now.is_none() => {
                if now.is_some() {
                    work.remove(path)?;
                }
                for length in (path.len().saturating_sub(made - 1)..path.len()).rev() {
                    if !work.get(&path[..length])?.is_some_and(|parent| is_empty(parent, &path[length - 1])) {
                        break;
                    }
                    work.remove(&path[..length])?;
                }
            }
            Had::Value { .. } | Had::Nothing { .. } => kept.push(path.clone()),
        }
    }
    kept.reverse();
    Ok(Restored { text: work.close()?, kept })
}

/// Whether nothing is left in a parent: an item of a list keeps the member it is found by.
fn is_empty(value: &Value, step: &Step) -> bool {
    match value {
        Value::Object(members) => match step {
            Step::Key(_) => members.is_empty(),
            Step::Item { key, .. } => members.keys().all(|member| member == key),
        },
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// What a text means: its settings as a tree.
pub fn value(text: &str, format: Format) -> Result<Value, EditError> {
    Work::open(text, format).map(|work| work.value)
}

/// Whether a text says nothing at all.
pub fn says_nothing(text: &str, format: Format) -> bool {
    Work::open(text, format).is_ok_and(|work| match &work.value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    })
}

/// The lines somebody would write by hand to get the same, as a whole file of that format.
pub fn by_hand(format: Format, changes: &[Change]) -> String {
    let wanted: Vec<Change> = changes.iter().filter(|change| change.to.is_some()).cloned().collect();
    apply("", format, &wanted).map(|edited| edited.text).unwrap_or_default()
}

/// TOML's tables are written line by line.
fn flattened(format: Format, changes: &[Change]) -> Vec<Change> {
    if format != Format::Toml {
        return changes.to_vec();
    }
    let mut flat = Vec::new();
    for change in changes {
        match &change.to {
            Some(Value::Object(members)) if !members.is_empty() => {
                let below = members.iter().map(|(key, value)| {
                    let mut path = change.path.clone();
                    path.push(Step::Key(key.clone()));
                    Change { path, to: Some(value.clone()) }
                });
                flat.extend(flattened(format, &below.collect::<Vec<_>>()));
            }
            _ => flat.push(change.clone()),
        }
    }
    flat
}

/// A text that is being edited, and what it must mean afterwards.
struct Work {
    format: Format,
    mark: bool,
    text: String,
    value: Value,
}

impl Work {
    fn open(text: &str, format: Format) -> Result<Work, EditError> {
        if text.len() > LARGEST {
            return Err(EditError::TooLarge { bytes: text.len() });
        }
        let plain = text.strip_prefix(MARK).unwrap_or(text);
        let value = read(plain, format)?;
        let (right, wrong) = match format {
            Format::JsonList => (value.is_array(), EditError::NotAList { found: tree::kind(&value) }),
            _ => (value.is_object(), EditError::NotAnObject { found: tree::kind(&value) }),
        };
        if !right {
            return Err(wrong);
        }
        Ok(Work { format, mark: plain.len() < text.len(), text: plain.to_owned(), value })
    }

    fn get(&self, path: &[Step]) -> Result<Option<&Value>, EditError> {
        tree::get(&self.value, path)
    }

    fn raw(&self, path: &[Step]) -> Option<String> {
        match self.format {
            Format::Json | Format::JsonList => json::raw(&self.text, path),
            Format::Toml => toml::raw(&self.text, path),
            Format::Yaml => yaml::raw(&self.text, path),
            Format::Dotenv => dotenv::raw(&self.text, path),
        }
    }

    fn set(&mut self, path: &[Step], to: &Value, raw: Option<&str>) -> Result<(), EditError> {
        let depth = tree::depth(&self.value, path);
        let place = if depth == path.len() {
            Place::Replace { path, to, raw }
        } else {
            // Raw text fits only where nothing has to be made around it.
            let raw = raw.filter(|_| depth + 1 == path.len());
            let around = tree::nested(&path[depth..], to);
            Place::Insert { path, parent: &path[..depth], step: &path[depth], to: around, value: to, raw }
        };
        tree::set(&mut self.value, path, to)?;
        self.text = match self.format {
            Format::Json | Format::JsonList => json::put(&self.text, &place),
            Format::Toml => toml::put(&self.text, &place),
            Format::Yaml => yaml::put(&self.text, &place),
            Format::Dotenv => dotenv::put(&self.text, &place),
        }?;
        Ok(())
    }

    fn remove(&mut self, path: &[Step]) -> Result<(), EditError> {
        tree::remove(&mut self.value, path);
        self.text = match self.format {
            Format::Json | Format::JsonList => json::remove(&self.text, path),
            Format::Toml => toml::remove(&self.text, path),
            Format::Yaml => yaml::remove(&self.text, path),
            Format::Dotenv => dotenv::remove(&self.text, path),
        }?;
        Ok(())
    }

    /// The new text, if it means what it must.
    fn close(self) -> Result<String, EditError> {
        if read(&self.text, self.format).ok().as_ref() != Some(&self.value) {
            return Err(EditError::Unsafe);
        }
        Ok(if self.mark { format!("{MARK}{}", self.text) } else { self.text })
    }
}

/// What a text means to an ordinary parser.
fn read(text: &str, format: Format) -> Result<Value, EditError> {
    match format {
        Format::Json => json::read(text),
        Format::JsonList => json::read_list(text),
        Format::Toml => toml::read(text),
        Format::Yaml => yaml::read(text),
        Format::Dotenv => dotenv::read(text),
    }
}

/// Where a value is put.
enum Place<'e> {
    /// In the place of what is there.
    Replace { path: &'e [Step], to: &'e Value, raw: Option<&'e str> },
    /// Into a parent that has no such step; `to` has the further steps of `path` around the value.
    Insert { path: &'e [Step], parent: &'e [Step], step: &'e Step, to: Value, value: &'e Value, raw: Option<&'e str> },
}
