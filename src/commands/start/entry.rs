//! What a start says about itself in the state folder, from its first moment on: `status` shows it, `stop` ends it, and
//! a second start of the same model waits for it instead of loading the model twice.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::detach::detached;
use crate::commands::running::{self, Live};
use crate::engine::{self, EngineId};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::fs::{self, FileError};
use crate::output;
use crate::paths::Paths;
use crate::progress::Progress;
use crate::protocol::ids;
use crate::state::{self, Engine, Instance, Model, Phase};
use crate::supervisor::tail::Tail;
use crate::supervisor::{Child, process};

/// Between two looks at another start.
const LOOK: Duration = Duration::from_millis(50);

/// Looking whether a model runs and writing that it does takes milliseconds; who holds the lock longer is stopped.
const LOCKED: Duration = Duration::from_secs(30);

/// This start's file; it goes with the value.
pub(super) struct Entry {
    dir: PathBuf,
    instance: Mutex<Instance>,
}

/// Whose turn it is to start a model.
pub(super) enum Claim {
    /// Ours.
    Ours(Arc<Entry>),
    /// It runs, or is being started.
    Theirs(Box<Instance>),
}

impl Entry {
    /// Writes that these models are being started, unless they are already. Of several starts at once, one is first:
    /// this holds [`lock`], or is [`detached`] and its parent does.
    pub fn claim(models: &[String], paths: &Paths) -> Result<Claim> {
        let _lock = if detached() { None } else { lock(paths)? };
        if let Some(instance) = of_models(models, paths)? {
            return Ok(Claim::Theirs(Box::new(instance)));
        }
        let pid = std::process::id();
        let mut all = models.iter().map(|name| Model::loading(name));
        let instance = Instance {
            version: state::VERSION,
            phase: Phase::Loading,
            process: state::Process { pid, birth: process::birth(pid).unwrap_or_default() },
            url: String::new(),
            key: String::new(),
            control: None,
            model: all.next().unwrap_or_default(),
            others: all.collect(),
            started_at: ids::now(),
        };
        let dir = paths.state();
        state::write(&dir, &instance)?;
        Ok(Claim::Ours(Arc::new(Entry { dir, instance: Mutex::new(instance) })))
    }

