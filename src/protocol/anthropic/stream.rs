//! Events, written as a Messages stream: blocks numbered from 0, one after the other.

use serde_json::{Value, json};

use super::error_value;
use crate::protocol::EventEncoder;
use crate::protocol::event::{Block, Event, Stop, Usage};

pub(super) struct Encoder {
    model: String,
    index: u32,
    delta: (&'static str, &'static str),
}

impl Encoder {
    pub(super) fn new(model: &str) -> Self {
        Encoder { model: model.to_owned(), index: 0, delta: ("text_delta", "text") }
    }
}

/// Anthropic counts the cached part of a prompt apart.
pub(super) fn usage_value(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached + usage.cache_write),
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.cache_write,
        "output_tokens": usage.output,
    })
}

pub(super) fn stop_value(stop: &Stop) -> (&'static str, Value) {
    match stop {
        Stop::EndTurn => ("end_turn", Value::Null),
        Stop::MaxTokens => ("max_tokens", Value::Null),
        Stop::Sequence(text) => ("stop_sequence", text.as_str().into()),
        Stop::ToolUse => ("tool_use", Value::Null),
        Stop::Refusal => ("refusal", Value::Null),
        Stop::ContextFull => ("model_context_window_exceeded", Value::Null),
    }
}

/// A message id: Anthropic's clients expect this prefix.
pub(super) fn message_id(id: &str) -> String {
    if id.starts_with("msg_") { id.to_owned() } else { format!("msg_{}", id.trim_start_matches("chatcmpl-")) }
}

fn frame(out: &mut Vec<u8>, name: &str, data: &Value) {
    out.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
}

impl EventEncoder for Encoder {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => {
                let message = json!({
                    "id": message_id(id), "type": "message", "role": "assistant", "model": self.model, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": usage_value(Usage::default()),
                });
                frame(out, "message_start", &json!({"type": "message_start", "message": message}));
            }
            Event::BlockStart(block) => {
                let (value, delta) = match block {
                    Block::Text => (json!({"type": "text", "text": ""}), ("text_delta", "text")),
                    Block::Thinking => {
                        (json!({"type": "thinking", "thinking": "", "signature": ""}), ("thinking_delta", "thinking"))
                    }
                    Block::ToolUse { id, name, .. } => (
                        json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                        ("input_json_delta", "partial_json"),
                    ),
                };
                self.delta = delta;
                let data = json!({"type": "content_block_start", "index": self.index, "content_block": value});
                frame(out, "content_block_start", &data);
            }
            Event::Delta(text) => {
                let (kind, key) = self.delta;
                let delta = json!({"type": kind, key: text});
                let data = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
                frame(out, "content_block_delta", &data);
            }
            Event::Signature(sealed) => {
                if self.delta.0 == "thinking_delta" {
                    let delta = json!({"type": "signature_delta", "signature": sealed});
                    let data = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
                    frame(out, "content_block_delta", &data);
                }
            }
            Event::BlockEnd => {
                frame(out, "content_block_stop", &json!({"type": "content_block_stop", "index": self.index}));
                self.index += 1;
            }
            Event::Finish { stop, usage } => {
                let (reason, sequence) = stop_value(stop);
                let delta = json!({"stop_reason": reason, "stop_sequence": sequence});
                let data = json!({"type": "message_delta", "delta": delta, "usage": usage_value(*usage)});
                frame(out, "message_delta", &data);
                frame(out, "message_stop", &json!({"type": "message_stop"}));
            }
            Event::Error(problem) => frame(out, "error", &error_value(problem)),
        }
    }
}
