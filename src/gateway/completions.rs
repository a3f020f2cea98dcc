//! `/v1/completions` that fill a gap (`suffix`), for llama.cpp: its own `/v1/completions` ignores the suffix without a
//! word (b11669), but `/infill` does what was asked for. Other engines either fill themselves or say that they cannot.

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

use super::backend::Ready;
use super::exchange::Exchange;
use super::metrics::InFlight;
use super::relay::{Relay, Transform};
use super::reply::{self, Body};
use super::{upstream, whole};
use crate::protocol::event::Usage;
use crate::protocol::head::{self, quote};
use crate::protocol::ir::Framing;
use crate::protocol::sse::Splitter;
use crate::protocol::{Problem, ProblemKind, Protocol, Vendor, ids, openai_chat, scan};

const PATH: &str = "/infill";

/// Whether this request has to go another way than straight through.
pub(super) fn fills(backend: &Ready, body: &[u8]) -> bool {
    backend.vendor == Vendor::LlamaCpp
        && scan::member(body, 0..body.len(), "suffix")
            .and_then(|span| body.get(span))
            .is_some_and(|suffix| !matches!(suffix, b"null" | b"\"\""))
}

pub(super) async fn fill(exchange: Exchange<'_>, body: Bytes) -> Result<Response<Body>, Problem> {
    let Exchange { shared, backend, mut pulse, in_flight, .. } = exchange;
    let asked = translated(&body, backend.context)?;
    let writer = Writer::new(asked.model.as_deref().unwrap_or(&backend.model));
    let mut sending = shared.upstream.post_root(backend, PATH, asked.body.into());
    if !asked.stream {
        let response = pulse.head(&mut sending, true).await.transpose()?;
        let response = response.ok_or_else(|| Problem::new(ProblemKind::Internal, "there is no answer"))?;
        if !response.status().is_success() {
            return Err(refused(upstream::failure(response).await.0));
        }
        let found = whole::read(response.into_body(), &mut pulse).await?;
        let piece: Piece<'_> = serde_json::from_slice(&found).map_err(|error| unreadable(&error))?;
        in_flight.usage(piece.usage());
        return Ok(reply::json(200, writer.whole(&piece)));
    }
    let wants_usage = asked.wants_usage;
    let filling = Box::new(Filling {
        splitter: Splitter::default(),
        writer,
        wants_usage,
        ended: false,
        in_flight: in_flight.clone(),
    });
    let response = match pulse.head(&mut sending, false).await {
        Some(response) => response?,
        None => {
            return Ok(reply::stream(Framing::Events, Relay::waiting(sending, filling, pulse, in_flight).boxed()));
        }
    };
    if !response.status().is_success() {
        return Err(refused(upstream::failure(response).await.0));
    }
    Ok(reply::stream(Framing::Events, Relay::flowing(response.into_body(), filling, pulse, in_flight).boxed()))
}

/// A model without the tokens for it is the request's fault (llama.cpp says 501).
fn refused(problem: Problem) -> Problem {
    match problem.kind {
        ProblemKind::Unsupported => {
            Problem::new(ProblemKind::Invalid, format!("this model takes no suffix: {}", problem.message))
        }
        _ => problem,
    }
}

fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::new(ProblemKind::Upstream, format!("the engine's answer does not parse: {error}"))
}

/// A request in llama.cpp's words, and what the answer needs to know.
#[derive(Debug)]
struct Asked {
    body: Vec<u8>,
    model: Option<String>,
    stream: bool,
    wants_usage: bool,
}

/// Members of a completion request that `/infill` has no use for.
const UNUSED: [&str; 8] = ["model", "n", "best_of", "echo", "logprobs", "user", "stream_options", "store"];

