//! A chat stream, read into bracketed events. Tool calls are kept per index: one is open and streams, fragments of
//! the others wait until it is complete.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::sse::Splitter;
use crate::protocol::{EventDecoder, Problem, ProblemKind};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    usage: Option<Value>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    stop_reason: Option<Value>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Fragment<'a>>>,
}

#[derive(Deserialize)]
struct Fragment<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
    Call(usize),
}

struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    /// All of its arguments so far.
    arguments: String,
    /// How much of them is out.
    sent: usize,
    done: bool,
}

pub(super) struct Decoder {
    splitter: Splitter,
    state: State,
}

impl Default for Decoder {
    fn default() -> Self {
        let state = State {
            started: false,
            ended: false,
            open: Open::Nothing,
            calls: Vec::new(),
            waiting: Vec::new(),
            stop: None,
            usage: Usage::default(),
        };
        Decoder { splitter: Splitter::default(), state }
    }
}

impl EventDecoder for Decoder {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let state = &mut self.state;
        self.splitter.push(bytes, &mut |data| state.data(data, sink));
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        let state = &mut self.state;
        if cut.is_none() {
            self.splitter.end(&mut |data| state.data(data, sink));
        }
        state.end(cut, sink);
    }
}

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

struct State {
    started: bool,
    ended: bool,
    open: Open,
    calls: Vec<Call>,
    /// Text and thinking that came while a call was incomplete.
    waiting: Vec<(Open, String)>,
    stop: Option<Stop>,
    usage: Usage,
}