    /// Changes what it says. A disk that became full since it was first written is no reason to end what serves.
    pub fn change_all(&self, change: impl FnOnce(&mut Instance)) -> Instance {
        let mut instance = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut instance);
        if let Err(error) = state::write(&self.dir, &instance) {
            output::warning(format_args!("other commands do not see how it stands: {error}"));
        }
        instance.clone()
    }

    /// Whether there is one model only.
    pub fn alone(&self) -> bool {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner).others.is_empty()
    }

    /// Whether this model could not be had.
    pub fn gone(&self, at: usize) -> bool {
        let instance = self.instance.lock().unwrap_or_else(PoisonError::into_inner);
        instance.models().nth(at).is_some_and(|model| model.phase == Phase::Gone)
    }

    /// Puts a model in its place: a new one, or another one instead of one that is gone.
    pub fn enlist(&self, at: usize, model: Model) {
        self.change_all(|instance| match instance.model_mut(at) {
            Some(old) => *old = model,
            None => instance.others.push(model),
        });
    }

    /// Changes what it says of one model.
    pub fn change(&self, at: usize, change: impl FnOnce(&mut Model)) -> Instance {
        self.change_all(|instance| {
            if let Some(model) = instance.model_mut(at) {
                change(model);
            }
        })
    }

    /// An engine was launched and does not answer yet.
    pub fn launched(&self, at: usize, name: &str, child: &Child, port: u16, log: &Path) {
        let engine = Engine { port, log: Some(log.to_owned()), ..of_child(name, Some(child)) };
        self.change(at, |model| {
            model.phase = Phase::Loading;
            model.engine = engine;
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let _ = state::remove(&self.dir, std::process::id());
    }
}

/// From the look whether a model runs until the file that says so, nobody else may look. A lock that cannot be had in
/// time is no reason not to start.
pub(super) fn lock(paths: &Paths) -> Result<Option<File>, FileError> {
    let began = Instant::now();
    loop {
        match fs::try_lock(&paths.data.join("start.lock"))? {
            None if began.elapsed() < LOCKED => std::thread::sleep(Duration::from_millis(5)),
            lock => return Ok(lock),
        }
    }
}

/// An engine as the state file has it.
pub(super) fn of_child(name: &str, child: Option<&Child>) -> Engine {
    Engine {
        name: name.to_owned(),
        process: child.map(|c| state::Process { pid: c.pid(), birth: process::birth(c.pid()).unwrap_or_default() }),
        pgid: child.map(Child::pgid),
        mark: child.map(|c| c.mark().to_owned()),
        port: 0,
        log: None,
    }
}

/// The one that serves these models, or is about to. What could not be had does not count.
pub(super) fn of_models(models: &[String], paths: &Paths) -> Result<Option<Instance>> {
    let mut running = running::all(paths)?;
    running.retain(|instance| instance.model.engine.name != running::BACKEND);
    let has = |instance: &Instance, name: &String| {
        instance.models().any(|model| model.name == *name && model.phase != Phase::Gone)
    };
    if let Some(at) = running.iter().position(|instance| models.iter().all(|name| has(instance, name))) {
        return Ok(Some(running.swap_remove(at)));
    }
    let some = models.iter().find_map(|name| Some((name, running.iter().find(|instance| has(instance, name))?)));
    let Some((name, instance)) = some else { return Ok(None) };
    let message = format!("{name} runs already (pid {})", instance.process.pid);
    let runs = |model: &&String| running.iter().any(|instance| has(instance, model));
    let others: Vec<&str> = models.iter().filter(|model| !runs(model)).map(String::as_str).collect();
    let port = instance.url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(super::DEFAULT_PORT);
    let port = if port == super::DEFAULT_PORT { String::new() } else { format!(" --port {port}") };
    let mut hints = vec![format!("or end it first, then start all together: `llmup stop {name}`")];
    if !others.is_empty() {
        hints.insert(0, format!("start the others, which it takes in: `llmup start {}{port}`", others.join(" ")));
    }
    Err(Plain { message, exit: Exit::Taken, hints }.into())
}

/// Which of these models is being started by another llmup.
pub(super) fn loading(instance: &Instance, models: &[String]) -> Option<String> {
    // They are there, and whoever started them is about to be told; or nobody can be asked for them yet.
    let whole = || instance.url.is_empty() || instance.models().all(|model| models.contains(&model.name));
    match standing(instance, models, Phase::Loading) {
        None if instance.phase == Phase::Loading && whole() => Some(models.join(", ")),
        loading => loading,
    }
}

fn standing(instance: &Instance, models: &[String], phase: Phase) -> Option<String> {
    let found = instance.models().find(|model| model.phase == phase && models.contains(&model.name));
    found.map(|model| model.name.clone())
}

/// Waits until these models of another start are ready, or do not have to be: what starts when it is asked for is asleep
/// until then.
pub(super) fn wait(mut instance: Instance, models: &[String], paths: &Paths) -> Result<Instance> {
    let mut follow = Follow { progress: Progress::new(), log: None };
    while let Some(model) = loading(&instance, models) {
        instance.models().filter(|known| known.name == model).for_each(|model| follow.look(model));
        std::thread::sleep(LOOK);
        let now = running::all(paths)?.into_iter().find(|i| i.process == instance.process);
        let Some(now) = now.map_or_else(|| of_models(models, paths), |now| Ok(Some(now)))? else {
            let message = format!("the other start of {model} (pid {}) ended", instance.process.pid);
            let hints = vec![format!("see why: `llmup logs {model}`"), "then start it again".to_owned()];
            return Err(Plain { message, exit: Exit::EngineFailed, hints }.into());
        };
        // Another one, if that start handed them over.
        instance = now;
    }
    follow.progress.finish();
    if let Some(model) = standing(&instance, models, Phase::Gone) {
        let why = Live::of(&instance).and_then(|live| live.models.into_iter().find(|live| live.name == model)?.because);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let message =
            format!("the llmup that serves {model} (pid {}) cannot get its engine{why}", instance.process.pid);
        let hints = vec![
            format!("see why: `llmup logs {model}`"),
            format!("try again, also with other options: `llmup start {model}`"),
        ];
        return Err(Plain { message, exit: Exit::EngineFailed, hints }.into());
    }
    Ok(instance)
}

/// What the engine of another start says about how far it is.
struct Follow {
    progress: Progress,
    /// Whose log it is.
    log: Option<(state::Process, &'static dyn engine::Engine, Tail)>,
}

impl Follow {
    fn look(&mut self, model: &Model) {
        let Engine { name, process: Some(process), log: Some(log), .. } = &model.engine else { return };
        if self.log.as_ref().is_none_or(|(known, ..)| known != process) {
            let Some(id) = EngineId::ALL.into_iter().find(|id| id.name() == name) else { return };
            self.progress.step(&format!("{} ({id}): starting", model.name));
            self.log = Some((process.clone(), engine::driver(id), Tail::new(log)));
        }
        let Some((_, engine, tail)) = &mut self.log else { return };
        for line in tail.poll().unwrap_or_default() {
            if let Some(phase) = engine.phase(&line.text) {
                self.progress.step(&format!("{} ({name}): {phase}", model.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_starts_at_once_one_has_the_model_and_its_file_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { data: dir.path().to_owned(), config: dir.path().to_owned() };
        let Claim::Ours(entry) = Entry::claim(&["m".to_owned()], &paths).unwrap() else {
            panic!("nobody else is there")
        };
        let Claim::Theirs(other) = Entry::claim(&["m".to_owned()], &paths).unwrap() else { panic!("two have it") };
        assert_eq!((other.phase, other.process.pid), (Phase::Loading, std::process::id()));
        entry.change(0, |model| model.phase = Phase::Ready);
        entry.change_all(|instance| instance.phase = Phase::Ready);
        let m = ["m".to_owned()];
        assert_eq!(wait(*other, &m, &paths).unwrap().phase, Phase::Ready);
        let error = of_models(&["x".to_owned(), "m".to_owned()], &paths).unwrap_err();
        assert_eq!(error.exit(), Exit::Taken, "half of them run");
        let last = of_models(&["m".to_owned()], &paths).unwrap().unwrap();
        drop(entry);
        assert!(of_models(&["m".to_owned()], &paths).unwrap().is_none());
        let error = wait(Instance { phase: Phase::Loading, ..last.clone() }, &m, &paths).unwrap_err();
        assert_eq!(error.exit(), Exit::EngineFailed);
        // Of several, only those that are asked for count.
        let phased = |name: &str, phase| Model { phase, ..Model::loading(name) };
        let others =
            vec![phased("broken", Phase::Gone), phased("slow", Phase::Loading), phased("later", Phase::Asleep)];
        let several = Instance { others, ..last };
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            wait(several.clone(), &names, &paths).map(|_| ()).map_err(|error| error.lines()[0].1.clone())
        };
        assert_eq!(of(&["m", "later"]), Ok(()));
        assert!(of(&["later", "broken"]).unwrap_err().contains("serves broken"));
        assert!(of(&["m", "slow"]).unwrap_err().contains("the other start of slow"));
    }
}
