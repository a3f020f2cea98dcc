//! The gateway a client is started on: the one that is named, the one that runs, the one that is still loading, or one
//! that is started now.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cli::RunArgs;
use crate::client::Client;
use crate::commands::gateway_choice::{self, ChoiceError, Chosen};
use crate::commands::start::{DEFAULT_PORT, FOR_A_CLIENT};
use crate::commands::{question, running};
use crate::error::{Explain, Plain, Result, paste};
use crate::exit::Exit;
use crate::host::Os;
use crate::model::demo;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::state::Instance;
use crate::supervisor::{self, port};
use crate::{fs, output, profile};

/// Between two looks at one that is being started.
const LOOK: Duration = Duration::from_millis(100);

/// Whether there is one.
pub enum Gateway {
    /// It serves.
    Up(Chosen),
    /// It was to be started, and that ended with this exit code; all is said.
    Ended(u8),
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Nothing runs, and nobody is there to be asked.
    #[error("no gateway is running")]
    NotRunning {
        /// The client that was typed.
        client: &'static str,
        /// The model that ran last.
        last: Option<String>,
    },
    /// It was being started, and is gone.
    #[error("{model} was being started and ended before it was ready")]
    Died {
        /// The model.
        model: String,
    },
}

impl Explain for GatewayError {
    fn exit(&self) -> Exit {
        match self {
            GatewayError::NotRunning { .. } => Exit::Missing,
            GatewayError::Died { .. } => Exit::EngineFailed,
        }
    }

    fn finding(&self) -> Option<&'static str> {
        matches!(self, GatewayError::NotRunning { .. }).then_some("LLMUP-G003")
    }

    fn hints(&self) -> Vec<String> {
        match self {
            GatewayError::NotRunning { client, last } => {
                let model = last.as_deref().unwrap_or(demo::NAME);
                let model = paste::word(model, Os::current());
                vec![
                    format!("start one on the way: `llmup run {client} --start {model} --yes`"),
                    "what would run on this machine: `llmup models --fits`".to_owned(),
                    format!("or name one: `llmup run {client} --base-url http://127.0.0.1:PORT --api-key KEY`"),
                ]
            }
            GatewayError::Died { model } => {
                vec![format!("its own words: `llmup logs {}`", paste::word(model, Os::current()))]
            }
        }
    }
}

/// Finds it, waits for it or starts it.
pub fn choose(client: &dyn Client, args: &RunArgs, paths: &Paths) -> Result<Gateway> {
    let named = args.gateway.model.as_deref();
    let found = match (&args.gateway.base_url, &args.start) {
        (Some(_), _) => running::serving(named, paths)?.filter(Instance::was_ready),
        (None, Some(_)) => None,
        (None, None) => match running::serving(named, paths)? {
            Some(instance) => Some(ready(instance, paths)?),
            None => None,
        },
    };
    let session = match found {
        None if args.gateway.base_url.is_none() => {
            let model = match &args.start {
                Some(model) => model.clone(),
                None => agreed(client, args, paths)?,
            };
            let (instance, name) = match start(&model, args.yes, paths)? {
                Ok(started) => started,
                Err(code) => return Ok(Gateway::Ended(code)),
            };
            remember(&model, paths);
            Some(running::session(&instance, named.or(Some(&name))))
        }
        found => {
            if let Some(instance) = &found
                && profile::find(&instance.model.name, &paths.user_profiles()).is_ok()
            {
                // Its name alone starts it.
                remember(&instance.model.name, paths);
            }
            found.map(|instance| running::session(&instance, named))
        }
    };
    let chosen = gateway_choice::choose(&args.gateway, session, &format!("run {}", client.id()));
    Ok(Gateway::Up(chosen.map_err(|error| match error {
        ChoiceError::NotRunning { .. } => not_running(client, paths).into(),
        other => crate::error::Error::from(other),
    })?))
}

/// Whether the port of that root, which is one of this machine, takes no connection.
pub fn nobody_listens(root: &str) -> bool {
    let Ok(uri) = root.parse::<http::Uri>() else { return false };
    let place = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    if place != "localhost" && !place.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return false;
    }
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let Ok(addresses) = (place, uri.port_u16().unwrap_or(usual)).to_socket_addrs() else { return false };
    let addresses: Vec<SocketAddr> = addresses.collect();
    let refused = |address: &SocketAddr| {
        let tried = TcpStream::connect_timeout(address, LOOK);
        tried.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    !addresses.is_empty() && addresses.iter().all(refused)
}

