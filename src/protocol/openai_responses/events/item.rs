//! What the events of a stream are about: their form on the wire, and an item while it grows.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::wire::{self, read};
use crate::protocol::event::Block;
use crate::protocol::{Problem, ProblemKind};

pub(super) type Text<'a> = Option<Cow<'a, str>>;

#[derive(Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    pub(super) output_index: Option<u64>,
    #[serde(borrow)]
    pub(super) item_id: Text<'a>,
    pub(super) summary_index: Option<u64>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message: Text<'a>,
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) status: Text<'a>,
    #[serde(borrow)]
    pub(super) output: Option<&'a RawValue>,
    pub(super) usage: Option<WireUsage>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    pub(super) incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
pub(super) struct Incomplete {
    pub(super) reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct WireUsage {
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) input_tokens_details: Option<Details>,
    pub(super) output_tokens_details: Option<Details>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Details {
    pub(super) cached_tokens: Option<u64>,
    pub(super) cache_write_tokens: Option<u64>,
    pub(super) reasoning_tokens: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) call_id: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    pub(super) arguments: Text<'a>,
    #[serde(borrow)]
    pub(super) input: Text<'a>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) summary: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) encrypted_content: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) refusal: Text<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
    Function,
    Custom,
}

/// Where a thought came from: a backend may give the summary and the text of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Summary,
    Content,
}

/// Which item an event is about: by place, else by id (some engines leave the place out).
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'k> {
    pub(super) index: Option<u64>,
    pub(super) item: &'k str,
}

pub(super) struct Slot {
    pub(super) index: Option<u64>,
    pub(super) item: String,
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// What came and is not out yet.
    pub(super) waiting: String,
    /// Something came.
    pub(super) filled: bool,
    pub(super) source: Option<Source>,
    pub(super) part: u64,
    pub(super) signature: Option<String>,
    pub(super) opened: bool,
    pub(super) done: bool,
    pub(super) closed: bool,
}

impl Slot {
    /// Whether it can be opened: words with the first of them, calls with their name.
    pub(super) fn ready(&self) -> bool {
        match self.kind {
            Kind::Text | Kind::Thinking => self.filled || self.done,
            Kind::Function | Kind::Custom => !self.name.is_empty() || self.done,
        }
    }

    /// Whether it is nothing to speak of.
    pub(super) fn empty(&self) -> bool {
        match self.kind {
            Kind::Text | Kind::Thinking => !self.filled && self.signature.is_none(),
            Kind::Function | Kind::Custom => self.name.is_empty(),
        }
    }

    pub(super) fn block(&self) -> Block<'_> {
        match self.kind {
            Kind::Text => Block::Text,
            Kind::Thinking => Block::Thinking,
            Kind::Function | Kind::Custom => Block::ToolUse {
                id: self.id.as_str().into(),
                name: self.name.as_str().into(),
                namespace: self.namespace.as_deref().map(Into::into),
                freeform: self.kind == Kind::Custom,
            },
        }
    }
}

/// The texts of a list of parts.
pub(super) fn joined(parts: Option<&RawValue>, between: &str) -> String {
    let parts: Vec<Part<'_>> = read(parts).unwrap_or_default();
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref().or(part.refusal.as_deref())).collect();
    texts.join(between)
}

/// The status an error code stands for.
pub(super) fn status_of(code: Option<&RawValue>) -> u16 {
    let text = wire::string(code);
    match text.as_deref() {
        Some("rate_limit_exceeded") => 429,
        Some("context_length_exceeded" | "invalid_prompt" | "invalid_request_error") => 400,
        Some("server_is_overloaded" | "slow_down") => 503,
        _ => read::<u16>(code).unwrap_or(500),
    }
}

pub(super) fn failed(error: Option<&RawValue>, data: &[u8]) -> Problem {
    #[derive(Deserialize)]
    struct Code<'a> {
        #[serde(borrow)]
        code: Option<&'a RawValue>,
    }
    let code = read::<Code<'_>>(error).and_then(|error| error.code);
    let body = error.map_or(data, |error| error.get().as_bytes());
    let problem = Problem::from_engine(status_of(code), body);
    if wire::string(code).as_deref() == Some("context_length_exceeded") {
        return Problem { kind: ProblemKind::ContextOverflow, ..problem };
    }
    problem
}
