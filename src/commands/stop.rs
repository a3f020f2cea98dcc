//! `llmup stop` and `llmup restart`: an order to a running llmup, and the wait until it is done. "Stopped" is said when
//! nothing is left.

use std::time::{Duration, Instant};

use super::running;
use crate::cli::{RestartArgs, StopArgs};
use crate::control::{self, Order};
use crate::error::{Error, Explain, Plain, Result};
use crate::exit::Exit;
use crate::host::Os;
use crate::output;
use crate::paths::Paths;
use crate::state::{self, Instance, Model, Phase};
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
    /// Only one whose file this version cannot read.
    #[error("only a llmup of another version is running (pid {pid}), which takes no orders of this one")]
    OtherVersion {
        /// The process.
        pid: u32,
    },
    /// Nothing of that name.
    #[error("no {name:?} is running; there is {}", running.join(", "))]
    Unknown {
        /// What was typed.
        name: String,
        /// What runs.
        running: Vec<String>,
    },
    /// A model that a running llmup only passes requests on to.
    #[error("{name} is not run here: the llmup with pid {pid} only passes requests on to it")]
    Reached {
        /// The model.
        name: String,
        /// The llmup.
        pid: u32,
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
            NobodyError::Nothing | NobodyError::Unknown { .. } | NobodyError::Reached { .. } => Exit::Missing,
            NobodyError::OtherVersion { .. } | NobodyError::Deaf { .. } | NobodyError::Stays { .. } => {
                Exit::EngineFailed
            }
        }
    }

    fn finding(&self) -> Option<&'static str> {
        matches!(self, NobodyError::Nothing).then_some("LLMUP-G003")
    }

    fn hints(&self) -> Vec<String> {
        match self {
            NobodyError::Nothing => {
                vec!["start a model: `llmup start MODEL`, for a trial `llmup start demo`".to_owned()]
            }
            NobodyError::OtherVersion { pid } => vec![end_by_hand(*pid)],
            NobodyError::Unknown { .. } => vec!["see what runs: `llmup status`".to_owned()],
            NobodyError::Reached { pid, .. } => vec![format!("end that llmup: `llmup stop {pid}`")],
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

/// How a llmup that takes no orders is asked to end; it takes its engine along.
pub fn end_by_hand(pid: u32) -> String {
    match Os::current() {
        Os::Windows => format!("end it with its engine: `taskkill /PID {pid} /T /F`"),
        _ => format!("end it with its engine: `kill {pid}`"),
    }
}

impl NobodyError {
    /// As `llmup VERB` says it: its hint is for this command, and not for ending one.
    pub fn of(self, verb: &str) -> Error {
        let hint = match &self {
            NobodyError::Several { running } => {
                format!("name one: `llmup {verb} {}`", running.first().map_or("NAME", String::as_str))
            }
            NobodyError::Reached { .. } => "see what runs: `llmup status`".to_owned(),
            _ => return self.into(),
        };
        let hints = vec![hint];
        Plain { message: self.to_string(), exit: self.exit(), hints }.into()
    }
}

/// The instance that is meant: the one with the model of that name, the one with that pid, or the only one.
pub fn meant(name: Option<&str>, running: &[Instance]) -> Result<Instance, NobodyError> {
    let names = || running.iter().flat_map(Instance::models).map(|model| model.name.clone()).collect::<Vec<_>>();
    match (name, running) {
        (_, []) => Err(NobodyError::Nothing),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(NobodyError::Several { running: names() }),
        (Some(name), _) => {
            let pid = |i: &Instance| i.process.pid.to_string() == name;
            let has = |i: &&Instance| i.models().any(|model| model.name == name);
            let found = running.iter().find(has).or_else(|| running.iter().find(|i| pid(i)));
            found.cloned().ok_or_else(|| NobodyError::Unknown { name: name.to_owned(), running: names() })
        }
    }
}

/// The instance that is meant, and which of its models: like [`meant`], and other names of models are known, too.
pub fn meant_by_any_name(name: Option<&str>, running: &[Instance]) -> Result<(Instance, Option<String>), NobodyError> {
    let unknown = match meant(name, running) {
        Ok(instance) => return Ok((instance, name.map(str::to_owned))),
        Err(NobodyError::Unknown { name, running }) => (name, running),
        Err(nobody) => return Err(nobody),
    };
    let Some((own, instance)) = running::known_to_one(&unknown.0, running) else {
        let (name, running) = unknown;
        return Err(NobodyError::Unknown { name, running });
    };
    if instance.models().any(|model| model.name == own) {
        return Ok((instance, Some(own)));
    }
    Err(NobodyError::Reached { name: own, pid: instance.process.pid })
}

/// The model of an instance that is meant: the named one, or the only one of those that `may` be.
pub fn which<'i>(
    name: Option<&str>,
    instance: &'i Instance,
    may: impl Fn(&Model) -> bool,
) -> Result<&'i Model, NobodyError> {
    if let Some(model) = one_of_several(name, instance) {
        return Ok(model);
    }
    let mut able = instance.models().filter(|model| may(model));
    match (able.next(), able.next()) {
        (Some(_), Some(_)) => {
            let running = instance.models().filter(|model| may(model)).map(|model| model.name.clone()).collect();
            Err(NobodyError::Several { running })
        }
        (only, _) => Ok(only.unwrap_or(&instance.model)),
    }
}

