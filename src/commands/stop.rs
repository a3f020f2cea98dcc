//! `llmup stop` and `llmup restart`: an order to a running llmup, and the wait until it is done. "Stopped" is said when
//! nothing is left.

use std::time::{Duration, Instant};

use super::running;
use crate::cli::{RestartArgs, StopArgs};
use crate::control::{self, Order};
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::output;
use crate::paths::Paths;
use crate::state::{self, Instance, Phase};
use crate::supervisor::{Remains, process, reap};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// An instance is done within 5 s; what is longer is the system's time to remove processes.
const ORDERLY: Duration = Duration::from_secs(40);

/// After the order to end at once.
const AT_ONCE: Duration = Duration::from_secs(25);

/// Why there is nobody to give an order to.
#[derive(Debug, thiserror::Error)]
pub enum NobodyError {
    /// Nothing runs.
    #[error("nothing is running")]
    Nothing,
    /// Nothing of that name.
    #[error("no {name:?} is running; there is {}", running.join(", "))]
    Unknown {
        /// What was typed.
        name: String,
        /// What runs.
        running: Vec<String>,
    },
    /// More than one, and none was named.
    #[error("several models are running: {}", running.join(", "))]
    Several {
        /// Their names.
        running: Vec<String>,
    },
    /// It is older than the endpoint, or it hangs.
    #[error("{model} (pid {pid}) takes no orders")]
    Deaf {
        /// The model.
        model: String,
        /// The process.
        pid: u32,
        /// What was tried.
        #[source]
        source: Option<control::Unanswered>,
    },
    /// It heard the order and is still there.
    #[error("{model} (pid {pid}) did not end within {seconds} s")]
    Stays {
        /// The model.
        model: String,
        /// The process.
        pid: u32,
        /// How long was waited.
        seconds: u64,
    },
}

impl Explain for NobodyError {
    fn exit(&self) -> Exit {
        match self {
            NobodyError::Several { .. } => Exit::Usage,
            NobodyError::Nothing | NobodyError::Unknown { .. } => Exit::Missing,
            NobodyError::Deaf { .. } | NobodyError::Stays { .. } => Exit::EngineFailed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            NobodyError::Nothing => {
                vec!["start a model: `llmup start MODEL`, for a trial `llmup start demo`".to_owned()]
            }
            NobodyError::Unknown { .. } => vec!["see what runs: `llmup status`".to_owned()],
            NobodyError::Several { running } => vec![
                format!("name one: `llmup stop {}`", running.first().map_or("NAME", String::as_str)),
                "or end them all: `llmup stop --all`".to_owned(),
            ],
            NobodyError::Deaf { model, .. } | NobodyError::Stays { model, .. } => {
                vec![format!("end it at once: `llmup stop {model} --now`")]
            }
        }
    }
}

/// The instance that is meant: the named one, or the only one.
pub fn meant(name: Option<&str>, running: &[Instance]) -> Result<Instance, NobodyError> {
    let names = || running.iter().map(|i| i.model.clone()).collect::<Vec<_>>();
    match (name, running) {
        (_, []) => Err(NobodyError::Nothing),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(NobodyError::Several { running: names() }),
        (Some(name), _) => {
            let pid = |i: &Instance| i.process.pid.to_string() == name;
            let found = running.iter().find(|i| i.model == name).or_else(|| running.iter().find(|i| pid(i)));
            found.cloned().ok_or_else(|| NobodyError::Unknown { name: name.to_owned(), running: names() })
        }
    }
}

/// `llmup stop`.
pub fn stop(args: &StopArgs, paths: &Paths) -> Result<u8> {
    let running = running::all(paths)?;
    let meant = if args.all { running } else { vec![meant(args.name.as_deref(), &running)?] };
    if meant.is_empty() {
        output::note("nothing is running");
    }
    // All are told before any is waited for.
    let told: Vec<_> =
        meant.iter().map(|instance| tell(instance, if args.now { Order::Kill } else { Order::Stop })).collect();
    for (instance, told) in meant.iter().zip(told) {
        match told {
            Ok(()) => wait(instance, args.now, paths)?,
            // It does not listen while it downloads and installs, which can be cut at any moment.
            Err(deaf) if instance.control.is_none() && instance.phase == Phase::Loading => {
                end(instance, paths).map_err(|()| deaf)?;
            }
            Err(deaf) if args.now => end(instance, paths).map_err(|()| deaf)?,
            Err(deaf) => return Err(deaf.into()),
        }
        output::note(&format!("stopped {} (pid {}); nothing is left running", instance.model, instance.process.pid));
    }
    Ok(Exit::Ok.code())
}

