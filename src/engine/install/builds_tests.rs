//! Which build is installed where: against a server that speaks the release list's language, with archives whose
//! program is a script.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::*;
use crate::host::RealHost;

const CPU: &str = "llama-b11549-bin-ubuntu-x64";
const VULKAN: &str = "llama-b11549-bin-ubuntu-vulkan-x64";

/// A Linux whose releases come from a server here and which has no Python.
struct Machine {
    mirror: String,
}

impl crate::host::StandIn for Machine {
    fn base(&self) -> &dyn Host {
        &RealHost
    }
    fn which(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn env(&self, name: &str) -> Option<String> {
        (name == "LLMUP_RELEASE_URL").then(|| self.mirror.clone())
    }
    fn os(&self) -> Os {
        Os::Linux
    }
}

/// An archive with a `llama-server` that answers `--list-devices` with these lines.
fn archive(devices: &str) -> Vec<u8> {
    let program =
        format!("#!/bin/sh\n[ \"$1\" = --list-devices ] && printf 'Available devices:\\n{devices}'\nexit 0\n");
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, "llama-b11549/llama-server", program.as_bytes()).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

/// Serves these archives of the release; what was asked for by name.
fn serve(archives: Vec<(&'static str, Vec<u8>)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (url, seen) = (base.clone(), asked.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &url, &archives, &seen);
        }
    });
    (base, asked)
}

fn answer(mut stream: TcpStream, base: &str, archives: &[(&'static str, Vec<u8>)], asked: &Mutex<Vec<String>>) {
    use sha2::Digest as _;
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = match archives.iter().find(|(name, _)| path == format!("/{name}.tar.gz")) {
        Some((name, body)) => {
            asked.lock().unwrap().push((*name).to_owned());
            body.clone()
        }
        None => {
            let listed = archives.iter().map(|(name, body)| {
                let hex: String = sha2::Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect();
                serde_json::json!({"name": format!("{name}.tar.gz"), "size": body.len(),
                    "digest": format!("sha256:{hex}"), "browser_download_url": format!("{base}/{name}.tar.gz")})
            });
            serde_json::json!({"assets": listed.collect::<Vec<_>>()}).to_string().into_bytes()
        }
    };
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(&body);
}

struct Room {
    dir: tempfile::TempDir,
    machine: Machine,
}

impl Room {
    fn new(mirror: String) -> Room {
        Room { dir: tempfile::tempdir().unwrap(), machine: Machine { mirror } }
    }

    fn paths(&self) -> Paths {
        Paths { data: self.dir.path().to_owned(), config: self.dir.path().join("config") }
    }

    fn install(&self, aim: Aim) -> Result<Found, InstallError> {
        install(EngineId::LlamaCpp, aim, &self.machine, &self.paths(), &Progress::silent())
    }
}

/// The archives here are those of one kind of machine.
fn this_machine() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

#[test]
fn a_gpu_gets_the_build_that_sees_it_and_the_planner_finds_it() {
    if !this_machine() {
        return;
    }
    let gpu = "  Vulkan0: AMD Radeon RX 7900 XTX (24560 MiB, 24000 MiB free)\\n";
    let (base, asked) = serve(vec![(CPU, archive("")), (VULKAN, archive(gpu))]);
    let room = Room::new(base);
    let found = room.install(Aim::Best(Accelerator::Vulkan)).unwrap();
    assert_eq!((found.build.as_deref(), found.version.as_deref()), (Some("vulkan"), Some("b11549")));
    assert_eq!(*asked.lock().unwrap(), [VULKAN]);
    assert_eq!(find::managed(&room.machine, &room.paths()), std::slice::from_ref(&found));
    // It is there now, for whoever wants the best for a GPU of another maker, too.
    assert_eq!(room.install(Aim::Best(Accelerator::Rocm)).unwrap(), found);
    assert_eq!(asked.lock().unwrap().len(), 1);
    // One for the processor beside it stays behind it.
    room.install(Aim::Only(Accelerator::Cpu)).unwrap();
    let builds: Vec<Option<String>> =
        find::managed(&room.machine, &room.paths()).into_iter().map(|found| found.build).collect();
    assert_eq!(builds.len(), 2, "{builds:?}");
}

#[test]
fn a_build_that_sees_no_gpu_gives_way_to_the_processors_and_is_tried_again_when_asked() {
    if !this_machine() {
        return;
    }
    let (base, asked) = serve(vec![(CPU, archive("")), (VULKAN, archive("  (none)\\n"))]);
    let room = Room::new(base);
    let found = room.install(Aim::Best(Accelerator::Cuda)).unwrap();
    assert_eq!(found.build.as_deref(), Some("cpu"));
    assert_eq!(*asked.lock().unwrap(), [VULKAN, CPU]);
    assert!(!room.paths().engines().join("llama-cpp-b11549-vulkan").exists(), "what is of no use stays not");
    // The driver may be there by now; the one for the processor is not downloaded again.
    assert_eq!(room.install(Aim::Best(Accelerator::Cuda)).unwrap(), found);
    assert_eq!(*asked.lock().unwrap(), [VULKAN, CPU, VULKAN]);
    assert_eq!(room.install(Aim::Best(Accelerator::Cpu)).unwrap(), found);
    // Who asks for nothing else gets it.
    let forced = room.install(Aim::Only(Accelerator::Vulkan)).unwrap();
    assert_eq!(forced.build.as_deref(), Some("vulkan"));
}

#[test]
fn what_is_not_pinned_is_refused_with_the_way_to_do_it_by_hand() {
    let room = Room::new("http://127.0.0.1:1".into());
    let error = room.install(Aim::Only(Accelerator::Cuda)).unwrap_err();
    assert!(matches!(error, InstallError::Unsupported { .. }), "{error}");
    let hints = error.hints().join("\n");
    assert!(hints.contains("docs/build.md") && hints.contains("PATH"), "{hints}");
    if this_machine() {
        assert!(hints.contains("`llmup engine install llama-cpp --accelerator vulkan`"), "{hints}");
    }
    assert!(!hints.contains("--accelerator cuda"), "{hints}");
}

#[test]
fn a_server_that_is_gone_leaves_the_next_way() {
    if !this_machine() {
        return;
    }
    // The list has no archive for GPUs.
    let (base, asked) = serve(vec![(CPU, archive(""))]);
    let room = Room::new(base);
    assert_eq!(room.install(Aim::Best(Accelerator::Vulkan)).unwrap().build.as_deref(), Some("cpu"));
    assert_eq!(*asked.lock().unwrap(), [CPU]);
    let error = Room::new("http://127.0.0.1:1".into()).install(Aim::Best(Accelerator::Vulkan)).unwrap_err();
    assert!(matches!(error, InstallError::Download { .. }), "{error}");
}

#[test]
fn devices_are_read_from_the_servers_own_list() {
    let listed =
        "Available devices:\n  Vulkan0: NVIDIA RTX (1 MiB, 1 MiB free)\n  Vulkan1: Other (2 MiB, 1 MiB free)\n";
    assert_eq!(vulkan_devices(listed), 2);
    for none in ["Available devices:\n", "Available devices:\n  (none)\n", "", "VulkanX: no\nVulkan: no"] {
        assert_eq!(vulkan_devices(none), 0, "{none:?}");
    }
}
