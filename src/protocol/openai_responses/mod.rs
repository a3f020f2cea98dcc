//! OpenAI Responses: what Codex speaks.

use serde_json::json;

use super::event::Usage;
use super::{
    AnswerEncoder, Auth, EventDecoder, EventEncoder, Id, Inbound, Outbound, Problem, ProblemKind, Protocol, Target, ir,
    names, openai_chat, scan,
};

mod carry;
mod content;
mod echo;
mod events;
mod items;
mod object;
mod outbound;
mod output_item;
mod request;
mod special;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod wire;

pub use carry::{is_ours, open_summary, seal_summary, told_summary};

/// The request, and its input as it stands.
///
/// # Errors
/// What is wrong with it.
pub fn read(body: &[u8]) -> Result<(ir::Request<'_>, Option<&str>), Problem> {
    request::decode(body)
}

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
        let (code, message) = failure(problem);
        let data = json!({
            "type": "response.failed", "sequence_number": 0,
            "response": {
                "id": "resp_failed", "object": "response", "status": "failed", "output": [],
                "error": {"code": code, "message": message},
            },
        });
        format!("event: response.failed\ndata: {data}\n\n").into_bytes()
    }

    fn usage(&self, begin: &[u8], tail: &[u8]) -> Usage {
        let mut usage = Usage::default();
        for (name, count) in scan::tokens(begin).chain(scan::tokens(tail)) {
            match name {
                b"input_tokens" => usage.prompt = count,
                b"cached_tokens" => usage.cached = count,
                b"cache_write_tokens" => usage.cache_write = count,
                b"output_tokens" => usage.output = count,
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

    fn inbound(&self) -> Option<&dyn Inbound> {
        Some(self)
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        Some(self)
    }
}

impl Outbound for Responses {
    /// Groups are known to OpenAI only, so they go as plain functions.
    fn names(&self) -> names::Rule {
        names::Rule { longest: 64, groups: false, freeform: true }
    }

    fn encode_request(&self, request: &ir::Request<'_>, target: &Target<'_>) -> Vec<u8> {
        outbound::encode(request, target)
    }

    fn event_decoder(&self) -> Box<dyn EventDecoder> {
        Box::new(events::Decoder::default())
    }
}

/// Code and message of a `response.failed`. Codex acts by these codes: some it tries again, some end the session.
fn failure(problem: &Problem) -> (&'static str, String) {
    let mut message = problem.openai_message();
    let code = match problem.kind {
        ProblemKind::ContextOverflow => "context_length_exceeded",
        ProblemKind::RateLimited => {
            // Codex reads how long to wait out of this sentence.
            if let Some(seconds) = problem.retry_after {
                message.push_str(&format!(" Please try again in {seconds}s."));
            }
            "rate_limit_exceeded"
        }
        ProblemKind::Invalid | ProblemKind::TooLarge | ProblemKind::Unsupported => "invalid_prompt",
        _ => "server_error",
    };
    (code, message)
}

impl Inbound for Responses {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        request::decode(body).map(|(request, _)| request)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        Box::new(stream::Encoder::new(request))
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        Box::new(stream::Answer::new(request))
    }

    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        json!({"object": "response.input_tokens", "input_tokens": tokens}).to_string().into_bytes()
    }
}
