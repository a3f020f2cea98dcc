//! A request in no protocol, borrowed from the body it came in. What a protocol says that has no place here is named
//! in [`Request::dropped`], never lost in silence.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Id;
use super::text::Text;

/// A request.
#[derive(Debug, Default)]
pub struct Request<'a> {
    /// The protocol it came in.
    pub from: Option<Id>,
    /// The model asked for. Protocols that name it in the path leave it empty; the gateway fills it in.
    pub model: Cow<'a, str>,
    /// How the answer is to be framed.
    pub framing: Framing,
    /// Whether a stream shall tell its usage (only Chat lets callers choose).
    pub wants_usage: bool,
    /// System texts, in order.
    pub system: Vec<Text<'a>>,
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
    /// Sampling settings under the names Chat has for them (`temperature`, `top_p`, `top_k`, `min_p`, `seed`,
    /// `presence_penalty`, `frequency_penalty`, …) and their JSON values.
    pub sampling: Vec<(&'static str, &'a RawValue)>,
    /// Texts that end the answer.
    pub stop: Vec<Cow<'a, str>>,
    /// The form the answer's text must have.
    pub format: Format<'a>,
    /// What the caller says about reasoning.
    pub reasoning: Reasoning<'a>,
    /// How many words the answer shall have (OpenAI's `verbosity`).
    pub verbosity: Option<Cow<'a, str>>,
    /// Conversations with the same key share a prompt prefix (`prompt_cache_key`).
    pub cache_key: Option<Cow<'a, str>>,
    /// Who is behind the caller.
    pub user: Option<Cow<'a, str>>,
    /// Other members of the request, as they stand: only an outbound or an encoder of the protocol in
    /// [`Request::from`] may use them.
    pub extras: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// What had no place: short names for the log and the counter.
    pub dropped: Vec<String>,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// In one piece.
    #[default]
    Whole,
    /// As server-sent events.
    Events,
    /// As a JSON array that grows (Gemini without `alt=sse`).
    Array,
}

impl Framing {
    /// Whether it comes piece by piece.
    pub fn streams(self) -> bool {
        self != Framing::Whole
    }
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
    Text(Text<'a>),
    /// The model's earlier reasoning.
    Thinking {
        /// What it thought; may be empty when only the signature is known.
        text: Cow<'a, str>,
        /// The opaque proof that came with it, see [`super::carrier`].
        signature: Option<Cow<'a, str>>,
    },
    /// An image, a document or a sound.
    Media(Media<'a>),
    /// The model called a tool.
    ToolUse(ToolUse<'a>),
    /// What the tool said.
    ToolResult {
        /// The call's id.
        id: Cow<'a, str>,
        /// Texts and media only.
        parts: Vec<Part<'a>>,
        /// Whether it failed.
        is_error: bool,
    },
}

/// A call the model made.
#[derive(Debug)]
pub struct ToolUse<'a> {
    /// The call's id, never empty: decoders make one where the protocol has none.
    pub id: Cow<'a, str>,
    /// The tool.
    pub name: Cow<'a, str>,
    /// The group the tool belongs to, for protocols that have groups (Responses' `namespace`).
    pub namespace: Option<Cow<'a, str>>,
    /// JSON text of an object; for a freeform tool the text itself.
    pub input: Cow<'a, str>,
    /// Whether `input` is free text.
    pub freeform: bool,
    /// The opaque proof that came with the call (Gemini), see [`super::carrier`].
    pub signature: Option<Cow<'a, str>>,
}

impl ToolUse<'_> {
    /// The input as JSON text of an object, whatever the caller had: nothing is `{}`, an object inside a string is taken
    /// out of it, and what is no object (a call cut off by a limit and sent back) becomes one that holds its text.
    /// Engines and chat templates answer anything else with a 500 (llama.cpp: "Failed to parse tool call arguments").
    pub fn object(&self) -> Cow<'_, str> {
        fn is_object(text: &str) -> bool {
            text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
        }
        let text = self.input.trim();
        if is_object(text) {
            return Cow::Borrowed(text);
        }
        if text.is_empty() || text == "null" {
            return Cow::Borrowed("{}");
        }
        match serde_json::from_str::<String>(text) {
            Ok(inner) if is_object(inner.trim()) => Cow::Owned(inner.trim().to_owned()),
            _ => Cow::Owned(format!("{{\"input\":{}}}", serde_json::Value::from(text))),
        }
    }
}

