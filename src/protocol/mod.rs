//! Wire formats: pure, no IO, no async, nothing from the rest of the crate.
//!
//! One folder per protocol; a new one is a folder, its `mod` line and its entry in [`PROTOCOLS`]. Protocols never
//! know each other: requests meet in [`ir`], answers meet in [`event`]. The gateway is the only caller.

pub mod accepts;
pub mod anthropic;
mod blocks;
pub mod carrier;
pub mod effort;
pub mod event;
pub mod foreign;
pub mod gemini;
pub mod head;
pub mod ids;
pub mod ir;
pub mod limit;
pub mod losses;
pub mod media;
pub mod names;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;
pub mod overflow;
pub mod problem;
pub mod pull;
pub mod quote;
pub mod repair;
pub mod scan;
pub mod sse;
pub mod text;
pub mod think;

pub use problem::{Problem, ProblemKind};

use bytes::Bytes;
use event::Event;

/// A wire format by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// Anthropic Messages.
    Messages,
    /// OpenAI Chat Completions (and its siblings: completions, embeddings, models).
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Gemini generateContent.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

/// What every protocol can do, spoken or not: say that something failed.
pub trait Protocol: Sync {
    /// Which one this is.
    fn id(&self) -> Id;

    /// The body of a failed answer. Its HTTP status is [`Problem::status`].
    fn encode_error(&self, problem: &Problem) -> Vec<u8>;

    /// The same failure inside a stream whose head is already out. Never a success terminator.
    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8>;

    /// What keeps an idle stream alive without meaning anything.
    fn keepalive(&self) -> &'static [u8] {
        b": keepalive\n\n"
    }

    /// Whether these last bytes of a stream say that it ended by itself.
    fn ends_properly(&self, tail: &[u8]) -> bool;

    /// The usage in the first and last bytes of an answer in this protocol, streamed or whole.
    fn usage(&self, begin: &[u8], tail: &[u8]) -> event::Usage;

    /// Where the protocol's paths begin below a backend's root, unless the user says otherwise: `/v1`, `/v1beta`, ``.
    fn prefix(&self) -> &'static str;

    /// The path below the prefix (with a query where one is needed), for an answer by `model`.
    fn path(&self, model: &str, framing: ir::Framing) -> String;

    /// How a backend of this protocol is shown its key.
    fn auth(&self) -> Auth;

    /// Headers every request needs, besides key and content type.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Speaking to callers by translation.
    fn inbound(&self) -> Option<&dyn Inbound> {
        None
    }

    /// Speaking to backends, natively or by translation.
    fn outbound(&self) -> Option<&dyn Outbound> {
        None
    }
}

/// A protocol callers may speak while the backend speaks another one.
pub trait Inbound: Sync {
    /// Reads a request; the result borrows from `body`. Whoever cannot do what is asked says so with a problem; what
    /// can be left out without harm is named in [`ir::Request::dropped`].
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem>;

    /// The body that was meant, when `body`, which `request` was read from, refers to what was kept of earlier ones.
    fn complete(&self, _request: &ir::Request<'_>, _body: &Bytes) -> Result<Option<Bytes>, Problem> {
        Ok(None)
    }

    /// Writes the answer to `request` as a stream. [`ir::Request::model`] is the name the caller asked for.
    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder>;

    /// Writes the answer to `request` as a whole.
    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder>;

    /// The answer of this protocol's counting route.
    fn encode_count(&self, tokens: u64) -> Vec<u8>;
}

/// A protocol backends speak. Answers are always asked for as a stream: engines split reasoning and tool calls
/// differently (and worse) in whole answers.
pub trait Outbound: Sync {
    /// The tool names it takes.
    fn names(&self) -> names::Rule;

    /// Writes the request, always for a stream.
    fn encode_request(&self, request: &ir::Request<'_>, target: &Target<'_>) -> Vec<u8>;

    /// Reads the answer stream.
    fn event_decoder(&self) -> Box<dyn EventDecoder>;
}

/// How a key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// `x-api-key`.
    XApiKey,
    /// `x-goog-api-key`.
    XGoogApiKey,
}

/// What an outbound has to know about the backend.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The backend's name for the model.
    pub model: &'a str,
    /// Whose server it is, for the few things in which servers of one protocol differ.
    pub vendor: Vendor,
    /// Context length in tokens; 0 when unknown.
    pub context: u64,
}

/// Whose server a backend is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// Nobody known: the plainest form of the protocol.
    #[default]
    Unknown,
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
    /// Ollama.
    Ollama,
    /// OpenAI itself.
    OpenAi,
    /// OpenRouter.
    OpenRouter,
    /// DeepSeek itself.
    DeepSeek,
    /// Anthropic itself.
    Anthropic,
    /// Google itself.
    Google,
    /// Volcengine Ark.
    Volcengine,
}

/// Events in, the caller's stream out.
pub trait EventEncoder: Send {
    /// Appends what `event` is on the wire.
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>);
}

/// Events in, one whole answer out.
pub trait AnswerEncoder: Send {
    /// Takes one event.
    fn add(&mut self, event: &Event<'_>);

    /// The answer's body, or why there is none.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem>;
}

/// The backend's stream in, events out: each block opened, filled and closed before the next one, and exactly one
/// [`Event::Finish`] or [`Event::Error`] at the end, whatever the backend does.
pub trait EventDecoder: Send {
    /// Takes bytes as they arrive, split anywhere.
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>));

    /// The stream ended; `cut` says why when the connection broke.
    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>));
}

/// Every protocol.
pub const PROTOCOLS: &[&dyn Protocol] =
    &[&openai_chat::Chat, &anthropic::Messages, &openai_responses::Responses, &gemini::Gemini, &ollama::Ollama];

/// The protocol of that name.
pub fn protocol(id: Id) -> &'static dyn Protocol {
    // The slice names each id once (a test says so); chat is the answer to an impossible question.
    PROTOCOLS.iter().copied().find(|p| p.id() == id).unwrap_or(&openai_chat::Chat)
}

#[cfg(test)]
mod tests;
