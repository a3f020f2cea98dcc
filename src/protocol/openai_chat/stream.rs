//! A chat stream, read into bracketed events. Tool calls are kept per call: one is open and streams, fragments of the
//! others wait until it is complete.

use std::borrow::Cow;

use serde_json::Value;

use super::calls::Calls;
use super::chunk::{self, Choice, Chunk, Delta, Fragment};
use super::details::{self, Details};
use super::plain::{self, Plain};
use super::wire::{self, Either, Text};
use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::sse::Splitter;
use crate::protocol::{EventDecoder, Problem, ProblemKind, ids, pull};

/// What reads a stream.
#[derive(Default)]
pub(super) struct Decoder {
    form: Form,
    state: State,
}

/// What the bytes are, as soon as there are any.
#[derive(Default)]
enum Form {
    Events(Splitter),
    /// A whole answer, from a server that does not stream although it was asked to.
    Whole(Vec<u8>),
    #[default]
    Unknown,
}

/// A whole answer beyond this is none.
const LIMIT: usize = 64 << 20;

impl EventDecoder for Decoder {
    fn push(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        if matches!(self.form, Form::Unknown) {
            bytes = bytes.trim_ascii_start();
            // No line of a stream begins with a brace.
            self.form = match bytes.first() {
                None => return,
                Some(b'{') => Form::Whole(Vec::new()),
                Some(_) => Form::Events(Splitter::default()),
            };
        }
        let state = &mut self.state;
        match &mut self.form {
            Form::Events(splitter) => splitter.push(bytes, &mut |data| state.data(data, sink)),
            Form::Whole(all) if all.len() + bytes.len() <= LIMIT => all.extend_from_slice(bytes),
            Form::Whole(_) | Form::Unknown => {}
        }
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        let state = &mut self.state;
        match &mut self.form {
            Form::Events(splitter) if cut.is_none() => splitter.end(&mut |data| state.data(data, sink)),
            Form::Whole(all) if cut.is_none() => state.data(all, sink),
            _ => {}
        }
        state.end(cut, sink);
    }
}

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
    Call(usize),
}

#[derive(Default)]
struct State {
    started: bool,
    ended: bool,
    open: Open,
    calls: Calls,
    /// Text and thinking that came while a call was incomplete.
    waiting: Vec<(Open, String)>,
    details: Details,
    refused: bool,
    stop: Option<Stop>,
    usage: Usage,
}

