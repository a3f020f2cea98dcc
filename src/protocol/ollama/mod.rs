//! Ollama's own chat: lines of JSON. Backends only; its OpenAI side hides the context length and truncates.

use serde_json::json;

use super::event::Usage;
use super::{Auth, EventDecoder, Id, Outbound, Problem, Protocol, Target, ir, names, scan};

mod request;
mod stream;
#[cfg(test)]
mod tests;

/// The protocol.
pub struct Ollama;

fn line(problem: &Problem) -> Vec<u8> {
    json!({"error": problem.message}).to_string().into_bytes()
}

impl Protocol for Ollama {
    fn id(&self) -> Id {
        Id::Ollama
    }

    fn encode_error(&self, problem: &Problem) -> Vec<u8> {
        line(problem)
    }

    fn encode_stream_error(&self, problem: &Problem) -> Vec<u8> {
        let mut line = line(problem);
        line.push(b'\n');
        line
    }

    fn keepalive(&self) -> &'static [u8] {
        b"\n"
    }

    fn prefix(&self) -> &'static str {
        ""
    }

    fn path(&self, _model: &str, _framing: ir::Framing) -> String {
        "/api/chat".to_owned()
    }

    fn auth(&self) -> Auth {
        Auth::Bearer
    }

    fn ends_properly(&self, tail: &[u8]) -> bool {
        scan::rfind(tail, b"\"done\":true").is_some()
    }

    fn usage(&self, _begin: &[u8], tail: &[u8]) -> Usage {
        let number = |key: &str| scan::last_number(tail, key).unwrap_or(0);
        Usage { prompt: number("prompt_eval_count"), output: number("eval_count"), ..Usage::default() }
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        Some(self)
    }
}

impl Outbound for Ollama {
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
