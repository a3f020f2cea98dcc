//! A model directory's weight files, by their headers: all there, none cut short.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::locate::{imposter, names, read_bounded, start_of, unreadable};
use super::{Format, ModelError, Weights, config};

/// The limit of the safetensors library itself.
const HEADER_MAX: u64 = 100_000_000;
/// The index lists tensors by name: 60,000 of them stay far below this.
const INDEX_MAX: u64 = 64 << 20;
/// How the name of an index ends; nearly always it is `model` before that (`quant_model_weights` for Ascend).
const INDEX: &str = ".safetensors.index.json";
/// The one entry of a header that is no tensor.
const METADATA: &str = "__metadata__";

#[derive(Deserialize)]
struct Entry {
    data_offsets: Option<(u64, u64)>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: Files,
}

/// A set of names as two numbers, so that tens of thousands of them need not be kept to be compared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Names {
    count: u64,
    sum: u64,
}

impl Names {
    fn add(&mut self, name: &str) {
        let mut hasher = std::hash::DefaultHasher::new();
        name.hash(&mut hasher);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// The files of an index, and the names of the tensors in each.
struct Files(BTreeMap<String, Names>);

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Files, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Files;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from tensors to files")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
                let mut files: BTreeMap<String, Names> = BTreeMap::new();
                while let Some((Text(tensor), Text(file))) = map.next_entry()? {
                    match files.get_mut(&*file) {
                        Some(names) => names.add(&tensor),
                        None => files.entry(file.into_owned()).or_default().add(&tensor),
                    }
                }
                Ok(Files(files))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What a file's header says: where the data of its tensors ends, and their names.
struct Tensors {
    end: u64,
    names: Names,
}

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tensors, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Tensors;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
                let mut found = Tensors { end: 0, names: Names::default() };
                while let Some((Text(name), entry)) = map.next_entry::<Text<'de>, Entry>()? {
                    found.end = entry.data_offsets.map_or(found.end, |(_, last)| last.max(found.end));
                    if name != METADATA {
                        found.names.add(&name);
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Reads a directory that has config.json.
pub(super) fn read_dir(dir: &Path) -> Result<Weights, ModelError> {
    let config = config::read(&dir.join("config.json"))?;
    let holds = names(dir)?;
    let index = index(dir, &holds);
    let shards = shards(dir, &holds, index.as_deref())?;
    let mut bytes = 0u64;
    for (shard, listed) in &shards {
        let (length, names) = check(shard)?;
        bytes = bytes.saturating_add(length);
        // A file may hold more than the index lists, but not less.
        if let (Some(listed), Some(index)) = (listed, &index)
            && *listed != names
        {
            all_there(index, shard)?;
        }
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
fn shards(dir: &Path, holds: &[String], index: Option<&Path>) -> Result<Vec<(PathBuf, Option<Names>)>, ModelError> {
    if let Some(index) = index {
        let listed: Index = config::parse(index, &read_bounded(index, INDEX_MAX)?)?;
        let wanted = listed.weight_map.0;
        if let Some(odd) = wanted.keys().find(|name| name.contains(['/', '\\']) || name.as_str() == "..") {
            return Err(ModelError::Malformed {
                path: index.to_owned(),
                why: format!("\"{odd}\" is not a plain file name"),
            });
        }
        let missing: Vec<String> = wanted.keys().filter(|name| !holds.contains(name)).cloned().collect();
        if !missing.is_empty() {
            return Err(ModelError::ShardsMissing { dir: dir.to_owned(), missing, total: wanted.len() });
        }
        if !wanted.is_empty() {
            return Ok(wanted.into_iter().map(|(name, names)| (dir.join(name), Some(names))).collect());
        }
    }
    // consolidated*.safetensors are the same weights once more, in the publisher's own naming.
    let weights = || holds.iter().filter(|n| n.ends_with(".safetensors"));
    let mut found: Vec<&String> = weights().filter(|n| !n.starts_with("consolidated")).collect();
    if found.is_empty() {
        found = weights().collect();
    }
    if let Some((stem, of)) = found.iter().find_map(|name| parts(name)) {
        let missing: Vec<String> = (1..=of)
            .map(|n| format!("{stem}-{n:05}-of-{of:05}.safetensors"))
            .filter(|name| !holds.contains(name))
            .collect();
        if !missing.is_empty() {
            return Err(ModelError::ShardsMissing { dir: dir.to_owned(), missing, total: of });
        }
    }
    if found.is_empty() {
        return Err(match pickled(holds) {
            Some(file) => ModelError::PickleOnly { path: dir.to_owned(), file: file.clone() },
            None => ModelError::NoWeights { path: dir.to_owned(), holds: holds.to_vec() },
        });
    }
    Ok(found.into_iter().map(|name| (dir.join(name), None)).collect())
}

/// The first file of weights in Python's own format.
pub(super) fn pickled(holds: &[String]) -> Option<&String> {
    holds.iter().find(|n| n.ends_with(".bin") || n.ends_with(".pt") || n.ends_with(".pth"))
}

/// Names the first tensor that the index puts into a file and that is not there.
fn all_there(index: &Path, shard: &Path) -> Result<(), ModelError> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        weight_map: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    }
    let file = shard.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = read_bounded(index, INDEX_MAX)?;
    let listed: Whole<'_> = config::parse(index, &bytes)?;
    let (_, text) = header(shard)?;
    let held: BTreeMap<Cow<'_, str>, IgnoredAny> = config::parse(shard, &text)?;
    match listed.weight_map.iter().find(|(tensor, at)| **at == *file && !held.contains_key(*tensor)) {
        Some((tensor, _)) => {
            Err(ModelError::TensorMissing { index: index.to_owned(), file, tensor: tensor.clone().into_owned() })
        }
        None => Ok(()),
    }
}

/// The index of the weights an engine would load.
fn index(dir: &Path, holds: &[String]) -> Option<PathBuf> {
    let mut all = holds.iter().filter(|name| name.ends_with(INDEX) && !name.starts_with("consolidated"));
    let usual = holds.iter().find(|name| name.strip_suffix(INDEX) == Some("model"));
    usual.or_else(|| all.next()).map(|name| dir.join(name)).filter(|path| path.is_file())
}

/// `model` and 3 of `model-00001-of-00003.safetensors`.
fn parts(name: &str) -> Option<(&str, usize)> {
    let (rest, of) = name.strip_suffix(".safetensors")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let of = of.parse().ok().filter(|n| (1..=9999).contains(n))?;
    number.parse::<usize>().ok().map(|_| (stem, of))
}

/// Checks one file's header against its length, which is returned with the names of its tensors.
fn check(path: &Path) -> Result<(u64, Names), ModelError> {
    let (found, text) = header(path)?;
    let Tensors { end, names } = serde_json::from_slice(&text)
        .map_err(|e| ModelError::Malformed { path: path.to_owned(), why: format!("its header cannot be read: {e}") })?;
    let expected = end.saturating_add(text.len() as u64 + 8);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(ModelError::Truncated { path: path.to_owned(), expected, found }),
        std::cmp::Ordering::Greater => Err(ModelError::TooLong { path: path.to_owned(), expected, found }),
        std::cmp::Ordering::Equal => Ok((found, names)),
    }
}

/// A file's length and the JSON at its start.
fn header(path: &Path) -> Result<(u64, Vec<u8>), ModelError> {
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
        let error = ModelError::Truncated { path: path.to_owned(), expected: 8, found };
        return Err(imposter(path, &start_of(path)).unwrap_or(error));
    }
    file.read_exact(&mut length).map_err(unreadable(path))?;
    let header = u64::from_le_bytes(length);
    if header > HEADER_MAX {
        let error = malformed(format!("no safetensors file: its header would be {header} bytes long"));
        return Err(imposter(path, &start_of(path)).unwrap_or(error));
    }
    if header > found - 8 {
        return Err(ModelError::Truncated { path: path.to_owned(), expected: header + 8, found });
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text).map_err(unreadable(path))?;
    Ok((found, text))
}