/// The one of several models of an instance that a name means.
fn one_of_several<'i>(name: Option<&str>, instance: &'i Instance) -> Option<&'i Model> {
    let named = instance.models().find(|model| Some(model.name.as_str()) == name);
    named.filter(|_| !instance.others.is_empty())
}

/// `llmup stop`.
pub fn stop(args: &StopArgs, paths: &Paths) -> Result<u8> {
    let running = running::all(paths)?;
    let others = state::of_other_versions(&paths.state(), process::alive);
    if let ([], [other, ..]) = (&running[..], &others[..]) {
        return Err(NobodyError::OtherVersion { pid: other.pid }.into());
    }
    let (meant, name) = if args.all {
        (running, None)
    } else {
        let (instance, name) = meant_by_any_name(args.name.as_deref(), &running)?;
        (vec![instance], name)
    };
    if meant.is_empty() {
        output::note("nothing is running");
    }
    if let [instance] = &meant[..]
        && let Some(model) = one_of_several(name.as_deref(), instance)
    {
        return sleep(instance, &model.name, paths);
    }
    // All are told before any is waited for.
    let order = if args.now { Order::Kill } else { Order::Stop };
    let told: Vec<_> = meant.iter().map(|instance| tell(instance, &order)).collect();
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
        let names: Vec<&str> = instance.models().map(|model| model.name.as_str()).collect();
        let pid = instance.process.pid;
        output::note(&format!("stopped {} (pid {pid}); nothing is left running", names.join(", ")));
    }
    Ok(Exit::Ok.code())
}

/// Ends the engine of one of several models; the others serve on.
fn sleep(instance: &Instance, name: &str, paths: &Paths) -> Result<u8> {
    tell(instance, &Order::Sleep(name.to_owned()))?;
    let began = Instant::now();
    loop {
        let now = running::all(paths)?.into_iter().find(|i| i.process == instance.process);
        let model = now.iter().flat_map(Instance::models).find(|model| model.name == name);
        // One that sleeps in main memory has its process still.
        let ended =
            |model: &Model| matches!(model.phase, Phase::Asleep | Phase::Gone) && model.engine.process.is_none();
        if model.is_none_or(ended) {
            output::note(&format!("stopped the engine of {name}; it is started again when somebody asks for it"));
            output::note("hint: end all of them: `llmup stop --all`");
            return Ok(Exit::Ok.code());
        }
        if began.elapsed() > ORDERLY {
            let (model, pid) = (name.to_owned(), instance.process.pid);
            return Err(NobodyError::Stays { model, pid, seconds: ORDERLY.as_secs() }.into());
        }
        std::thread::sleep(LOOK);
    }
}

