//! Which clients are installed, in which version.

use super::{Check, Finding, Scene, Section};
use crate::client::CLIENTS;
use crate::client::installed::{self, Installed};

/// The client at that place of [`CLIENTS`]; one check each, so that a slow one delays no other.
pub(super) struct ClientCheck(pub(super) usize);

impl Check for ClientCheck {
    fn section(&self) -> Section {
        Section::Clients
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let Some(client) = CLIENTS.get(self.0) else { return Vec::new() };
        let install = installed::how_to(*client);
        let (title, section) = (client.title(), Section::Clients);
        let finding = match installed::look(&*scene.host, *client) {
            None => Finding {
                // Nobody needs all of them.
                cure: Some(format!("to use it: {install}")),
                ..Finding::ok(section, format!("{title} is not installed"))
            },
            Some(Installed { program, version: None }) => Finding::warning(
                section,
                format!("{title} at {} does not say its version", program.display()),
                format!("install it anew: {install}"),
            ),
            Some(Installed { program, version: Some(version) }) if installed::older(&version, client.minimum()) => {
                Finding::warning(
                    section,
                    format!("{title} {version} at {} is older than {}", program.display(), client.minimum()),
                    format!("llmup's settings were measured with {}: {install}", client.minimum()),
                )
            }
            Some(Installed { program, version: Some(version) }) => {
                Finding::ok(section, format!("{title} {version} at {}", program.display()))
            }
        };
        vec![finding]
    }
}
