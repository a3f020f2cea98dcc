//! Variables and settings files that lead clients elsewhere than to the gateway.

use super::{Check, Finding, Scene, Section, Status};
use crate::client::{CLIENTS, Weight};
use crate::host::Host;

/// Variables that name a proxy. Clients and curl know both spellings.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

fn set(host: &dyn Host, name: &str) -> bool {
    host.env(name).is_some_and(|value| !value.is_empty())
}

/// Whether a proxy is set.
pub fn proxied(host: &dyn Host) -> bool {
    PROXIES.iter().any(|name| set(host, name))
}

/// Whether `NO_PROXY` keeps proxies away from this machine. The lower-case spelling wins where both are set.
pub fn loopback_is_direct(host: &dyn Host) -> bool {
    let list = ["no_proxy", "NO_PROXY"].iter().find_map(|name| host.env(name).filter(|value| !value.is_empty()));
    list.is_some_and(|list| {
        list.split([',', ' ']).map(str::trim).any(|entry| matches!(entry, "*" | "127.0.0.1" | "127.0.0.0/8"))
    })
}

/// A proxy between the client and the gateway.
pub(super) struct ProxyCheck;

impl Check for ProxyCheck {
    fn section(&self) -> Section {
        Section::Environment
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let host = &*scene.host;
        let names: Vec<&str> = PROXIES.into_iter().filter(|name| set(host, name)).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let names = names.join(", ");
        if loopback_is_direct(host) {
            return vec![Finding::ok(Section::Environment, format!("{names} set, and NO_PROXY spares 127.0.0.1"))];
        }
        vec![Finding::warning(
            Section::Environment,
            format!("{names} set without 127.0.0.1 in NO_PROXY: clients may send the gateway's requests to the proxy"),
            "add 127.0.0.1,localhost to NO_PROXY; `llmup env CLIENT` does so for one shell",
        )]
    }
}

/// What each client says about its surroundings.
pub(super) struct ConflictsCheck;

impl Check for ConflictsCheck {
    fn section(&self) -> Section {
        Section::Environment
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let gateway = scene.inputs.running.as_ref().map(|running| running.session.base_url.as_str());
        let mut findings: Vec<Finding> = CLIENTS
            .iter()
            .flat_map(|client| client.conflicts(&*scene.host, &scene.places, gateway))
            .map(|conflict| Finding {
                section: Section::Environment,
                status: match conflict.weight {
                    Weight::Note => Status::Ok,
                    Weight::Disturbs => Status::Warning,
                    Weight::Beats | Weight::Managed => Status::Problem,
                },
                text: conflict.text,
                cure: conflict.cure,
            })
            .collect();
        if findings.iter().all(|finding| finding.status == Status::Ok) {
            findings.insert(0, Finding::ok(Section::Environment, "nothing leads the clients away from the gateway"));
        }
        findings
    }
}
