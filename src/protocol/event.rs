//! An answer in no protocol: bracketed events, one block at a time.

use std::borrow::Cow;

use super::Problem;

/// One step of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The answer begins; once, first.
    Start {
        /// The backend's id for it, possibly empty.
        id: Cow<'a, str>,
    },
    /// A block begins. Blocks never overlap.
    BlockStart(Block<'a>),
    /// The open block grows: text, thinking, or a piece of a tool call's JSON arguments (of a freeform call: of its
    /// text).
    Delta(Cow<'a, str>),
    /// The opaque proof of the open block, whole and tagged (see [`super::carrier`]); at most once, after its deltas.
    Signature(Cow<'a, str>),
    /// The open block is complete.
    BlockEnd,
    /// The answer is complete; once, last.
    Finish {
        /// Why it ended.
        stop: Stop,
        /// What it cost.
        usage: Usage,
    },
    /// The answer failed; once, last.
    Error(Problem),
}

/// What a block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block<'a> {
    /// Words for the user.
    Text,
    /// The model's reasoning. Without a delta it is hidden: only its signature is known.
    Thinking,
    /// A tool call; its arguments follow as deltas (none means no arguments).
    ToolUse {
        /// Never empty.
        id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// The group it belongs to; set by [`super::names`], not by decoders of protocols without groups.
        namespace: Option<Cow<'a, str>>,
        /// Whether the deltas are free text; set by [`super::names`] likewise.
        freeform: bool,
    },
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It was done.
    EndTurn,
    /// It reached the limit of tokens.
    MaxTokens,
    /// It produced this stop sequence.
    Sequence(String),
    /// It waits for tool results.
    ToolUse,
    /// It was filtered.
    Refusal,
    /// The context was full.
    ContextFull,
}

/// Tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The whole prompt, cached part included.
    pub prompt: u64,
    /// The part of the prompt that came from a cache.
    pub cached: u64,
    /// The part of the prompt that was written to a cache, where that is billed.
    pub cache_write: u64,
    /// The answer, reasoning included.
    pub output: u64,
    /// The reasoning in the answer.
    pub reasoning: u64,
}

/// Takes events and hands on others, between a decoder and an encoder.
pub trait Filter: Send {
    /// Takes one event; calls `sink` any number of times. Brackets stay in order.
    fn event(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>));
}
