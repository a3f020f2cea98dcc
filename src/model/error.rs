//! What can be wrong with a model the user names: what was found, what was expected, what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Explain, paste};
use crate::exit::Exit;
use crate::fs::FileError;
use crate::host::Os;

/// Why a path is no model that an engine could load (or the demo model cannot be written).
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum ModelError {
    #[error("there is no {path}", path = path.display())]
    Missing { path: PathBuf, nearest: PathBuf, similar: Vec<String> },
    #[error("cannot read {path}", path = path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is empty; expected config.json and *.safetensors, or a .gguf file", path = path.display())]
    EmptyDir { path: PathBuf },
    #[error("{path} has no config.json; expected config.json and *.safetensors, or a .gguf file", path = path.display())]
    NoConfig { path: PathBuf, holds: Vec<String> },
    #[error("{path} has config.json but no *.safetensors", path = path.display())]
    NoWeights { path: PathBuf, holds: Vec<String> },
    #[error("{path} holds its weights as PyTorch files ({file}), not as *.safetensors", path = path.display())]
    PickleOnly { path: PathBuf, file: String },
    #[error("{path}, line {line}, column {column}: not valid JSON", path = path.display())]
    Json {
        path: PathBuf,
        line: usize,
        column: usize,
        #[source]
        source: serde_json::Error,
    },
    #[error("{path}: {why}", path = path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("{dir} lacks {missing} of its {total} weight files: {names}", dir = dir.display(), missing = missing.len(),
        names = listed(missing))]
    ShardsMissing { dir: PathBuf, missing: Vec<String>, total: usize },
    #[error("{path} is truncated: expected {expected} bytes, found {found}", path = path.display())]
    Truncated { path: PathBuf, expected: u64, found: u64 },
    #[error("{path} is {found} bytes long, but its header describes {expected}", path = path.display())]
    TooLong { path: PathBuf, expected: u64, found: u64 },
    #[error("{path} is not a GGUF file: it starts with {magic}, expected \"GGUF\"", path = path.display())]
    NotGguf { path: PathBuf, magic: String },
    #[error("{path} is not the file itself but a Git LFS pointer to it", path = path.display())]
    LfsPointer { path: PathBuf },
    #[error("{path} is a web page, not a model's file", path = path.display())]
    WebPage { path: PathBuf },
    #[error("{path} is empty: it has 0 bytes", path = path.display())]
    EmptyFile { path: PathBuf },
    #[error("{index} lists tensors that {file} does not hold, such as \"{tensor}\"", index = index.display())]
    TensorMissing { index: PathBuf, file: String, tensor: String },
    #[error("{path} is no model file; expected a model directory or a .gguf file", path = path.display())]
    UnknownFile { path: PathBuf },
    #[error("{dir} holds {count} different models", dir = dir.display(), count = files.len())]
    Several { dir: PathBuf, files: Vec<String> },
    #[error("demo script '{name}': {why}")]
    Script { name: String, why: String },
    #[error(transparent)]
    File(#[from] FileError),
}

/// Shows the start of a file.
pub(super) const LOOK: &str = if cfg!(windows) { "Get-Content -TotalCount 3" } else { "head -c 200" };

