//! A request in no protocol, borrowed from the body it came in. What a protocol says that has no place here is named
//! in [`Request::dropped`], never lost in silence.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// A request.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The model asked for.
    pub model: Cow<'a, str>,
    /// Whether the caller wants a stream.
    pub stream: bool,
    /// System texts, in order.
    pub system: Vec<Cow<'a, str>>,
    /// The conversation. Two turns of one role may follow each other.
    pub turns: Vec<Turn<'a>>,
    /// The tools on offer; those that were added late stand last, so that the prompt's prefix stays.
    pub tools: Vec<Tool<'a>>,
    /// Which of them to use.
    pub choice: Choice<'a>,
    /// Whether several calls at once are allowed; `None` when the caller did not say.
    pub parallel: Option<bool>,
    /// Limit on the answer's tokens.
    pub max_tokens: Option<u64>,
    /// Sampling settings that all protocols call the same: name and JSON value.
    pub sampling: Vec<(&'static str, &'a RawValue)>,
    /// Texts that end the answer.
    pub stop: Vec<Cow<'a, str>>,
    /// JSON schema the answer must follow.
    pub schema: Option<&'a RawValue>,
    /// Whether to reason; `None` when the caller did not say.
    pub thinking: Option<bool>,
    /// How hard.
    pub effort: Option<Cow<'a, str>>,
    /// What had no place: short names for the log and the counter.
    pub dropped: Vec<String>,
}

/// One turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Whose.
    pub role: Role,
    /// Its parts, in order.
    pub parts: Vec<Part<'a>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The caller's side, tool results included.
    User,
    /// The model.
    Assistant,
}

/// A part of a turn.
#[derive(Debug)]
pub enum Part<'a> {
    /// Words.
    Text(Cow<'a, str>),
    /// The model's earlier reasoning.
    Thinking(Cow<'a, str>),
    /// An image as a URL (also `data:`).
    Image(Cow<'a, str>),
    /// The model called a tool.
    ToolUse {
        /// The call's id.
        id: Cow<'a, str>,
        /// The tool.
        name: Cow<'a, str>,
        /// Its arguments, JSON text of an object.
        input: Cow<'a, str>,
    },
    /// What the tool said.
    ToolResult {
        /// The call's id.
        id: Cow<'a, str>,
        /// Texts and images only.
        parts: Vec<Part<'a>>,
        /// Whether it failed.
        is_error: bool,
    },
}

/// A tool.
#[derive(Debug)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it does.
    pub description: Option<Cow<'a, str>>,
    /// JSON schema of its arguments.
    pub schema: Option<&'a RawValue>,
    /// Whether arguments must follow the schema exactly.
    pub strict: Option<bool>,
}

/// Which tool to use.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Choice<'a> {
    /// The caller did not say.
    #[default]
    Unset,
    /// The model decides.
    Auto,
    /// Some tool.
    Any,
    /// None.
    None,
    /// This one.
    Named(Cow<'a, str>),
}
