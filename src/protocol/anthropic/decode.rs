//! A Messages answer of a backend, streamed or whole, read into bracketed events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::sse::{Events, Reader};
use crate::protocol::{Problem, ProblemKind, ids};

/// Any event, flat.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    index: u64,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<Content<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Counts>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    usage: Option<Counts>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_sequence: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counts {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details {
    thinking_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

pub(super) type Decoder = Events<State>;

impl Reader for State {
    fn data(&mut self, data: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        self.read(data, sink);
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        let ended = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
        self.fail(cut.unwrap_or_else(ended), sink);
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
    Tool,
}

#[derive(Default)]
pub(super) struct State {
    started: bool,
    ended: bool,
    open: Open,
    /// The index of the block that is open; also of one that nobody is told about.
    at: u64,
    /// What a server's tool does at the backend is its own affair.
    ignored: bool,
    /// The open block's proof so far, and whose.
    proof: String,
    redacted: bool,
    /// Arguments that stood in the call's first event; they count when no piece follows.
    input: String,
    called: bool,
    /// Events about other blocks that came while a call was incomplete.
    waiting: Vec<Vec<u8>>,
    stop: Option<Stop>,
    counts: [u64; 5],
}

impl State {
    fn read(&mut self, data: &[u8], sink: Sink<'_>) {
        if self.ended || data.trim_ascii().is_empty() || data.trim_ascii() == b"[DONE]" {
            return;
        }
        let frame: Frame<'_> = match serde_json::from_slice(data) {
            Ok(frame) => frame,
            Err(error) => return self.fail(unreadable(&error), sink),
        };
        if let Some(error) = frame.error {
            return self.fail(problem(&error, data), sink);
        }
        // Anthropic sends one block after the other; gateways in front of other servers let calls overlap.
        if self.open == Open::Tool && frame.index != self.at && frame.kind.starts_with("content_block_") {
            return self.waiting.push(data.to_vec());
        }
        match frame.kind.as_ref() {
            "message_start" => {
                let message = frame.message.unwrap_or_default();
                self.count(message.usage);
                self.start(message.id, sink);
            }
            "content_block_start" => {
                self.begin(sink);
                self.block_start(frame.index, frame.content_block.unwrap_or_default(), sink);
            }
            "content_block_delta" => {
                self.begin(sink);
                self.delta(frame.index, frame.delta.unwrap_or_default(), sink);
            }
            "content_block_stop" if frame.index == self.at => {
                self.close(sink);
                self.go_on(sink);
            }
            "message_delta" => {
                if let Some(delta) = frame.delta
                    && let Some(reason) = delta.stop_reason
                {
                    self.stop = Some(stop(&reason, delta.stop_sequence));
                }
                self.count(frame.usage);
            }
            "message_stop" => {
                self.begin(sink);
                self.finish(sink);
            }
            // Pings, and whatever comes to be.
            _ => {}
        }
    }

    fn begin(&mut self, sink: Sink<'_>) {
        self.start(Cow::Borrowed(""), sink);
    }