impl State {
    fn data(&mut self, data: &[u8], sink: Sink<'_>) {
        let data = data.trim_ascii();
        if self.ended || data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            return self.end(None, sink);
        }
        if let Some(plain) = plain::read(data) {
            return self.plain(plain, sink);
        }
        let chunk: Chunk<'_> = match pull::from_slice(data) {
            Ok(chunk) => chunk,
            Err(error) => {
                let message = format!("the engine's stream does not parse: {error}");
                return self.fail(Problem::new(ProblemKind::Upstream, message), sink);
            }
        };
        if let Some(error) = chunk.error {
            let code = serde_json::from_str::<Value>(error.get()).ok().and_then(|error| error["code"].as_u64());
            let status = code.and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400).unwrap_or(500);
            return self.fail(Problem::from_engine(status, data), sink);
        }
        self.start(chunk.id.map(|id| id.0), sink);
        if let Some(usage) = chunk.usage {
            usage.take(&mut self.usage);
        }
        if let Some(timings) = chunk.timings {
            timings.take(&mut self.usage);
        }
        if let Some(choice) = chunk.choices.0 {
            self.choice(choice, sink);
        }
    }

    fn start(&mut self, id: Option<Cow<'_, str>>, sink: Sink<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| ids::new("").into());
            sink(Event::Start { id });
        }
    }

    /// A chunk like most.
    fn plain(&mut self, plain: Plain<'_>, sink: Sink<'_>) {
        self.start(plain.id.map(Cow::Borrowed), sink);
        if let Some(usage) = plain.usage {
            usage.take(&mut self.usage);
        }
        if let Some(text) = plain.thinking {
            self.words(Open::Thinking, text, sink);
        }
        if let Some(text) = plain.content {
            self.words(Open::Text, text, sink);
        }
        self.stops(plain.finish.and_then(|reason| chunk::stop(reason, || None)), sink);
    }

    fn choice(&mut self, mut choice: Choice<'_>, sink: Sink<'_>) {
        if let Some(usage) = choice.usage.take() {
            usage.take(&mut self.usage);
        }
        // Before the reason to end: some put the last arguments beside it.
        if let Some(delta) = choice.delta.take() {
            self.delta(*delta, sink);
        }
        if let Some(mut message) = choice.message.take() {
            // A whole answer's calls have no numbers.
            for (at, call) in message.tool_calls.iter_mut().flatten().enumerate() {
                call.index = Some(wire::Count(at as u64));
            }
            self.delta(*message, sink);
        }
        self.stops(choice.stop(), sink);
    }

    fn stops(&mut self, stop: Option<Result<Stop, Problem>>, sink: Sink<'_>) {
        match stop {
            Some(Ok(stop)) => self.stop = Some(stop),
            Some(Err(problem)) => self.fail(problem, sink),
            None => {}
        }
    }

    fn delta(&mut self, delta: Delta<'_>, sink: Sink<'_>) {
        let mut thinking = wire::reasoning([delta.reasoning_content, delta.reasoning]);
        if let Some(raw) = delta.reasoning_details {
            self.details.take(raw);
            let words = if thinking.is_none() { details::words(raw) } else { String::new() };
            if !words.is_empty() {
                thinking = Some(words.into());
            } else if thinking.is_none() && self.open == Open::Nothing {
                // Hidden reasoning: a block with a proof and no words, in its place.
                self.begin(Open::Thinking, sink);
            }
        }
        if let Some(text) = thinking {
            self.words(Open::Thinking, text, sink);
        }
        match delta.content {
            Some(Either::Text(text)) => self.words(Open::Text, text, sink),
            Some(Either::Other(pieces)) => {
                for piece in pieces {
                    match piece.thinking {
                        Some(Either::Text(text)) => self.words(Open::Thinking, text, sink),
                        Some(Either::Other(thoughts)) => {
                            for Text(text) in thoughts.into_iter().filter_map(|thought| thought.text) {
                                self.words(Open::Thinking, text, sink);
                            }
                        }
                        None => {}
                    }
                    if let Some(Text(text)) = piece.text {
                        self.words(Open::Text, text, sink);
                    }
                }
            }
            None => {}
        }
        if let Some(Text(text)) = delta.refusal.filter(|text| !text.is_empty()) {
            self.refused = true;
            self.words(Open::Text, text, sink);
        }
        for fragment in delta.tool_calls.unwrap_or_default() {
            self.fragment(&fragment, sink);
        }
        if let Some(function) = delta.function_call {
            let function = Some(function);
            // There is one at most: a number no list has.
            let index = Some(wire::Count(u64::MAX));
            self.fragment(&Fragment { index, id: None, function, custom: None, extra_content: None }, sink);
        }
    }

    fn words(&mut self, kind: Open, text: Cow<'_, str>, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        if self.open != kind {
            if matches!(self.open, Open::Call(_)) && !self.settle(sink) {
                match self.waiting.last_mut() {
                    Some((last, more)) if *last == kind => more.push_str(&text),
                    _ => self.waiting.push((kind, text.into_owned())),
                }
                return;
            }
            // What waited may have been of this kind.
            if self.open != kind {
                self.begin(kind, sink);
            }
        }
        sink(Event::Delta(text));
    }

    fn begin(&mut self, kind: Open, sink: Sink<'_>) {
        self.close(sink);
        sink(Event::BlockStart(if kind == Open::Text { Block::Text } else { Block::Thinking }));
        self.open = kind;
    }

    fn fragment(&mut self, fragment: &Fragment<'_>, sink: Sink<'_>) {
        let at = self.calls.take(fragment);
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
        if self.calls.0.get(at).is_none_or(|call| call.name.is_empty() || call.done) {
            return;
        }
        self.close(sink);
        let taken =
            self.calls.0.iter().take(at).any(|other| self.calls.0.get(at).is_some_and(|call| call.id == other.id));
        let Some(call) = self.calls.0.get_mut(at) else { return };
        if call.id.is_empty() || taken {
            // Claude Code loses a call without an id in silence, and results are told apart by it.
            call.id = ids::new("call_");
        }
        if let Some(proof) = &call.proof {
            // Most protocols carry proofs of reasoning only.
            sink(Event::BlockStart(Block::Thinking));
            sink(Event::Signature(carrier::seal(Maker::GeminiCall, proof).into()));
            sink(Event::BlockEnd);
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
        if let Some(call) = self.calls.0.get_mut(at).filter(|call| !call.waiting.is_empty()) {
            sink(Event::Delta(Cow::Borrowed(&call.waiting)));
            call.waiting.clear();
        }
    }

    /// Closes the open call if its arguments are a whole object, so that something else may come. Whatever waits and
    /// is whole goes out too.
    fn settle(&mut self, sink: Sink<'_>) -> bool {
        if let Open::Call(open) = self.open
            && !self.calls.0.get(open).is_some_and(|call| call.whole())
        {
            return false;
        }
        self.close(sink);
        self.release(sink);
        for at in 0..self.calls.0.len() {
            if self.calls.0.get(at).is_some_and(|call| !call.done && call.whole()) {
                self.open_call(at, sink);
                self.close(sink);
            }
        }
        true
    }

    fn release(&mut self, sink: Sink<'_>) {
        for (kind, text) in std::mem::take(&mut self.waiting) {
            self.begin(kind, sink);
            sink(Event::Delta(text.into()));
        }
    }

    fn close(&mut self, sink: Sink<'_>) {
        match std::mem::take(&mut self.open) {
            Open::Nothing => return,
            Open::Text => {}
            Open::Thinking => {
                if let Some(list) = self.details.finish() {
                    sink(Event::Signature(carrier::seal(Maker::Details, &list).into()));
                }
            }
            Open::Call(at) => {
                if let Some(call) = self.calls.0.get_mut(at) {
                    call.done = true;
                    if let Some(proof) = call.proof.take() {
                        sink(Event::Signature(carrier::seal(Maker::Gemini, &proof).into()));
                    }
                }
            }
        }
        sink(Event::BlockEnd);
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
        for at in 0..self.calls.0.len() {
            self.open_call(at, sink);
            self.close(sink);
        }
        self.release(sink);
        self.close(sink);
        if let Some(list) = self.details.finish() {
            // Proofs that came behind the words they belong to.
            sink(Event::BlockStart(Block::Thinking));
            sink(Event::Signature(carrier::seal(Maker::Details, &list).into()));
            sink(Event::BlockEnd);
        }
        // Named tool choices end with "stop" although a call was made; and a call that never got a name is none.
        let called = self.calls.0.iter().any(|call| call.done);
        let stop = match stop {
            Stop::MaxTokens => Stop::MaxTokens,
            _ if called => Stop::ToolUse,
            _ if self.refused => Stop::Refusal,
            Stop::ToolUse => Stop::EndTurn,
            stop => stop,
        };
        sink(Event::Finish { stop, usage: self.usage });
    }

    fn fail(&mut self, problem: Problem, sink: Sink<'_>) {
        self.ended = true;
        self.close(sink);
        sink(Event::Error(problem));
    }
}
