//! Gemini generateContent: how it says failures. It is not translated yet.

use serde_json::json;

use super::event::Usage;
use super::{Auth, Id, Problem, ProblemKind, Protocol, ir, scan};

/// The protocol.
pub struct Gemini;

fn value(problem: &Problem) -> serde_json::Value {
    let status = match problem.kind {
        ProblemKind::Invalid | ProblemKind::ContextOverflow | ProblemKind::TooLarge => "INVALID_ARGUMENT",
        ProblemKind::Unauthenticated => "UNAUTHENTICATED",
        ProblemKind::Forbidden => "PERMISSION_DENIED",
        ProblemKind::NotFound => "NOT_FOUND",
        ProblemKind::Method | ProblemKind::Unsupported => "UNIMPLEMENTED",
        ProblemKind::RateLimited => "RESOURCE_EXHAUSTED",
        ProblemKind::Internal => "INTERNAL",
        ProblemKind::Upstream | ProblemKind::Overloaded => "UNAVAILABLE",
    };
    json!({"error": {"code": problem.status(), "message": problem.message, "status": status}})
}

impl Protocol for Gemini {
    fn id(&self) -> Id {
        Id::Gemini
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        value(problem).to_string().into_bytes()
    }

    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        format!("data: {}\n\n", value(problem)).into_bytes()
    }

    /// Its clients read lines that start with `data: ` and choke on comments.
    fn keepalive(&self) -> &'static [u8] {
        b"\n"
    }

    /// Thoughts are counted apart from the rest of the answer.
    fn usage(&self, begin: &[u8], tail: &[u8]) -> Usage {
        let number = |key: &str| scan::last_number(tail, key).or_else(|| scan::last_number(begin, key)).unwrap_or(0);
        let reasoning = number("thoughtsTokenCount");
        Usage {
            prompt: number("promptTokenCount"),
            cached: number("cachedContentTokenCount"),
            cache_write: 0,
            output: number("candidatesTokenCount") + reasoning,
            reasoning,
        }
    }

    fn prefix(&self) -> &'static str {
        "/v1beta"
    }

    fn path(&self, model: &str, framing: ir::Framing) -> String {
        match framing {
            ir::Framing::Whole => format!("/models/{model}:generateContent"),
            ir::Framing::Events => format!("/models/{model}:streamGenerateContent?alt=sse"),
            ir::Framing::Array => format!("/models/{model}:streamGenerateContent"),
        }
    }

    fn auth(&self) -> Auth {
        Auth::XGoogApiKey
    }

    fn ends_properly(&self, tail: &[u8]) -> bool {
        scan::rfind(tail, b"\"finishReason\"").is_some()
    }
}
