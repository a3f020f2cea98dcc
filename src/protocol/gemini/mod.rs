//! Gemini generateContent: what Gemini CLI and Google's SDKs speak, and Google's own servers.

use super::event::Usage;
use super::{
    AnswerEncoder, Auth, EventDecoder, EventEncoder, Id, Inbound, Outbound, Problem, ProblemKind, Protocol, Target, ir,
    names, quote, scan,
};

mod answer;
mod decode;
mod encode;
mod lenient;
mod proofs;
mod request;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod thoughts;
mod turns;
mod wire;
mod write;

/// The protocol.
pub struct Gemini;

pub use thoughts::unsign;

/// What Google's servers take where a signature is missing (Gemini CLI 0.61 and Google's .NET SDK send it too).
const SKIP: &str = "skip_thought_signature_validator";

/// Google's word for a kind of failure.
fn status(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Invalid | ProblemKind::ContextOverflow | ProblemKind::TooLarge => "INVALID_ARGUMENT",
        ProblemKind::Unauthenticated => "UNAUTHENTICATED",
        ProblemKind::Forbidden => "PERMISSION_DENIED",
        ProblemKind::NotFound => "NOT_FOUND",
        ProblemKind::Method | ProblemKind::Unsupported => "UNIMPLEMENTED",
        ProblemKind::RateLimited => "RESOURCE_EXHAUSTED",
        ProblemKind::Internal => "INTERNAL",
        ProblemKind::Upstream | ProblemKind::Overloaded => "UNAVAILABLE",
    }
}

/// The error object.
fn error_bytes(problem: &Problem) -> Vec<u8> {
    let mut out = format!("{{\"error\":{{\"code\":{},\"message\":", problem.status()).into_bytes();
    match problem.overflow {
        // Google's own sentence: it names both numbers.
        Some((prompt, max)) if prompt > max => quote::string(
            &mut out,
            &format!("The input token count ({prompt}) exceeds the maximum number of tokens allowed ({max})."),
        ),
        Some((prompt, max)) => quote::string(
            &mut out,
            &format!(
                "The input token count ({prompt}) and maxOutputTokens together exceed the maximum number of tokens \
                 allowed ({max}): lower maxOutputTokens."
            ),
        ),
        None => quote::string(&mut out, &problem.message),
    }
    out.extend_from_slice(format!(",\"status\":\"{}\"", status(problem.kind)).as_bytes());
    if let Some(seconds) = problem.retry_after {
        // Gemini CLI does not read Retry-After but this.
        let detail = format!(
            ",\"details\":[{{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"{seconds}s\"}}]"
        );
        out.extend_from_slice(detail.as_bytes());
    }
    out.extend_from_slice(b"}}");
    out
}

impl Protocol for Gemini {
    fn id(&self) -> Id {
        Id::Gemini
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        error_bytes(problem)
    }

    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        let mut out = b"data: ".to_vec();
        out.extend(error_bytes(problem));
        out.extend_from_slice(b"\n\n");
        out
    }

    /// Its clients read lines that start with `data: ` and choke on comments. In an array it is only space.
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
            output: number("candidatesTokenCount").saturating_add(reasoning),
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

    fn inbound(&self) -> Option<&dyn Inbound> {
        Some(self)
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        Some(self)
    }
}

/// Whether the caller of `request` sees thoughts.
fn shows(request: &ir::Request<'_>) -> bool {
    request.reasoning.show == Some(true)
}

impl Inbound for Gemini {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        request::decode(body)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        Box::new(stream::Encoder::new(&request.model, request.framing, shows(request)))
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        Box::new(answer::Answer::new(&request.model, shows(request)))
    }

    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        format!("{{\"totalTokens\":{tokens}}}").into_bytes()
    }
}

impl Outbound for Gemini {
    /// Letters, digits, underscore, dash (and `.` and `:`, which the plain rule leaves out too); 64 at most.
    fn names(&self) -> names::Rule {
        names::PLAIN
    }

    fn encode_request(&self, request: &ir::Request<'_>, target: &Target<'_>) -> Vec<u8> {
        encode::encode(request, target)
    }

    fn event_decoder(&self) -> Box<dyn EventDecoder> {
        Box::new(decode::Decoder::default())
    }
}
