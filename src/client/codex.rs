//! Codex CLI (OpenAI Responses). It has no variables for a provider, so a session of `llmup env` is a `CODEX_HOME` of
//! llmup's own: the user's `~/.codex` is neither read nor written. Facts measured with 0.169.0.
//!
//! `llmup run` leaves Codex its own home, with the user's sessions and trusted folders, and says everything by `-c`: that
//! beats config.toml, the project's, and what `-p PROFILE` lays over them, also a provider of the same name with a key of
//! its own; with it the terminal view does its work itself, not in a daemon that may run since an earlier start. Only
//! managed_config.toml beats it.

use std::path::Path;

use super::{
    Client, Conflict, Export, Install, LEAN_BELOW, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile,
    Start, Weight, environment_conflicts, leads_to, run_file, typed,
};
use crate::host::{Host, Os};

mod settings;

/// Codex CLI.
pub struct Codex;

/// Above this line of config.toml llmup writes; below it Codex keeps what it learned (trusted folders, notices).
const END: &str = "# --- llmup rewrites everything above this line ---";

/// The base prompt: short, because Codex's own for unknown models is 17 thousand characters.
const INSTRUCTIONS: &str = "You are Codex, a coding agent working in the user's terminal on their files. \
Work until the task is done: look before you change, make the smallest change that solves it, and check the result by \
running it. Edit files with apply_patch. Do not revert changes you did not make, and never run destructive commands \
unless the user asked for them. Keep answers short; name files and lines you changed.";

impl Client for Codex {
    fn id(&self) -> &'static str {
        "codex"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["codex-cli"]
    }

    fn title(&self) -> &'static str {
        "Codex CLI"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["codex", "codex.exe", "codex.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("@openai/codex")
    }

    fn minimum(&self) -> &'static str {
        "0.169.0"
    }

    fn session(&self, gateway: &Session, own: &Path) -> Vec<Export> {
        vec![
            Export::Comment(format!(
                "Codex takes its provider from a file: llmup wrote {}",
                own.join("config.toml").display()
            )),
            Export::Comment("your own ~/.codex is not read in this shell; unset CODEX_HOME to go back to it".into()),
            Export::set("CODEX_HOME", own.to_string_lossy()),
            Export::set("LLMUP_API_KEY", &gateway.key),
        ]
    }

    fn files(&self, gateway: &Session, own: &Path, old: &dyn Fn(&Path) -> Option<String>) -> Vec<OwnFile> {
        let config = own.join("config.toml");
        let catalog = own.join("llmup-models.json");
        let learned = old(&config)
            .and_then(|text| text.split_once(END).map(|(_, rest)| rest.trim_start_matches(['\r', '\n']).to_owned()))
            .unwrap_or_default();
        let text = format!("{}{END}\n{learned}", config_text(gateway, &catalog));
        vec![OwnFile { path: config, text }, OwnFile { path: catalog, text: catalog_text(gateway) }]
    }

    /// Of two `-c` of one key the last counts, and the user's come behind llmup's: those that choose a provider are left
    /// out.
    fn overlay(&self, gateway: &Session, own: &Path, start: &Start<'_>) -> Result<Overlay, Conflict> {
        let catalog = run_file::path(own, gateway, "models.json");
        let provider = format!(
            "{{name={},base_url={},wire_api={},env_key={}}}",
            literal("llmup"),
            literal(&format!("{}/v1", gateway.base_url)),
            literal("responses"),
            literal("LLMUP_API_KEY"),
        );
        let mut settings = vec![
            ("model", literal(&gateway.model)),
            ("model_provider", literal("llmup")),
            ("model_providers.llmup", provider),
            ("model_context_window", gateway.context.to_string()),
            ("model_auto_compact_token_limit", compact_at(gateway).to_string()),
            ("model_catalog_json", literal(&catalog.to_string_lossy())),
            ("web_search", literal("disabled")),
            ("check_for_update_on_startup", "false".to_owned()),
        ];
        if gateway.context < LEAN_BELOW {
            settings.extend([("agents.enabled", "false".to_owned()), ("features.goals", "false".to_owned())]);
        }
        let (typed, away) = typed::take(start.typed, &["-c", "--config"], chooses_provider);
        let mut exports = vec![Export::set("LLMUP_API_KEY", &gateway.key)];
        exports.extend(away.iter().map(|setting| {
            let key = setting.split('=').next().unwrap_or_default();
            Export::Comment(format!("left out, as it leads away from the gateway: -c {key}"))
        }));
        Ok(Overlay {
            exports,
            arguments: settings.into_iter().flat_map(|(key, to)| ["-c".to_owned(), format!("{key}={to}")]).collect(),
            typed: (!away.is_empty()).then_some(typed),
            files: vec![OwnFile { path: catalog, text: catalog_text(gateway) }],
            links: Vec::new(),
        })
    }

    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        settings::settings(gateway, host, places, scope)
    }

    fn settings_beat_environment(&self) -> bool {
        true
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut found = environment_conflicts(host, self, &["OPENAI_BASE_URL"], gateway);
        let managed = match host.os() {
            Os::Windows => None,
            Os::Linux | Os::Macos => Some(Path::new("/etc/codex/managed_config.toml").to_owned()),
        };
        let own = settings::home(host, places).join("config.toml");
        let project = places.project.join(".codex/config.toml");
        let mut files = vec![(own.clone(), Weight::Note)];
        if project != own {
            files.push((project, Weight::Disturbs));
        }
        files.extend(managed.clone().map(|path| (path, Weight::Managed)));
        for (path, weight) in files {
            let Ok(bytes) = host.read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let set = top_level(&text);
            if gateway.is_some_and(|root| settings::leads_home(&text, root)) {
                continue;
            }
            if set.is_empty() || gateway.is_some_and(|root| set.iter().any(|(_, value)| leads_to(value, root))) {
                continue;
            }
            // Another model is only another name for the gateway's; another provider is another service.
            let elsewhere = set.iter().any(|(key, _)| *key == "model_provider");
            let weight = if weight == Weight::Managed && !elsewhere { Weight::Disturbs } else { weight };
            let list: Vec<String> = set.iter().map(|(key, value)| format!("{key} = \"{value}\"")).collect();
            let (text, shown) = (list.join(", "), path.display());
            let origin = if managed.as_ref() == Some(&path) {
                Origin::Machine(path.clone())
            } else {
                Origin::File(path.clone())
            };
            found.push(match weight {
                Weight::Note => Conflict {
                    weight,
                    origin,
                    text: format!(
                        "{shown} has {text}; `llmup run codex` beats it, and `llmup env codex` is not changed by it"
                    ),
                    cure: None,
                },
                Weight::Disturbs | Weight::Beats | Weight::Managed => Conflict {
                    weight,
                    origin,
                    text: format!("{shown} has {text}, which Codex lays over the configuration of its home"),
                    cure: Some(format!("remove these lines from {shown} while you use the gateway")),
                },
            });
        }
        found
    }
}

