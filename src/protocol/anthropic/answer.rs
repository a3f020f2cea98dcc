//! Events, gathered into one whole Messages answer.

use serde_json::{Map, Value, json};

use super::stream::{message_id, stop_value, usage_value};
use crate::protocol::event::{Block, Event};
use crate::protocol::{AnswerEncoder, Problem, ProblemKind};

pub(super) struct Answer {
    model: String,
    id: String,
    content: Vec<Value>,
    open: Option<Value>,
    text: String,
    end: Option<Result<(Value, Value, Value), Problem>>,
}

impl Answer {
    pub(super) fn new(model: &str) -> Self {
        Answer {
            model: model.to_owned(),
            id: String::new(),
            content: Vec::new(),
            open: None,
            text: String::new(),
            end: None,
        }
    }
}

impl AnswerEncoder for Answer {
    fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { id } => self.id = message_id(id),
            Event::BlockStart(block) => {
                self.text.clear();
                self.open = Some(match block {
                    Block::Text => json!({"type": "text"}),
                    Block::Thinking => json!({"type": "thinking", "signature": ""}),
                    Block::ToolUse { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name}),
                });
            }
            Event::Delta(text) => self.text.push_str(text),
            Event::Signature(sealed) => {
                if let Some(open) = &mut self.open
                    && open["type"] == "thinking"
                {
                    open["signature"] = sealed.as_ref().into();
                }
            }
            Event::BlockEnd => {
                let Some(mut block) = self.open.take() else { return };
                let text = std::mem::take(&mut self.text);
                match block["type"].as_str() {
                    Some("thinking") => block["thinking"] = text.into(),
                    Some("tool_use") => {
                        // Arguments that are no object are the model's mistake; the client's schema check says so.
                        let input = serde_json::from_str(&text).ok().filter(Value::is_object);
                        block["input"] = input.unwrap_or_else(|| Value::Object(Map::new()));
                    }
                    _ => block["text"] = text.into(),
                }
                self.content.push(block);
            }
            Event::Finish { stop, usage } => {
                let (reason, sequence) = stop_value(stop);
                self.end = Some(Ok((reason.into(), sequence, usage_value(*usage))));
            }
            Event::Error(problem) => self.end = Some(Err(problem.clone())),
        }
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem> {
        let unfinished = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
        let (stop_reason, stop_sequence, usage) = self.end.unwrap_or_else(|| Err(unfinished()))?;
        let message = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": self.content,
            "stop_reason": stop_reason, "stop_sequence": stop_sequence, "usage": usage,
        });
        Ok(message.to_string().into_bytes())
    }
}
