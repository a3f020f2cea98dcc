//! A Responses stream of a backend, read into bracketed events. Every output item is a block of its own; should items
//! overlap, one is open and streams, and the others wait until it is done.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::wire::{self, read};
use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Event, Stop, Usage};
use crate::protocol::sse::{Events, Reader};
use crate::protocol::{Problem, ProblemKind, ids};

mod item;

use item::{Frame, Item, Key, Kind, Response, Slot, Source, Text, failed, joined, status_of};

pub(super) type Decoder = Events<State>;

impl Reader for State {
    fn data(&mut self, data: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        self.read(data, sink);
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        let ended = || Problem::new(ProblemKind::Upstream, "the backend's answer ended before it was complete");
        self.fail(cut.unwrap_or_else(ended), sink);
    }
}

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

#[derive(Default)]
pub(super) struct State {
    started: bool,
    ended: bool,
    slots: Vec<Slot>,
    open: Option<usize>,
}

impl State {
    fn read(&mut self, data: &[u8], sink: Sink<'_>) {
        if self.ended || data.trim_ascii() == b"[DONE]" {
            return;
        }
        let frame: Frame<'_> = match serde_json::from_slice(data) {
            Ok(frame) => frame,
            Err(error) => {
                let message = format!("the backend's stream does not parse: {error}");
                return self.fail(Problem::new(ProblemKind::Upstream, message), sink);
            }
        };
        let key = Key { index: frame.output_index, item: frame.item_id.as_deref().unwrap_or_default() };
        let delta = || wire::string(frame.delta).unwrap_or_default();
        match frame.kind.strip_prefix("response.").unwrap_or(&frame.kind) {
            "created" | "in_progress" | "queued" => {
                let id = read::<Response<'_>>(frame.response).and_then(|response| response.id).unwrap_or_default();
                self.start(&id, sink);
            }
            "output_item.added" => {
                if let Some(item) = read::<Item<'_>>(frame.item) {
                    self.start("", sink);
                    self.add(key, &item);
                    self.advance(sink);
                }
            }
            "output_item.done" => {
                if let Some(item) = read::<Item<'_>>(frame.item) {
                    self.start("", sink);
                    self.done(key, item);
                    self.advance(sink);
                }
            }
            "output_text.delta" | "refusal.delta" => self.grow(key, Kind::Text, None, 0, &delta(), sink),
            "reasoning_summary_text.delta" => {
                let part = frame.summary_index.unwrap_or(0);
                self.grow(key, Kind::Thinking, Some(Source::Summary), part, &delta(), sink);
            }
            // The second is what the Open Responses schema calls it.
            "reasoning_text.delta" | "reasoning.delta" => {
                self.grow(key, Kind::Thinking, Some(Source::Content), 0, &delta(), sink);
            }
            "function_call_arguments.delta" => self.grow(key, Kind::Function, None, 0, &delta(), sink),
            "custom_tool_call_input.delta" => self.grow(key, Kind::Custom, None, 0, &delta(), sink),
            "completed" | "incomplete" | "failed" | "cancelled" => match read::<Response<'_>>(frame.response) {
                Some(response) => self.finish(response, data, sink),
                None => self.fail(Problem::from_engine(500, data), sink),
            },
            "error" => {
                let nested = frame.error.map(|error| error.get().as_bytes());
                let mut problem = Problem::from_engine(status_of(frame.code), nested.unwrap_or(data));
                if let Some(message) = frame.message.filter(|_| nested.is_none()) {
                    problem.message = message.into_owned();
                }
                self.fail(problem, sink);
            }
            // An engine that fails before it knows what it streams.
            "" if frame.error.is_some() => self.fail(Problem::from_engine(status_of(frame.code), data), sink),
            _ => {}
        }
    }

    fn start(&mut self, id: &str, sink: Sink<'_>) {
        if !std::mem::replace(&mut self.started, true) {
            let id = if id.is_empty() { ids::new("resp_").into() } else { Cow::Borrowed(id) };
            sink(Event::Start { id });
        }
    }

    fn find(&self, key: Key<'_>) -> Option<usize> {
        let same = |slot: &Slot| match key.index {
            Some(index) => slot.index == Some(index),
            None => slot.item == key.item,
        };
        self.slots.iter().position(same)
    }

    fn slot(&mut self, key: Key<'_>, kind: Kind) -> &mut Slot {
        let at = self.find(key).unwrap_or_else(|| {
            self.slots.push(Slot {
                index: key.index,
                item: key.item.to_owned(),
                kind,
                id: String::new(),
                name: String::new(),
                namespace: None,
                waiting: String::new(),
                filled: false,
                source: None,
                part: 0,
                signature: None,
                opened: false,
                done: false,
                closed: false,
            });
            self.slots.len() - 1
        });
        &mut self.slots[at]
    }

    /// An item whose kind is known. Items of other kinds are nothing an event can say.
    fn add(&mut self, key: Key<'_>, item: &Item<'_>) -> Option<&mut Slot> {
        let key = Key { item: item.id.as_deref().unwrap_or(key.item), ..key };
        let kind = match item.kind.as_ref() {
            "message" => Kind::Text,
            "reasoning" => Kind::Thinking,
            "function_call" => Kind::Function,
            "custom_tool_call" => Kind::Custom,
            _ => return None,
        };
        let slot = self.slot(key, kind);
        // Whatever a backend says later, an open block stays what it is.
        if !slot.opened && slot.name.is_empty() && matches!(kind, Kind::Function | Kind::Custom) {
            let given = |id: &Text<'_>| id.as_deref().filter(|id| !id.is_empty()).map(str::to_owned);
            slot.kind = kind;
            slot.id = given(&item.call_id).or_else(|| given(&item.id)).unwrap_or_else(|| ids::new("call_"));
            slot.name = item.name.as_deref().unwrap_or_default().to_owned();
            slot.namespace = given(&item.namespace);
        }
        Some(slot)
    }

    fn grow(&mut self, key: Key<'_>, kind: Kind, source: Option<Source>, part: u64, text: &str, sink: Sink<'_>) {
        if text.is_empty() {
            return;
        }
        self.start("", sink);
        let slot = self.slot(key, kind);
        if slot.done || (slot.source.is_some() && slot.source != source) {
            return;
        }
        slot.source = source;
        if slot.filled && slot.part != part {
            slot.waiting.push_str("\n\n");
        }
        slot.part = part;
        slot.filled = true;
        slot.waiting.push_str(text);
        self.advance(sink);
    }

    fn done(&mut self, key: Key<'_>, item: Item<'_>) {
        let Some(slot) = self.add(key, &item) else { return };
        if slot.done {
            return;
        }
        slot.done = true;
        slot.signature = item
            .encrypted_content
            .filter(|proof| slot.kind == Kind::Thinking && !proof.is_empty())
            .map(|proof| carrier::seal(Maker::Responses, &proof));
        // What came without deltas, all at once.
        if !slot.filled {
            let text = match slot.kind {
                Kind::Text => joined(item.content, ""),
                Kind::Thinking => {
                    let summary = joined(item.summary, "\n\n");
                    if summary.is_empty() { joined(item.content, "") } else { summary }
                }
                Kind::Function => item.arguments.unwrap_or_default().into_owned(),
                Kind::Custom => item.input.unwrap_or_default().into_owned(),
            };
            slot.filled = !text.is_empty();
            slot.waiting = text;
        }
    }

    /// Sends what can go out now.
    fn advance(&mut self, sink: Sink<'_>) {
        loop {
            let next = || self.slots.iter().position(|slot| !slot.closed && slot.ready());
            let Some(at) = self.open.or_else(next) else { return };
            let slot = &mut self.slots[at];
            if !slot.opened {
                slot.opened = true;
                self.open = Some(at);
                if !slot.empty() {
                    sink(Event::BlockStart(slot.block()));
                }
            }
            // Arguments of a call that never got a name are nobody's.
            if !slot.waiting.is_empty() && !slot.empty() {
                sink(Event::Delta(std::mem::take(&mut slot.waiting).into()));
            }
            if !slot.done {
                return;
            }
            if !slot.empty() {
                if let Some(signature) = slot.signature.take() {
                    sink(Event::Signature(signature.into()));
                    // It is what keeps a hidden thought from being empty.
                    slot.filled = true;
                }
                sink(Event::BlockEnd);
            }
            slot.closed = true;
            self.open = None;
        }
    }

    fn finish(&mut self, response: Response<'_>, data: &[u8], sink: Sink<'_>) {
        if self.ended {
            return;
        }
        self.start(response.id.as_deref().unwrap_or_default(), sink);
        let status = response.status.as_deref().unwrap_or("completed");
        if response.error.is_some() || matches!(status, "failed" | "cancelled") {
            return self.fail(failed(response.error, data), sink);
        }
        // Items that came as events are known; without any, this is all there is.
        let streamed = !self.slots.is_empty();
        for (index, raw) in (0..).zip(read::<Vec<&RawValue>>(response.output).unwrap_or_default()) {
            let Some(item) = read::<Item<'_>>(Some(raw)) else { continue };
            let id = item.id.as_deref().unwrap_or_default().to_owned();
            let key = Key { index: Some(index), item: &id };
            let key = if streamed && self.find(key).is_none() { Key { index: None, ..key } } else { key };
            if !streamed || self.find(key).is_some() {
                self.done(key, item);
            }
        }
        self.settle(sink);
        self.ended = true;
        let reason = response.incomplete_details.and_then(|details| details.reason);
        let called = self.slots.iter().any(|slot| matches!(slot.kind, Kind::Function | Kind::Custom) && !slot.empty());
        let stop = match reason.as_deref() {
            Some("content_filter") => Stop::Refusal,
            Some(_) => Stop::MaxTokens,
            None if status == "incomplete" => Stop::MaxTokens,
            None if called => Stop::ToolUse,
            None => Stop::EndTurn,
        };
        let wire = response.usage.unwrap_or_default();
        let (input, output) =
            (wire.input_tokens_details.unwrap_or_default(), wire.output_tokens_details.unwrap_or_default());
        let usage = Usage {
            prompt: wire.input_tokens.unwrap_or(0),
            cached: input.cached_tokens.unwrap_or(0),
            cache_write: input.cache_write_tokens.unwrap_or(0),
            output: wire.output_tokens.unwrap_or(0),
            reasoning: output.reasoning_tokens.unwrap_or(0),
        };
        sink(Event::Finish { stop, usage });
    }

    /// Nothing more comes for any item.
    fn settle(&mut self, sink: Sink<'_>) {
        self.slots.iter_mut().for_each(|slot| slot.done = true);
        self.advance(sink);
    }

    fn fail(&mut self, problem: Problem, sink: Sink<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(open) = self.open.take()
            && !self.slots[open].empty()
        {
            sink(Event::BlockEnd);
        }
        sink(Event::Error(problem));
    }
}
