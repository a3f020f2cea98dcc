//! The running part of `start`: what a run needs is taken or installed here, then [`super::session`] has it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::backend::{Launcher, Source, install};
use super::entry::Entry;
use super::ollama;
use super::session::Session;
use super::target::Target;
use crate::cli::StartArgs;
use crate::engine::find::Found;
use crate::engine::{EngineId, KnownFlags};
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fs::{self, FileError};
use crate::host::Os;
use crate::model::demo;
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::plan::LaunchPlan;
use crate::state::Instance;
use crate::supervisor::port;

/// Launches and serves until something ends it; gives the exit code.
pub fn run(
    args: &StartArgs,
    paths: &Paths,
    entry: &Entry,
    target: Target,
    mut plan: LaunchPlan,
    engine: Option<Found>,
    mut known: Option<KnownFlags>,
) -> Result<u8> {
    let reuse = (plan.engine == EngineId::Ollama).then(ollama::running).flatten();
    // What an earlier, killed llmup left is ended first: it may hold the memory the plan counts on.
    crate::commands::running::newest(paths)?;
    // What can fail cheaply fails before anything is installed.
    let gateway = bind(args.host, args.port, paths)?;
    let engine = match engine {
        Some(found) => Some(found),
        None if reuse.is_some() => None,
        None => {
            let installed = install(args, paths, &plan)?;
            let warned = plan.warnings.len();
            known = super::known_flags(args, &target, &mut plan, Some(&installed), paths)?;
            for warning in plan.warnings.iter().skip(warned) {
                output::note(&format!("{} {warning}", on_stderr(Style::Warn, "note  ")));
            }
            Some(installed)
        }
    };
    plan.to_install = false;
    if let Some(kind) = target.demo {
        let began = Instant::now();
        demo::ensure(&paths.models(), kind)?;
        if began.elapsed() > Duration::from_millis(100) {
            output::note(&format!("{} the demo model", on_stderr(Style::Good, "wrote ")));
        }
    }
    runtime()?.block_on(async {
        let session = Session::open(args, paths, entry, gateway, &target.name).await?;
        let launcher = Launcher {
            args,
            paths,
            entry,
            target: &target,
            plan,
            changed: false,
            engine: engine.as_ref(),
            known: known.as_ref(),
            reuse,
            key: random_key()?,
            last: session.last_child(),
        };
        session.run(Source::Launched(Box::new(launcher))).await
    })
}

/// The runtime of gateway and supervisor: two threads are enough for one machine's clients.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    crate::allocator::tune();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|e| {
        Plain::new(
            Exit::Bug,
            format!("cannot start the runtime: {e}"),
            "see how many processes you may start: `ulimit -u`",
        )
        .into()
    })
}

/// Takes the gateway's port, or says who has it.
pub fn bind(host: IpAddr, wanted: u16, paths: &Paths) -> Result<std::net::TcpListener> {
    let error = match std::net::TcpListener::bind((host, wanted)) {
        Ok(listener) => {
            let ready = listener.set_nonblocking(true);
            return ready.map(|()| listener).map_err(|e| Plain::new(Exit::Bug, e.to_string(), "try again").into());
        }
        Err(error) => error,
    };
    if port::kept_back(Os::current(), &error) {
        return Err(kept_back(wanted, port::next_free(host, wanted.saturating_add(1))).into());
    }
    if error.kind() != std::io::ErrorKind::AddrInUse {
        let hint =
            "choose another with `--port N` (below 1024 needs privileges) and an address of this machine with `--host`";
        return Err(Plain::new(Exit::Taken, format!("cannot listen on {host}:{wanted}: {error}"), hint).into());
    }
    let ours = crate::commands::running::all(paths)?.into_iter().find(|i| i.url.ends_with(&format!(":{wanted}")));
    let holder = match (&ours, port::holder(wanted)) {
        (Some(ours), _) => format!("llmup itself, serving {} (pid {})", ours.model, ours.process.pid),
        (None, Some(holder)) => format!("{} (pid {})", holder.name, holder.pid),
        (None, None) => "another program".to_owned(),
    };
    let mut hints = Vec::new();
    let ready = ours.as_ref().is_some_and(Instance::was_ready);
    if let Some(free) = port::next_free(host, wanted.saturating_add(1)) {
        hints.push(format!("the next free one: `--port {free}`"));
    }
    if ready {
        hints.push("or use the one that runs: `llmup env claude`".to_owned());
    }
    let message = format!("port {wanted} is taken by {holder}");
    Err(Plain { message, exit: Exit::Taken, hints }.into())
}

/// A port that Windows gives to nobody.
pub(super) fn kept_back(wanted: u16, free: Option<u16>) -> Plain {
    let message = format!("Windows keeps port {wanted} back: Hyper-V, WSL and Docker reserve ranges of ports");
    let free = free.map(|free| format!("the next free one: `--port {free}`"));
    let hints = free.into_iter().chain([format!("see which ranges: `{}`", port::EXCLUDED)]).collect();
    Plain { message, exit: Exit::Taken, hints }
}

/// A key that is one: an empty one would be shown by everybody who shows none.
pub fn given(key: Option<&str>) -> Option<String> {
    key.map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned)
}

/// The user's key: made once, so that clients stay connected over restarts.
pub fn kept_key(paths: &Paths) -> Result<String> {
    let path = paths.data.join("key");
    match std::fs::read_to_string(&path) {
        Ok(key) if !key.trim().is_empty() => Ok(key.trim().to_owned()),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("read", &path, e).into()),
        _ => {
            let key = random_key()?;
            fs::write_private(&path, format!("{key}\n").as_bytes())?;
            Ok(key)
        }
    }
}

/// 192 random bits, as text.
pub(super) fn random_key() -> Result<String> {
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(|e| {
        Error::from(Plain::new(
            Exit::Bug,
            format!("the system gives no random numbers: {e}"),
            "pass a key with `--api-key`",
        ))
    })?;
    Ok(bytes.iter().fold(String::from("llmup-"), |text, byte| text + &format!("{byte:02x}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain;

    #[test]
    fn a_port_of_a_reserved_range_names_the_next_one_and_how_to_see_the_ranges() {
        let refused = kept_back(8000, Some(8101));
        assert_eq!(refused.exit(), Exit::Taken);
        assert!(refused.to_string().contains("port 8000") && refused.hints()[0].ends_with("`--port 8101`"));
        assert!(kept_back(8000, None).hints()[0].contains("`netsh "));
    }
}
