//! The coding tools llmup connects: what each needs in its environment to work on a local gateway, and which settings
//! of the user would beat that. `edit` and `journal` change settings files and give them back. Nothing here knows
//! engines; `commands` calls it.
//!
//! Adding a client is one file, its `mod` line and its entry in [`CLIENTS`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::host::Host;

mod aider;
mod claude;
mod codex;
mod conflict;
mod continue_cli;
mod copilot;
pub mod edit;
mod gemini;
mod git_bash;
mod goose;
pub mod installed;
pub mod journal;
pub mod jsonc;
mod opencode;
mod qwen;
mod run_file;
mod settings_file;
pub mod shell;
mod typed;
mod vscode;

#[cfg(test)]
pub(crate) mod tests;

pub use conflict::{Conflict, Origin, Weight};
pub(crate) use conflict::{environment_conflicts, leads_to};

/// Every client llmup can connect.
pub const CLIENTS: &[&dyn Client] = &[
    &claude::Claude,
    &codex::Codex,
    &gemini::Gemini,
    &opencode::OpenCode,
    &qwen::Qwen,
    &continue_cli::Continue,
    &copilot::Copilot,
    &aider::Aider,
    &goose::Goose,
    &vscode::VsCode,
];

/// Those that one start can be told the gateway, by its environment or its arguments: all but editors.
pub fn started() -> impl Iterator<Item = &'static dyn Client> {
    CLIENTS.iter().copied().filter(|client| !client.only_settings())
}

/// The client of that name (or of one of its other names).
pub fn find(name: &str) -> Option<&'static dyn Client> {
    CLIENTS.iter().copied().find(|client| client.id() == name || client.aliases().contains(&name))
}

/// One gateway as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The gateway's root, `http://127.0.0.1:PORT`: no `/v1`, no final slash.
    pub base_url: String,
    /// The key clients present.
    pub key: String,
    /// The model's name as the gateway serves it.
    pub model: String,
    /// The model for a client's small side tasks (titles, summaries); `None`: the same.
    pub small: Option<String>,
    /// Context window of the model as it runs, tokens.
    pub context: u64,
    /// Most tokens of one answer; see [`output_limit`].
    pub max_output: u64,
}

impl Session {
    /// The model for small side tasks.
    pub fn small(&self) -> &str {
        self.small.as_deref().unwrap_or(&self.model)
    }
}

/// The longest answer to allow in a context of that many tokens: an eighth of it. Clients keep that room free (Claude
/// Code 2.1.329 before it compacts, OpenCode and Codex too), and with more of it a context of 32k has no conversation left.
pub fn output_limit(context: u64) -> u64 {
    (context / 8).min(8192)
}

/// Contexts below this many tokens get the client's lean switches: prompts start at 10 to 12 thousand tokens, and Claude
/// Code compacts at 21 thousand of 32,768, so that models with 32k need them most.
pub const LEAN_BELOW: u64 = 40_960;

/// One line of a client's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// The variable gets this value.
    Set {
        /// Its name.
        name: String,
        /// Its value, unquoted.
        value: String,
    },
    /// The variable must not be set.
    Unset {
        /// Its name.
        name: String,
    },
    /// Words for whoever reads the output; one line.
    Comment(String),
}

impl Export {
    /// The variable gets this value.
    pub fn set(name: impl Into<String>, value: impl Into<String>) -> Export {
        Export::Set { name: name.into(), value: value.into() }
    }

    /// The variable must not be set.
    pub fn unset(name: impl Into<String>) -> Export {
        Export::Unset { name: name.into() }
    }
}

/// A file a client needs, in a folder that belongs to llmup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnFile {
    /// Its full path.
    pub path: PathBuf,
    /// Its whole text.
    pub text: String,
}

/// What one start of a client is given besides what the user typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Its environment, on top of the user's own.
    pub exports: Vec<Export>,
    /// Arguments that come before the user's.
    pub arguments: Vec<String>,
    /// What the user typed, where llmup's must not stand beside it as it is. `None`: as it was typed.
    pub typed: Option<Vec<OsString>>,
    /// Files that must stand before it starts.
    pub files: Vec<OwnFile>,
    /// The user's own files and folders, as they are seen in a folder of llmup's.
    pub links: Vec<Link>,
}