impl State {
    fn data(&mut self, data: &[u8], sink: Sink<'_>) {
        if self.ended {
            return;
        }
        if data.trim_ascii() == b"[DONE]" {
            return self.end(None, sink);
        }
        let chunk: Chunk<'_> = match serde_json::from_slice(data) {
            Ok(chunk) => chunk,
            Err(error) => {
                let message = format!("the engine's stream does not parse: {error}");
                return self.fail(Problem::new(ProblemKind::Upstream, message), sink);
            }
        };
        if chunk.error.is_some_and(|error| error.get() != "null") {
            let code = serde_json::from_slice::<Value>(data).ok().and_then(|v| v["error"]["code"].as_u64());
            let status = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
            return self.fail(Problem::from_engine(status, data), sink);
        }
        if !self.started {
            self.started = true;
            let id = chunk.id.filter(|id| !id.is_empty()).unwrap_or_else(|| new_id("").into());
            sink(Event::Start { id });
        }
        if let Some(usage) = chunk.usage {
            self.usage(&usage);
        }
        for choice in chunk.choices.into_iter().take(1) {
            if let Some(delta) = choice.delta {
                self.delta(delta, sink);
            }
            if let Some(reason) = choice.finish_reason {
                let sequence = choice.stop_reason.and_then(|reason| reason.as_str().map(str::to_owned));
                self.stop = Some(match (reason.as_ref(), sequence) {
                    ("length", _) => Stop::MaxTokens,
                    ("content_filter", _) => Stop::Refusal,
                    ("tool_calls" | "function_call", _) if !self.calls.is_empty() => Stop::ToolUse,
                    (_, Some(text)) => Stop::Sequence(text),
                    _ => Stop::EndTurn,
                });
            }
        }
    }

    fn usage(&mut self, usage: &Value) {
        let number = |value: &Value| value.as_u64();
        if let Some(prompt) = number(&usage["prompt_tokens"]) {
            self.usage.prompt = prompt;
        }
        if let Some(output) = number(&usage["completion_tokens"]) {
            self.usage.output = output;
        }
        let cached = number(&usage["prompt_tokens_details"]["cached_tokens"]);
        if let Some(cached) = cached.or_else(|| number(&usage["prompt_cache_hit_tokens"])) {
            self.usage.cached = cached;
        }
    }

    fn delta(&mut self, delta: Delta<'_>, sink: Sink<'_>) {
        // Some engines fill both spellings with the same text.
        let thinking = delta.reasoning_content.filter(|t| !t.is_empty()).or(delta.reasoning);
        for (kind, text) in [(Open::Thinking, thinking), (Open::Text, delta.content)] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                self.words(kind, text, sink);
            }
        }
        for fragment in delta.tool_calls.unwrap_or_default() {
            self.fragment(fragment, sink);
        }
    }

    fn words(&mut self, kind: Open, text: Cow<'_, str>, sink: Sink<'_>) {
        if self.open != kind {
            if matches!(self.open, Open::Call(_)) && !self.settle(sink) {
                match self.waiting.last_mut() {
                    Some((last, more)) if *last == kind => more.push_str(&text),
                    _ => self.waiting.push((kind, text.into_owned())),
                }
                return;
            }
            self.close(sink);
            sink(Event::BlockStart(if kind == Open::Text { Block::Text } else { Block::Thinking }));
            self.open = kind;
        }
        sink(Event::Delta(text));
    }

    fn fragment(&mut self, fragment: Fragment<'_>, sink: Sink<'_>) {
        let id = fragment.id.as_deref().unwrap_or_default();
        let at = match fragment.index {
            Some(index) => self.calls.iter().position(|call| call.index == Some(index)),
            // Without an index a new id is a new call, and no id is more of the last one.
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().position(|call| call.id == id),
        };
        let at = at.unwrap_or_else(|| {
            let call = Call {
                index: fragment.index,
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
                sent: 0,
                done: false,
            };
            self.calls.push(call);
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        // Some engines repeat id and name on every fragment: the first one counts.
        if call.id.is_empty() {
            call.id.push_str(id);
        }
        if let Some(function) = fragment.function {
            if let Some(name) = function.name.filter(|_| call.name.is_empty()) {
                call.name.push_str(&name);
            }
            match function.arguments.map(RawValue::get) {
                None | Some("null") => {}
                Some(text) if text.starts_with('"') => {
                    call.arguments.push_str(&serde_json::from_str::<String>(text).unwrap_or_default());
                }
                // Not a string but the object itself.
                Some(text) => call.arguments.push_str(text),
            }
        }
        match self.open {
            Open::Call(open) if open == at => self.stream(at, sink),
            Open::Call(_) => {
                if self.settle(sink) {
                    self.open_call(at, sink);
                }
            }
            _ => self.open_call(at, sink),
        }
    }

    /// Opens the call as soon as its name is known.
    fn open_call(&mut self, at: usize, sink: Sink<'_>) {
        if self.calls[at].name.is_empty() || self.calls[at].done {
            return;
        }
        self.close(sink);
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            // Claude Code loses a call without an id in silence.
            call.id = new_id("call_");
        }
        sink(Event::BlockStart(Block::ToolUse {
            id: call.id.as_str().into(),
            name: call.name.as_str().into(),
            namespace: None,
            freeform: false,
        }));
        self.open = Open::Call(at);
        self.stream(at, sink);
    }

    fn stream(&mut self, at: usize, sink: Sink<'_>) {
        let call = &mut self.calls[at];
        if call.sent < call.arguments.len() {
            sink(Event::Delta(Cow::Borrowed(&call.arguments[call.sent..])));
            call.sent = call.arguments.len();
        }
    }

    /// Closes the open call if its arguments are a whole object, so that something else may come. Whatever waits and
    /// is whole goes out too.
    fn settle(&mut self, sink: Sink<'_>) -> bool {
        let whole = |call: &Call| serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok();
        if let Open::Call(open) = self.open
            && !whole(&self.calls[open])
        {
            return false;
        }
        self.close(sink);
        self.release(sink);
        let ready: Vec<usize> =
            (0..self.calls.len()).filter(|at| !self.calls[*at].done && whole(&self.calls[*at])).collect();
        for at in ready {
            self.open_call(at, sink);
            self.close(sink);
        }
        true
    }

    fn release(&mut self, sink: Sink<'_>) {
        for (kind, text) in std::mem::take(&mut self.waiting) {
            self.close(sink);
            sink(Event::BlockStart(if kind == Open::Text { Block::Text } else { Block::Thinking }));
            sink(Event::Delta(text.into()));
            self.open = kind;
        }
    }

    fn close(&mut self, sink: Sink<'_>) {
        if let Open::Call(at) = self.open {
            self.calls[at].done = true;
        }
        if self.open != Open::Nothing {
            sink(Event::BlockEnd);
        }
        self.open = Open::Nothing;
    }

    fn end(&mut self, cut: Option<Problem>, sink: Sink<'_>) {
        if self.ended {
            return;
        }
        let Some(stop) = self.stop.take() else {
            let ended = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
            return self.fail(cut.unwrap_or_else(ended), sink);
        };
        self.ended = true;
        self.close(sink);
        for at in 0..self.calls.len() {
            self.open_call(at, sink);
            self.close(sink);
        }
        self.release(sink);
        self.close(sink);
        // Named tool choices end with "stop" although a call was made.
        let called = self.calls.iter().any(|call| call.done);
        let stop = if called && stop != Stop::MaxTokens { Stop::ToolUse } else { stop };
        sink(Event::Finish { stop, usage: self.usage });
    }

    fn fail(&mut self, problem: Problem, sink: Sink<'_>) {
        self.ended = true;
        self.close(sink);
        sink(Event::Error(problem));
    }
}

/// An id nobody else has.
fn new_id(prefix: &str) -> String {
    let mut bytes = [0u8; 12];
    if getrandom::fill(&mut bytes).is_err() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static COUNT: AtomicU64 = AtomicU64::new(0);
        bytes[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    }
    bytes.iter().fold(prefix.to_owned(), |id, byte| id + &format!("{byte:02x}"))
}
