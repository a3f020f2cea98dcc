//! Claude Code (Anthropic Messages). Facts measured with 2.1.329.
//!
//! `env` in its settings files beats the process environment, and a file given with `--settings` beats those of the user
//! and of the project, `apiKeyHelper` included; an empty value there counts as unset. Only managed settings beat that file:
//! llmup says so and starts nothing. Of several `--settings` the last one counts, so that one of the user's own is put
//! into llmup's file.

use std::path::{Path, PathBuf};

use super::git_bash::{self, GitBash};
use super::{
    Client, Conflict, Export, Install, LEAN_BELOW, Origin, Overlay, OwnFile, Places, Scope, Session, SettingsFile,
    Start, Weight, environment_conflicts, run_file, typed,
};
use crate::host::Host;

mod conflicts;
mod own_settings;
mod settings;

/// Claude Code.
pub struct Claude;

/// Below this context even the lean prompt (about 9 thousand tokens) leaves no room before compaction starts: only the
/// smallest prompt works.
const SIMPLE_BELOW: u64 = 32_000;

/// What Claude Code keeps free for its own safety when a prompt comes, besides the longest answer: measured with
/// 2.1.329, which compacts before a prompt at `window - output - 13000`, and between tool calls at `window - output - 3000`.
const RESERVE: u64 = 13_000;

/// The window to tell Claude Code. Of a small context its reserve leaves nothing: it would compact before every prompt and
/// end by "thrashing". There it is told of more, so that it compacts at 55 % of the context or later before a prompt, and
/// between tool calls 3 thousand tokens before the end; what goes beyond is refused by the gateway in words on which it
/// compacts, too.
fn window(gateway: &Session) -> u64 {
    if gateway.context >= LEAN_BELOW {
        return gateway.context;
    }
    (gateway.context + gateway.max_output).max(gateway.context * 55 / 100 + gateway.max_output + RESERVE)
}

/// What every session has. The first two keep the head of the prompt equal between turns and conversations.
const ALWAYS: [(&str, &str); 3] = [
    ("CLAUDE_CODE_ATTRIBUTION_HEADER", "0"),
    ("CLAUDE_CODE_TOTAL_TOKENS_REMINDER", "off"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
];

/// Variables that lead Claude Code to another service.
const ELSEWHERE: [&str; 4] =
    ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"];

/// More of the kind, which only a session of `llmup run` needs to clear: other services, headers and bodies of the user,
/// models for side tasks (names in the program's own tables of variables).
const ALSO_ELSEWHERE: [&str; 10] = [
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_USE_GATEWAY",
    "ANTHROPIC_UNIX_SOCKET",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_CODE_EXTRA_BODY",
];

impl Client for Claude {
    fn id(&self) -> &'static str {
        "claude"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["claude-code"]
    }

    fn title(&self) -> &'static str {
        "Claude Code"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["claude", "claude.exe", "claude.cmd"]
    }

    fn install(&self) -> Install {
        Install::Npm("@anthropic-ai/claude-code")
    }

    fn minimum(&self) -> &'static str {
        "2.1.329"
    }

    fn session(&self, gateway: &Session, _own: &Path) -> Vec<Export> {
        let mut exports = vec![
            Export::set("ANTHROPIC_BASE_URL", &gateway.base_url),
            Export::set("ANTHROPIC_AUTH_TOKEN", &gateway.key),
            Export::set("ANTHROPIC_MODEL", &gateway.model),
        ];
        for (tier, model) in [
            ("HAIKU", gateway.small()),
            ("SONNET", &gateway.model),
            ("OPUS", &gateway.model),
            ("FABLE", &gateway.model),
        ] {
            exports.push(Export::set(format!("ANTHROPIC_DEFAULT_{tier}_MODEL"), model));
        }
        exports.extend([
            Export::set("CLAUDE_CODE_MAX_CONTEXT_TOKENS", window(gateway).to_string()),
            // Without it 32000 are reserved: at a context of 32768 nothing is left and it ends by "thrashing".
            Export::set("CLAUDE_CODE_MAX_OUTPUT_TOKENS", gateway.max_output.to_string()),
        ]);
        exports.extend(ALWAYS.map(|(name, value)| Export::set(name, value)));
        if gateway.context < SIMPLE_BELOW {
            exports.push(Export::Comment(format!(
                "a context of {} tokens is small: Claude Code runs with its smallest prompt and 3 tools",
                gateway.context
            )));
            exports.push(Export::set("CLAUDE_CODE_SIMPLE", "1"));
        } else if gateway.context < LEAN_BELOW {
            for feature in ["WORKFLOWS", "CRON", "BUNDLED_SKILLS"] {
                exports.push(Export::set(format!("CLAUDE_CODE_DISABLE_{feature}"), "1"));
            }
        }
        exports.extend(ELSEWHERE.map(Export::unset));
        exports
    }

    fn overlay(&self, gateway: &Session, own: &Path, start: &Start<'_>) -> Result<Overlay, Conflict> {
        let mut exports = self.session(gateway, own);
        exports.extend(ALSO_ELSEWHERE.map(Export::unset));
        let env: serde_json::Map<String, serde_json::Value> = exports
            .iter()
            .filter_map(|export| match export {
                Export::Set { name, value } => Some((name.clone(), value.clone().into())),
                Export::Unset { name } => Some((name.clone(), "".into())),
                Export::Comment(_) => None,
            })
            .collect();
        // A file and not the JSON itself: arguments can be read by everyone on the machine, and the key is in it.
        let (typed, theirs) = typed::take(start.typed, &["--settings"], |_| true);
        let (path, settings) = match theirs.last() {
            Some(said) => {
                let settings = own_settings::with(env, own_settings::read(start, said)?);
                (run_file::path_of(own, gateway, &settings.to_string(), "json"), settings)
            }
            None => (run_file::path(own, gateway, "json"), serde_json::json!({ "env": env })),
        };
        let text = format!("{settings:#}\n");
        Ok(Overlay {
            exports,
            arguments: vec!["--settings".to_owned(), path.to_string_lossy().into_owned()],
            typed: (!theirs.is_empty()).then_some(typed),
            files: vec![OwnFile { path, text }],
            links: Vec::new(),
        })
    }

    fn machine(&self, host: &dyn Host) -> Vec<Export> {
        match git_bash::look(host) {
            GitBash::Missed(path) => vec![Export::set(git_bash::VARIABLE, path.to_string_lossy())],
            GitBash::NotNeeded | GitBash::Found | GitBash::None => Vec::new(),
        }
    }

    fn settings(&self, gateway: &Session, host: &dyn Host, places: &Places, scope: Scope) -> Vec<SettingsFile> {
        settings::settings(gateway, host, places, scope)
    }

    fn settings_beat_environment(&self) -> bool {
        true
    }

    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict> {
        let mut names = vec!["ANTHROPIC_BASE_URL"];
        names.extend(ELSEWHERE);
        let mut found = environment_conflicts(host, self, &names, gateway);
        found.extend(conflicts::of_files(host, places, gateway));
        found.extend(shell_of_windows(host));
        found
    }
}

