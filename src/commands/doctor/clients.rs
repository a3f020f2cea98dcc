//! Which clients are installed, in which version.

use super::{Check, Finding, Scene, Section};
use crate::client::CLIENTS;
use crate::client::installed::{self, Installed};

/// A check for each client there can be; one for which there is none finds nothing.
pub(super) static EACH: [ClientCheck; CLIENTS.len()] = each();

const fn each() -> [ClientCheck; CLIENTS.len()] {
    let mut all = [ClientCheck(0); CLIENTS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = ClientCheck(at);
        at += 1;
    }
    all
}

/// The client at that place of [`CLIENTS`]; one check each, so that a slow one delays no other.
#[derive(Clone, Copy)]
pub(super) struct ClientCheck(usize);

impl Check for ClientCheck {
    fn section(&self) -> Section {
        Section::Clients
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let Some(client) = CLIENTS.get(self.0) else { return Vec::new() };
        let install = installed::how_to(*client);
        let (title, section) = (client.title(), Section::Clients);
        let finding = match installed::look(&*scene.host, *client) {
            // It need not be on PATH to be started.
            None if client.only_settings() => Finding::ok(section, format!("{title} is not on PATH")),
            None => Finding {
                // Nobody needs all of them.
                code: Some("LLMUP-C001"),
                cure: Some(format!("to use it: {install}")),
                ..Finding::ok(section, format!("{title} is not installed"))
            },
            Some(Installed { program, version: None }) => Finding::warning(
                "LLMUP-C003",
                section,
                format!("{title} at {} does not say its version", program.display()),
                format!("install it anew: {install}"),
            ),
            Some(Installed { program, version: Some(version) }) if installed::older(&version, client.minimum()) => {
                Finding::warning(
                    "LLMUP-C002",
                    section,
                    format!("{title} {version} at {} is older than {}", program.display(), client.minimum()),
                    format!("llmup's settings were measured with {}: {install}", client.minimum()),
                )
            }
            Some(Installed { program, version: Some(version) }) => {
                Finding::ok(section, format!("{title} {version} at {}", program.display()))
            }
        };
        vec![finding.of(*client)]
    }
}
