//! vLLM's sleep mode (facts: vLLM 0.32.0, `entrypoints/serve/dev/sleep/api_router.py`): a model that makes room moves
//! its weights to main memory and drops its cache, and its engine lives on; woken, it is back without being loaded,
//! compiled and warmed up again. Asked for only (`sleep: true`, `--sleep`), because the paths for it come with vLLM's
//! development mode: none of that mode's paths wants the key, and others among them (`/collective_rpc`) can do more, so
//! every user of the machine who finds the engine's port on loopback can use them.
//!
//! Here is who can sleep, and the questions to the engine; when, is [`super::fleet`]'s, and what is done when it fails,
//! [`super::runner`]'s to decide.

use std::io;
use std::time::Duration;

use super::Chosen;
use super::backend::Backend;
use super::{in_wsl, launch};
use crate::engine::{CommandLine, EngineId, version_at_least};
use crate::hardware::{self, Device, Hardware};
use crate::host::RealHost;
use crate::output;
use crate::plan::{self, LaunchPlan};
use crate::profile::{self, Platform};
use crate::supervisor::health;

/// vLLM's flag for it.
const FLAG: &str = "--enable-sleep-mode";

/// Moving weights may take this long, and a second more for each GiB of them: pinning memory is slow.
const LIMIT: Duration = Duration::from_secs(30);

/// One question.
const ANSWERS: Duration = Duration::from_secs(10);

/// Why an engine did not fall asleep, or wake up.
#[derive(Debug, thiserror::Error)]
pub(super) enum NapError {
    #[error("its weights take {} and main memory has {} to spare", output::bytes(*needed), output::bytes(*free))]
    NoRoom { needed: u64, free: u64 },
    #[error("{path} does not answer: {source}")]
    Silent { path: &'static str, source: io::Error },
    #[error("{path} answers {status}")]
    Refused { path: &'static str, status: u16 },
    #[error("it says that it is {}", if *.asleep { "still asleep" } else { "still awake" })]
    Unmoved { asleep: bool },
}

/// Says of each model that shall sleep whether it can; who cannot is told why, and is ended as ever.
/// `several`: there are others to make room for.
pub(super) fn settle(models: &mut [Chosen], hardware: &Hardware, several: bool) {
    for model in models {
        if model.one.policy.sleep
            && let Some(why) = why_not(model, hardware, several)
        {
            let name = &model.target.name;
            model.plan.warnings.push(format!("{name} will not sleep in main memory: {why}"));
            model.one.policy.sleep = false;
        }
        model.one.args.sleep = model.one.policy.sleep;
    }
}

fn why_not(model: &Chosen, hardware: &Hardware, several: bool) -> Option<String> {
    let Chosen { one, plan, engine, known, .. } = model;
    if !several {
        return Some("there is no other model to make room for".into());
    }
    if one.policy.keep {
        return Some("it is to be kept, so it never makes room".into());
    }
    if plan.engine != EngineId::Vllm {
        return Some(format!("only vLLM can, and it runs on {}", plan.engine));
    }
    if in_wsl::distribution(plan, engine.as_ref()).is_some() {
        return Some("it runs in WSL, whose main memory is not known here".into());
    }
    let platform = profile::engine(plan.engine.name()).ok().flatten();
    let platform = platform.and_then(|mut profile| profile.platforms.remove(plan.accelerator.name()));
    let used: Vec<&Device> = hardware
        .devices
        .iter()
        .filter(|device| plan.per_gpu.iter().any(|bill| bill.place == plan::place(device)))
        .collect();
    if used.iter().any(|device| device.unified) {
        return Some("its GPU has no memory of its own, so nothing would become free".into());
    }
    let on = |platform: &Platform| {
        let sleep = platform.sleep.clone()?;
        used.iter().all(|device| sleep.on(device.architecture.as_deref())).then_some(sleep)
    };
    let Some(sleep) = platform.as_ref().and_then(on) else {
        return Some(format!("vLLM is not known to do that on {}", plan.accelerator.device()));
    };
    // What llmup installs itself is newer.
    let version = engine.as_ref().map(|found| found.version.as_deref().unwrap_or_default());
    if let Some(have) = version.filter(|have| !version_at_least(have, &sleep.since)) {
        let have = if have.is_empty() { "the version of this one is not known" } else { have };
        return Some(format!("vLLM {} and newer do that ({have})", sleep.since));
    }
    known.as_ref().filter(|known| !known.knows(FLAG)).map(|_| format!("this vLLM does not know {FLAG}"))
}

/// Has the engine sleep when it is told to.
pub(super) fn enable(command: &mut CommandLine) {
    command.args.push(FLAG.into());
    command.env.push(("VLLM_SERVER_DEV_MODE".into(), "1".into()));
}

/// Puts the engine to sleep. Nobody may be using it: it cuts off what it is doing.
pub(super) async fn begin(backend: &Backend, plan: &LaunchPlan) -> Result<(), NapError> {
    let needed = weights(plan);
    let memory = hardware::main_memory(&RealHost);
    // As the planner: the rest of the system keeps its part.
    let free = memory.available_bytes.saturating_sub(memory.total_bytes / 20);
    if needed > free {
        return Err(NapError::NoRoom { needed, free });
    }
    order(backend, "/sleep?level=1", needed).await?;
    expect(backend, true).await
}

/// Wakes it.
pub(super) async fn end(backend: &Backend, plan: &LaunchPlan) -> Result<(), NapError> {
    order(backend, "/wake_up", weights(plan)).await?;
    expect(backend, false).await
}

/// What sleeps in main memory, bytes: the weights of all devices.
pub(super) fn weights(plan: &LaunchPlan) -> u64 {
    plan.per_gpu.iter().fold(0, |sum, bill| sum.saturating_add(bill.weights_bytes))
}

async fn order(backend: &Backend, path: &'static str, weights: u64) -> Result<(), NapError> {
    let limit = LIMIT.saturating_add(Duration::from_secs(weights >> 30));
    let key = backend.ready.api_key.as_deref();
    match health::post(launch::address(backend.port), path, key, limit).await {
        Ok((200, _)) => Ok(()),
        Ok((status, _)) => Err(NapError::Refused { path, status }),
        Err(source) => Err(NapError::Silent { path, source }),
    }
}

/// Asks whether it sleeps.
async fn expect(backend: &Backend, asleep: bool) -> Result<(), NapError> {
    let path = "/is_sleeping";
    let key = backend.ready.api_key.as_deref();
    let asked = health::fetch(launch::address(backend.port), path, key, ANSWERS).await;
    let (status, body) = asked.map_err(|source| NapError::Silent { path, source })?;
    let said = serde_json::from_slice::<serde_json::Value>(&body).ok().and_then(|body| body["is_sleeping"].as_bool());
    match said {
        Some(said) if said == asleep => Ok(()),
        Some(said) => Err(NapError::Unmoved { asleep: said }),
        None => Err(NapError::Refused { path, status }),
    }
}