/// What is not text.
#[derive(Debug)]
pub struct Media<'a> {
    /// What it is.
    pub kind: MediaKind,
    /// Where it is.
    pub source: Source<'a>,
    /// Its file name or title.
    pub name: Option<Cow<'a, str>>,
    /// How closely to look (`detail` of OpenAI).
    pub detail: Option<Cow<'a, str>>,
}

impl Media<'_> {
    /// What to call it: `image "cat.png"`.
    pub fn called(&self) -> String {
        match &self.name {
            Some(name) => format!("{} {name:?}", self.kind.word()),
            None => self.kind.word().to_owned(),
        }
    }

    /// Words in its place, where it cannot go along.
    pub fn left_out(&self, why: &str) -> String {
        format!("[{} left out: {why}]", self.called())
    }
}

/// What media is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A document, for instance PDF.
    Document,
    /// A sound.
    Audio,
}

impl MediaKind {
    /// As a human says it.
    pub fn word(self) -> &'static str {
        match self {
            MediaKind::Image => "image",
            MediaKind::Document => "document",
            MediaKind::Audio => "audio",
        }
    }
}

/// Where media is.
#[derive(Debug)]
pub enum Source<'a> {
    /// Somewhere else; never a `data:` URL, decoders take those apart with [`super::media::from_url`].
    Url(Cow<'a, str>),
    /// Here.
    Base64 {
        /// MIME type.
        media_type: Cow<'a, str>,
        /// Base64 text.
        data: Cow<'a, str>,
    },
    /// Uploaded earlier, at the provider the caller thinks we are.
    File(Cow<'a, str>),
}

/// A tool.
#[derive(Debug)]
pub struct Tool<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// The group it belongs to.
    pub namespace: Option<Cow<'a, str>>,
    /// What it does.
    pub description: Option<Text<'a>>,
    /// JSON schema of its arguments; `None` for freeform tools and for tools without arguments.
    pub schema: Option<Cow<'a, RawValue>>,
    /// Whether arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// It takes free text; the value is the format it must have (OpenAI's `format`), if one is given.
    pub freeform: Option<Option<&'a RawValue>>,
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

/// The form of the answer's text.
#[derive(Debug, Default)]
pub enum Format<'a> {
    /// Any.
    #[default]
    Text,
    /// Some JSON object.
    Json,
    /// JSON that follows a schema.
    Schema {
        /// The schema's name, where the protocol has one.
        name: Option<Cow<'a, str>>,
        /// The schema.
        schema: Cow<'a, RawValue>,
        /// Whether it must be followed exactly.
        strict: Option<bool>,
    },
}

/// What the caller says about reasoning. `None` everywhere: nothing.
#[derive(Debug, Default)]
pub struct Reasoning<'a> {
    /// Whether to reason.
    pub enabled: Option<bool>,
    /// Most tokens to spend on it.
    pub budget: Option<u64>,
    /// How hard: `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<Cow<'a, str>>,
    /// Whether the caller wants to see it.
    pub show: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calls_input_is_an_object_whatever_it_was() {
        for (input, object) in [
            (r#" {"a":1} "#, r#"{"a":1}"#),
            ("", "{}"),
            ("null", "{}"),
            (r#""{\"a\":1}""#, r#"{"a":1}"#),
            (r#"{"command":"ls"#, r#"{"input":"{\"command\":\"ls"}"#),
            ("[1]", r#"{"input":"[1]"}"#),
            (r#""words""#, r#"{"input":"\"words\""}"#),
        ] {
            let call = ToolUse {
                id: "a".into(),
                name: "b".into(),
                namespace: None,
                input: input.into(),
                freeform: false,
                signature: None,
            };
            assert_eq!(call.object(), object, "{input}");
        }
    }
}
