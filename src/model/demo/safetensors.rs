//! The demo model as a directory the Python engines load: `Qwen3ForCausalLM`, bf16.

use serde_json::{Map, Value, json};

use super::tensors::{HEAD_DIM, HEADS, HIDDEN, INTERMEDIATE, KV_HEADS, LAYERS, Role, Tensor};
use super::vocabulary::Kind;
use super::{CONTEXT, Machine};

/// The file written last.
pub(super) const WEIGHTS: &str = "model.safetensors";

/// The pattern Qwen2 cuts words with; the engines know it by this exact text.
const WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names and contents, the weights last.
pub(super) fn files(machine: &Machine) -> Vec<(&'static str, Vec<u8>)> {
    let words = &machine.words;
    let (end, pad) = (words.id("<|im_end|>"), words.id("<|endoftext|>"));
    let config = json!({
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
        "attention_bias": false, "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02,
        "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
        "max_position_embeddings": CONTEXT, "max_window_layers": LAYERS, "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0, "rope_scaling": null, "sliding_window": null, "use_sliding_window": false,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": words.tokens.len(),
        "bos_token_id": pad, "eos_token_id": end, "pad_token_id": pad,
    });
    let generation = json!({
        "bos_token_id": pad, "pad_token_id": pad, "eos_token_id": [end, pad],
        "do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20,
    });
    let mut vocab = Map::new();
    let mut added = Vec::new();
    let mut decoder = Map::new();
    for (id, (token, kind)) in words.tokens.iter().enumerate() {
        match kind {
            Kind::Normal => {
                vocab.insert(token.clone(), id.into());
            }
            Kind::Unused => {}
            Kind::Control | Kind::Visible => {
                let entry = json!({"content": token, "lstrip": false, "normalized": false, "rstrip": false,
                    "single_word": false, "special": *kind == Kind::Control});
                decoder.insert(id.to_string(), entry.clone());
                let mut entry = entry;
                entry["id"] = id.into();
                added.push(entry);
            }
        }
    }
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated", "invert": false}, level]},
        "post_processor": level, "decoder": level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": words.merges},
    });
    let tokenizer_config = json!({
        "tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "bos_token": null, "unk_token": null, "add_bos_token": false, "add_prefix_space": false, "errors": "replace",
        "model_max_length": CONTEXT, "clean_up_tokenization_spaces": false, "split_special_tokens": false,
        "added_tokens_decoder": decoder, "chat_template": machine.template,
    });
    let mut merges = String::from("#version: 0.2\n");
    for (a, b) in &words.merges {
        merges.push_str(&format!("{a} {b}\n"));
    }
    let text = |value: &Value| format!("{value:#}\n").into_bytes();
    vec![
        ("config.json", text(&config)),
        ("generation_config.json", text(&generation)),
        ("vocab.json", text(&tokenizer["model"]["vocab"])),
        ("merges.txt", merges.into_bytes()),
        ("tokenizer.json", text(&tokenizer)),
        ("tokenizer_config.json", text(&tokenizer_config)),
        ("chat_template.jinja", machine.template.clone().into_bytes()),
        (WEIGHTS, weights(&machine.weights)),
    ]
}

fn weights(tensors: &[Tensor]) -> Vec<u8> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        // bf16 is the upper half of f32.
        data.extend(tensor.data.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()));
        header.insert(
            name(tensor.role),
            json!({"dtype": "BF16", "shape": tensor.shape, "data_offsets": [start, data.len()]}),
        );
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

fn name(role: Role) -> String {
    let layer = |n: usize, what: &str| format!("model.layers.{n}.{what}.weight");
    match role {
        Role::Embedding => "model.embed_tokens.weight".into(),
        Role::AttentionNorm(n) => layer(n, "input_layernorm"),
        Role::Query(n) => layer(n, "self_attn.q_proj"),
        Role::Key(n) => layer(n, "self_attn.k_proj"),
        Role::Value(n) => layer(n, "self_attn.v_proj"),
        Role::AttentionOutput(n) => layer(n, "self_attn.o_proj"),
        Role::QueryNorm(n) => layer(n, "self_attn.q_norm"),
        Role::KeyNorm(n) => layer(n, "self_attn.k_norm"),
        Role::MlpNorm(n) => layer(n, "post_attention_layernorm"),
        Role::Gate(n) => layer(n, "mlp.gate_proj"),
        Role::Up(n) => layer(n, "mlp.up_proj"),
        Role::Down(n) => layer(n, "mlp.down_proj"),
        Role::FinalNorm => "model.norm.weight".into(),
        Role::Output => "lm_head.weight".into(),
    }
}
