//! The gateway's port: whether it is free, else who has it, and whether that may be ended.

use std::net::{IpAddr, Ipv4Addr};

use super::network::port_of;
use super::{Check, Finding, Inputs, Scene, Section};
use crate::state::{Instance, Process};
use crate::supervisor::{self, port, process};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Whether the gateway's port is the gateway's.
pub(super) struct PortsCheck;

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// A llmup that runs: its model.
    Own(String),
    /// What is left of an engine whose llmup and guard are gone.
    Orphan {
        /// Its process.
        process: Process,
        /// What all of that engine's processes have in their environment.
        mark: String,
    },
    /// A llmup whose state file only another version reads.
    OtherVersion(Process),
    /// Somebody else, as the system names him.
    Stranger(String),
    /// Somebody of whom the system does not tell.
    Unknown,
}

impl Holder {
    /// Asks the system, and what is known of running llmups.
    pub(super) fn of(wanted: u16, inputs: &Inputs) -> Holder {
        let at_port = |instance: &&Instance| port_of(&instance.url) == Some(wanted);
        if let Some(own) = inputs.instances.iter().find(at_port) {
            return Holder::Own(own.model.name.clone());
        }
        let Some(holder) = port::holder(wanted) else { return Holder::Unknown };
        if let Some(old) = inputs.other_versions.iter().find(|old| old.pid == holder.pid) {
            return Holder::OtherVersion(old.clone());
        }
        let mark = supervisor::orphan(holder.pid);
        // An engine without a guard, such as one in WSL, may still have its llmup.
        let live = |mark: &String| {
            inputs.instances.iter().flat_map(Instance::models).any(|model| model.engine.mark.as_ref() == Some(mark))
        };
        if let (Some(mark), Some(birth)) = (mark.filter(|mark| !live(mark)), process::birth(holder.pid)) {
            return Holder::Orphan { process: Process { pid: holder.pid, birth }, mark };
        }
        Holder::Stranger(match holder.name.as_str() {
            "" => format!("pid {}", holder.pid),
            name => format!("{name} (pid {})", holder.pid),
        })
    }

    fn told(&self) -> String {
        match self {
            Holder::Own(model) => format!("llmup itself, with {model}"),
            Holder::Orphan { process, .. } => format!("an engine that a crashed llmup left (pid {})", process.pid),
            Holder::OtherVersion(process) => format!("a llmup of another version (pid {})", process.pid),
            Holder::Stranger(who) => who.clone(),
            Holder::Unknown => "another program".to_owned(),
        }
    }
}

impl Check for PortsCheck {
    fn section(&self) -> Section {
        Section::Ports
    }

    fn look(&self, scene: &Scene) -> Vec<Finding> {
        let (section, wanted) = (Section::Ports, scene.inputs.gateway_port);
        let running = scene.inputs.running.as_ref().and_then(|running| port_of(&running.session.base_url));
        if running == Some(wanted) {
            return vec![Finding::ok(section, format!("port {wanted} is the running gateway's"))];
        }
        let Some(refusal) = port::refusal(LOOPBACK, wanted) else {
            return vec![Finding::ok(section, format!("port {wanted} is free"))];
        };
        let other = port::next_free(LOOPBACK, wanted.saturating_add(1)).unwrap_or(0);
        let cure = format!("port {other} is free: `llmup start MODEL --port {other}`");
        if port::kept_back(scene.host.os(), &refusal) {
            let text = format!("port {wanted} is kept back by Windows: nobody listens there, and nobody may");
            let cure = format!("{cure}; the ranges: `{}`", port::EXCLUDED);
            return vec![Finding::problem("LLMUP-G002", section, text, cure)];
        }
        let holder = Holder::of(wanted, &scene.inputs);
        let text = format!("port {wanted} is taken by {}", holder.told());
        if let Some(running) = &scene.inputs.running {
            // It is where the next one would be, and nobody misses it there.
            return vec![Finding::ok(section, format!("{text}; the gateway is at {}", running.session.base_url))];
        }
        let cure = match holder {
            Holder::Own(_) => return vec![Finding::ok(section, text)],
            Holder::Orphan { .. } | Holder::OtherVersion(_) => format!("end it: `llmup doctor --fix`; or {cure}"),
            Holder::Stranger(_) | Holder::Unknown => cure,
        };
        vec![Finding::problem("LLMUP-G001", section, text, cure).because(vec![refusal.to_string()])]
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::client::tests::Recorded;
    use crate::commands::doctor::Status;
    use crate::commands::doctor::tests::{all, inputs, instance, of};
    use crate::host::Os;

    fn look(inputs: Inputs) -> Finding {
        of(&all(inputs, Recorded::new(Os::Linux)), Section::Ports)[0].clone()
    }

    #[test]
    fn a_llmup_at_the_port_is_no_problem_also_when_it_only_loads() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway_port = listener.local_addr().unwrap().port();
        let mut loading = instance("glm");
        loading.url = format!("http://127.0.0.1:{gateway_port}");
        let found = look(Inputs { gateway_port, instances: vec![loading], ..inputs() });
        assert_eq!((found.status, found.code), (Status::Ok, None));
        assert!(found.text.ends_with("llmup itself, with glm"), "{}", found.text);
    }

    #[test]
    fn a_gateway_at_another_port_has_no_use_for_this_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway_port = listener.local_addr().unwrap().port();
        let session = crate::client::tests::gateway(65_536);
        let running = Some(crate::commands::doctor::Running::of(session, "vllm"));
        let found = look(Inputs { gateway_port, running, ..inputs() });
        assert_eq!((found.status, found.code), (Status::Ok, None));
        assert!(found.text.ends_with("; the gateway is at http://127.0.0.1:4242"), "{}", found.text);
    }

    #[test]
    #[cfg(any(target_os = "linux", windows))]
    fn a_llmup_of_another_version_is_known_by_its_file() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway_port = listener.local_addr().unwrap().port();
        let old = Process { pid: std::process::id(), birth: "b".into() };
        let found = look(Inputs { gateway_port, other_versions: vec![old.clone()], ..inputs() });
        assert_eq!((found.status, found.code), (Status::Problem, Some("LLMUP-G001")));
        assert!(found.text.contains("of another version (pid "), "{}", found.text);
        assert!(found.cure.unwrap().starts_with("end it: `llmup doctor --fix`"));
        let inputs = Inputs { gateway_port, other_versions: vec![Process { pid: 1, ..old }], ..inputs() };
        assert!(matches!(Holder::of(gateway_port, &inputs), Holder::Stranger(_)));
    }
}
