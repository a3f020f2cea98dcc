//! `llmup reload`: a running `serve --config` reads its file again, and this one tells how it went.

use super::stop::NobodyError;
use super::{running, stop};
use crate::cli::ReloadArgs;
use crate::control::{self, Told};
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::output;
use crate::paths::Paths;

/// The file cannot be used. What was served is served on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    message: String,
    hints: Vec<String>,
}

impl Explain for Refused {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}

/// Runs the subcommand; gives the exit code.
pub fn run(args: &ReloadArgs, paths: &Paths) -> Result<u8> {
    let running = running::all(paths)?;
    let instance = match stop::meant_by_any_name(args.name.as_deref(), &running) {
        Ok((instance, _)) => instance,
        // Those that are only reached are what a file can change.
        Err(NobodyError::Reached { pid, .. }) => stop::meant(Some(&pid.to_string()), &running)?,
        Err(nobody) => return Err(nobody.of("reload")),
    };
    let (model, pid) = (instance.model.name.clone(), instance.process.pid);
    let deaf = |source| stop::NobodyError::Deaf { model, pid, source };
    let told = match &instance.control {
        Some(endpoint) => control::reload(endpoint).map_err(|unanswered| deaf(Some(unanswered)))?,
        None => return Err(deaf(None).into()),
    };
    match told {
        Told::Done(said) => {
            said.iter().for_each(|line| output::note(line));
            Ok(Exit::Ok.code())
        }
        Told::Refused(lines) => {
            output::note("nothing has changed; what was served is served on");
            let of = |wanted: bool| {
                lines.iter().filter(move |(label, _)| (label == "hint") == wanted).map(|(_, text)| text.clone())
            };
            Err(Refused { message: of(false).collect::<Vec<_>>().join(": "), hints: of(true).collect() }.into())
        }
    }
}
