//! Settings files of clients as they stand on this machine: read, never written.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Client, Conflict, Origin, Weight, jsonc};
use crate::host::Host;

/// The variable of that name, when it holds something.
pub(super) fn variable(host: &dyn Host, name: &str) -> Option<String> {
    host.env(name).filter(|value| !value.is_empty())
}

/// The folder that a variable names, else one below the user's home.
pub(super) fn folder(host: &dyn Host, name: &str, otherwise: PathBuf) -> PathBuf {
    variable(host, name).map_or(otherwise, PathBuf::from)
}

/// The text of a file; `None` where there is none.
pub(super) fn text(host: &dyn Host, path: &Path) -> Option<String> {
    host.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// What stands in a JSON file; `None` where there is none or it cannot be read.
pub(super) fn json(host: &dyn Host, path: &Path) -> Option<Value> {
    jsonc::read(&text(host, path)?).ok()
}

/// What stands in a YAML file; `None` where there is none or it cannot be read.
pub(super) fn yaml(host: &dyn Host, path: &Path) -> Option<Value> {
    let text = text(host, path)?;
    serde_yaml::from_str(text.trim_start_matches('\u{feff}')).ok()
}

/// A JSON file that its owner cannot read either.
pub(super) fn broken(host: &dyn Host, path: &Path, client: &dyn Client) -> Option<Conflict> {
    let error = jsonc::read(&text(host, path)?).err()?;
    Some(Conflict {
        weight: Weight::Disturbs,
        origin: Origin::Broken(path.to_owned()),
        text: format!("{} cannot be read: {error}", path.display()),
        cure: Some(format!("correct it at that place; {} cannot use it as it is", client.title())),
    })
}

/// The names among `names` that a file of `NAME=value` lines sets.
pub(super) fn dotenv_names<'a>(host: &dyn Host, path: &Path, names: &[&'a str]) -> Vec<&'a str> {
    let Some(text) = text(host, path) else { return Vec::new() };
    let set: Vec<&str> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .map(|(name, _)| name.trim())
        .collect();
    names.iter().copied().filter(|name| set.contains(name)).collect()
}