impl Explain for ModelError {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        let again = |path: &PathBuf| {
            vec![format!("the download is not complete; fetch the missing files of {} again", path.display())]
        };
        match self {
            ModelError::Missing { nearest, similar, .. } if !similar.is_empty() => {
                similar.iter().take(3).map(|s| format!("did you mean `{}`?", paste::path(&nearest.join(s)))).collect()
            }
            ModelError::Missing { nearest, .. } => vec![format!("see what is there: `ls {}`", paste::path(nearest))],
            ModelError::Unreadable { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                vec![match Os::current() {
                    Os::Windows => format!("no permission; see who may read it: `icacls {}`", paste::path(path)),
                    _ => format!("no permission; make it readable: `chmod -R u+rX {}`", paste::path(path)),
                }]
            }
            // The entry is listed but leads nowhere: a link into a cache that was cleaned.
            ModelError::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => {
                let list = if cfg!(windows) { "ls" } else { "ls -l" };
                vec![format!("a broken link? see where it leads: `{list} {}`", paste::path(path))]
            }
            ModelError::EmptyDir { .. } => {
                vec!["download a model into it, or try llmup without one: `llmup start demo --yes`".into()]
            }
            ModelError::NoConfig { path, .. } => {
                // PowerShell would take a star behind a quoted path for another word.
                let below = if cfg!(windows) { paste::path(&path.join("*")) } else { paste::path(path) + "/*" };
                vec![format!("name the folder that holds config.json, often one below: `ls {below}`")]
            }
            ModelError::NoWeights { path, .. } => again(path),
            ModelError::PickleOnly { .. } => {
                vec!["choose a release of the model with *.safetensors: PyTorch files can run code when loaded".into()]
            }
            ModelError::ShardsMissing { dir, .. } => again(dir),
            ModelError::Truncated { path, .. } | ModelError::TooLong { path, .. } | ModelError::EmptyFile { path } => {
                vec![format!("download it again: delete it first with `rm {}`", paste::path(path))]
            }
            ModelError::LfsPointer { path } => {
                vec![format!("fetch what the pointers stand for: `git -C {} lfs pull`", paste::path(parent(path)))]
            }
            ModelError::WebPage { path } => {
                let look = format!("see what the server said: `{LOOK} {}`", paste::path(path));
                vec![look, "some models can be downloaded only after signing in and accepting their terms".into()]
            }
            ModelError::TensorMissing { index, file, .. } => {
                let file = index.with_file_name(file);
                // PowerShell takes a list.
                let between = if cfg!(windows) { ", " } else { " " };
                vec![format!(
                    "they are of different downloads; fetch both again: `rm {}{between}{}`",
                    paste::path(index),
                    paste::path(&file)
                )]
            }
            ModelError::Json { path, .. } => {
                vec![format!("mend it there, or download it again: delete it first with `rm {}`", paste::path(path))]
            }
            ModelError::Malformed { path, .. } | ModelError::NotGguf { path, .. } => {
                vec![format!("it may be damaged; look at it: `{LOOK} {}`, or download it again", paste::path(path))]
            }
            ModelError::UnknownFile { path } => {
                vec![format!("name the folder it is in, if that is a model: `ls {}`", paste::path(parent(path)))]
            }
            ModelError::Several { dir, files } => files
                .iter()
                .take(3)
                .map(|file| format!("name one of them: `{}`", paste::path(&dir.join(file))))
                .collect(),
            ModelError::File(error) => error.hints(),
            _ => Vec::new(),
        }
    }

    fn finding(&self) -> Option<&'static str> {
        Some(match self {
            ModelError::Missing { .. } => "LLMUP-M001",
            ModelError::EmptyDir { .. } | ModelError::NoConfig { .. } => "LLMUP-M002",
            ModelError::Truncated { .. } | ModelError::TooLong { .. } | ModelError::EmptyFile { .. } => "LLMUP-M003",
            ModelError::NotGguf { .. } => "LLMUP-M004",
            ModelError::NoWeights { .. } => "LLMUP-M006",
            ModelError::ShardsMissing { .. } | ModelError::TensorMissing { .. } => "LLMUP-M007",
            ModelError::File(error) => return error.finding(),
            _ => return None,
        })
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            ModelError::NoConfig { holds, .. } | ModelError::NoWeights { holds, .. } => {
                vec![format!("the folder holds {}", listed(holds))]
            }
            ModelError::Several { files, .. } => files.iter().take(8).cloned().collect(),
            _ => Vec::new(),
        }
    }
}

/// The folder a file is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{first} and {} more", names.len() - 5) } else { first }
}
