//! Recorded machines for the tests of the checks.

mod chain;
mod frame;

use std::net::TcpListener;

use super::*;
use crate::client::tests::{Recorded, gateway};
use crate::hardware::{Cpu, Device, Memory, VendorId};
use crate::host::Os;

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(super) fn inputs() -> Inputs {
    Inputs {
        hardware: None,
        engines: Vec::new(),
        models: "/no/such/folder".into(),
        running: None,
        instances: Vec::new(),
        other_versions: Vec::new(),
        connected: Vec::new(),
        crashed: Vec::new(),
        gateway_port: free_port(),
    }
}

pub(super) fn all(inputs: Inputs, host: Recorded) -> Vec<Finding> {
    let places = Places { home: "/home/u".into(), project: "/projects/p".into() };
    examine(&checks(), &Arc::new(Scene { inputs, host: Arc::new(host), places }), LIMIT)
}

pub(super) fn of(findings: &[Finding], section: Section) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.section == section).collect()
}

pub(super) fn with_gpu(problem: Option<&str>) -> Hardware {
    Hardware {
        os: Os::Linux,
        cpu: Cpu { name: "A CPU".into(), threads: 8, architecture: "x86_64".into(), ..Cpu::default() },
        memory: Memory { total_bytes: 64 << 30, available_bytes: 60 << 30 },
        devices: vec![Device {
            vendor: VendorId::Nvidia,
            index: 0,
            name: "A GPU".into(),
            uuid: None,
            memory_total_bytes: 80 << 30,
            memory_free_bytes: Some(79 << 30),
            architecture: None,
            unified: false,
            usable: problem.is_none(),
            problem: problem.map(str::to_owned),
        }],
        links: vec![],
        versions: [("nvidia driver".to_owned(), "570.86".to_owned())].into(),
        problems: vec![],
        wsl: None,
        wsl_memory_bytes: None,
    }
}

/// A server that gives every request this answer, until the test ends.
pub(super) fn serve(status: &'static str, body: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = body.len();
            let _ = write!(stream, "{status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        }
    });
    url
}

/// A llmup with this model, of which only the file speaks.
pub(super) fn instance(model: &str) -> Instance {
    Instance {
        version: crate::state::VERSION,
        phase: crate::state::Phase::Ready,
        process: Process { pid: 1, birth: "b".into() },
        url: String::new(),
        key: String::new(),
        control: None,
        model: crate::state::Model::loading(model),
        others: Vec::new(),
        started_at: 0,
    }
}