fn translated(body: &[u8], context: u64) -> Result<Asked, Problem> {
    let invalid = |message: &str| Problem::new(ProblemKind::Invalid, message);
    let members = scan::members(body, 0..body.len()).ok_or_else(|| invalid("the request body is not a JSON object"))?;
    let mut asked = Asked { body: b"{".to_vec(), model: None, stream: false, wants_usage: false };
    let mut prefix = None;
    for (key, span) in members {
        let name = scan::string(body, key).ok_or_else(|| invalid("a member's name does not parse"))?;
        let raw = body.get(span.clone()).unwrap_or_default();
        if raw == b"null" {
            continue;
        }
        // The engine parses the whole of it again and says what is wrong.
        let raw = std::str::from_utf8(raw).map_err(|_| invalid("the request body is not UTF-8"))?;
        let (name, value) = match name.as_str() {
            "prompt" => {
                prefix = Some(prompt(raw).ok_or_else(|| invalid("with a suffix, the prompt has to be one text"))?);
                continue;
            }
            "suffix" => ("input_suffix", Cow::Borrowed(raw)),
            "max_tokens" => {
                let limit = raw.parse().ok().and_then(|limit| head::clamped(limit, body.len(), context));
                ("n_predict", limit.map_or(Cow::Borrowed(raw), |limit| limit.to_string().into()))
            }
            "repetition_penalty" => ("repeat_penalty", Cow::Borrowed(raw)),
            // One text is a list of one to OpenAI, and nothing to llama.cpp.
            "stop" if raw.starts_with('"') => ("stop", format!("[{raw}]").into()),
            "model" => {
                asked.model = scan::string(body, span);
                continue;
            }
            "stream_options" => {
                let wanted = scan::member(body, span, "include_usage").and_then(|span| body.get(span));
                asked.wants_usage = wanted == Some(b"true");
                continue;
            }
            "stream" => {
                asked.stream = raw == "true";
                ("stream", Cow::Borrowed(raw))
            }
            unused if UNUSED.contains(&unused) => continue,
            other => (other, Cow::Borrowed(raw)),
        };
        asked.body.extend_from_slice(format!("{}:{value},", quote(name)).as_bytes());
    }
    asked.body.extend_from_slice(format!("\"input_prefix\":{}}}", prefix.as_deref().unwrap_or("\"\"")).as_bytes());
    Ok(asked)
}

/// The prompt as a JSON string, if it is one text or a list of one.
fn prompt(raw: &str) -> Option<String> {
    if raw.starts_with('"') {
        return Some(raw.to_owned());
    }
    match serde_json::from_str::<Vec<&RawValue>>(raw).ok()?.as_slice() {
        [one] if one.get().starts_with('"') => Some(one.get().to_owned()),
        _ => None,
    }
}

/// An answer of `/infill`, or one event of it.
#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    content: Cow<'a, str>,
    #[serde(default)]
    stop: bool,
    #[serde(borrow, default)]
    stop_type: Cow<'a, str>,
    #[serde(default)]
    tokens_predicted: u64,
    #[serde(default)]
    tokens_evaluated: u64,
    timings: Option<Timings>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Timings {
    #[serde(default)]
    cache_n: u64,
}

impl Piece<'_> {
    fn usage(&self) -> Usage {
        Usage {
            prompt: self.tokens_evaluated,
            cached: self.timings.as_ref().map_or(0, |timings| timings.cache_n),
            output: self.tokens_predicted,
            ..Usage::default()
        }
    }

    fn reason(&self) -> &'static str {
        if self.stop_type == "limit" { "\"length\"" } else { "\"stop\"" }
    }
}

/// Writes completions.
struct Writer {
    /// Up to the choices: the same in each piece.
    head: String,
}

impl Writer {
    fn new(model: &str) -> Writer {
        let created = ids::now();
        let (id, model) = (ids::new("cmpl-"), quote(model));
        Writer {
            head: format!(
                "{{\"id\":\"{id}\",\"object\":\"text_completion\",\"created\":{created},\"model\":{model},\"choices\":["
            ),
        }
    }

    fn choice(&self, text: &str, reason: &str) -> String {
        let (head, text) = (&self.head, quote(text));
        format!("{head}{{\"index\":0,\"text\":{text},\"logprobs\":null,\"finish_reason\":{reason}}}]")
    }

    fn whole(&self, piece: &Piece<'_>) -> String {
        format!("{},\"usage\":{}}}", self.choice(&piece.content, piece.reason()), figures(piece.usage()))
    }
}

fn figures(usage: Usage) -> String {
    let Usage { prompt, cached, output, .. } = usage;
    let total = prompt.saturating_add(output);
    format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{output},\"total_tokens\":{total},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{cached}}}}}"
    )
}

/// The engine's stream in, a stream of completions out.
struct Filling {
    splitter: Splitter,
    writer: Writer,
    wants_usage: bool,
    ended: bool,
    in_flight: InFlight,
}

impl Filling {
    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.ended || data.trim_ascii().is_empty() {
            return;
        }
        let piece: Piece<'_> = match serde_json::from_slice(data) {
            Ok(piece) => piece,
            Err(error) => return self.fail(&unreadable(&error), out),
        };
        if piece.error.is_some() {
            return self.fail(&Problem::from_engine(500, data), out);
        }
        let mut frame = |text: String| out.extend_from_slice(format!("data: {text}\n\n").as_bytes());
        if !piece.stop {
            if !piece.content.is_empty() {
                frame(self.writer.choice(&piece.content, "null") + "}");
            }
            return;
        }
        self.ended = true;
        self.in_flight.usage(piece.usage());
        frame(self.writer.choice(&piece.content, piece.reason()) + "}");
        if self.wants_usage {
            frame(format!("{}],\"usage\":{}}}", self.writer.head, figures(piece.usage())));
        }
        frame("[DONE]".to_owned());
    }

    fn fail(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        self.ended = true;
        self.in_flight.error(&problem.message);
        out.extend_from_slice(&openai_chat::Chat.encode_stream_error(problem));
    }

    fn split(&mut self, step: impl FnOnce(&mut Splitter, &mut dyn FnMut(&[u8])), out: &mut Vec<u8>) {
        let mut splitter = std::mem::take(&mut self.splitter);
        step(&mut splitter, &mut |data| self.event(data, out));
        self.splitter = splitter;
    }
}

