//! Events, written as a Messages stream: blocks numbered from 0, one after the other. Bytes are appended; nothing is
//! built first.
//!
//! Arguments of a tool call that are no JSON go through as the model wrote them (clients say so to the model); a
//! whole answer has to be an object and gives `{}` instead, see [`super::answer`].

use super::answer::{usage, write_stop};
use super::{error_body, message_id};
use crate::protocol::EventEncoder;
use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Block, Event, Usage};
use crate::protocol::quote;

pub(super) struct Encoder {
    model: String,
    /// Tokens the prompt may have, for as long as the engine has not said how many.
    estimate: u64,
    /// Whether reasoning may be seen.
    show: bool,
    index: u32,
    block: State,
    /// Everything of a delta's frame before its text.
    lead: Vec<u8>,
    /// Reasoning that is not shown: it travels as its own proof.
    hidden: String,
    /// Proofs of words that were said already, for the next block but words: what Claude Code hands out as the result
    /// is the last block, so none may stand behind the last words.
    late: Vec<String>,
    /// The last block was one of words.
    said: bool,
}

/// Where the block stands. Text and reasoning open with what first tells what they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// A text that has no character yet: an empty one must not be replayed, so it never appears.
    TextAhead,
    ThinkingAhead,
    Text,
    Thinking,
    /// Nothing more can come before its end.
    Full,
    Tool,
}

impl Encoder {
    pub(super) fn new(model: &str, estimate: u64, show: bool) -> Self {
        Encoder {
            model: model.to_owned(),
            estimate,
            show,
            index: 0,
            block: State::Closed,
            lead: Vec::new(),
            hidden: String::new(),
            late: Vec::new(),
            said: false,
        }
    }

    /// Everything of `content_block_start` before the block itself.
    fn start(&self, out: &mut Vec<u8>) {
        quote::raw(out, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":");
        quote::json(out, &self.index);
        quote::raw(out, ",\"content_block\":");
    }

    fn delta_lead(&mut self, kind: &str, key: &str) {
        self.lead.clear();
        quote::raw(&mut self.lead, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
        quote::json(&mut self.lead, &self.index);
        quote::raw(&mut self.lead, ",\"delta\":{\"type\":\"");
        quote::raw(&mut self.lead, kind);
        quote::raw(&mut self.lead, "\",\"");
        quote::raw(&mut self.lead, key);
        quote::raw(&mut self.lead, "\":");
    }

    fn delta(&self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lead);
        quote::string(out, text);
        quote::raw(out, "}}\n\n");
    }

    fn open_text(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        self.said = true;
        self.start(out);
        quote::raw(out, "{\"type\":\"text\",\"text\":\"\"}}\n\n");
        self.delta_lead("text_delta", "text");
        self.block = State::Text;
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        self.release(out);
        self.said = false;
        self.start(out);
        quote::raw(out, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n");
        self.delta_lead("thinking_delta", "thinking");
        self.block = State::Thinking;
    }

    fn signature(&mut self, sealed: &str, out: &mut Vec<u8>) {
        if self.block == State::ThinkingAhead && self.hidden.is_empty() && is_late(sealed) {
            self.late.push(sealed.to_owned());
            self.block = State::Closed;
            return;
        }
        if self.block == State::ThinkingAhead {
            // No word of it is known, and its maker wants it back as what it was.
            if self.hidden.is_empty() && carrier::open(Maker::AnthropicRedacted, sealed).is_some() {
                self.release(out);
                self.said = false;
                self.start(out);
                quote::raw(out, "{\"type\":\"redacted_thinking\",\"data\":");
                quote::string(out, sealed);
                quote::raw(out, "}}\n\n");
                self.block = State::Full;
                return;
            }
            self.open_thinking(out);
        }
        if self.block == State::Thinking {
            self.hidden.clear();
            self.delta_lead("signature_delta", "signature");
            self.delta(sealed, out);
            self.block = State::Full;
        }
    }

    /// Proofs that waited, each as a block of reasoning nobody sees.
    fn release(&mut self, out: &mut Vec<u8>) {
        let block = self.block;
        for sealed in std::mem::take(&mut self.late) {
            self.open_thinking(out);
            self.signature(&sealed, out);
            self.end(out);
        }
        self.block = block;
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if matches!(self.block, State::ThinkingAhead | State::Thinking) && !self.hidden.is_empty() {
            let sealed = carrier::seal(Maker::Text, &self.hidden);
            self.hidden.clear();
            self.signature(&sealed, out);
        }
        if matches!(self.block, State::Text | State::Thinking | State::Full | State::Tool) {
            quote::raw(out, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":");
            quote::json(out, &self.index);
            quote::raw(out, "}\n\n");
            self.index += 1;
        }
        self.block = State::Closed;
    }
}

/// Whether a proof is of words that stand before it.
fn is_late(sealed: &str) -> bool {
    [Maker::GeminiText, Maker::GeminiPart].iter().any(|maker| carrier::open(*maker, sealed).is_some())
}

impl EventEncoder for Encoder {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => {
                quote::raw(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":");
                quote::string(out, &message_id(id));
                quote::raw(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
                quote::string(out, &self.model);
                quote::raw(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
                usage(out, Usage { prompt: self.estimate, ..Usage::default() }, self.estimate);
                quote::raw(out, "}}\n\n");
            }
            Event::BlockStart(Block::Text) => self.block = State::TextAhead,
            Event::BlockStart(Block::Thinking) => self.block = State::ThinkingAhead,
            Event::BlockStart(Block::ToolUse { id, name, .. }) => {
                self.release(out);
                self.said = false;
                self.start(out);
                quote::raw(out, "{\"type\":\"tool_use\"");
                quote::member(out, "id", id);
                quote::member(out, "name", name);
                quote::raw(out, ",\"input\":{}}}\n\n");
                self.delta_lead("input_json_delta", "partial_json");
                self.block = State::Tool;
            }
            Event::Delta(text) if text.is_empty() => {}
            Event::Delta(text) => {
                match self.block {
                    State::ThinkingAhead | State::Thinking if !self.show => return self.hidden.push_str(text),
                    State::TextAhead => self.open_text(out),
                    State::ThinkingAhead => self.open_thinking(out),
                    State::Closed | State::Full => return,
                    State::Text | State::Thinking | State::Tool => {}
                }
                self.delta(text, out);
            }
            Event::Signature(sealed) => self.signature(sealed, out),
            Event::BlockEnd => self.end(out),
            Event::Finish { stop, usage: counted } => {
                self.end(out);
                if !self.said {
                    self.release(out);
                }
                quote::raw(out, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
                write_stop(out, stop);
                quote::raw(out, "},\"usage\":");
                usage(out, *counted, self.estimate);
                quote::raw(out, "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
            }
            Event::Error(problem) => {
                // The SDKs take an error at any point; Claude Code keeps what stands in closed blocks.
                self.end(out);
                quote::raw(out, "event: error\ndata: ");
                error_body(out, problem);
                quote::raw(out, "\n\n");
            }
        }
    }
}
