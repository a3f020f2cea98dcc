//! A recording as a folder: `recording.json` says what was asked, and each answer that is a text is a file of its own,
//! so that people can read it and the other kinds of recordings can, too. A folder may come from a stranger: what it
//! names is read below it only.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::names::{command, encoded, named, slug};
use super::questions::kind_of;
use super::{Failed, Recording};
use crate::error::Explain;
use crate::exit::Exit;
use crate::host::{Os, Ran};

/// The file that says what the others are.
pub(crate) const INDEX: &str = "recording.json";
/// The form that this llmup writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// More is no answer of a tool and no small file of the kernel's.
const MOST_BYTES: u64 = 16 << 20;

/// Why a folder was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It has something in it.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    System {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It has no index, or one that makes no sense.
    #[error("{} is no recording: {why}", path.display())]
    NoRecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Explain for FolderError {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        vec![match self {
            FolderError::NotEmpty(_) => {
                "name a folder that is not there yet: `llmup doctor --record machine`".to_owned()
            }
            FolderError::System { path, .. } => format!("look at `ls -ld {}`", path.display()),
            FolderError::NoRecording { .. } => {
                "name a folder that `llmup doctor --record DIR` wrote: `llmup hardware --from recording=DIR`".to_owned()
            }
        }]
    }
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Below the folder, with `/`.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// What it is.
    pub what: String,
    /// The kind of recording (`llmup hardware --from KIND=PATH`) that reads it, where one does.
    pub kind: Option<&'static str>,
}

#[derive(Serialize, Deserialize)]
struct Index {
    format: u32,
    llmup: String,
    os: Os,
    #[serde(default)]
    told: BTreeMap<String, Value>,
    #[serde(default)]
    env: BTreeMap<String, Option<String>>,
    #[serde(default)]
    programs: BTreeMap<String, Option<String>>,
    #[serde(default)]
    runs: Vec<RunEntry>,
    #[serde(default)]
    files: BTreeMap<String, Entry>,
    #[serde(default)]
    folders: BTreeMap<String, Listed>,
    #[serde(default)]
    exists: BTreeMap<String, bool>,
    #[serde(default)]
    access: BTreeMap<String, Option<Failed>>,
}

#[derive(Serialize, Deserialize)]
struct RunEntry {
    program: String,
    args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    /// Where its words are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stderr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    In(String),
    Failed(Failed),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Listed {
    Entries(Vec<String>),
    Failed(Failed),
}

/// Makes sure that there is an empty folder.
pub fn prepare(dir: &Path) -> Result<(), FolderError> {
    std::fs::create_dir_all(dir).map_err(|source| system("make", dir, source))?;
    let mut entries = std::fs::read_dir(dir).map_err(|source| system("read", dir, source))?;
    if entries.next().is_some() { Err(FolderError::NotEmpty(dir.to_owned())) } else { Ok(()) }
}

/// Writes a recording into a folder that has nothing of the kind in it yet.
pub fn write(dir: &Path, recording: &Recording) -> Result<Vec<Written>, FolderError> {
    let mut writer = Writer { dir, written: Vec::new() };
    let mut index = Index {
        format: FORMAT,
        llmup: env!("CARGO_PKG_VERSION").to_owned(),
        os: recording.os,
        told: recording.told.clone(),
        env: recording.env.clone(),
        programs: recording.programs.clone(),
        runs: Vec::new(),
        files: BTreeMap::new(),
        folders: BTreeMap::new(),
        exists: recording.exists.clone(),
        access: recording.access.iter().map(|(path, may)| (path.clone(), may.clone().err())).collect(),
    };
    for ((program, args), answer) in &recording.runs {
        let mut entry = RunEntry {
            program: program.clone(),
            args: args.clone(),
            code: None,
            stdout: None,
            stderr: None,
            failed: None,
        };
        match answer {
            Ok(ran) => {
                entry.code = ran.code;
                let name = format!("tools/{}", slug(program, args));
                let line = command(program, args);
                entry.stdout =
                    Some(writer.file(&named(&name, &ran.stdout), &ran.stdout, &line, kind_of(program, args))?);
                if !ran.stderr.is_empty() {
                    entry.stderr = Some(writer.file(&format!("{name}.stderr.txt"), &ran.stderr, &line, None)?);
                }
            }
            Err(failed) => entry.failed = Some(failed.clone()),
        }
        index.runs.push(entry);
    }
    for (path, answer) in &recording.files {
        let entry = match answer {
            Ok(bytes) => {
                let kind = match path.as_str() {
                    "/proc/meminfo" => Some("meminfo"),
                    "/proc/cpuinfo" => Some("cpuinfo"),
                    _ => None,
                };
                Entry::In(writer.file(&format!("files/{}", encoded(path)), bytes, path, kind)?)
            }
            Err(failed) => Entry::Failed(failed.clone()),
        };
        index.files.insert(path.clone(), entry);
    }
    for (path, answer) in &recording.folders {
        let listed = match answer {
            Ok(entries) => Listed::Entries(entries.clone()),
            Err(failed) => Listed::Failed(failed.clone()),
        };
        index.folders.insert(path.clone(), listed);
    }
    let text = serde_json::to_string_pretty(&index).map_err(|error| system("write", dir, error.into()))?;
    writer.file(INDEX, text + "\n", "every question and its answer", Some("recording"))?;
    Ok(writer.written)
}

struct Writer<'a> {
    dir: &'a Path,
    written: Vec<Written>,
}