/// Whether this `KEY=VALUE` of the user's would take the place of the provider that `llmup run` names.
fn chooses_provider(setting: &str) -> bool {
    let key = setting.split('=').next().unwrap_or_default().trim();
    let ours = ["model_provider", "model_providers", "model_providers.llmup"];
    ours.contains(&key) || key.starts_with("model_providers.llmup.")
}

/// A TOML basic string: JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The same for an argument: a literal string where it can be one, because double quotes and backslashes in arguments are
/// what the shims of npm on Windows stumble over.
fn literal(text: &str) -> String {
    if text.contains('\'') || text.chars().any(char::is_control) { quoted(text) } else { format!("'{text}'") }
}

/// What is left for the conversation once the longest answer is reserved; at most 80 % because counts come late.
fn compact_at(gateway: &Session) -> u64 {
    gateway.context.saturating_sub(gateway.max_output).min(gateway.context / 5 * 4)
}

fn config_text(gateway: &Session, catalog: &Path) -> String {
    let compact_at = compact_at(gateway);
    let lean =
        if gateway.context < LEAN_BELOW { "\n[agents]\nenabled = false\n\n[features]\ngoals = false\n" } else { "" };
    format!(
        r#"# Written by `llmup env codex`.
model = {model}
model_provider = "llmup"
model_context_window = {context}
model_auto_compact_token_limit = {compact_at}
model_catalog_json = {catalog}
web_search = "disabled"
check_for_update_on_startup = false

[model_providers.llmup]
name = "llmup"
base_url = {base_url}
wire_api = "responses"
env_key = "LLMUP_API_KEY"
{lean}
"#,
        model = quoted(&gateway.model),
        context = gateway.context,
        catalog = quoted(&catalog.to_string_lossy()),
        base_url = quoted(&format!("{}/v1", gateway.base_url)),
    )
}

/// The smallest catalogue entry that loads; without it Codex warns that it knows nothing about the model, and has no
/// apply_patch.
fn catalog_text(gateway: &Session) -> String {
    let entry = serde_json::json!({
        "slug": gateway.model,
        "display_name": gateway.model,
        "description": "served by llmup",
        "supported_reasoning_levels": [],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": true,
        "priority": 1,
        "base_instructions": INSTRUCTIONS,
        "supports_reasoning_summaries": false,
        "support_verbosity": false,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": { "mode": "tokens", "limit": (gateway.context / 8).clamp(1_000, 10_000) },
        "supports_parallel_tool_calls": true,
        "context_window": gateway.context,
        "experimental_supported_tools": [],
    });
    format!("{:#}\n", serde_json::json!({ "models": [entry] }))
}

/// The keys of a config.toml that choose a provider, by a scan of the lines before the first table.
fn top_level(text: &str) -> Vec<(&'static str, String)> {
    const KEYS: [&str; 4] = ["model_provider", "model", "openai_base_url", "profile"];
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| {
            let (key, rest) = line.split_once('=')?;
            let key = KEYS.into_iter().find(|known| *known == key.trim().trim_matches('"'))?;
            let rest = rest.trim();
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let value = rest.get(1..)?.split(quote).next()?;
            Some((key, value.to_owned()))
        })
        .collect()
}
