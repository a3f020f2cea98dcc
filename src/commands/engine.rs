//! `llmup engine install|list|remove`.

use std::sync::Arc;

use crate::cli::EngineCommand;
use crate::commands::interrupted::drive_thread;
use crate::engine::find::{self, Found, Origin};
use crate::engine::{Accelerator, EngineId, install};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::host::{Host, RealHost};
use crate::paths::Paths;
use crate::{hardware, output, plan};

/// Runs one of them.
pub fn run(command: EngineCommand, host: &dyn Host, paths: &Paths) -> Result<u8> {
    match command {
        EngineCommand::Install { engine, cpu } => {
            let accelerator = if cpu { Accelerator::Cpu } else { accelerator(engine, &hardware::detect(host))? };
            let found = install_with_bar(engine, accelerator, Arc::new(RealHost), paths)?;
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

/// What a new engine should be built for on this machine.
fn accelerator(engine: EngineId, hardware: &hardware::Hardware) -> Result<Accelerator> {
    // The llama.cpp wheel computes on the processor on every machine, but on a Mac, which needs no word for it.
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
pub fn install_with_bar(
    engine: EngineId,
    accelerator: Accelerator,
    host: Arc<dyn Host>,
    paths: &Paths,
) -> Result<Found> {
    let paths = paths.clone();
    let found = drive_thread(move |progress| Ok(install::install(engine, accelerator, &*host, &paths, progress)?))?;
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
