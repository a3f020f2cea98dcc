//! OpenAI Chat Completions: what every engine serves, and thus the translation target.

use serde_json::{Value, json};

use super::{EventDecoder, Id, Outbound, Problem, ProblemKind, Protocol, ir, scan};

mod request;
mod stream;
#[cfg(test)]
mod tests;

/// The protocol.
pub struct Chat;

/// The error object OpenAI's protocols share.
pub fn error_value(problem: &Problem) -> Value {
    let (kind, code) = match problem.kind {
        ProblemKind::Invalid => ("invalid_request_error", Value::Null),
        ProblemKind::ContextOverflow => ("invalid_request_error", "context_length_exceeded".into()),
        ProblemKind::Unauthenticated => ("invalid_request_error", "invalid_api_key".into()),
        ProblemKind::Forbidden => ("invalid_request_error", "forbidden".into()),
        ProblemKind::NotFound => ("invalid_request_error", "not_found".into()),
        ProblemKind::Method => ("invalid_request_error", "method_not_allowed".into()),
        ProblemKind::TooLarge => ("invalid_request_error", "request_too_large".into()),
        ProblemKind::RateLimited => ("rate_limit_error", "rate_limit_exceeded".into()),
        ProblemKind::Unsupported => ("invalid_request_error", "unsupported".into()),
        ProblemKind::Internal | ProblemKind::Upstream | ProblemKind::Overloaded => {
            ("server_error", "server_error".into())
        }
    };
    json!({"error": {"message": problem.openai_message(), "type": kind, "param": null, "code": code}})
}

impl Protocol for Chat {
    fn id(&self) -> Id {
        Id::Chat
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        error_value(problem).to_string().into_bytes()
    }

    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        format!("data: {}\n\n", error_value(problem)).into_bytes()
    }

    fn ends_properly(&self, tail: &[u8]) -> bool {
        scan::rfind(tail, b"[DONE]").is_some()
            || scan::rfind(tail, b"\"finish_reason\":\"").is_some()
            || scan::rfind(tail, b"\"finish_reason\": \"").is_some()
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        Some(self)
    }
}

impl Outbound for Chat {
    fn path(&self) -> &'static str {
        "/v1/chat/completions"
    }

    fn encode_request(&self, request: &ir::Request<'_>, model: &str) -> Vec<u8> {
        request::encode(request, model)
    }

    fn event_decoder(&self) -> Box<dyn EventDecoder> {
        Box::new(stream::Decoder::default())
    }
}
