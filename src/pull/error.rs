//! Why weights could not be pulled and what to do next.

use std::path::PathBuf;

use super::hub::HubId;
use crate::error::Explain;
use crate::exit::Exit;
use crate::fetch::FetchError;
use crate::fs::FileError;
use crate::output;

/// Why weights could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The hub knows no such repository or revision.
    #[error("{hub} has no repository {repo} with a revision {revision}", hub = hub.driver().title())]
    Unknown {
        /// The hub.
        hub: HubId,
        /// What was asked for.
        repo: String,
        /// The revision.
        revision: String,
    },
    /// The hub knows it and does not give it to us.
    #[error("{repo} on {hub} is not open to {who} (status {status})", hub = hub.driver().title(),
        who = if *.token { "this token" } else { "everyone" })]
    Gated {
        /// The hub.
        hub: HubId,
        /// The repository.
        repo: String,
        /// Its page.
        page: String,
        /// 401 or 403.
        status: u16,
        /// Whether a token was shown.
        token: bool,
    },
    /// The hub's list cannot be had.
    #[error("cannot ask {hub} for the files of {repo}: {reason}", hub = hub.driver().title())]
    Unreachable {
        /// The hub.
        hub: HubId,
        /// The repository.
        repo: String,
        /// What went wrong last.
        reason: String,
    },
    /// The hub's list makes no sense.
    #[error("the list of {repo} that {hub} gives cannot be used: {reason}", hub = hub.driver().title())]
    List {
        /// The hub.
        hub: HubId,
        /// The repository.
        repo: String,
        /// Why.
        reason: String,
    },
    /// Nothing in the repository is what was asked for.
    #[error("{repo} has no {what}{tail}", tail = tail(.has))]
    Nothing {
        /// The repository.
        repo: String,
        /// What was looked for.
        what: String,
        /// What is there instead.
        has: Vec<String>,
    },
    /// No network is to be used, and not everything is here.
    #[error("offline, and {repo} is not whole on this machine: {missing}", missing = lacks(.missing))]
    Offline {
        /// The hub.
        hub: HubId,
        /// The repository.
        repo: String,
        /// What the user typed.
        name: String,
        /// The form that was chosen here: another machine might choose another one.
        form: Option<String>,
        /// The files that are known to be missing; empty when nobody knows.
        missing: Vec<String>,
        /// Where they belong.
        dir: PathBuf,
        /// The variable that says so.
        variable: String,
    },
    /// Not enough room.
    #[error("{repo} needs {need} more on the disk that holds {path}, and {free} are free",
        need = output::bytes(*.need), free = output::bytes(*.free), path = path.display())]
    Space {
        /// The repository.
        repo: String,
        /// Bytes still to come, with a margin.
        need: u64,
        /// Bytes free.
        free: u64,
        /// Where it would go.
        path: PathBuf,
    },
    /// Another llmup pulls into the same folder.
    #[error("another llmup is pulling into {dir}", dir = dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// Ollama did not do it.
    #[error("Ollama cannot pull {tag}: {reason}")]
    Ollama {
        /// The tag.
        tag: String,
        /// Its own words.
        reason: String,
    },
    /// The download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

fn tail(has: &[String]) -> String {
    if has.is_empty() { String::new() } else { format!("; it has {}", has.join(", ")) }
}

fn lacks(missing: &[String]) -> String {
    match missing.len() {
        0 => "nothing of it is here".to_owned(),
        1..=6 => format!("{} missing", missing.join(", ")),
        n => format!("{} and {} more missing", missing.iter().take(5).cloned().collect::<Vec<_>>().join(", "), n - 5),
    }
}

impl Explain for PullError {
    fn exit(&self) -> Exit {
        match self {
            PullError::Unknown { .. } | PullError::Nothing { .. } => Exit::Config,
            PullError::Space { .. } => Exit::DoesNotFit,
            PullError::Busy { .. } => Exit::Taken,
            PullError::Ollama { .. } => Exit::EngineFailed,
            PullError::Fetch(error) => error.exit(),
            PullError::File(error) => error.exit(),
            _ => Exit::Missing,
        }
    }

    fn hints(&self) -> Vec<String> {
        let again = "check the network and proxy (`HTTPS_PROXY`), then run the command again: it continues".to_owned();
        match self {
            PullError::Unknown { hub, .. } => vec![
                "check how the repository is spelled; names have the form ORG/NAME".to_owned(),
                format!("is it private? Show who you are: `export {}=…`", hub.driver().token_variable()),
            ],
            PullError::Gated { hub, page, token, .. } => {
                let variable = hub.driver().token_variable();
                let shown = if *token { "make sure that the token may read it" } else { "then show who you are" };
                vec![format!("accept its licence on {page}"), format!("{shown}: `export {variable}=…`")]
            }
            PullError::Unreachable { hub: HubId::HuggingFace, .. } => {
                vec![again, "or name a mirror: `export HF_ENDPOINT=https://mirror.example`".to_owned()]
            }
            PullError::Unreachable { .. } | PullError::List { .. } => vec![again],
            PullError::Nothing { has, .. } if !has.is_empty() => {
                vec!["choose one of them with `--quantization`, or name files with `--include`".to_owned()]
            }
            PullError::Nothing { .. } => vec!["name the files with `--include '*.gguf'`".to_owned()],
            PullError::Offline { name, form, dir, variable, .. } => {
                let form = form.as_ref().map(|form| format!(" --quantization {form}")).unwrap_or_default();
                vec![
                    format!("with a network, `unset {variable}` and run this again"),
                    format!("or on a machine that has one: `llmup pull {name}{form} --to weights`"),
                    format!("then copy all of that folder to {}", dir.display()),
                ]
            }
            PullError::Space { .. } => {
                vec!["free some space, or choose another disk: `--to DIR`, or LLMUP_DATA_DIR for everything".to_owned()]
            }
            PullError::Busy { .. } => vec!["wait for it to end, then run the command again".to_owned()],
            PullError::Ollama { reason, .. } if reason.contains("does not exist") => {
                vec!["look for the tag on ollama.com/library".to_owned()]
            }
            PullError::Ollama { .. } => {
                vec!["run the same command again: it goes on where it was".to_owned()]
            }
            PullError::Fetch(error) => error.hints(),
            PullError::File(error) => error.hints(),
        }
    }
}
