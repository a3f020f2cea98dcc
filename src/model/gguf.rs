//! GGUF versions 2 and 3: metadata and tensor table, read without trusting a length that exceeds the file's.

mod reader;
mod types;

use std::fs::File;
use std::path::Path;

use reader::{Reader, Value};

use super::locate::unreadable;
use super::{Cache, CacheGroup, Format, ModelError, Shape, Weights};

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
        shape: architecture.as_ref().and_then(|a| shape(&first, a)),
        chat_template: first.values.contains_key("tokenizer.chat_template"),
        architecture,
    })
}

/// Families that give every n-th layer full attention and the others a window, without saying so in the file
/// (llama.cpp's `set_swa_pattern` per architecture).
const FULL_EVERY: &[(&str, u64)] = &[("gemma2", 2), ("gemma3", 6), ("gemma3n", 5), ("gpt-oss", 2), ("cohere2", 4)];

fn shape(header: &Header, architecture: &str) -> Option<Shape> {
    let number = |key: &str| header.number(&format!("{architecture}.{key}"));
    let (layers, hidden) = (number("block_count")?, number("embedding_length")?);
    let heads = number("attention.head_count").unwrap_or(0);
    let key = format!("{architecture}.attention.head_count_kv");
    let kv_heads = header.number(&key).unwrap_or(heads);
    let head_dim = number("attention.key_length").or_else(|| hidden.checked_div(heads)).unwrap_or(0);
    // Hybrids give a list, one number per layer, 0 where there is no cache.
    let kv_layers = match header.values.get(&key) {
        Some(Value::Numbers { positive, count, .. }) if positive < count => Some(*positive),
        _ => number("full_attention_interval").filter(|n| *n > 1).map(|n| layers / n).filter(|n| *n > 0),
    };
    let latent = number("attention.kv_lora_rank").filter(|n| *n > 0).map(|rank| Cache::Latent {
        elements: rank.saturating_add(number("rope.dimension_count").unwrap_or(0)),
        indexed: number("attention.indexer.key_length").is_some(),
    });
    let plain = Cache::Heads { heads: kv_heads, size: head_dim };
    let group = |layers: u64, cache, window| (layers > 0).then_some(CacheGroup { layers, cache, window });
    let every = FULL_EVERY.iter().find(|(name, _)| *name == architecture).map(|(_, every)| *every);
    let cache: Vec<CacheGroup> = match (latent, kv_layers, number("attention.sliding_window"), every) {
        (None, None, Some(window), Some(every)) if window > 0 => {
            let full = layers / every;
            [group(full, plain, None), group(layers - full, plain, Some(window))].into_iter().flatten().collect()
        }
        (None, None, _, _) => Vec::new(),
        (latent, kv_layers, _, _) => {
            let full = kv_layers.unwrap_or(layers).min(layers);
            let state = Cache::State { bytes: 0, mamba: number("ssm.state_size").is_some() };
            let full = group(full, latent.unwrap_or(plain), None);
            [full, group(layers - kv_layers.unwrap_or(layers).min(layers), state, None)].into_iter().flatten().collect()
        }
    };
    let experts = number("expert_count").filter(|n| *n > 0);
    Some(Shape {
        layers,
        hidden,
        heads,
        kv_heads,
        head_dim,
        vocab: number("vocab_size").or_else(|| header.number("tokenizer.ggml.tokens")).unwrap_or(0),
        intermediate: number("feed_forward_length"),
        experts,
        experts_per_token: number("expert_used_count"),
        moe_intermediate: number("expert_feed_forward_length"),
        dense_layers: number("leading_dense_block_count").unwrap_or(0),
        cache,
        ..Shape::default()
    })
}

/// One file's metadata.
#[derive(Debug, Default)]
struct Header {
    values: std::collections::BTreeMap<String, Value>,
    length: u64,
}

impl Header {
    fn text(&self, key: &str) -> Option<String> {
        match self.values.get(key) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A number, the largest of a list of numbers, or the length of a list of texts.
    fn number(&self, key: &str) -> Option<u64> {
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
        return Err(ModelError::NotGguf { path: path.to_owned(), magic: format!("\"{}\"", magic.escape_ascii()) });
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(reader.malformed(format!("GGUF version {version}; expected 2 or 3 (little-endian)")));
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
