//! OpenAI Responses: passed through to engines that serve it themselves; here is how it says failures.

use serde_json::json;

use super::{Id, Problem, Protocol, openai_chat, scan};

/// The protocol.
pub struct Responses;

impl Protocol for Responses {
    fn id(&self) -> Id {
        Id::Responses
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        openai_chat::error_value(problem).to_string().into_bytes()
    }

    /// `response.failed`: Codex ignores a bare `error` event.
    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        let error = openai_chat::error_value(problem);
        let code = error["error"]["code"].as_str().unwrap_or("server_error");
        let data = json!({
            "type": "response.failed", "sequence_number": 0,
            "response": {
                "id": "resp_failed", "object": "response", "status": "failed", "output": [],
                "error": {"code": code, "message": problem.openai_message()},
            },
        });
        format!("event: response.failed\ndata: {data}\n\n").into_bytes()
    }

    fn ends_properly(&self, tail: &[u8]) -> bool {
        [&b"response.completed"[..], b"response.failed", b"response.incomplete"]
            .iter()
            .any(|name| scan::rfind(tail, name).is_some())
    }
}
