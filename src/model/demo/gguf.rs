//! The demo model as GGUF version 3, architecture `llama`, everything f32.

use super::tensors::{HEAD_DIM, HEADS, HIDDEN, INTERMEDIATE, KV_HEADS, LAYERS, Role};
use super::vocabulary::Kind;
use super::{CONTEXT, Machine};

const ALIGNMENT: usize = 32;

/// The whole file.
pub(super) fn encode(machine: &Machine) -> Vec<u8> {
    let words = &machine.words;
    let mut meta = Metadata::default();
    meta.text("general.architecture", "llama");
    meta.text("general.type", "model");
    meta.text("general.name", "llmup demo");
    meta.number("general.file_type", 0);
    for (key, value) in [
        ("context_length", CONTEXT as usize),
        ("embedding_length", HIDDEN),
        ("block_count", LAYERS),
        ("feed_forward_length", INTERMEDIATE),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", KV_HEADS),
        ("attention.key_length", HEAD_DIM),
        ("attention.value_length", HEAD_DIM),
        ("rope.dimension_count", HEAD_DIM),
        ("vocab_size", words.tokens.len()),
    ] {
        meta.number(&format!("llama.{key}"), value);
    }
    meta.float("llama.attention.layer_norm_rms_epsilon", 1e-6);
    meta.float("llama.rope.freq_base", 1e6);
    meta.text("tokenizer.ggml.model", "gpt2");
    meta.text("tokenizer.ggml.pre", "qwen2");
    meta.texts("tokenizer.ggml.tokens", words.tokens.iter().map(|(t, _)| t.clone()));
    meta.kinds("tokenizer.ggml.token_type", words.tokens.iter().map(|(_, kind)| *kind));
    meta.texts("tokenizer.ggml.merges", words.merges.iter().map(|(a, b)| format!("{a} {b}")));
    for (key, token) in [
        ("bos", "<|endoftext|>"),
        ("eos", "<|im_end|>"),
        ("padding", "<|endoftext|>"),
        ("fim_pre", "<|fim_prefix|>"),
        ("fim_suf", "<|fim_suffix|>"),
        ("fim_mid", "<|fim_middle|>"),
    ] {
        // A model without a `fim` script has no middle token.
        if words.tokens.iter().any(|(t, _)| t == token) {
            meta.number(&format!("tokenizer.ggml.{key}_token_id"), words.id(token));
        }
    }
    meta.flag("tokenizer.ggml.add_bos_token", false);
    meta.text("tokenizer.chat_template", &machine.template);

    let tensors: Vec<_> = machine.weights.iter().filter_map(|t| Some((name(t.role)?, t))).collect();
    let mut file = b"GGUF".to_vec();
    file.extend(3u32.to_le_bytes());
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend(meta.count.to_le_bytes());
    file.extend(&meta.bytes);
    let mut offset = 0u64;
    for (name, tensor) in &tensors {
        put_text(&mut file, name);
        file.extend((tensor.shape.len() as u32).to_le_bytes());
        for size in tensor.shape.iter().rev() {
            file.extend((*size as u64).to_le_bytes());
        }
        file.extend(0u32.to_le_bytes());
        file.extend(offset.to_le_bytes());
        offset += (tensor.data.len() * 4).next_multiple_of(ALIGNMENT) as u64;
    }
    pad(&mut file);
    for (_, tensor) in &tensors {
        file.extend(tensor.data.iter().flat_map(|x| x.to_le_bytes()));
        pad(&mut file);
    }
    file
}

fn name(role: Role) -> Option<String> {
    let block = |n: usize, what: &str| Some(format!("blk.{n}.{what}.weight"));
    match role {
        Role::Embedding => Some("token_embd.weight".into()),
        Role::AttentionNorm(n) => block(n, "attn_norm"),
        Role::Query(n) => block(n, "attn_q"),
        Role::Key(n) => block(n, "attn_k"),
        Role::Value(n) => block(n, "attn_v"),
        Role::AttentionOutput(n) => block(n, "attn_output"),
        Role::QueryNorm(_) | Role::KeyNorm(_) => None,
        Role::MlpNorm(n) => block(n, "ffn_norm"),
        Role::Gate(n) => block(n, "ffn_gate"),
        Role::Up(n) => block(n, "ffn_up"),
        Role::Down(n) => block(n, "ffn_down"),
        Role::FinalNorm => Some("output_norm.weight".into()),
        Role::Output => Some("output.weight".into()),
    }
}

fn pad(file: &mut Vec<u8>) {
    file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Key/value pairs; the numbers in it are GGUF's type codes.
#[derive(Default)]
struct Metadata {
    bytes: Vec<u8>,
    count: u64,
}

impl Metadata {
    fn key(&mut self, key: &str, kind: u32) {
        self.count += 1;
        put_text(&mut self.bytes, key);
        self.bytes.extend(kind.to_le_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key, 8);
        put_text(&mut self.bytes, value);
    }

    fn number(&mut self, key: &str, value: usize) {
        self.key(key, 4);
        self.bytes.extend((value as u32).to_le_bytes());
    }

    fn float(&mut self, key: &str, value: f32) {
        self.key(key, 6);
        self.bytes.extend(value.to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.key(key, 7);
        self.bytes.push(u8::from(value));
    }

    fn texts(&mut self, key: &str, values: impl ExactSizeIterator<Item = String>) {
        self.key(key, 9);
        self.bytes.extend(8u32.to_le_bytes());
        self.bytes.extend((values.len() as u64).to_le_bytes());
        values.for_each(|v| put_text(&mut self.bytes, &v));
    }

    fn kinds(&mut self, key: &str, values: impl ExactSizeIterator<Item = Kind>) {
        self.key(key, 9);
        self.bytes.extend(5u32.to_le_bytes());
        self.bytes.extend((values.len() as u64).to_le_bytes());
        values.for_each(|v| self.bytes.extend((v as i32).to_le_bytes()));
    }
}
