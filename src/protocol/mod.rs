//! Wire formats: pure, no IO, no async, nothing from the rest of the crate.
//!
//! One folder per protocol; a new one is a folder, its `mod` line and its entry in [`PROTOCOLS`]. Protocols never
//! know each other: requests meet in [`ir`], answers meet in [`event`]. The gateway is the only caller.

pub mod anthropic;
pub mod event;
pub mod gemini;
pub mod head;
pub mod ir;
pub mod openai_chat;
pub mod openai_responses;
pub mod problem;
pub mod scan;
pub mod sse;

pub use problem::{Problem, ProblemKind};

use event::Event;

/// A wire format by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Id {
    /// Anthropic Messages.
    Messages,
    /// OpenAI Chat Completions (and its siblings: completions, embeddings, models).
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Gemini generateContent.
    Gemini,
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

    /// Speaking to callers by translation.
    fn inbound(&self) -> Option<&dyn Inbound> {
        None
    }

    /// Speaking to backends by translation.
    fn outbound(&self) -> Option<&dyn Outbound> {
        None
    }
}

/// A protocol callers may speak while the backend speaks another one.
pub trait Inbound: Sync {
    /// Reads a request; the result borrows from `body`.
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem>;

    /// Writes an answer as a stream. `model` is the name the caller asked for.
    fn stream_encoder(&self, model: &str) -> Box<dyn EventEncoder>;

    /// Writes a whole answer out of its events.
    fn answer_encoder(&self, model: &str) -> Box<dyn AnswerEncoder>;
}

/// A protocol backends speak. Answers are always asked for as a stream: engines split reasoning and tool calls
/// differently (and worse) in whole answers.
pub trait Outbound: Sync {
    /// The path below the backend's address.
    fn path(&self) -> &'static str;

    /// Writes the request for the backend's `model`.
    fn encode_request(&self, request: &ir::Request<'_>, model: &str) -> Vec<u8>;

    /// Reads the answer stream.
    fn event_decoder(&self) -> Box<dyn EventDecoder>;
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

/// Every protocol, in the order in which a translation target is looked for.
pub const PROTOCOLS: &[&dyn Protocol] =
    &[&openai_chat::Chat, &anthropic::Messages, &openai_responses::Responses, &gemini::Gemini];

/// The protocol of that name.
pub fn protocol(id: Id) -> &'static dyn Protocol {
    // The slice names each id once (a test says so); chat is the answer to an impossible question.
    PROTOCOLS.iter().copied().find(|p| p.id() == id).unwrap_or(&openai_chat::Chat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_protocol_is_listed_once_and_says_errors_as_json() {
        for id in [Id::Messages, Id::Chat, Id::Responses, Id::Gemini] {
            assert_eq!(PROTOCOLS.iter().filter(|p| p.id() == id).count(), 1, "{id:?}");
            let body = protocol(id).encode_error(&Problem::new(ProblemKind::Overloaded, "a \"quoted\" reason"));
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(value["error"]["message"], "a \"quoted\" reason", "{id:?}");
            let frame = protocol(id).encode_stream_error(&Problem::new(ProblemKind::Upstream, "gone"));
            assert!(frame.ends_with(b"\n\n"), "{id:?}");
            assert!(!protocol(id).ends_properly(&frame) || id == Id::Responses, "{id:?}: an error is not a success");
        }
    }
}