impl Writer<'_> {
    /// Writes a file; its name gets a number where another has it already.
    fn file(
        &mut self,
        name: &str,
        bytes: impl AsRef<[u8]>,
        what: &str,
        kind: Option<&'static str>,
    ) -> Result<String, FolderError> {
        let bytes = bytes.as_ref();
        let taken = |name: &str| self.written.iter().any(|file| file.path.eq_ignore_ascii_case(name));
        // File systems of other systems know no capitals.
        let (stem, ending) = match name.rsplit_once('.') {
            Some((stem, ending)) if !ending.contains('/') => (stem, format!(".{ending}")),
            _ => (name, String::new()),
        };
        let others = (2_usize..).map(|number| format!("{stem}-{number}{ending}"));
        let mut names = std::iter::once(name.to_owned()).chain(others);
        let name = names.find(|name| !taken(name)).unwrap_or_default();
        let path = self.dir.join(&name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| system("make", parent, source))?;
        }
        std::fs::write(&path, bytes).map_err(|source| system("write", &path, source))?;
        let (what, bytes) = (what.to_owned(), bytes.len() as u64);
        self.written.push(Written { path: name.clone(), bytes, what, kind });
        Ok(name)
    }
}

/// Reads a folder. Nothing outside of it is opened, whatever it says.
pub fn load(dir: &Path) -> Result<Recording, FolderError> {
    let root = dir.canonicalize().map_err(|source| system("read", dir, source))?;
    let text = below(&root, INDEX)?;
    let no_recording = |why: String| FolderError::NoRecording { path: dir.join(INDEX), why };
    let index: Index = serde_json::from_slice(&text).map_err(|error| no_recording(error.to_string()))?;
    if index.format > FORMAT {
        let why = format!("its form {} is newer than this llmup reads ({FORMAT}); update llmup", index.format);
        return Err(no_recording(why));
    }
    let mut recording = Recording::new(index.os);
    recording.told = index.told;
    recording.env = index.env;
    recording.programs = index.programs;
    recording.exists = index.exists;
    let access = index.access.into_iter();
    recording.access = access.map(|(path, failed)| (path, failed.map_or(Ok(()), Err))).collect();
    for entry in index.runs {
        let words = |file: Option<&String>| match file {
            Some(file) => Ok(String::from_utf8_lossy(&below(&root, file)?).into_owned()),
            None => Ok(String::new()),
        };
        let answer = match entry.failed {
            Some(failed) => Err(failed),
            None => Ok(Ran {
                code: entry.code,
                stdout: words(entry.stdout.as_ref())?,
                stderr: words(entry.stderr.as_ref())?,
            }),
        };
        recording.runs.insert((entry.program, entry.args), answer);
    }
    for (path, entry) in index.files {
        let answer = match entry {
            Entry::In(file) => Ok(below(&root, &file)?),
            Entry::Failed(failed) => Err(failed),
        };
        recording.files.insert(path, answer);
    }
    for (path, listed) in index.folders {
        let answer = match listed {
            Listed::Entries(entries) => Ok(entries),
            Listed::Failed(failed) => Err(failed),
        };
        recording.folders.insert(path, answer);
    }
    Ok(recording)
}

/// The bytes of a file below the folder: no `..`, no link that leads out, nothing big.
fn below(root: &Path, name: &str) -> Result<Vec<u8>, FolderError> {
    let path = root.join(name);
    let refuse = |why: &str| FolderError::NoRecording { path: path.clone(), why: why.to_owned() };
    if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(refuse("it names a file outside of its folder"));
    }
    let real = path.canonicalize().map_err(|source| system("read", &path, source))?;
    if !real.starts_with(root) {
        return Err(refuse("it leads out of its folder"));
    }
    let known = std::fs::metadata(&real).map_err(|source| system("read", &path, source))?;
    if !known.is_file() || known.len() > MOST_BYTES {
        return Err(refuse("it is no small file"));
    }
    std::fs::read(&real).map_err(|source| system("read", &path, source))
}

fn system(action: &'static str, path: &Path, source: io::Error) -> FolderError {
    FolderError::System { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_stranger_opens_nothing_outside_of_itself() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let index = |file: &str| {
            format!(
                "{{\"format\": 1, \"llmup\": \"0\", \"os\": \"linux\", \"files\": {{\"/x\": {{\"in\": {file:?}}}}}}}"
            )
        };
        let absolute = outside.path().display().to_string();
        for file in [absolute.as_str(), "../recording.json", "files/../../x", "."] {
            std::fs::write(dir.path().join(INDEX), index(file)).unwrap();
            assert!(load(dir.path()).is_err(), "{file}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
            std::fs::write(dir.path().join(INDEX), index("link")).unwrap();
            assert!(matches!(load(dir.path()), Err(FolderError::NoRecording { .. })));
        }
        std::fs::write(dir.path().join(INDEX), "{\"format\": 2, \"llmup\": \"9\", \"os\": \"linux\"}").unwrap();
        assert!(load(dir.path()).unwrap_err().to_string().contains("newer"));
    }
}
