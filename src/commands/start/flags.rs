//! Flags against the installed engine, before anything is started: one of the user's that it does not know is refused,
//! one of llmup's own or of a model's profile is left out and said.

use crate::engine::find::Found;
use crate::engine::known_flags::is_flag;
use crate::engine::{EngineId, KnownFlags, version_at_least};
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::paths::Paths;
use crate::profile::{self, EngineProfile};

/// Flags after `--` that the engine would end on.
#[derive(Debug, thiserror::Error)]
#[error("{engine} does not know {}", flags.iter().map(|f| f.flag.as_str()).collect::<Vec<_>>().join(", "))]
pub struct UnknownFlags {
    /// The engine and its version: `vllm 0.32.0`.
    engine: String,
    /// Which.
    flags: Vec<Unknown>,
    /// The command that lists all.
    list: &'static str,
}

/// One of them.
#[derive(Debug)]
struct Unknown {
    flag: String,
    nearest: Option<String>,
    instead: Option<String>,
}

impl Explain for UnknownFlags {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        let hint = |unknown: &Unknown| match unknown {
            Unknown { flag, instead: Some(instead), .. } => Some(format!("{flag} is gone: {instead}")),
            Unknown { flag, nearest: Some(nearest), .. } => Some(format!("{flag}: did you mean `{nearest}`?")),
            _ => None,
        };
        self.flags.iter().filter_map(hint).chain([format!("all flags: {}", self.list)]).collect()
    }
}

/// The flags the found engine takes, when they can be learnt. Refuses flags of the user's that it does not know.
pub fn check(user: &[String], found: &Found, host: &dyn Host, paths: &Paths) -> Result<Option<KnownFlags>> {
    let known = KnownFlags::of(found, host, &paths.data.join("cache"));
    let facts = profile::engine(found.engine.name()).ok().flatten();
    refuse(user, found, known.as_ref(), facts.as_ref())?;
    Ok(known)
}

fn refuse(
    user: &[String],
    found: &Found,
    known: Option<&KnownFlags>,
    facts: Option<&EngineProfile>,
) -> Result<(), UnknownFlags> {
    let unknown: Vec<String> = match (known, facts) {
        (Some(known), _) => known.unknown(user),
        // Nothing can be read from the installation: what is known to be gone since a version not newer than it.
        (None, Some(facts)) => {
            let reached = found.version.as_deref().is_some_and(|have| version_at_least(have, &facts.version));
            let gone = |arg: &&str| reached && is_flag(arg) && facts.removed(arg);
            let bare = |arg: &str| arg.split('=').next().unwrap_or_default().to_owned();
            user.iter().map(String::as_str).filter(gone).map(bare).collect()
        }
        (None, None) => Vec::new(),
    };
    if unknown.is_empty() {
        return Ok(());
    }
    let describe = |flag: String| Unknown {
        nearest: known.and_then(|known| known.nearest(&flag)),
        instead: facts.and_then(|facts| facts.instead(&flag)).map(str::to_owned),
        flag,
    };
    Err(UnknownFlags {
        engine: named(found),
        flags: unknown.into_iter().map(describe).collect(),
        list: match found.engine {
            EngineId::Vllm => "`vllm serve --help=all`",
            EngineId::LlamaCpp => "`llama-server --help`",
            EngineId::Ollama => "`ollama serve --help`",
        },
    })
}

/// `vllm 0.32.0`.
fn named(found: &Found) -> String {
    match &found.version {
        Some(version) => format!("{} {version}", found.engine),
        None => found.engine.to_string(),
    }
}

/// What to say about flags that were left out of llmup's own command.
pub fn left_out(flags: &[String], found: &Found) -> String {
    format!("{} does not know {}; left out", named(found), flags.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::find::Origin;

    fn vllm(version: &str) -> Found {
        Found {
            engine: EngineId::Vllm,
            origin: Origin::Path,
            program: "vllm".into(),
            prefix_args: Vec::new(),
            version: Some(version.to_owned()),
            build: None,
        }
    }

    #[test]
    fn without_its_sources_only_what_is_known_to_be_gone_is_refused() {
        let facts = profile::engine("vllm").unwrap().unwrap();
        let user = ["--disable_log_requests", "--whatever", "1"].map(str::to_owned);
        let refused = refuse(&user, &vllm("99.0"), None, Some(&facts)).unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert_eq!(refused.to_string(), "vllm 99.0 does not know --disable_log_requests");
        assert!(refused.hints()[0].contains("`--no-enable-log-requests`"), "{:?}", refused.hints());
        // An older one may still have it.
        assert!(refuse(&user, &vllm("0.5.0"), None, Some(&facts)).is_ok());
        assert!(refuse(&user, &vllm("99.0"), None, None).is_ok());
    }
}
