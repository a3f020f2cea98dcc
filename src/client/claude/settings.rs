//! Claude Code's settings.json, whose `env` alone is enough and beats the process environment (measured with 2.1.329).

use std::path::Path;

use super::{Claude, ELSEWHERE, user_folder};
use crate::client::edit::{Change, Format};
use crate::client::{Client, Export, Places, Scope, Session, SettingsFile, jsonc};
use crate::host::Host;

pub(super) fn settings(gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
    let user = user_folder(host, places).join("settings.json");
    let path = match scope {
        Scope::User => user.clone(),
        // The one that Claude Code itself keeps out of version control.
        Scope::Project => places.project.join(".claude/settings.local.json"),
    };
    let exports = Claude.session(gateway, Path::new("")).into_iter().chain(Claude.machine(host));
    let mut changes: Vec<Change> = exports
        .filter_map(|export| match export {
            Export::Set { name, value } => Some(Change::set(&["env", &name], value)),
            // A name in the process environment loses only against a value: an empty one is as good as none.
            Export::Unset { name } => ELSEWHERE.contains(&name.as_str()).then(|| Change::set(&["env", &name], "")),
            Export::Comment(_) => None,
        })
        .collect();
    // What it prints is sent as a second key, beside the gateway's.
    match scope {
        Scope::User => changes.push(Change::remove(&["apiKeyHelper"])),
        Scope::Project if has_helper(host, &user) => changes.push(Change::set(&["apiKeyHelper"], "")),
        Scope::Project => changes.push(Change::remove(&["apiKeyHelper"])),
    }
    vec![SettingsFile { path, format: Format::Json, changes }]
}

fn has_helper(host: &dyn Host, path: &Path) -> bool {
    let text = host.read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| jsonc::read(&text).ok()).is_some_and(|settings| settings.get("apiKeyHelper").is_some())
}
