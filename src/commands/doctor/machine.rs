//! The machine's side of the chain: hardware, engines, the port, the running instance.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::{Check, Finding, Scene, Section, Status};
use crate::hardware::Device;
use crate::output::bytes;

/// Longest wait for a gateway on this machine to take a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// Less memory than this runs the demo model only.
const LITTLE_MEMORY_BYTES: u64 = 4 << 30;

/// What the vendors found.
pub(super) struct HardwareCheck;

impl Check for HardwareCheck {
    fn section(&self) -> Section {
        Section::Hardware
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let section = Section::Hardware;
        let Some(hardware) = &scene.inputs.hardware else {
            return vec![Finding::warning(section, "the hardware could not be read", "see `llmup hardware`")];
        };
        let cpu = &hardware.cpu;
        let name = if cpu.name.is_empty() { &cpu.architecture } else { &cpu.name };
        let mut findings = vec![Finding::ok(section, format!("{name}, {} threads", cpu.threads))];
        let memory = hardware.memory;
        let text = format!("{} memory, {} free", bytes(memory.total_bytes), bytes(memory.available_bytes));
        findings.push(if memory.total_bytes == 0 {
            let cure = "see whether `free` shows it; nothing can be planned without";
            Finding::warning(section, "how much memory there is is unknown", cure)
        } else if memory.available_bytes < LITTLE_MEMORY_BYTES {
            Finding::warning(section, text, "close programs, or choose a small model: `llmup start demo`")
        } else {
            Finding::ok(section, text)
        });
        let some = hardware.devices.iter().any(|device| device.usable);
        for device in &hardware.devices {
            let total = device.memory_total_bytes;
            let size = if total == 0 { "memory unknown".to_owned() } else { bytes(total) };
            let what = format!("{} ({size})", device.name);
            findings.push(match (&device.problem, device.usable) {
                (None, true) => {
                    let free =
                        device.memory_free_bytes.map(|free| format!(", {} free", bytes(free))).unwrap_or_default();
                    Finding::ok(section, what + &free)
                }
                (problem, usable) => Finding {
                    section,
                    status: if usable || (some && is_meant(device)) { Status::Warning } else { Status::Problem },
                    text: format!("{what}: {}", problem.as_deref().unwrap_or("cannot be used")),
                    cure: Some("see `llmup hardware`".into()),
                },
            });
        }
        if hardware.devices.is_empty() {
            findings.push(Finding::ok(section, "no accelerator: models run on the processor"));
        }
        findings
            .extend(hardware.versions.iter().map(|(name, version)| Finding::ok(section, format!("{name} {version}"))));
        findings.extend(hardware.problems.iter().map(|text| Finding {
            section,
            status: Status::Warning,
            text: text.clone(),
            cure: None,
        }));
        findings
    }
}

/// Left out on purpose, or by nature: with another device to use, nothing is wrong.
fn is_meant(device: &Device) -> bool {
    const SAID: [&str; 3] = ["hidden by ", "in MIG mode", "graphics of the processor"];
    device.problem.as_deref().is_some_and(|problem| SAID.iter().any(|start| problem.starts_with(start)))
}

/// Engines that were found.
pub(super) struct EnginesCheck;

impl Check for EnginesCheck {
    fn section(&self) -> Section {
        Section::Engines
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let engines = &scene.inputs.engines;
        if engines.is_empty() {
            let text = "no engine is installed";
            return vec![Finding::warning(Section::Engines, text, "`llmup start MODEL` installs the one it needs")];
        }
        engines
            .iter()
            .map(|engine| match &engine.version {
                Some(version) => Finding::ok(Section::Engines, format!("{} {version}, {}", engine.name, engine.place)),
                None => Finding::warning(
                    Section::Engines,
                    format!("{} at {} does not say its version", engine.name, engine.place),
                    format!("see whether `{} --version` works", engine.name),
                ),
            })
            .collect()
    }
}

/// Whether the gateway's port is the gateway's.
pub(super) struct PortsCheck;

impl Check for PortsCheck {
    fn section(&self) -> Section {
        Section::Ports
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let (section, port) = (Section::Ports, scene.inputs.gateway_port);
        if address(scene).is_some_and(|address| address.port() == port) {
            return vec![Finding::ok(section, format!("port {port} is the running gateway's"))];
        }
        vec![match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => Finding::ok(section, format!("port {port} is free")),
            // Windows answers "denied" for ports that Hyper-V reserved.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::problem(
                section,
                format!("port {port} is reserved by the system"),
                "choose another: `llmup start MODEL --port 0`; on Windows see `netsh int ipv4 show excludedportrange protocol=tcp`",
            ),
            Err(error) => Finding::problem(
                section,
                format!("port {port} is taken by another program ({error})"),
                "end that program, or choose another port: `llmup start MODEL --port 0`",
            ),
        }]
    }
}

/// Whether what the state files call running takes connections.
pub(super) struct RunningCheck;

impl Check for RunningCheck {
    fn section(&self) -> Section {
        Section::Running
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let section = Section::Running;
        let Some(running) = &scene.inputs.running else {
            return vec![Finding {
                cure: Some("start one: `llmup start demo --yes`".into()),
                ..Finding::ok(section, "nothing runs")
            }];
        };
        let session = &running.session;
        let what = format!(
            "{} on {}, context {} tokens, at {}",
            session.model, running.engine, session.context, session.base_url
        );
        let answered = address(scene).map(|address| TcpStream::connect_timeout(&address, CONNECT));
        vec![match answered {
            Some(Ok(_)) => Finding::ok(section, what),
            Some(Err(error)) => Finding::problem(
                section,
                format!("{what}: it does not answer ({error})"),
                "`llmup stop`, then `llmup start` again; the reason is in `llmup logs`",
            ),
            None => Finding::problem(
                section,
                format!("{what}: that address means nothing"),
                "`llmup stop`, then start again",
            ),
        }]
    }
}

/// Where the running gateway listens.
fn address(scene: &Scene) -> Option<SocketAddr> {
    let url = &scene.inputs.running.as_ref()?.session.base_url;
    let uri: http::Uri = url.parse().ok()?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    (uri.host()?.trim_matches(['[', ']']), port).to_socket_addrs().ok()?.next()
}