    fn start(&mut self, id: Cow<'_, str>, sink: Sink<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            sink(Event::Start { id });
        }
    }

    /// Later counts replace earlier ones; what is not repeated stays.
    fn count(&mut self, counts: Option<Counts>) {
        let Some(counts) = counts else { return };
        let details = counts.output_tokens_details.and_then(|details| details.thinking_tokens);
        let new = [
            counts.input_tokens,
            counts.cache_read_input_tokens,
            counts.cache_creation_input_tokens,
            counts.output_tokens,
            details,
        ];
        for (known, new) in self.counts.iter_mut().zip(new) {
            *known = new.unwrap_or(*known);
        }
    }

    fn block_start(&mut self, index: u64, content: Content<'_>, sink: Sink<'_>) {
        // Some servers begin a block before the last one ended (ollama#17101).
        self.close(sink);
        self.at = index;
        match content.kind.as_ref() {
            "text" => self.words(Open::Text, content.text, sink),
            "thinking" => {
                self.open(Open::Thinking, Block::Thinking, sink);
                self.words(Open::Thinking, content.thinking, sink);
                self.proof.push_str(&content.signature.unwrap_or_default());
            }
            "redacted_thinking" => {
                self.open(Open::Thinking, Block::Thinking, sink);
                self.redacted = true;
                self.proof.push_str(&content.data.unwrap_or_default());
            }
            "tool_use" => {
                self.called = true;
                let id = content.id.filter(|id| !id.is_empty()).unwrap_or_else(|| ids::new("toolu_").into());
                let name = content.name.unwrap_or_default();
                self.open(Open::Tool, Block::ToolUse { id, name, namespace: None, freeform: false }, sink);
                let input = content.input.map_or("", RawValue::get);
                if input.starts_with('{') && !input.trim_matches(['{', '}', ' ', '\n']).is_empty() {
                    self.input.push_str(input);
                }
            }
            _ => self.ignored = true,
        }
    }

    fn delta(&mut self, index: u64, delta: Delta<'_>, sink: Sink<'_>) {
        if index != self.at {
            // A block whose beginning was lost.
            self.close(sink);
            self.at = index;
        }
        if self.ignored {
            return;
        }
        match delta.kind.as_ref() {
            "text_delta" => self.words(Open::Text, delta.text, sink),
            "thinking_delta" => self.words(Open::Thinking, delta.thinking, sink),
            "signature_delta" => self.proof.push_str(&delta.signature.unwrap_or_default()),
            "input_json_delta" if self.open == Open::Tool => {
                if let Some(piece) = delta.partial_json.filter(|piece| !piece.is_empty()) {
                    self.input.clear();
                    sink(Event::Delta(piece));
                }
            }
            _ => {}
        }
    }

    fn words(&mut self, kind: Open, text: Option<Cow<'_, str>>, sink: Sink<'_>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.open != kind {
            self.close(sink);
            self.open(kind, if kind == Open::Text { Block::Text } else { Block::Thinking }, sink);
        }
        sink(Event::Delta(text));
    }

    fn open(&mut self, kind: Open, block: Block<'_>, sink: Sink<'_>) {
        self.open = kind;
        sink(Event::BlockStart(block));
    }

    fn close(&mut self, sink: Sink<'_>) {
        self.ignored = false;
        let (proof, input) = (std::mem::take(&mut self.proof), std::mem::take(&mut self.input));
        let maker = if std::mem::take(&mut self.redacted) { Maker::AnthropicRedacted } else { Maker::Anthropic };
        match std::mem::take(&mut self.open) {
            Open::Nothing => return,
            Open::Thinking if !proof.is_empty() => sink(Event::Signature(carrier::seal(maker, &proof).into())),
            Open::Tool if !input.is_empty() => sink(Event::Delta(input.into())),
            _ => {}
        }
        sink(Event::BlockEnd);
    }

    /// What had to wait for the call that is complete now.
    fn go_on(&mut self, sink: Sink<'_>) {
        for data in std::mem::take(&mut self.waiting) {
            self.read(&data, sink);
        }
    }

    fn finish(&mut self, sink: Sink<'_>) {
        self.close(sink);
        // Each time round at least one of them is told.
        while !self.waiting.is_empty() && !self.ended {
            self.go_on(sink);
            self.close(sink);
        }
        self.ended = true;
        let [input, cached, cache_write, output, reasoning] = self.counts;
        let prompt = input.saturating_add(cached).saturating_add(cache_write);
        let usage = Usage { prompt, cached, cache_write, output, reasoning };
        let stop = match self.stop.take().unwrap_or(Stop::EndTurn) {
            Stop::EndTurn if self.called => Stop::ToolUse,
            stop => stop,
        };
        sink(Event::Finish { stop, usage });
    }

    fn fail(&mut self, problem: Problem, sink: Sink<'_>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.close(sink);
            sink(Event::Error(problem));
        }
    }
}

fn stop(reason: &str, sequence: Option<Cow<'_, str>>) -> Stop {
    match reason {
        "max_tokens" => Stop::MaxTokens,
        "stop_sequence" => sequence.map_or(Stop::EndTurn, |text| Stop::Sequence(text.into_owned())),
        "tool_use" => Stop::ToolUse,
        "refusal" => Stop::Refusal,
        "model_context_window_exceeded" => Stop::ContextFull,
        // end_turn; pause_turn, which only server tools cause.
        _ => Stop::EndTurn,
    }
}

fn problem(error: &ErrorBody<'_>, body: &[u8]) -> Problem {
    let status = match error.kind.as_ref() {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "overloaded_error" => 529,
        "timeout_error" | "gateway_timeout" => 504,
        _ => 500,
    };
    Problem::from_engine(status, body)
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::new(ProblemKind::Upstream, format!("the engine's answer does not parse: {error}"))
}
