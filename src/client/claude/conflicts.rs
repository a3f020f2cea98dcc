//! What Claude Code's settings files say against a session: their `env` beats the process environment, and of several
//! files the stronger one counts, name by name.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ALWAYS, ELSEWHERE, user_folder};
use crate::client::{Conflict, Origin, Places, Weight, jsonc, leads_to};
use crate::host::{Host, Os};

/// Names that a session gives values of its own, besides [`ALWAYS`] and [`ELSEWHERE`].
const SET: [&str; 10] = [
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "CLAUDE_CODE_MAX_CONTEXT_TOKENS",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_SIMPLE",
];

/// What all its settings files say, those of the weakest first.
pub(super) fn of_files(host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
    let mut stronger = Stronger::default();
    // From the strongest on: what it says for the gateway hides what weaker ones say.
    let mut found: Vec<Vec<Conflict>> =
        files(host, places).iter().rev().map(|path| of_file(host, path, gateway, &mut stronger)).collect();
    found.reverse();
    found.concat()
}

/// What stronger files that lead to the gateway say.
#[derive(Default)]
struct Stronger {
    /// Names under `env`.
    names: Vec<String>,
    /// They say something about `apiKeyHelper`.
    helper: bool,
}

/// Settings files whose `env` beats the process environment, weakest first.
fn files(host: &dyn Host, places: &Places) -> Vec<PathBuf> {
    let user = user_folder(host, places);
    let project = places.project.join(".claude");
    let mut files = vec![user.join("settings.json"), user.join("settings.local.json")];
    if project != user {
        files.extend([project.join("settings.json"), project.join("settings.local.json")]);
    }
    files.push(managed(host));
    files
}

/// What whoever looks after the machine decides.
fn managed(host: &dyn Host) -> PathBuf {
    PathBuf::from(match host.os() {
        Os::Linux => "/etc/claude-code/managed-settings.json",
        Os::Macos => "/Library/Application Support/ClaudeCode/managed-settings.json",
        Os::Windows => r"C:\Program Files\ClaudeCode\managed-settings.json",
    })
}

fn of_file(host: &dyn Host, path: &Path, gateway: Option<&str>, stronger: &mut Stronger) -> Vec<Conflict> {
    let Ok(bytes) = host.read(path) else { return Vec::new() };
    let (shown, text) = (path.display(), String::from_utf8_lossy(&bytes));
    let broken = |text: String, cure: String| {
        let origin = Origin::Broken(path.to_owned());
        vec![Conflict { weight: Weight::Disturbs, origin, text, cure: Some(cure) }]
    };
    let settings = match jsonc::read(&text) {
        Ok(settings) => settings,
        Err(error) => {
            let cure = "correct it at that place; Claude Code ignores a broken settings file".to_owned();
            return broken(format!("{shown} cannot be read: {error}"), cure);
        }
    };
    // Measured with 2.1.329: a byte order mark and an empty file are fine to it.
    let plain = text.trim_start_matches('\u{feff}');
    if !plain.trim().is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(plain).is_err() {
        return broken(
            format!("{shown} has comments or trailing commas: Claude Code reads nothing of such a file"),
            format!("remove them from {shown}; until then its hooks and permissions are off, too"),
        );
    }
    let env = settings.get("env").and_then(Value::as_object);
    let value = |name: &str| env.and_then(|env| env.get(name));
    let url = value("ANTHROPIC_BASE_URL").and_then(Value::as_str);
    if gateway.zip(url).is_some_and(|(root, url)| leads_to(url, root)) {
        stronger.names.extend(env.into_iter().flat_map(|env| env.keys().cloned()));
        stronger.helper |= settings.get("apiKeyHelper").is_some();
        return Vec::new();
    }
    let managed = path == managed(host);
    let origin = if managed { Origin::Machine(path.to_owned()) } else { Origin::File(path.to_owned()) };
    let other = |(name, ours): &(&str, &str)| value(name).is_some_and(|value| value != ours);
    let always = ALWAYS.iter().filter(|one| other(one)).map(|(name, _)| *name);
    let set = SET.into_iter().chain(ELSEWHERE).filter(|name| value(name).is_some());
    let keys: Vec<&str> =
        set.chain(always).filter(|name| !stronger.names.iter().any(|hidden| hidden == name)).collect();
    let mut found = Vec::new();
    if !keys.is_empty() {
        let list = keys.join(", ");
        let away = keys.iter().any(|key| *key == "ANTHROPIC_BASE_URL" || key.starts_with("CLAUDE_CODE_USE"));
        let mut cure = format!("remove {list} from \"env\" in {shown}");
        if !managed {
            cure = format!("`llmup run claude` beats it; or {cure}");
        }
        found.push(Conflict {
            weight: if managed && away { Weight::Managed } else { Weight::Beats },
            origin: origin.clone(),
            text: format!("{shown} sets {list} under \"env\", which beats the environment"),
            cure: Some(cure),
        });
    }
    if settings.get("apiKeyHelper").is_some() && !stronger.helper {
        found.push(Conflict {
            weight: Weight::Disturbs,
            origin,
            text: format!("{shown} has an apiKeyHelper, which may supply another key than the gateway's"),
            cure: Some(format!("remove \"apiKeyHelper\" from {shown} if the gateway answers 401")),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Claude;
    use super::*;
    use crate::client::tests::gateway;
    use crate::client::{Client, Export};

    #[test]
    fn every_name_of_a_session_is_looked_for() {
        for context in [8_192, 32_768, 65_536] {
            for export in Claude.session(&gateway(context), Path::new("")) {
                let (Export::Set { name, .. } | Export::Unset { name }) = export else { continue };
                let lean = name.starts_with("CLAUDE_CODE_DISABLE_") && context < crate::client::LEAN_BELOW;
                let known = SET.contains(&&*name) || ELSEWHERE.contains(&&*name);
                let always = ALWAYS.iter().any(|(always, _)| *always == name);
                assert!(known || always || lean, "{name}");
            }
        }
    }
}