/// What stands between Claude Code and a Git Bash; nobody who does not have Claude Code is told.
fn shell_of_windows(host: &dyn Host) -> Option<Conflict> {
    let bash = git_bash::look(host);
    if bash == GitBash::NotNeeded || !Claude.programs().iter().any(|name| host.which(name).is_some()) {
        return None;
    }
    if let Some(path) = git_bash::named(host).filter(|path| !git_bash::usable(host, path)) {
        let cure = match bash {
            GitBash::Missed(other) => {
                format!("set it to {}; `llmup env claude` does so for one shell", other.display())
            }
            _ => format!("set {} to the bash.exe in the folder bin of Git, or remove it", git_bash::VARIABLE),
        };
        return Some(Conflict {
            weight: Weight::Disturbs,
            origin: Origin::Program,
            text: format!("{}={path} is not there or no bash.exe: Claude Code ignores it", git_bash::VARIABLE),
            cure: Some(cure),
        });
    }
    let (text, cure) = match bash {
        GitBash::NotNeeded | GitBash::Found => return None,
        GitBash::Missed(path) => (
            format!("Git Bash is at {}, where Claude Code does not look", path.display()),
            format!("`llmup env claude` names it for one shell; for good: set {} to it", git_bash::VARIABLE),
        ),
        GitBash::None => (
            "no Git Bash: Claude Code runs its commands in PowerShell".to_owned(),
            "for its Bash tool: `winget install --id Git.Git -e`".to_owned(),
        ),
    };
    Some(Conflict { weight: Weight::Note, origin: Origin::Program, text, cure: Some(cure) })
}

/// Where Claude Code keeps the user's own settings.
fn user_folder(host: &dyn Host, places: &Places) -> PathBuf {
    let moved = host.env("CLAUDE_CONFIG_DIR").filter(|dir| !dir.is_empty());
    moved.map_or_else(|| places.home.join(".claude"), PathBuf::from)
}
