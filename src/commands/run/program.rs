//! The client's program: llmup's own installation of it, else the one on PATH, else one that is installed now.

use std::path::PathBuf;

use super::install;
use crate::cli::RunArgs;
use crate::client::installed::{self, Installed, how_to, older};
use crate::client::{Client, Install};
use crate::commands::question;
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::output;
use crate::paths::Paths;

/// The client is not on this machine.
#[derive(Debug, thiserror::Error)]
#[error("{title} is not installed: there is no {program} on PATH")]
struct Missing {
    title: &'static str,
    program: &'static str,
    id: &'static str,
    how: String,
    by_llmup: bool,
}

impl Explain for Missing {
    fn exit(&self) -> Exit {
        Exit::Missing
    }

    fn finding(&self) -> Option<&'static str> {
        Some("LLMUP-C001")
    }

    fn hints(&self) -> Vec<String> {
        let mut hints = vec![format!("install it: {}", self.how)];
        if self.by_llmup {
            hints.push(format!("or let llmup do it: `llmup run {} --install`", self.id));
        }
        hints
    }
}

/// Finds it, or installs it where that was asked for. An old version is used, with a warning.
pub fn find(client: &dyn Client, args: &RunArgs, paths: &Paths, host: &dyn Host) -> Result<PathBuf> {
    let found = match look(client, paths, host) {
        Some(found) => found,
        None => {
            let missing = Missing {
                title: client.title(),
                program: client.programs().first().copied().unwrap_or(client.id()),
                id: client.id(),
                how: how_to(client),
                by_llmup: !matches!(client.install(), Install::Described(_)),
            };
            if !missing.by_llmup || !(args.install || agreed(client)?) {
                return Err(missing.into());
            }
            install::client(client, paths, host)?;
            look(client, paths, host).ok_or_else(|| install::not_found(client, host))?
        }
    };
    if let Some(version) = found.version.as_deref().filter(|version| older(version, client.minimum())) {
        let (title, minimum) = (client.title(), client.minimum());
        output::warning(format!(
            "{title} {version} is older than {minimum}, with which llmup was tested: {}",
            how_to(client)
        ));
    }
    Ok(found.program)
}

fn agreed(client: &dyn Client) -> Result<bool> {
    let question = format!("{} is not installed. Install {} now?", client.title(), client.minimum());
    if output::interactive() { question::agreed(&question) } else { Ok(false) }
}

/// llmup's own first: it is there because the machine's could not be written.
fn look(client: &dyn Client, paths: &Paths, host: &dyn Host) -> Option<Installed> {
    let here = std::env::current_dir().unwrap_or_default();
    let own = install::folders(client, paths)
        .into_iter()
        .find_map(|folder| client.programs().iter().find_map(|name| which::which_in(name, Some(&folder), &here).ok()));
    match own {
        Some(program) => Some(installed::at(host, client, program)),
        None => installed::look(host, client),
    }
}