/// `llmup restart`.
pub fn restart(args: &RestartArgs, paths: &Paths) -> Result<u8> {
    let instance = meant(args.name.as_deref(), &running::all(paths)?)?;
    let engine = |instance: &Instance| instance.engine.process.clone();
    let before = engine(&instance);
    if before.is_none() && instance.phase == Phase::Loading {
        output::note(&format!("{} is only being started: there is nothing to restart", instance.model));
        return Ok(Exit::Ok.code());
    }
    if before.is_none() {
        output::note(&format!("{} has no engine of llmup's own: there is nothing to restart", instance.model));
        return Ok(Exit::Ok.code());
    }
    tell(&instance, Order::Restart)?;
    output::note(&format!("restarting the engine of {}; requests wait for it", instance.model));
    loop {
        let now = running::all(paths)?.into_iter().find(|i| i.process == instance.process);
        match now {
            None => {
                let (model, pid) = (instance.model.clone(), instance.process.pid);
                output::note(&format!("see what happened: `llmup logs {model}`"));
                return Err(NobodyError::Deaf { model, pid, source: None }.into());
            }
            Some(now) if engine(&now) != before && now.phase == Phase::Ready => {
                output::note(&format!("{} is ready again", now.model));
                return Ok(Exit::Ok.code());
            }
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}

fn tell(instance: &Instance, order: Order) -> Result<(), NobodyError> {
    let deaf = |source| NobodyError::Deaf { model: instance.model.clone(), pid: instance.process.pid, source };
    let endpoint = instance.control.as_ref().ok_or_else(|| deaf(None))?;
    control::order(endpoint, order).map_err(|unanswered| deaf(Some(unanswered)))
}

/// Waits until it and its engine are gone.
fn wait(instance: &Instance, now: bool, paths: &Paths) -> Result<(), NobodyError> {
    let limit = if now { AT_ONCE } else { ORDERLY };
    let began = Instant::now();
    while process::alive(instance.process.pid, &instance.process.birth) {
        if began.elapsed() > limit {
            if now && end(instance, paths).is_ok() {
                break;
            }
            let (model, pid) = (instance.model.clone(), instance.process.pid);
            return Err(NobodyError::Stays { model, pid, seconds: limit.as_secs() });
        }
        std::thread::sleep(LOOK);
    }
    leftovers(instance);
    Ok(())
}

/// Ends one that hears nothing: its process, and all that its engine's tree left.
fn end(instance: &Instance, paths: &Paths) -> Result<(), ()> {
    let Instance { process: own, .. } = instance;
    reap(Remains { pid: own.pid, birth: &own.birth, mark: None });
    leftovers(instance);
    let _ = state::remove(&paths.state(), own.pid);
    if process::alive(own.pid, &own.birth) { Err(()) } else { Ok(()) }
}

fn leftovers(instance: &Instance) {
    if let Some(engine) = &instance.engine.process {
        reap(Remains { pid: engine.pid, birth: &engine.birth, mark: instance.engine.mark.as_deref() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Engine, Phase, Process, VERSION};

    fn running(model: &str, pid: u32) -> Instance {
        Instance {
            version: VERSION,
            phase: Phase::Ready,
            process: Process { pid, birth: "b".into() },
            url: "http://127.0.0.1:4000".into(),
            key: "k".into(),
            control: None,
            model: model.into(),
            context: 1,
            engine: Engine { name: "vllm".into(), process: None, pgid: None, mark: None, port: 7, log: None },
            planned: None,
            measured: None,
            started_at: 0,
        }
    }

    #[test]
    fn the_only_one_needs_no_name_and_of_several_one_must_be_named() {
        let (one, two) = (running("glm", 4_000_001), running("qwen", 4_000_002));
        let of = |name: Option<&str>, all: &[Instance]| meant(name, all).map(|i| i.process.pid).map_err(|e| e.exit());
        assert_eq!(of(None, std::slice::from_ref(&one)), Ok(4_000_001));
        assert_eq!(of(None, &[]), Err(Exit::Missing));
        let both = [one, two];
        assert_eq!(of(None, &both), Err(Exit::Usage));
        assert_eq!(of(Some("qwen"), &both), Ok(4_000_002));
        assert_eq!(of(Some("4000001"), &both), Ok(4_000_001));
        assert_eq!(of(Some("gemma"), &both), Err(Exit::Missing));
    }
}
