//! `llmup engine install|list|remove`.

use std::sync::Arc;

use crate::cli::EngineCommand;
use crate::commands::interrupted::drive_thread;
use crate::engine::find::{self, Found, Origin};
use crate::engine::install::{self, Aim};
use crate::engine::{Accelerator, EngineId};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::host::{Host, RealHost};
use crate::paths::Paths;
use crate::{hardware, output, plan};

/// Runs one of them.
pub fn run(command: EngineCommand, host: &dyn Host, paths: &Paths) -> Result<u8> {
    match command {
        EngineCommand::Install { engine, cpu, accelerator } => {
            let aim = match accelerator {
                Some(only) => Aim::Only(only),
                None if cpu => Aim::Best(Accelerator::Cpu),
                None => Aim::Best(suitable(engine, &hardware::detect(host))?),
            };
            let found = install_with_bar(engine, aim, Arc::new(RealHost), paths)?;
            output::line(&describe(&found));
        }
        EngineCommand::List { json } => list(host, paths, json),
        EngineCommand::Remove { engine } => {
            let removed = install::remove(engine, paths)?;
            if removed == 0 {
                return Err(Plain::new(
                    Exit::Missing,
                    format!("llmup has not installed {engine}"),
                    "see what is there: `llmup engine list`",
                )
                .into());
            }
            output::note(&format!("removed {engine}"));
        }
    }
    Ok(Exit::Ok.code())
}

/// What a new engine should be built for on this machine. Where that is only the processor although there is a GPU, it is
/// said how to get more.
fn suitable(engine: EngineId, hardware: &hardware::Hardware) -> Result<Accelerator> {
    if engine == EngineId::LlamaCpp {
        let accelerator = plan::choose::installs_llama_cpp(hardware);
        if let (Accelerator::Cpu, (Some((gpu, build)), _)) = (accelerator, plan::choose::natural(hardware)) {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            output::warning(format_args!(
                "llmup has no build of llama.cpp for a {} on {os} {arch}, and installs the one for the processor",
                gpu.device()
            ));
            output::note(&format!(
                "to use it, put a llama-server with {build} on PATH: llmup takes that before its own"
            ));
        }
        return Ok(accelerator);
    }
    if engine != EngineId::Vllm {
        return Ok(Accelerator::Cpu);
    }
    if let Some(mut needs) = plan::platform::needs(hardware, &[]) {
        needs.how.push("for the processor nevertheless: `llmup engine install vllm --cpu`".to_owned());
        let message = format!("llmup cannot install this: {}", needs.what);
        return Err(Plain { message, exit: Exit::Missing, hints: needs.how }.into());
    }
    let nvidia = matches!(plan::platform::computes_on(hardware), Some((Accelerator::Cuda, _)));
    Ok(if nvidia { Accelerator::Cuda } else { Accelerator::Cpu })
}

/// Installs with progress on standard error, until the user ends it.
pub fn install_with_bar(engine: EngineId, aim: Aim, host: Arc<dyn Host>, paths: &Paths) -> Result<Found> {
    let paths = paths.clone();
    let found = drive_thread(move |progress| Ok(install::install(engine, aim, &*host, &paths, progress)?))?;
    output::note(&format!("{} {}", output::on_stderr(output::Style::Good, "installed"), describe(&found)));
    Ok(found)
}

/// One line about an engine.
pub fn describe(found: &Found) -> String {
    let origin = match found.origin {
        Origin::Managed => "installed by llmup",
        Origin::Path => "on PATH",
        Origin::Venv => "virtual environment",
    };
    let version = found.version.as_deref().unwrap_or("version unknown");
    let build = found.build.as_deref().map(|b| format!(", {b}")).unwrap_or_default();
    format!("{} {version}{build} ({origin}: {})", found.engine, found.place())
}

fn list(host: &dyn Host, paths: &Paths, json: bool) {
    let found = find::find(host, paths);
    if json {
        output::json(&found);
        return;
    }
    if found.is_empty() {
        output::note("no engine yet; `llmup engine install llama-cpp` installs one in seconds");
    }
    for engine in &found {
        output::line(&describe(engine));
    }
}
