//! What holds for all protocols together.

use super::*;

mod answers;
mod cache;
mod golden;
mod lines;
mod odd;
mod peers;
mod render;
mod replay;
mod roundtrip;

#[test]
fn every_protocol_is_listed_once_and_says_errors_as_json() {
    for id in [Id::Messages, Id::Chat, Id::Responses, Id::Gemini, Id::Ollama] {
        assert_eq!(PROTOCOLS.iter().filter(|p| p.id() == id).count(), 1, "{id:?}");
        let body = protocol(id).encode_error(&Problem::new(ProblemKind::Overloaded, "a \"quoted\" reason"));
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let error = &value["error"];
        let message = error.get("message").unwrap_or(error);
        assert_eq!(message, "a \"quoted\" reason", "{id:?}");
        let frame = protocol(id).encode_stream_error(&Problem::new(ProblemKind::Upstream, "gone"));
        assert!(frame.ends_with(if id == Id::Ollama { b"\n" } else { b"\n\n" }), "{id:?}");
        assert!(!protocol(id).ends_properly(&frame) || id == Id::Responses, "{id:?}: an error is not a success");
    }
}