/// A file or folder of the user's that a session reads and writes by another path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it is seen; what stands there already stays.
    pub at: PathBuf,
    /// Where it is.
    pub to: PathBuf,
}

/// What `llmup run` knows of one start.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// Home and folder of this start.
    pub places: &'a Places,
    /// The client's own arguments, as the user typed them.
    pub typed: &'a [OsString],
}

/// How a client comes onto a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// By npm: the package.
    Npm(&'static str),
    /// From PyPI, by `uv tool install` or `pipx`: the package.
    Python(&'static str),
    /// By its maker's own way only: where that is described.
    Described(&'static str),
}

/// For whom a permanent connection is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything this user starts.
    User,
    /// What is started in one folder.
    Project,
}

/// A settings file of the user, and what a permanent connection changes in it.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsFile {
    /// The file; it need not exist.
    pub path: PathBuf,
    /// How it is written.
    pub format: edit::Format,
    /// What is set and removed, in this order.
    pub changes: Vec<edit::Change>,
}

/// Where a client's own settings live.
#[derive(Debug, Clone)]
pub struct Places {
    /// The user's home.
    pub home: PathBuf,
    /// The folder the client would be started in.
    pub project: PathBuf,
}

/// One coding tool.
pub trait Client: Sync {
    /// What people type: `claude`.
    fn id(&self) -> &'static str;
    /// Other names people type.
    fn aliases(&self) -> &'static [&'static str];
    /// The product's name.
    fn title(&self) -> &'static str;
    /// Names of the program on PATH, in the order to try; the `.cmd` shims are what npm makes on Windows.
    fn programs(&self) -> &'static [&'static str];
    /// How it is installed.
    fn install(&self) -> Install;
    /// The oldest version whose behaviour was measured against llmup's settings.
    fn minimum(&self) -> &'static str;
    /// Whether it is connected by its settings only, as no environment or argument of a start says where its models are.
    fn only_settings(&self) -> bool {
        false
    }
    /// What its user does once it is connected, where starting it is not enough.
    fn then(&self, _gateway: &Session) -> Option<String> {
        None
    }
    /// The environment that makes a plain start of the client use `gateway`. `own` is the folder of this client
    /// below llmup's data folder.
    fn session(&self, gateway: &Session, own: &Path) -> Vec<Export>;
    /// What this machine lacks or hides besides: exports that do not depend on the gateway.
    fn machine(&self, _host: &dyn Host) -> Vec<Export> {
        Vec::new()
    }
    /// Files that must stand in `own` before the client starts. `old` reads what is there now.
    fn files(&self, _gateway: &Session, _own: &Path, _old: &dyn Fn(&Path) -> Option<String>) -> Vec<OwnFile> {
        Vec::new()
    }
    /// What `llmup run` gives one start of the client: it beats the user's own settings and writes nothing in the home.
    /// Settings of the user's own on the command line stay, but for what leads to the gateway. The error is what the
    /// client could not be started with.
    fn overlay(&self, gateway: &Session, own: &Path, start: &Start<'_>) -> Result<Overlay, Conflict> {
        let old = |path: &Path| settings_file::text(start.host, path);
        let (exports, files) = (self.session(gateway, own), self.files(gateway, own, &old));
        Ok(Overlay { exports, files, ..Overlay::default() })
    }
    /// The settings files that connect a plain start of the client for good, and what is changed in each; empty where it
    /// has none for that scope.
    fn settings(&self, _gateway: &Session, _host: &dyn Host, _places: &Places, _scope: Scope) -> Vec<SettingsFile> {
        Vec::new()
    }
    /// Whether what [`Client::settings`] writes beats the environment of the process.
    fn settings_beat_environment(&self) -> bool {
        false
    }
    /// What would pull this client elsewhere. `gateway` is the root of the running gateway: settings that lead to it
    /// are no conflict.
    fn conflicts(&self, host: &dyn Host, places: &Places, gateway: Option<&str>) -> Vec<Conflict>;
}
