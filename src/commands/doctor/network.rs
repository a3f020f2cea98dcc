//! Between clients and the gateway: proxies, and the firewall where it can be known.

use std::path::Path;

use super::{Check, Finding, Scene, Section};
use crate::host::{Host, Os};

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

/// The port of a gateway's root.
pub(super) fn port_of(url: &str) -> Option<u16> {
    let uri: http::Uri = url.parse().ok()?;
    uri.host()?;
    Some(uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 }))
}

/// A proxy between the client and the gateway.
pub(super) struct ProxyCheck;

impl Check for ProxyCheck {
    fn section(&self) -> Section {
        Section::Ports
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let (section, host) = (Section::Ports, &*scene.host);
        let names: Vec<&str> = PROXIES.into_iter().filter(|name| set(host, name)).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let names = names.join(", ");
        if loopback_is_direct(host) {
            return vec![Finding::ok(section, format!("{names} set, and NO_PROXY spares 127.0.0.1"))];
        }
        vec![Finding::warning(
            "LLMUP-C004",
            section,
            format!("{names} set without 127.0.0.1 in NO_PROXY: clients may send the gateway's requests to the proxy"),
            "add 127.0.0.1,localhost to NO_PROXY; `llmup env CLIENT` does so for one shell",
        )]
    }
}

/// Who may come in from outside, where the system tells without rights: Linux' table of sockets and ufw's settings.
pub(super) struct FirewallCheck;

impl Check for FirewallCheck {
    fn section(&self) -> Section {
        Section::Ports
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let (section, host) = (Section::Ports, &*scene.host);
        let port = scene.inputs.running.as_ref().and_then(|running| port_of(&running.session.base_url));
        let Some(port) = port.filter(|port| host.os() == Os::Linux && beyond_loopback(host, *port)) else {
            return Vec::new();
        };
        let mut findings = vec![Finding::warning(
            "LLMUP-G013",
            section,
            format!("the gateway on port {port} can be reached from outside this machine"),
            "if only this machine shall use it, start it without `--host`",
        )];
        let ufw = host.read(Path::new("/etc/ufw/ufw.conf")).unwrap_or_default();
        if String::from_utf8_lossy(&ufw).lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes")) {
            let cure =
                format!("to let a network in: `sudo ufw allow from 192.168.0.0/16 to any port {port} proto tcp`");
            let text = "ufw filters incoming connections here: others may not reach the gateway";
            findings.push(Finding::warning("LLMUP-G017", section, text, cure));
        }
        findings
    }
}

/// Whether something listens on that port at an address that is not loopback: lines of `/proc/net/tcp` and `tcp6` with
/// state 0A.
fn beyond_loopback(host: &dyn Host, port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let text = host.read(Path::new(table)).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().any(|line| {
            let columns: Vec<&str> = line.split_ascii_whitespace().collect();
            let (Some(local), Some(&"0A")) = (columns.get(1), columns.get(3)) else { return false };
            let Some((address, at)) = local.rsplit_once(':') else { return false };
            // IPv4 in one word of the processor's order: 127.x.x.x ends in 7F. IPv6: ::1, or such an IPv4 in it.
            let own = match address.len() {
                8 => address.ends_with("7F"),
                _ => {
                    address == "00000000000000000000000001000000"
                        || address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F")
                }
            };
            u16::from_str_radix(at, 16) == Ok(port) && !own
        })
    })
}
