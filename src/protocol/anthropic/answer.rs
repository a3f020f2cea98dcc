//! Events, gathered into one whole Messages answer.

use serde::de::IgnoredAny;

use super::message_id;
use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::{AnswerEncoder, Problem, ProblemKind, quote};

pub(super) struct Answer {
    model: String,
    estimate: u64,
    show: bool,
    id: String,
    /// The blocks so far, as JSON with commas between.
    content: Vec<u8>,
    /// Where the text begins that is the last block.
    said: Option<usize>,
    open: Option<Open>,
    text: String,
    signature: String,
    end: Option<Result<(Stop, Usage), Problem>>,
}

/// Enough for a short answer, so that it does not grow piece by piece.
const ROOM: usize = 256;

enum Open {
    Text,
    Thinking,
    /// Its block up to the arguments.
    Tool(Vec<u8>),
}

impl Answer {
    pub(super) fn new(model: &str, estimate: u64, show: bool) -> Self {
        Answer {
            model: model.to_owned(),
            estimate,
            show,
            id: String::new(),
            content: Vec::with_capacity(ROOM),
            said: None,
            open: None,
            text: String::with_capacity(ROOM),
            signature: String::new(),
            end: None,
        }
    }

    fn close(&mut self) {
        let out = &mut self.content;
        let said = self.said.take();
        match self.open.take() {
            None => self.said = said,
            // An empty text must not be replayed, so it never appears.
            Some(Open::Text) if self.text.is_empty() => self.said = said,
            Some(Open::Text) => {
                quote::comma(out);
                self.said = Some(out.len());
                quote::raw(out, "{\"type\":\"text\"");
                quote::member(out, "text", &self.text);
                out.push(b'}');
            }
            // A proof of words goes in front of them: what clients take for the result is the last block.
            Some(Open::Thinking) if carrier::open(Maker::GeminiText, &self.signature).is_some() && said.is_some() => {
                let mut block = b"{\"type\":\"thinking\",\"thinking\":\"\"".to_vec();
                quote::member(&mut block, "signature", &self.signature);
                quote::raw(&mut block, "},");
                let at = said.unwrap_or_default();
                out.splice(at..at, block.iter().copied());
                self.said = said.map(|at| at + block.len());
            }
            Some(Open::Thinking) => {
                quote::comma(out);
                let redacted = carrier::open(Maker::AnthropicRedacted, &self.signature).is_some();
                if self.text.is_empty() && redacted {
                    quote::raw(out, "{\"type\":\"redacted_thinking\"");
                    quote::member(out, "data", &self.signature);
                } else {
                    if !self.show && self.signature.is_empty() && !self.text.is_empty() {
                        self.signature = carrier::seal(Maker::Text, &self.text);
                    }
                    quote::raw(out, "{\"type\":\"thinking\"");
                    quote::member(out, "thinking", if self.show { &self.text } else { "" });
                    quote::member(out, "signature", &self.signature);
                }
                out.push(b'}');
            }
            Some(Open::Tool(block)) => {
                quote::comma(out);
                out.extend_from_slice(&block);
                quote::key(out, "input");
                // Arguments that are no object are the model's mistake; the client's schema check says so.
                let object =
                    self.text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(&self.text).is_ok();
                quote::raw(out, if object { self.text.trim() } else { "{}" });
                out.push(b'}');
            }
        }
        self.text.clear();
        self.signature.clear();
    }
}

impl AnswerEncoder for Answer {
    fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { id } => self.id = message_id(id),
            Event::BlockStart(block) => {
                self.close();
                self.open = Some(match block {
                    Block::Text => Open::Text,
                    Block::Thinking => Open::Thinking,
                    Block::ToolUse { id, name, .. } => {
                        let mut block = b"{\"type\":\"tool_use\"".to_vec();
                        quote::member(&mut block, "id", id);
                        quote::member(&mut block, "name", name);
                        Open::Tool(block)
                    }
                });
            }
            Event::Delta(text) => self.text.push_str(text),
            Event::Signature(sealed) => self.signature.push_str(sealed),
            Event::BlockEnd => self.close(),
            Event::Finish { stop, usage } => self.end = Some(Ok((stop.clone(), *usage))),
            Event::Error(problem) => self.end = Some(Err(problem.clone())),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, Problem> {
        let unfinished = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
        let (stop, counted) = self.end.take().unwrap_or_else(|| Err(unfinished()))?;
        self.close();
        if self.id.is_empty() {
            self.id = message_id("");
        }
        let mut out = Vec::with_capacity(self.content.len() + 300);
        quote::raw(&mut out, "{\"id\":");
        quote::string(&mut out, &self.id);
        quote::raw(&mut out, ",\"type\":\"message\",\"role\":\"assistant\"");
        quote::member(&mut out, "model", &self.model);
        quote::raw(&mut out, ",\"content\":[");
        out.extend_from_slice(&self.content);
        quote::raw(&mut out, "],");
        write_stop(&mut out, &stop);
        quote::raw(&mut out, ",\"usage\":");
        usage(&mut out, counted, self.estimate);
        out.push(b'}');
        Ok(out)
    }
}

/// The usage object. Anthropic counts the cached part of a prompt apart. An engine that counted nothing leaves the
/// estimate: with zeros Claude Code would never compact.
pub(super) fn usage(out: &mut Vec<u8>, usage: Usage, estimate: u64) {
    let prompt = if usage.prompt == 0 { estimate } else { usage.prompt };
    quote::raw(out, "{\"input_tokens\":");
    quote::json(out, &prompt.saturating_sub(usage.cached.saturating_add(usage.cache_write)));
    quote::raw(out, ",\"cache_creation_input_tokens\":");
    quote::json(out, &usage.cache_write);
    quote::raw(out, ",\"cache_read_input_tokens\":");
    quote::json(out, &usage.cached);
    quote::raw(out, ",\"output_tokens\":");
    quote::json(out, &usage.output);
    if usage.reasoning > 0 {
        quote::raw(out, ",\"output_tokens_details\":{\"thinking_tokens\":");
        quote::json(out, &usage.reasoning);
        out.push(b'}');
    }
    out.push(b'}');
}

/// `"stop_reason":…,"stop_sequence":…`.
pub(super) fn write_stop(out: &mut Vec<u8>, stop: &Stop) {
    let (reason, sequence) = match stop {
        Stop::EndTurn => ("end_turn", None),
        Stop::MaxTokens => ("max_tokens", None),
        Stop::Sequence(text) => ("stop_sequence", Some(text)),
        Stop::ToolUse => ("tool_use", None),
        Stop::Refusal => ("refusal", None),
        Stop::ContextFull => ("model_context_window_exceeded", None),
    };
    quote::raw(out, "\"stop_reason\":\"");
    quote::raw(out, reason);
    quote::raw(out, "\",\"stop_sequence\":");
    quote::json(out, &sequence);
}
