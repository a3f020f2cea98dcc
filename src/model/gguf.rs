//! GGUF versions 2 and 3: metadata and tensor table, read without trusting a length that exceeds the file's.

mod reader;
mod shape;
mod types;

use std::fs::File;
use std::path::Path;

use reader::{Reader, Value};

use super::locate::{imposter, start_of, unreadable};
use super::{Format, ModelError, Weights};

/// Where a file stands in a split model: `NAME-00002-of-00003.gguf`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    stem: &'a str,
    pub(super) number: usize,
    of: usize,
}

/// The part a file's name says it is.
pub(super) fn part(name: &str) -> Option<Part<'_>> {
    let stem = name.strip_suffix(".gguf").or_else(|| name.strip_suffix(".GGUF"))?;
    let (rest, of) = stem.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    (1 <= number && number <= of && of <= 9999).then_some(Part { stem, number, of })
}

/// Describes the model a file is (the first part of).
pub(super) fn read(path: &Path) -> Result<Weights, ModelError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let dir = path.parent().unwrap_or(Path::new(""));
    let files = match part(&name) {
        None => vec![path.to_owned()],
        Some(part) => {
            let all: Vec<String> =
                (1..=part.of).map(|n| format!("{}-{n:05}-of-{:05}.gguf", part.stem, part.of)).collect();
            let missing: Vec<String> = all.iter().filter(|n| !dir.join(n).is_file()).cloned().collect();
            if !missing.is_empty() {
                let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir }.to_owned();
                return Err(ModelError::ShardsMissing { dir, missing, total: part.of });
            }
            all.iter().map(|n| dir.join(n)).collect()
        }
    };
    let mut bytes = 0u64;
    let mut first = None;
    for file in &files {
        let header = header(file)?;
        bytes = bytes.saturating_add(header.length);
        first.get_or_insert(header);
    }
    let first = first.unwrap_or_default();
    let architecture = first.text("general.architecture");
    Ok(Weights {
        format: Format::Gguf,
        path: files.into_iter().next(),
        tag: None,
        bytes: Some(bytes),
        quantization: first.number("general.file_type").and_then(types::file_type),
        context_max: architecture.as_ref().and_then(|a| first.number(&format!("{a}.context_length"))),
        shape: architecture.as_ref().and_then(|a| first.shape(a)),
        chat_template: first.values.contains_key("tokenizer.chat_template"),
        architecture,
    })
}

/// One file's metadata.
#[derive(Debug, Default)]
pub(super) struct Header {
    values: std::collections::BTreeMap<String, Value>,
    length: u64,
}

impl Header {
    /// The same as a JSON object tells it.
    pub(super) fn of_json(members: &serde_json::Map<String, serde_json::Value>) -> Header {
        let value = |json: &serde_json::Value| match json {
            serde_json::Value::Number(n) => n.as_u64().map_or(Value::Other, Value::Number),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            // A list that was left out.
            serde_json::Value::Null => Value::Long,
            _ => Value::Other,
        };
        Header { values: members.iter().map(|(key, json)| (key.clone(), value(json))).collect(), length: 0 }
    }

    /// The architecture's numbers.
    pub(super) fn shape(&self, architecture: &str) -> Option<super::Shape> {
        shape::shape(self, architecture)
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A number, the largest of a list of numbers, or the length of a list of texts.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.values.get(key)? {
            Value::Number(n) => Some(*n),
            Value::Numbers { largest, .. } => Some(*largest),
            Value::Texts { count } => Some(*count),
            _ => None,
        }
    }
}

fn header(path: &Path) -> Result<Header, ModelError> {
    let file = File::open(path).map_err(unreadable(path))?;
    let length = file.metadata().map_err(unreadable(path))?.len();
    let mut reader = Reader::new(path, file, length);
    let magic = reader.magic()?;
    if &magic != b"GGUF" {
        if let Some(error) = imposter(path, &start_of(path)) {
            return Err(error);
        }
        return Err(ModelError::NotGguf { path: path.to_owned(), magic: format!("\"{}\"", magic.escape_ascii()) });
    }
    let version = reader.u32()?;
    if (2..=3).contains(&version.swap_bytes()) {
        return Err(reader.malformed("GGUF for big-endian machines; llama.cpp wants little-endian here".into()));
    }
    if !(2..=3).contains(&version) {
        return Err(reader.malformed(format!("GGUF version {version}; expected 2 or 3")));
    }
    let (tensors, pairs) = (reader.u64()?, reader.u64()?);
    let mut values = std::collections::BTreeMap::new();
    for _ in 0..pairs {
        let (key, value) = reader.pair()?;
        // The tokens themselves are skipped; a hostile file cannot make this larger than itself.
        if !matches!(value, Value::Other) {
            values.insert(key, value);
        }
    }
    let mut end = 0u64;
    for _ in 0..tensors {
        end = end.max(reader.tensor_end()?);
    }
    let header = Header { values, length };
    let alignment = header.number("general.alignment").filter(|n| n.is_power_of_two()).unwrap_or(32);
    let data = reader.at().checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
    let expected = if end == 0 { reader.at() } else { data.saturating_add(end) };
    // The tail of the last tensor may lack its padding, so longer is fine and shorter is not.
    if length < expected {
        return Err(ModelError::Truncated { path: path.to_owned(), expected, found: length });
    }
    Ok(header)
}