impl Transform for Filling {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.split(|splitter, sink| splitter.push(piece, sink), out);
    }

    fn end(&mut self, cut: Option<Problem>, out: &mut Vec<u8>) -> Result<(), Problem> {
        if cut.is_none() {
            self.split(|splitter, sink| splitter.end(sink), out);
        }
        if !self.ended {
            let ended = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
            self.fail(&refused(cut.unwrap_or_else(ended)), out);
        }
        Ok(())
    }

    fn keepalive(&self) -> Option<&'static [u8]> {
        Some(openai_chat::Chat.keepalive())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_completion_with_a_gap_becomes_an_infill() {
        let body = r#"{"model":"m","prompt":["def f("],"suffix":"\n","max_tokens":9000,"stop":"X","stream":true,"n":1,
            "stream_options":{"include_usage":true},"temperature":0.10,"seed":null,"input_extra":[]}"#;
        let asked = translated(body.as_bytes(), 4096).unwrap();
        assert_eq!((asked.model.as_deref(), asked.stream, asked.wants_usage), (Some("m"), true, true));
        let value: Value = serde_json::from_slice(&asked.body).unwrap();
        let expected = json!({"input_prefix": "def f(", "input_suffix": "\n", "n_predict": value["n_predict"],
            "stop": ["X"], "stream": true, "temperature": 0.1, "input_extra": []});
        assert_eq!(value, expected);
        assert!(value["n_predict"].as_u64().is_some_and(|limit| limit < 4096));
        let several = translated(br#"{"prompt":["a","b"],"suffix":"c"}"#, 0).unwrap_err();
        assert_eq!(several.status(), 400);
        assert!(translated(b"[1]", 0).is_err());
    }

    #[test]
    fn only_gaps_at_llama_cpp_go_that_way() {
        let mut backend = Ready::chat("http://h", "m");
        let gap = br#"{"prompt":"a","suffix":"b"}"#;
        assert!(!fills(&backend, gap));
        backend.vendor = Vendor::LlamaCpp;
        assert!(fills(&backend, gap));
        for none in [r#"{"prompt":"a"}"#, r#"{"prompt":"a","suffix":""}"#, r#"{"suffix":null}"#] {
            assert!(!fills(&backend, none.as_bytes()), "{none}");
        }
    }

    fn streamed(parts: &[&[u8]]) -> String {
        let counters = std::sync::Arc::new(crate::gateway::Counters::default());
        let in_flight = InFlight::new(
            &counters,
            None,
            true,
            "id",
            crate::protocol::Id::Chat,
            "/v1/completions",
            &http::HeaderMap::new(),
        );
        let writer = Writer { head: "{\"choices\":[".to_owned() };
        let mut filling = Filling { splitter: Splitter::default(), writer, wants_usage: true, ended: false, in_flight };
        let mut out = Vec::new();
        parts.iter().for_each(|part| filling.push(part, &mut out));
        filling.end(None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn its_stream_becomes_completions_however_it_is_split() {
        let stream = "data: {\"index\":0,\"content\":\"x, \u{e9}\",\"stop\":false}\n\n\
            data: {\"content\":\"\",\"stop\":true,\"stop_type\":\"limit\",\"tokens_predicted\":2,\"tokens_evaluated\":9,\"timings\":{\"cache_n\":4}}\n\n";
        let whole = streamed(&[stream.as_bytes()]);
        let expected = "data: {\"choices\":[{\"index\":0,\"text\":\"x, \u{e9}\",\"logprobs\":null,\"finish_reason\":null}]}\n\n\
            data: {\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11,\
            \"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\ndata: [DONE]\n\n";
        assert_eq!(whole, expected);
        for at in 0..stream.len() {
            let (a, b) = stream.as_bytes().split_at(at);
            assert_eq!(streamed(&[a, b]), whole, "split at {at}");
        }
        for broken in [&stream[..40], "data: {\"error\":{\"message\":\"no\"}}\n\n", "data: nonsense\n\n", ""] {
            let text = streamed(&[broken.as_bytes()]);
            assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
        }
    }
}
