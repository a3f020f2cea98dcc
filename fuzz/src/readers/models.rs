//! Headers of weights and config.json.

use std::path::Path;

use crate::error::Explain;
use crate::heap::bounded;
use crate::model::{Cache, CacheTerms, ModelError, Shape, Weights, read_path};
use crate::scratch::Scratch;

/// A file that describes more than this is not made that long.
const LONGEST: u64 = 1 << 42;

thread_local! {
    static DIR: Scratch = Scratch::new("model");
}

const CONFIG: &[u8] = br#"{"architectures": ["ToyForCausalLM"], "hidden_size": 64, "num_hidden_layers": 2}"#;

/// Reads a folder or file, and holds what comes out against what is promised of it.
fn read(path: &Path, length: usize) -> Option<Weights> {
    match bounded(length, || read_path(path)) {
        Ok(weights) => {
            if let Some(shape) = &weights.shape {
                arithmetic(shape, &[]);
            }
            Some(weights)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = (error.hints(), error.evidence(), error.exit());
            None
        }
    }
}

/// The file `path` is as long as its header says; `None` when it was right already or says nonsense.
fn lengthen(path: &Path, length: usize) -> Option<()> {
    let Err(ModelError::Truncated { path: file, expected, found }) = bounded(length, || read_path(path)) else {
        return None;
    };
    assert!(expected > found, "{expected} bytes are expected where {found} are");
    if expected > LONGEST {
        return None;
    }
    std::fs::File::options().write(true).open(file).and_then(|f| f.set_len(expected)).ok()
}

/// A GGUF file; with a part of it named `x-00001-of-00002.gguf` when there is a control byte.
pub fn gguf(body: &[u8], control: &[u8]) {
    // No text: 0xFF is a byte like any other here, so the whole input is the file.
    let whole = if control.is_empty() { body.to_vec() } else { [body, &[0xff], control].concat() };
    DIR.with(|dir| {
        let path = dir.write("x.gguf", &whole);
        let first = read(&path, whole.len());
        for _ in 0..4 {
            if lengthen(&path, whole.len()).is_none() {
                break;
            }
        }
        let weights = read(&path, whole.len());
        assert!(first.is_none() || weights.is_some());
        if weights.is_some() {
            let half = whole.len() / 2;
            let parts = dir.write("split/y-00001-of-00002.gguf", &whole);
            dir.write("split/y-00002-of-00002.gguf", &whole[half..]);
            let _ = read(&parts, 2 * whole.len());
        }
        let _ = std::fs::remove_file(&path);
    });
}

/// The header of a weight file, and the index beside it (`control`).
pub fn safetensors(body: &[u8], control: &[u8]) {
    DIR.with(|dir| {
        let length = body.len() + control.len();
        dir.write("tensors/config.json", CONFIG);
        let file = [&(body.len() as u64).to_le_bytes(), body].concat();
        for name in ["model.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
            dir.write(&format!("tensors/{name}"), &file);
        }
        let index = dir.path().join("tensors/model.safetensors.index.json");
        if control.is_empty() {
            let _ = std::fs::remove_file(&index);
        } else {
            dir.write("tensors/model.safetensors.index.json", control);
        }
        let dir = dir.path().join("tensors");
        let _ = read(&dir, length);
        for _ in 0..4 {
            if lengthen(&dir, length).is_none() {
                break;
            }
        }
        let _ = read(&dir, length);
    });
}

/// config.json beside weights that are right.
pub fn config(body: &[u8], control: &[u8]) {
    DIR.with(|dir| {
        dir.write("config/config.json", body);
        dir.write("config/model.safetensors", b"\x02\0\0\0\0\0\0\0{}");
        if let Some(weights) = read(&dir.path().join("config"), body.len())
            && let Some(shape) = &weights.shape
        {
            arithmetic(shape, control);
            let _ = serde_json::to_vec(&weights).expect("weights are told as JSON");
        }
    });
}

/// Whatever the numbers are, the arithmetic neither overflows nor contradicts itself.
pub fn arithmetic(shape: &Shape, control: &[u8]) {
    let knob = |at: usize| u64::from(control.get(at).copied().unwrap_or(1));
    let terms = CacheTerms {
        tensor: knob(0),
        pipeline: knob(1),
        decode_context: knob(2),
        element_bytes: knob(3) % 3,
        batched_tokens: knob(4) * 64,
        speculative: knob(5) % 8,
    };
    for terms in [CacheTerms::default(), terms] {
        let layout = shape.layout(&terms);
        let mut last = 0;
        for tokens in [0, 1, 15, 16, 17, 4096, 131_072, 1 << 20, 1 << 40, u64::MAX] {
            let needed = layout.needed(tokens);
            assert!(needed >= last, "more tokens need less: {tokens}: {needed}, before {last}");
            last = needed;
        }
        for available in [0, 1, 1 << 30, 80 << 30, u64::MAX] {
            let longest = layout.longest(available, 131_072);
            assert!(longest <= 131_072 && (longest == 0 || layout.needed(longest) <= available));
            let _ = (layout.tokens_in(available, 131_072), layout.sequences_in(available));
            let _ = (layout.tokens_in(available, 0), layout.tokens_in(available, u64::MAX));
        }
        let _ = layout.bytes_per_token();
    }
    for ranks in [0, 1, 2, 3, 8, u64::MAX] {
        let _ = (shape.splits_into(ranks), shape.blocks_split_into(ranks, true), shape.blocks_split_into(ranks, false));
    }
    let share = shape.expert_share();
    assert!((0.0..=1.0).contains(&share), "{share}");
    let _ = (shape.kv_kind(), shape.kv_bytes_per_token(2), shape.kv_bytes_per_window_token(1));
    assert!(shape.cache.iter().all(|g| g.layers > 0 || matches!(g.cache, Cache::State { .. })));
}

/// What an Ollama answers to `/api/show` and (`control`) to `/api/tags`.
pub fn show(body: &[u8], control: &[u8]) {
    let found = bounded(body.len() + control.len(), || crate::model::shown("toy:1b", body, control));
    if let Some(weights) = found {
        assert!(weights.architecture.is_some());
        if let Some(shape) = &weights.shape {
            arithmetic(shape, control);
        }
    }
}