/// The model to start, once the user agrees.
fn agreed(client: &dyn Client, args: &RunArgs, paths: &Paths) -> Result<String> {
    let last = last(paths);
    let model = last.clone().unwrap_or_else(|| demo::NAME.to_owned());
    if args.yes {
        return Ok(model);
    }
    if !output::interactive() {
        return Err(not_running(client, paths).into());
    }
    let question = match &last {
        Some(last) => format!("No gateway is running. Start {last}, as last time?"),
        None => {
            output::note("No gateway is running. What would run on this machine: llmup models --fits");
            "Start the demo, a tiny scripted model that shows that everything works?".to_owned()
        }
    };
    if question::agreed(&question)? { Ok(model) } else { Err(not_running(client, paths).into()) }
}

fn not_running(client: &dyn Client, paths: &Paths) -> GatewayError {
    GatewayError::NotRunning { client: client.id(), last: last(paths) }
}

/// Waits until it serves.
fn ready(instance: Instance, paths: &Paths) -> Result<Instance> {
    let (mut instance, progress) = (instance, Progress::new());
    while !instance.was_ready() {
        progress.step(&format!("waiting for {}, which is being started", instance.model.name));
        std::thread::sleep(LOOK);
        let own = |now: &Instance| now.process == instance.process;
        let Some(now) = running::all(paths)?.into_iter().find(own) else {
            return Err(GatewayError::Died { model: instance.model.name }.into());
        };
        instance = now;
    }
    Ok(instance)
}

/// Starts a model that stays when the client has ended, or finds it running: another llmup does it, which says what it
/// does on this one's standard error and asks what it has to. The model's name there; the exit code, when it failed.
fn start(model: &str, yes: bool, paths: &Paths) -> Result<std::result::Result<(Instance, String), u8>> {
    let bug = |error: std::io::Error| Plain::new(Exit::Bug, error.to_string(), format!("`llmup start {model}`"));
    let mut command = Command::new(std::env::current_exe().map_err(bug)?);
    command.args(["start", model, "--detach", "--json"]);
    // Only the client has to know the port, and it is told. An llmup that runs takes the model in.
    let host = running::all(paths)?.into_iter().find(|instance| instance.model.engine.name != "backend");
    let joined = host.and_then(|host| host.url.rsplit_once(':')?.1.parse().ok());
    if let Some(port) = joined.or_else(|| port::next_free(Ipv4Addr::LOCALHOST.into(), DEFAULT_PORT)) {
        command.args(["--port", &port.to_string()]);
    }
    if yes {
        command.arg("--yes");
    }
    supervisor::keep_streams();
    let ran = command.env(FOR_A_CLIENT, "1").stderr(Stdio::inherit()).stdin(Stdio::inherit()).output().map_err(bug)?;
    if !ran.status.success() {
        return Ok(Err(ran.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Bug.code())));
    }
    let said: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    let pid = said.get("pid").and_then(serde_json::Value::as_u64);
    let found = running::all(paths)?.into_iter().find(|i| Some(u64::from(i.process.pid)) == pid);
    let name = said.get("model").and_then(serde_json::Value::as_str).unwrap_or(model).to_owned();
    found.map(|instance| Ok((instance, name))).ok_or_else(|| GatewayError::Died { model: model.to_owned() }.into())
}

/// Where the model that ran last is noted.
fn note(paths: &Paths) -> PathBuf {
    paths.data.join("clients").join("last-model")
}

fn last(paths: &Paths) -> Option<String> {
    let text = std::fs::read_to_string(note(paths)).ok()?;
    Some(text.trim().to_owned()).filter(|name| !name.is_empty() && !name.contains(char::is_control))
}

/// Notes what to offer the next time. Not being able to is no reason to stop.
fn remember(model: &str, paths: &Paths) {
    if last(paths).as_deref() != Some(model) {
        let _ = fs::write_private(&note(paths), format!("{model}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_this_machine_that_nobody_has_is_known_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!nobody_listens(&format!("http://127.0.0.1:{port}")));
        drop(listener);
        assert!(nobody_listens(&format!("http://127.0.0.1:{port}")));
        // Of another machine nothing is asked.
        for root in ["http://192.0.2.1:9", "https://gateway.invalid", "no url"] {
            assert!(!nobody_listens(root), "{root}");
        }
    }
}
