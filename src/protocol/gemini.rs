//! Gemini generateContent: how it says failures. It is not translated yet.

use serde_json::json;

use super::{Id, Problem, ProblemKind, Protocol, scan};

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

    fn ends_properly(&self, tail: &[u8]) -> bool {
        scan::rfind(tail, b"\"finishReason\"").is_some()
    }
}
