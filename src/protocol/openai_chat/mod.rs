//! OpenAI Chat Completions: what every engine serves, and thus the translation target.

use serde_json::{Value, json};

use super::event::Usage;
use super::{
    AnswerEncoder, Auth, EventDecoder, EventEncoder, Id, Inbound, Outbound, Problem, ProblemKind, Protocol, Target, ir,
    names, scan,
};

mod answer;
mod body;
mod calls;
mod chunk;
mod decode;
mod details;
mod encoder;
mod messages;
mod parts;
mod plain;
mod reasoning;
mod request;
mod stream;
#[cfg(test)]
mod tests;
pub mod tidy;
mod turns;
mod wire;
mod write;

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
        // An answer may talk about these words: inside JSON their quotes and line ends are escaped.
        tail.ends_with(b"\ndata: [DONE]\n\n")
            || scan::has_line(tail, b"data: [DONE]")
            || scan::has_line(tail, b"data:[DONE]")
            || scan::rfind(tail, b"\"finish_reason\":\"").is_some()
            || scan::rfind(tail, b"\"finish_reason\": \"").is_some()
    }

    fn usage(&self, begin: &[u8], tail: &[u8]) -> Usage {
        let mut usage = Usage::default();
        for (name, count) in scan::tokens(begin).chain(scan::tokens(tail)) {
            match name {
                b"prompt_tokens" => usage.prompt = count,
                b"cached_tokens" => usage.cached = count,
                b"completion_tokens" => usage.output = count,
                b"reasoning_tokens" => usage.reasoning = count,
                _ => {}
            }
        }
        usage
    }

    fn prefix(&self) -> &'static str {
        "/v1"
    }

    fn path(&self, _model: &str, _framing: ir::Framing) -> String {
        "/chat/completions".to_owned()
    }

    fn auth(&self) -> Auth {
        Auth::Bearer
    }

    fn inbound(&self) -> Option<&dyn Inbound> {
        Some(self)
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        Some(self)
    }
}

impl Inbound for Chat {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        decode::decode(body)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        Box::new(encoder::Encoder::new(request))
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        Box::new(answer::Answer::new(request))
    }

    /// The protocol has no counting route; this is the word of its sibling Responses.
    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        json!({"object": "response.input_tokens", "input_tokens": tokens}).to_string().into_bytes()
    }
}

impl Outbound for Chat {
    fn names(&self) -> names::Rule {
        names::PLAIN
    }

    fn encode_request(&self, request: &ir::Request<'_>, target: &Target<'_>) -> Vec<u8> {
        request::encode(request, target)
    }

    fn event_decoder(&self) -> Box<dyn EventDecoder> {
        Box::new(stream::Decoder::default())
    }
}
