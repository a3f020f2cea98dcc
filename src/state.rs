//! Where an instance says that it runs: one private file each in the state folder, for `env`, `doctor`, `stop` and
//! crash recovery. What it says about processes is only believed together with their birth, because numbers are
//! reused. Looking at processes and killing them is not done here: callers pass in who lives.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{self, FileError};

/// The format of the file. A file of another version is left alone and not listed.
pub const VERSION: u32 = 2;

/// A process that cannot be confused with a later one under the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// When it was born, in the system's own form (see `supervisor::process::birth`).
    pub birth: String,
}

/// Where a running llmup takes orders.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// What a caller must show.
    pub key: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("port", &self.port).finish_non_exhaustive()
    }
}

/// The engine behind an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its name: `vllm`, `llama.cpp`, …
    pub name: String,
    /// The process; `None` when llmup did not start it.
    pub process: Option<Process>,
    /// Its process group.
    pub pgid: Option<u32>,
    /// The mark in the environment of all its processes.
    pub mark: Option<String>,
    /// Where it listens.
    pub port: u16,
    /// Its log file.
    pub log: Option<PathBuf>,
}

/// Sizes of a running model, planned or as the engine says. Bytes are those of one GPU with vLLM, of all places
/// together with llama.cpp and Ollama. `None`: not planned, or not said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sizes {
    /// The longest conversation, tokens.
    pub context: Option<u64>,
    /// Tokens in the cache over all conversations.
    pub kv_tokens: Option<u64>,
    /// The KV cache.
    pub kv_bytes: Option<u64>,
    /// The weights.
    pub weights_bytes: Option<u64>,
    /// Activations at their peak.
    pub compute_bytes: Option<u64>,
    /// CUDA graphs.
    pub graph_bytes: Option<u64>,
    /// All of it, where only the sum is told.
    pub total_bytes: Option<u64>,
    /// Conversations of full length at once.
    pub concurrency: Option<f64>,
    /// How much of the model lies on the GPU, 0..=1.
    pub on_gpu: Option<f64>,
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its engine is being downloaded, installed, or started, for the first time or anew.
    Loading,
    /// It serves, and whoever started it has been told.
    #[default]
    Ready,
    /// Its engine does not run, and is started when somebody asks for it.
    Asleep,
    /// Its engine cannot be had.
    Gone,
}

/// A model of a running llmup.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name, as clients say it.
    pub name: String,
    /// How far it is.
    pub phase: Phase,
    /// The context length in tokens that engine, gateway and clients agreed on; before that the planned one, or 0.
    pub context: u64,
    /// The engine.
    pub engine: Engine,
    /// What the plan expected; `None` for an engine that ran before.
    #[serde(default)]
    pub planned: Option<Sizes>,
    /// What the engine says; `None` when it has not been ready yet.
    #[serde(default)]
    pub measured: Option<Sizes>,
}

impl Model {
    /// One that is about to be started.
    pub fn loading(name: &str) -> Model {
        Model { name: name.to_owned(), phase: Phase::Loading, ..Model::default() }
    }
}

/// A running llmup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// [`VERSION`].
    pub version: u32,
    /// Ready once whoever started it has been told so; later each model has its own.
    #[serde(default)]
    pub phase: Phase,
    /// llmup itself.
    pub process: Process,
    /// The gateway's base URL, without a path. Empty before the gateway listens.
    pub url: String,
    /// The key clients must present. The file is private to the user.
    pub key: String,
    /// Where it takes orders.
    #[serde(default)]
    pub control: Option<Endpoint>,
    /// Its model; of several the first, which clients are told of.
    pub model: Model,
    /// The others.
    #[serde(default)]
    pub others: Vec<Model>,
    /// Seconds since 1970.
    pub started_at: u64,
}

impl Instance {
    /// Whether clients can be told where it is and how much it takes: it was ready once.
    pub fn was_ready(&self) -> bool {
        self.phase == Phase::Ready || self.models().any(|model| model.measured.is_some())
    }

    /// All its models.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        std::iter::once(&self.model).chain(&self.others)
    }

    /// The model at this place.
    pub fn model_mut(&mut self, at: usize) -> Option<&mut Model> {
        if at == 0 { Some(&mut self.model) } else { self.others.get_mut(at - 1) }
    }
}

