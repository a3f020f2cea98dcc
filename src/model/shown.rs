//! What a running Ollama says about a model it has: the answers of `POST /api/show` and `GET /api/tags`. `model_info` of
//! the first has the keys of GGUF metadata, with `null` for lists; the second has sizes. Source: Ollama's API
//! documentation, "Show Model Information" and "List Local Models".

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Format, Weights, gguf};

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    model_info: Map<String, Value>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    quantization_level: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    models: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    size: Option<u64>,
}

/// The model called `tag` by what its Ollama answered to `/api/show` and `/api/tags`; `None` when the first is no
/// description of a model.
pub fn shown(tag: &str, answer: &[u8], tags: &[u8]) -> Option<Weights> {
    let listed: Vec<Listed> = serde_json::from_slice::<Tags>(tags).map(|tags| tags.models).unwrap_or_default();
    let same = |name: &str| name == tag || name.strip_suffix(":latest") == Some(tag);
    let Shown { model_info, details } = serde_json::from_slice(answer).ok()?;
    let header = gguf::Header::of_json(&model_info);
    let architecture = header.text("general.architecture")?;
    let level = details.and_then(|details| details.quantization_level).map(|level| level.to_lowercase());
    Some(Weights {
        format: Format::OllamaTag,
        path: None,
        tag: Some(tag.to_owned()),
        bytes: listed.iter().find(|model| same(&model.name)).and_then(|model| model.size),
        quantization: level.filter(|level| !matches!(level.as_str(), "" | "unknown" | "f16" | "bf16" | "f32")),
        context_max: header.number(&format!("{architecture}.context_length")),
        shape: header.shape(&architecture),
        // Ollama brings a template for everything it serves.
        chat_template: true,
        architecture: Some(architecture),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{KvKind, ollama_tag};
    use super::*;

    const ANSWER: &str = r#"{"license": "x", "template": "{{ .Prompt }}", "details": {"format": "gguf",
        "family": "toy", "quantization_level": "Q5_K_M"}, "capabilities": ["completion"], "model_info": {
        "general.architecture": "toy", "general.parameter_count": 700000, "toy.block_count": 6, "toy.rope.freq_base": 1e6,
        "toy.embedding_length": 64, "toy.attention.head_count": 4, "toy.attention.head_count_kv": 2,
        "toy.context_length": 9000, "tokenizer.ggml.tokens": null}}"#;

    const TAGS: &str = r#"{"models": [{"name": "toy:2b", "size": 9}, {"name": "toy:1b", "size": 512, "digest": "0"}]}"#;

    fn read(answer: &str) -> Option<Weights> {
        shown("toy:1b", answer.as_bytes(), TAGS.as_bytes())
    }

    #[test]
    fn a_model_is_described_as_its_file_would_be() {
        let weights = read(ANSWER).unwrap();
        assert_eq!((weights.tag.as_deref(), weights.format), (Some("toy:1b"), Format::OllamaTag));
        assert_eq!(weights.bytes, Some(512));
        assert_eq!(shown("toy:1b", ANSWER.as_bytes(), b"").unwrap().bytes, None);
        assert_eq!((weights.quantization.as_deref(), weights.context_max), (Some("q5_k_m"), Some(9000)));
        let shape = weights.shape.unwrap();
        assert_eq!((shape.kv_kind(), shape.kv_bytes_per_token(2)), (KvKind::Heads, 6 * 2 * 2 * 16 * 2));
        // Lists are left out of the answer: which layers keep a cache is then not known.
        let hybrid = ANSWER.replace(r#""toy.attention.head_count_kv": 2"#, r#""toy.attention.head_count_kv": null"#);
        let weights = read(&hybrid).unwrap();
        assert_eq!((weights.shape, weights.context_max), (None, Some(9000)));
        let plain = read(&ANSWER.replace("Q5_K_M", "F16")).unwrap();
        assert_eq!(plain.quantization, ollama_tag("toy:1b").quantization);
    }

    #[test]
    fn what_describes_no_model_is_nothing() {
        for answer in
            ["", "{}", "[]", r#"{"error": "model 'x' not found"}"#, r#"{"model_info": {"general.architecture": 3}}"#]
        {
            assert_eq!(read(answer), None, "{answer}");
        }
    }
}
