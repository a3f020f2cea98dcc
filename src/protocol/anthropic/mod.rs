//! Anthropic Messages: what Claude Code speaks.

use super::event::Usage;
use super::ir::Part;
use super::text::Text;
use super::{
    AnswerEncoder, Auth, EventDecoder, EventEncoder, Id, Inbound, Outbound, Problem, ProblemKind, Protocol, Target,
    ids, ir, names, quote, scan,
};

mod answer;
mod claude;
mod content;
mod decode;
mod outbound;
mod request;
mod stream;
#[cfg(test)]
mod tests;
pub mod tidy;
mod tools;
mod turns;
mod wire;

/// The protocol.
pub struct Messages;

/// Appends the error object; also the data of an `error` event.
fn error_body(out: &mut Vec<u8>, problem: &Problem) {
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
    quote::raw(out, "{\"type\":\"error\",\"error\":{\"type\":\"");
    quote::raw(out, kind);
    quote::raw(out, "\"");
    quote::member(out, "message", &problem.anthropic_message());
    quote::raw(out, "}}");
}

/// A message id: Anthropic's clients expect this prefix. Claude Code 2.1.329 takes answers of one id for one message
/// and asks the same again for ever, so an id that may repeat (Ollama's `chatcmpl-N` is one of a thousand) is not kept.
fn message_id(id: &str) -> String {
    const UNIQUE: usize = 16;
    let own = ["msg_", "chatcmpl-", "resp_"].into_iter().find_map(|prefix| id.strip_prefix(prefix)).unwrap_or(id);
    if own.len() < UNIQUE { ids::new("msg_") } else { format!("msg_{own}") }
}

/// How many tokens the prompt of `request` may have: a token per four bytes of what the model reads.
fn estimate(request: &ir::Request<'_>) -> u64 {
    fn bytes(parts: &[Part<'_>]) -> usize {
        let one = |part: &Part<'_>| match part {
            Part::Text(text) => text.about(),
            Part::Thinking { text, .. } => text.len(),
            // What a picture costs depends on the model; Anthropic counts about 1,500 tokens.
            Part::Media(_) => 6000,
            Part::ToolUse(call) => call.name.len() + call.input.len(),
            Part::ToolResult { parts, .. } => bytes(parts),
        };
        parts.iter().map(one).sum()
    }
    let system: usize = request.system.iter().map(Text::about).sum();
    let turns: usize = request.turns.iter().map(|turn| bytes(&turn.parts)).sum();
    let tool = |tool: &ir::Tool<'_>| {
        tool.name.len()
            + tool.description.as_ref().map_or(0, Text::about)
            + tool.schema.as_deref().map_or(0, |schema| schema.get().len())
    };
    let tools: usize = request.tools.iter().map(tool).sum();
    ((system + turns + tools) as u64).div_ceil(4)
}

impl Protocol for Messages {
    fn id(&self) -> Id {
        Id::Messages
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        let mut body = Vec::new();
        error_body(&mut body, problem);
        body
    }

    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        let mut frame = b"event: error\ndata: ".to_vec();
        error_body(&mut frame, problem);
        quote::raw(&mut frame, "\n\n");
        frame
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
        let mut usage = Usage::default();
        for (name, count) in scan::tokens(begin).chain(scan::tokens(tail)) {
            match name {
                b"input_tokens" => usage.prompt = count,
                b"cache_read_input_tokens" => usage.cached = count,
                b"cache_creation_input_tokens" => usage.cache_write = count,
                b"output_tokens" => usage.output = count,
                b"thinking_tokens" => usage.reasoning = count,
                _ => {}
            }
        }
        usage.prompt = usage.prompt.saturating_add(usage.cached).saturating_add(usage.cache_write);
        usage
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

    fn outbound(&self) -> Option<&dyn Outbound> {
        Some(self)
    }
}

impl Outbound for Messages {
    /// `^[a-zA-Z0-9_-]{1,128}$`.
    fn names(&self) -> names::Rule {
        names::Rule { longest: 128, groups: false, freeform: false }
    }

    fn encode_request(&self, request: &ir::Request<'_>, target: &Target<'_>) -> Vec<u8> {
        outbound::encode(request, target)
    }

    fn event_decoder(&self) -> Box<dyn EventDecoder> {
        Box::new(decode::Decoder::default())
    }
}

impl Inbound for Messages {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        request::decode(body)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        Box::new(stream::Encoder::new(&request.model, estimate(request), request.reasoning.show != Some(false)))
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        Box::new(answer::Answer::new(&request.model, estimate(request), request.reasoning.show != Some(false)))
    }

    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        format!("{{\"input_tokens\":{tokens}}}").into_bytes()
    }
}
