//! A model directory's weight files, by their headers: all there, none cut short.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::locate::{names, read_bounded, unreadable};
use super::{Format, ModelError, Weights, config};

/// The limit of the safetensors library itself.
const HEADER_MAX: u64 = 100_000_000;
/// The index lists tensors by name: 60,000 of them stay far below this.
const INDEX_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Entry {
    data_offsets: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: Files,
}

/// The files of an index, each once; the names of tens of thousands of tensors are not kept.
struct Files(BTreeSet<String>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Files;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from tensors to files")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
                let mut files = BTreeSet::new();
                let mut last = String::new();
                while map.next_key::<IgnoredAny>()?.is_some() {
                    let file: std::borrow::Cow<'de, str> = map.next_value()?;
                    if last != *file {
                        last = file.into_owned();
                        files.insert(last.clone());
                    }
                }
                Ok(Files(files))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Where the data of a file's tensors ends.
struct End(u64);

impl<'de> Deserialize<'de> for End {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<End, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = End;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<End, A::Error> {
                let mut end = 0;
                while map.next_key::<IgnoredAny>()?.is_some() {
                    let entry: Entry = map.next_value()?;
                    end = entry.data_offsets.map_or(end, |(_, last)| last.max(end));
                }
                Ok(End(end))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Reads a directory that has config.json.
pub(super) fn read_dir(dir: &Path) -> Result<Weights, ModelError> {
    let config = config::read(&dir.join("config.json"))?;
    let holds = names(dir)?;
    let shards = shards(dir, &holds)?;
    let mut bytes = 0u64;
    for shard in &shards {
        bytes = bytes.saturating_add(check(shard)?);
    }
    let has = |name: &str| holds.iter().any(|n| n == name);
    let chat_template = has("chat_template.jinja")
        || has("chat_template.json")
        || read_bounded(&dir.join("tokenizer_config.json"), INDEX_MAX)
            .ok()
            .and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok())
            .is_some_and(|json| json.get("chat_template").is_some_and(|t| !t.is_null()));
    Ok(Weights {
        format: Format::Safetensors,
        path: Some(dir.to_owned()),
        tag: None,
        bytes: Some(bytes),
        architecture: config.architecture,
        quantization: config.quantization,
        context_max: config.context_max,
        shape: config.shape,
        chat_template,
    })
}

/// The weight files an engine would load: those of the index, else every *.safetensors.
fn shards(dir: &Path, holds: &[String]) -> Result<Vec<PathBuf>, ModelError> {
    let index = dir.join("model.safetensors.index.json");
    if index.is_file() {
        let listed: Index = config::parse(&index, &read_bounded(&index, INDEX_MAX)?)?;
        let wanted = listed.weight_map.0;
        if let Some(odd) = wanted.iter().find(|name| name.contains(['/', '\\']) || name.as_str() == "..") {
            return Err(ModelError::Malformed { path: index, why: format!("\"{odd}\" is not a plain file name") });
        }
        let missing: Vec<String> = wanted.iter().filter(|name| !holds.contains(name)).cloned().collect();
        if !missing.is_empty() {
            return Err(ModelError::ShardsMissing { dir: dir.to_owned(), missing, total: wanted.len() });
        }
        if !wanted.is_empty() {
            return Ok(wanted.iter().map(|name| dir.join(name)).collect());
        }
    }
    // consolidated*.safetensors are the same weights once more, in the publisher's own naming.
    let found: Vec<&String> =
        holds.iter().filter(|n| n.ends_with(".safetensors") && !n.starts_with("consolidated")).collect();
    if let Some(of) = found.iter().find_map(|name| parts(name)) {
        let missing: Vec<String> = (1..=of)
            .map(|n| format!("model-{n:05}-of-{of:05}.safetensors"))
            .filter(|name| !holds.contains(name))
            .collect();
        if !missing.is_empty() {
            return Err(ModelError::ShardsMissing { dir: dir.to_owned(), missing, total: of });
        }
    }
    if found.is_empty() {
        let pickle = holds.iter().find(|n| n.ends_with(".bin") || n.ends_with(".pt") || n.ends_with(".pth"));
        return Err(match pickle {
            Some(file) => ModelError::PickleOnly { path: dir.to_owned(), file: file.clone() },
            None => ModelError::NoWeights { path: dir.to_owned(), holds: holds.to_vec() },
        });
    }
    Ok(found.into_iter().map(|name| dir.join(name)).collect())
}

/// 3 of `model-00001-of-00003.safetensors`.
fn parts(name: &str) -> Option<usize> {
    let (_, of) = name.strip_prefix("model-")?.strip_suffix(".safetensors")?.split_once("-of-")?;
    of.parse().ok().filter(|n| (1..=9999).contains(n))
}

/// Checks one file's header against its length, which is returned.
fn check(path: &Path) -> Result<u64, ModelError> {
    let malformed = |why: String| ModelError::Malformed { path: path.to_owned(), why };
    // Opening a pipe would wait for somebody to write to it.
    let kind = std::fs::metadata(path).map_err(unreadable(path))?;
    if !kind.is_file() {
        return Err(malformed("not a file".into()));
    }
    let found = kind.len();
    let mut file = File::open(path).map_err(unreadable(path))?;
    let mut length = [0; 8];
    if found < 8 {
        return Err(ModelError::Truncated { path: path.to_owned(), expected: 8, found });
    }
    file.read_exact(&mut length).map_err(unreadable(path))?;
    let header = u64::from_le_bytes(length);
    if header > HEADER_MAX {
        return Err(malformed(format!("no safetensors file: its header would be {header} bytes long")));
    }
    if header > found - 8 {
        return Err(ModelError::Truncated { path: path.to_owned(), expected: header + 8, found });
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(unreadable(path))?;
    let End(end) = serde_json::from_slice(&text).map_err(|e| malformed(format!("its header cannot be read: {e}")))?;
    let expected = end.saturating_add(header + 8);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(ModelError::Truncated { path: path.to_owned(), expected, found }),
        std::cmp::Ordering::Greater => Err(ModelError::TooLong { path: path.to_owned(), expected, found }),
        std::cmp::Ordering::Equal => Ok(found),
    }
}
