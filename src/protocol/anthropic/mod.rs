//! Anthropic Messages: what Claude Code speaks.

use serde_json::{Value, json};

use super::event::Usage;
use super::{AnswerEncoder, Auth, EventEncoder, Id, Inbound, Problem, ProblemKind, Protocol, ir, scan};

mod answer;
mod request;
mod stream;
#[cfg(test)]
mod tests;
pub mod tidy;
mod wire;

/// The protocol.
pub struct Messages;

/// The error object; also the data of an `error` event.
pub fn error_value(problem: &Problem) -> Value {
    let kind = match problem.kind {
        ProblemKind::Invalid | ProblemKind::ContextOverflow | ProblemKind::Method => "invalid_request_error",
        ProblemKind::Unauthenticated => "authentication_error",
        ProblemKind::Forbidden => "permission_error",
        ProblemKind::NotFound => "not_found_error",
        ProblemKind::TooLarge => "request_too_large",
        ProblemKind::RateLimited => "rate_limit_error",
        ProblemKind::Internal | ProblemKind::Upstream | ProblemKind::Unsupported => "api_error",
        ProblemKind::Overloaded => "overloaded_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": problem.anthropic_message()}})
}

impl Protocol for Messages {
    fn id(&self) -> Id {
        Id::Messages
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        error_value(problem).to_string().into_bytes()
    }

    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        format!("event: error\ndata: {}\n\n", error_value(problem)).into_bytes()
    }

    fn keepalive(&self) -> &'static [u8] {
        b"event: ping\ndata: {\"type\":\"ping\"}\n\n"
    }

    fn ends_properly(&self, tail: &[u8]) -> bool {
        // An answer may talk about these words: inside JSON their quotes and line ends are escaped.
        scan::has_line(tail, b"event: message_stop") || scan::rfind(tail, b"\"type\":\"message_stop\"").is_some()
    }

    /// The cached part is counted apart from the rest of the prompt.
    fn usage(&self, begin: &[u8], tail: &[u8]) -> Usage {
        let number = |key: &str| scan::last_number(tail, key).or_else(|| scan::last_number(begin, key)).unwrap_or(0);
        let (cached, cache_write) = (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
        let prompt = number("input_tokens") + cached + cache_write;
        Usage { prompt, cached, cache_write, output: number("output_tokens"), reasoning: number("thinking_tokens") }
    }

    fn prefix(&self) -> &'static str {
        "/v1"
    }

    fn path(&self, _model: &str, _framing: ir::Framing) -> String {
        "/messages".to_owned()
    }

    fn auth(&self) -> Auth {
        Auth::XApiKey
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn inbound(&self) -> Option<&dyn Inbound> {
        Some(self)
    }
}

impl Inbound for Messages {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        request::decode(body)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        Box::new(stream::Encoder::new(&request.model))
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        Box::new(answer::Answer::new(&request.model))
    }

    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        json!({"input_tokens": tokens}).to_string().into_bytes()
    }
}
