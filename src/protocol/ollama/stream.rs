//! The lines of `/api/chat`, read into bracketed events. Tool calls come whole, arguments as an object.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::{EventDecoder, Problem, ProblemKind, ids};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    done: bool,
    #[serde(borrow)]
    done_reason: Option<Cow<'a, str>>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// One line may not outgrow this: a stream without line ends is no stream of lines.
const LIMIT: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    state: State,
}

impl EventDecoder for Decoder {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if self.line.is_empty() {
                self.state.line(&rest[..end], sink);
            } else {
                self.line.extend_from_slice(&rest[..end]);
                self.state.line(&self.line, sink);
                self.line.clear();
            }
            rest = &rest[end + 1..];
        }
        if self.line.len() + rest.len() <= LIMIT {
            self.line.extend_from_slice(rest);
        }
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        if cut.is_none() {
            let line = std::mem::take(&mut self.line);
            self.state.line(&line, sink);
        }
        let ended = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
        self.state.fail(cut.unwrap_or_else(ended), sink);
    }
}

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
}

#[derive(Default)]
struct State {
    started: bool,
    ended: bool,
    open: Open,
    called: bool,
}

impl State {
    fn line(&mut self, text: &[u8], sink: Sink<'_>) {
        let text = text.trim_ascii();
        if self.ended || text.is_empty() {
            return;
        }
        let line: Line<'_> = match serde_json::from_slice(text) {
            Ok(line) => line,
            Err(error) => {
                let message = format!("the engine's answer does not parse: {error}");
                return self.fail(Problem::new(ProblemKind::Upstream, message), sink);
            }
        };
        if line.error.is_some() {
            return self.fail(Problem::from_engine(500, text), sink);
        }
        if !std::mem::replace(&mut self.started, true) {
            sink(Event::Start { id: Cow::Borrowed("") });
        }
        if let Some(message) = line.message {
            self.words(Open::Thinking, message.thinking, sink);
            self.words(Open::Text, message.content, sink);
            message.tool_calls.unwrap_or_default().into_iter().for_each(|call| self.call(call, sink));
        }
        if line.done {
            let stop = match line.done_reason.as_deref() {
                Some("length") => Stop::MaxTokens,
                _ if self.called => Stop::ToolUse,
                // "stop", and "load" or "unload" where there was nothing to say.
                _ => Stop::EndTurn,
            };
            let usage = Usage {
                prompt: line.prompt_eval_count.unwrap_or(0),
                output: line.eval_count.unwrap_or(0),
                ..Usage::default()
            };
            self.close(sink);
            self.ended = true;
            sink(Event::Finish { stop, usage });
        }
    }

    fn words(&mut self, kind: Open, text: Option<Cow<'_, str>>, sink: Sink<'_>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.open != kind {
            self.close(sink);
            sink(Event::BlockStart(if kind == Open::Text { Block::Text } else { Block::Thinking }));
            self.open = kind;
        }
        sink(Event::Delta(text));
    }

    fn call(&mut self, call: Call<'_>, sink: Sink<'_>) {
        if call.function.name.is_empty() {
            return;
        }
        self.close(sink);
        self.called = true;
        // Older servers give no ids; clients lose a call without one in silence.
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| ids::new("call_").into());
        let name = call.function.name;
        sink(Event::BlockStart(Block::ToolUse { id, name, namespace: None, freeform: false }));
        match call.function.arguments.map(RawValue::get) {
            None | Some("null") => {}
            // Servers of the kind have sent the arguments as text, too.
            Some(text) if text.starts_with('"') => {
                sink(Event::Delta(serde_json::from_str::<String>(text).unwrap_or_default().into()));
            }
            Some(text) => sink(Event::Delta(text.into())),
        }
        sink(Event::BlockEnd);
    }

    fn close(&mut self, sink: Sink<'_>) {
        if std::mem::take(&mut self.open) != Open::Nothing {
            sink(Event::BlockEnd);
        }
    }

    fn fail(&mut self, problem: Problem, sink: Sink<'_>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.close(sink);
            sink(Event::Error(problem));
        }
    }
}