/// `llmup restart`.
pub fn restart(args: &RestartArgs, paths: &Paths) -> Result<u8> {
    let of_restart = |nobody: NobodyError| nobody.of("restart");
    let (instance, named) = meant_by_any_name(args.name.as_deref(), &running::all(paths)?).map_err(of_restart)?;
    let model = which(named.as_deref(), &instance, |model| model.engine.process.is_some()).map_err(of_restart)?;
    let (name, before) = (model.name.clone(), model.engine.process.clone());
    let why = match (&before, model.phase) {
        (Some(_), Phase::Loading | Phase::Ready) => None,
        (None, Phase::Loading) => Some("is only being started"),
        (_, Phase::Asleep) => Some("is asleep"),
        _ => Some("has no engine of llmup's own"),
    };
    if let Some(why) = why {
        output::note(&format!("{name} {why}: there is nothing to restart"));
        return Ok(Exit::Ok.code());
    }
    tell(&instance, &Order::Restart(Some(name.clone())))?;
    output::note(&format!("restarting the engine of {name}; requests wait for it"));
    loop {
        let now = running::all(paths)?.into_iter().find(|i| i.process == instance.process);
        let now = now.iter().flat_map(Instance::models).find(|model| model.name == name);
        match now.filter(|model| model.phase != Phase::Gone) {
            None => {
                output::note(&format!("see what happened: `llmup logs {name}`"));
                return Err(NobodyError::Deaf { model: name, pid: instance.process.pid, source: None }.into());
            }
            Some(now) if now.engine.process != before && now.phase == Phase::Ready => {
                output::note(&format!("{name} is ready again"));
                return Ok(Exit::Ok.code());
            }
            Some(_) => std::thread::sleep(LOOK),
        }
    }
}

fn tell(instance: &Instance, order: &Order) -> Result<(), NobodyError> {
    let deaf = |source| NobodyError::Deaf { model: instance.model.name.clone(), pid: instance.process.pid, source };
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
            let (model, pid) = (instance.model.name.clone(), instance.process.pid);
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
    for engine in instance.models().map(|model| &model.engine) {
        if let Some(process) = &engine.process {
            reap(Remains { pid: process.pid, birth: &process.birth, mark: engine.mark.as_deref() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Process, VERSION};

    fn running(model: &str, pid: u32) -> Instance {
        Instance {
            version: VERSION,
            phase: Phase::Ready,
            process: Process { pid, birth: "b".into() },
            url: "http://127.0.0.1:4000".into(),
            key: "k".into(),
            control: None,
            model: Model { phase: Phase::Ready, ..Model::loading(model) },
            others: vec![Model::loading(&format!("{model}-small"))],
            started_at: 0,
        }
    }

    #[test]
    fn of_several_the_hint_is_for_the_command_that_was_typed() {
        let several = || NobodyError::Several { running: vec!["glm".to_owned(), "qwen".to_owned()] };
        for verb in ["restart", "logs", "reload"] {
            let several = several().of(verb);
            let lines = several.lines();
            let lines: Vec<_> = lines.iter().map(|(label, text)| (*label, text.as_str())).collect();
            let hint = format!("name one: `llmup {verb} glm`");
            assert_eq!(lines, [("error", "several models are running: glm, qwen"), ("hint", hint.as_str())]);
            assert_eq!(several.exit(), Exit::Usage);
        }
        assert!(several().hints().contains(&"or end them all: `llmup stop --all`".to_owned()));
        assert_eq!(NobodyError::Nothing.of("logs").exit(), Exit::Missing);
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
        assert_eq!(of(Some("qwen-small"), &both), Ok(4_000_002), "its models are one process");
        let of = |name| which(name, &both[1], |_| true).map(|model| model.name.clone()).map_err(|e| e.exit());
        assert_eq!([of(Some("qwen-small")), of(None)], [Ok("qwen-small".to_owned()), Err(Exit::Usage)]);
        let large = |model: &Model| model.name == "qwen";
        assert_eq!(which(None, &both[1], large).unwrap().name, "qwen", "the only one that may be");
        let of = |name| one_of_several(name, &both[1]).map(|model| model.name.as_str());
        assert_eq!([of(Some("qwen-small")), of(Some("4000002")), of(None)], [Some("qwen-small"), None, None]);
    }
}
