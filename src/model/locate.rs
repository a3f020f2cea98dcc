//! From a path the user typed to the reader that understands it, or to the reason why none does.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{ModelError, Weights, gguf, safetensors};

/// Describes the model at `path` by its headers: a directory with config.json and *.safetensors, a .gguf file, or a
/// folder that holds one GGUF model.
pub fn read_path(path: &Path) -> Result<Weights, ModelError> {
    let kind = match std::fs::metadata(path) {
        Ok(kind) => kind,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(missing(path));
        }
        Err(e) => return Err(unreadable(path)(e)),
    };
    if kind.is_dir() {
        return read_dir(path);
    }
    if !kind.is_file() {
        return Err(ModelError::UnknownFile { path: path.to_owned() });
    }
    // The file inside a model directory is how people who click name the directory.
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if (name.ends_with(".safetensors") || name == "config.json") && parent.join("config.json").is_file() {
        return safetensors::read_dir(parent);
    }
    match gguf::read(path) {
        Err(ModelError::NotGguf { path, .. }) if !name.to_ascii_lowercase().ends_with(".gguf") => {
            Err(ModelError::UnknownFile { path })
        }
        other => other,
    }
}

fn read_dir(dir: &Path) -> Result<Weights, ModelError> {
    let holds = names(dir)?;
    let mut models: Vec<String> = holds.iter().filter(|n| is_first_gguf(n)).cloned().collect();
    let safetensors = holds.iter().any(|n| n.ends_with(".safetensors"));
    if holds.iter().any(|n| n == "config.json") && (safetensors || models.is_empty()) {
        return safetensors::read_dir(dir);
    }
    match (models.len(), models.pop()) {
        (1, Some(only)) => gguf::read(&dir.join(only)),
        (0, _) if holds.is_empty() => Err(ModelError::EmptyDir { path: dir.to_owned() }),
        // Parts without the first: the reader says which are missing.
        (0, _) if let Some(part) = holds.iter().find(|name| gguf::part(name).is_some()) => gguf::read(&dir.join(part)),
        (0, _) if let Some(file) = safetensors::pickled(&holds).filter(|_| !safetensors) => {
            Err(ModelError::PickleOnly { path: dir.to_owned(), file: file.clone() })
        }
        (_, Some(last)) => {
            models.push(last);
            Err(ModelError::Several { dir: dir.to_owned(), files: models })
        }
        (_, None) => Err(ModelError::NoConfig { path: dir.to_owned(), holds }),
    }
}

/// A GGUF model's first (or only) file; projectors of vision models are no models.
fn is_first_gguf(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".gguf") && !name.starts_with("mmproj") && gguf::part(&name).is_none_or(|part| part.number == 1)
}

/// The entries of a folder, sorted; names that are no Unicode are shown lossily.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, ModelError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
        names.push(entry.map_err(unreadable(dir))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// What the first bytes of a file say that should have been a model's: often it is something else that a download left.
pub(super) fn imposter(path: &Path, start: &[u8]) -> Option<ModelError> {
    let path = path.to_owned();
    if start.is_empty() {
        return Some(ModelError::EmptyFile { path });
    }
    if start.starts_with(b"version https://git-lfs") {
        return Some(ModelError::LfsPointer { path });
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let lower = text.get(..text.len().min(14)).unwrap_or_default().to_ascii_lowercase();
    let page = [&b"<!doctype html"[..], b"<html", b"<head", b"<?xml"].iter().any(|tag| lower.starts_with(tag));
    page.then_some(ModelError::WebPage { path })
}

/// The first bytes of a file that are enough for [`imposter`].
pub(super) fn start_of(path: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    // What cannot be read is told by whoever reads it whole.
    let _ = std::fs::File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    start
}

/// A file of at most `limit` bytes.
pub(super) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let file = std::fs::File::open(path).map_err(unreadable(path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable(path))?;
    if bytes.len() as u64 > limit {
        let why = format!("larger than {limit} bytes, which no such file is");
        return Err(ModelError::Malformed { path: path.to_owned(), why });
    }
    Ok(bytes)
}

/// Wraps the system's reason.
pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> ModelError + use<> {
    let path = path.to_owned();
    move |source| ModelError::Unreadable { path: path.clone(), source }
}

/// Looks for what the user may have meant: the nearest folder that exists and entries like the next name.
fn missing(path: &Path) -> ModelError {
    let mut nearest = PathBuf::from(".");
    let mut wanted = path.file_name();
    let mut at = path;
    while let Some(parent) = at.parent() {
        wanted = at.file_name();
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        if parent.is_dir() {
            nearest = parent.to_owned();
            break;
        }
        at = parent;
    }
    let wanted = wanted.map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut scored: Vec<(f64, String)> = names(&nearest)
        .unwrap_or_default()
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&name.to_lowercase(), &wanted), name))
        .filter(|(score, _)| *score > 0.8)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let similar = scored.into_iter().take(3).map(|(_, name)| name).collect();
    ModelError::Missing { path: path.to_owned(), nearest, similar }
}
