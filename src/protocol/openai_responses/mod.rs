//! OpenAI Responses: passed through to engines that serve it themselves; here is how it says failures.

use serde_json::json;

use super::event::Usage;
use super::{Auth, Id, Problem, Protocol, ir, openai_chat, scan};

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

    fn usage(&self, begin: &[u8], tail: &[u8]) -> Usage {
        let number = |key: &str| scan::last_number(tail, key).or_else(|| scan::last_number(begin, key)).unwrap_or(0);
        Usage {
            prompt: number("input_tokens"),
            cached: number("cached_tokens"),
            cache_write: number("cache_write_tokens"),
            output: number("output_tokens"),
            reasoning: number("reasoning_tokens"),
        }
    }

    fn prefix(&self) -> &'static str {
        "/v1"
    }

    fn path(&self, _model: &str, _framing: ir::Framing) -> String {
        "/responses".to_owned()
    }

    fn auth(&self) -> Auth {
        Auth::Bearer
    }

    fn ends_properly(&self, tail: &[u8]) -> bool {
        [&b"response.completed"[..], b"response.failed", b"response.incomplete"]
            .iter()
            .any(|name| scan::rfind(tail, name).is_some())
    }
}