/// The state folder as it was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Instances that run, the newest first.
    pub running: Vec<Instance>,
    /// Instances that ended without removing their file. The files are gone now; their engines may not be.
    pub crashed: Vec<Instance>,
}

/// The file of the instance with this pid.
fn file(dir: &Path, pid: u32) -> PathBuf {
    dir.join(format!("{pid}.json"))
}

/// Writes or rewrites an instance's file, in one step.
pub fn write(dir: &Path, instance: &Instance) -> Result<(), FileError> {
    let path = file(dir, instance.process.pid);
    let mut bytes = serde_json::to_vec_pretty(instance).map_err(|e| FileError::new("write", &path, e.into()))?;
    bytes.push(b'\n');
    fs::write_private(&path, &bytes)
}

/// Removes an instance's file; fine when it is not there.
pub fn remove(dir: &Path, pid: u32) -> Result<(), FileError> {
    let path = file(dir, pid);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(FileError::new("remove", &path, error)),
        _ => Ok(()),
    }
}

/// Reads the state folder without changing it. `alive` tells whether a pid is still the process of that birth.
pub fn list(dir: &Path, alive: impl Fn(u32, &str) -> bool) -> Result<Found, FileError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::default()),
        Err(error) => return Err(FileError::new("read", dir, error)),
    };
    let mut found = Found::default();
    for entry in entries {
        let path = entry.map_err(|e| FileError::new("read", dir, e))?.path();
        if let Some(instance) = read(&path)? {
            let lives = alive(instance.process.pid, &instance.process.birth);
            if lives { &mut found.running } else { &mut found.crashed }.push(instance);
        }
    }
    found.running.sort_by_key(|i| std::cmp::Reverse((i.started_at, i.process.pid)));
    found.crashed.sort_by_key(|i| std::cmp::Reverse((i.started_at, i.process.pid)));
    Ok(found)
}

/// Living llmups of another version, whose files say in a way of their own what they run. `alive` as for [`list`].
pub fn of_other_versions(dir: &Path, alive: impl Fn(u32, &str) -> bool) -> Vec<Process> {
    #[derive(Deserialize)]
    struct Any {
        version: u32,
        process: Process,
    }
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let known = files.filter(|path| is_ours(path)).filter_map(|path| {
        let any: Any = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (any.version != VERSION && alive(any.process.pid, &any.process.birth)).then_some(any.process)
    });
    known.collect()
}

/// Like [`list`], and takes the crashed ones off the books. `reap` is called for each before its file goes, so that a
/// crash in between forgets nothing; whoever it cannot end stays listed by returning false.
pub fn heal(
    dir: &Path,
    alive: impl Fn(u32, &str) -> bool,
    mut reap: impl FnMut(&Instance) -> bool,
) -> Result<Found, FileError> {
    let found = list(dir, alive)?;
    for instance in &found.crashed {
        if reap(instance) {
            remove_if(dir, instance)?;
        }
    }
    Ok(found)
}

/// Removes the file only if it still speaks of this very instance: a new llmup may have got the same pid since.
fn remove_if(dir: &Path, instance: &Instance) -> Result<(), FileError> {
    let now = read(&file(dir, instance.process.pid))?;
    if now.is_some_and(|now| now.process == instance.process) { remove(dir, instance.process.pid) } else { Ok(()) }
}

/// Whether a file has the name of one of ours.
fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "json")
        && path.file_stem().and_then(|s| s.to_str()).is_some_and(|s| s.parse::<u32>().is_ok())
}

/// `None`: gone meanwhile, not one of ours, or of another version.
fn read(path: &Path) -> Result<Option<Instance>, FileError> {
    if !is_ours(path) {
        return Ok(None);
    }
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice::<Instance>(&bytes).ok().filter(|i| i.version == VERSION)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::new("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(pid: u32, birth: &str, started_at: u64) -> Instance {
        Instance {
            version: VERSION,
            phase: Phase::Ready,
            process: Process { pid, birth: birth.to_owned() },
            url: "http://127.0.0.1:4242".to_owned(),
            key: "k".to_owned(),
            control: None,
            model: Model {
                context: 65_536,
                engine: Engine {
                    name: "vllm".to_owned(),
                    process: Some(Process { pid: pid + 1, birth: "e".to_owned() }),
                    pgid: Some(pid + 1),
                    mark: Some("mark".to_owned()),
                    port: 4243,
                    log: None,
                },
                planned: Some(Sizes { context: Some(131_072), ..Sizes::default() }),
                ..Model::loading("m")
            },
            others: vec![Model::loading("n")],
            started_at,
        }
    }

    #[test]
    fn what_was_written_is_read_and_only_by_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let one = instance(10, "a", 5);
        write(dir.path(), &one).unwrap();
        let found = list(dir.path(), |_, _| true).unwrap();
        assert_eq!(found, Found { running: vec![one], crashed: vec![] });
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join("10.json")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        remove(dir.path(), 10).unwrap();
        remove(dir.path(), 10).unwrap();
        assert_eq!(list(dir.path(), |_, _| true).unwrap(), Found::default());
    }

    #[test]
    fn a_reused_pid_is_not_taken_for_the_instance() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &instance(10, "old", 1)).unwrap();
        write(dir.path(), &instance(20, "b", 2)).unwrap();
        write(dir.path(), &instance(30, "c", 3)).unwrap();
        // 10 lives, but was born later than recorded.
        let alive = |pid: u32, birth: &str| matches!((pid, birth), (10, "new") | (20, "b") | (30, "c"));
        let mut reaped = Vec::new();
        let found = heal(dir.path(), alive, |i| {
            reaped.push((i.process.pid, i.model.engine.pgid));
            true
        })
        .unwrap();
        assert_eq!(found.running.iter().map(|i| i.process.pid).collect::<Vec<_>>(), [30, 20]);
        assert_eq!(reaped, [(10, Some(11))]);
        assert!(!dir.path().join("10.json").exists());
        assert_eq!(list(dir.path(), alive).unwrap().crashed, []);
    }

    #[test]
    fn one_of_another_version_is_known_by_its_process_alone() {
        let dir = tempfile::tempdir().unwrap();
        let old =
            |pid: u32, birth: &str| format!(r#"{{"version":1,"process":{{"pid":{pid},"birth":"{birth}"}},"x":0}}"#);
        std::fs::write(dir.path().join("10.json"), old(10, "a")).unwrap();
        std::fs::write(dir.path().join("11.json"), old(11, "gone")).unwrap();
        std::fs::write(dir.path().join("12.json"), "{").unwrap();
        write(dir.path(), &instance(20, "a", 2)).unwrap();
        let alive = |_: u32, birth: &str| birth == "a";
        assert_eq!(of_other_versions(dir.path(), alive), [Process { pid: 10, birth: "a".into() }]);
        assert_eq!(list(dir.path(), alive).unwrap().running.len(), 1);
        assert_eq!(of_other_versions(&dir.path().join("none"), alive), []);
    }

    #[test]
    fn what_could_not_be_ended_stays_on_the_books() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &instance(10, "a", 1)).unwrap();
        heal(dir.path(), |_, _| false, |_| false).unwrap();
        assert_eq!(list(dir.path(), |_, _| false).unwrap().crashed.len(), 1);
    }

    #[test]
    fn a_new_instance_under_the_old_number_keeps_its_file() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &instance(10, "old", 1)).unwrap();
        let newer = instance(10, "new", 2);
        heal(
            dir.path(),
            |_, birth| birth == "new",
            |_| {
                write(dir.path(), &newer).unwrap();
                true
            },
        )
        .unwrap();
        assert_eq!(list(dir.path(), |_, birth| birth == "new").unwrap().running, [newer]);
    }

    #[test]
    fn foreign_and_broken_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in
            [("notes.json", "{}"), ("7.json", "{\"version\":1"), ("8.json", "{\"version\":99}"), ("9.tmp", "")]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(heal(dir.path(), |_, _| false, |_| true).unwrap(), Found::default());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
        assert_eq!(list(&dir.path().join("none"), |_, _| true).unwrap(), Found::default());
    }
}
