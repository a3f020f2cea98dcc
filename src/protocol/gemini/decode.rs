//! A Gemini stream, read into bracketed events. A call comes whole in one part; the proof of a block waits until the
//! block is complete, for it may come with any of its parts or in an empty one behind them. Proofs of words, and parts
//! that only Google knows (`toolCall`), become reasoning nobody sees: every protocol carries that.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{FromText, Many, Text};
use super::wire::Part;
use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::sse::{Events, Reader};
use crate::protocol::{Problem, ProblemKind, ids, quote};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Many<Candidate<'a>>,
    #[serde(rename = "usageMetadata")]
    usage: Option<Counts>,
    #[serde(borrow, rename = "promptFeedback")]
    feedback: Option<Feedback<'a>>,
    #[serde(borrow, rename = "responseId")]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl FromText<'_> for Chunk<'_> {}

#[derive(Deserialize)]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow, rename = "finishReason")]
    finish: Option<Text<'a>>,
    #[serde(borrow, rename = "finishMessage")]
    message: Option<Text<'a>>,
}

impl FromText<'_> for Candidate<'_> {}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Many<Part<'a>>,
}

#[derive(Deserialize)]
struct Feedback<'a> {
    #[serde(borrow, rename = "blockReason")]
    reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "toolUsePromptTokenCount")]
    tools: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    answer: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Thinking,
}

pub(super) type Decoder = Events<State>;

impl Reader for State {
    fn data(&mut self, data: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        self.read(data, sink);
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        self.conclude(cut, sink);
    }
}

type Sink<'s> = &'s mut dyn FnMut(Event<'_>);

#[derive(Default)]
pub(super) struct State {
    started: bool,
    ended: bool,
    open: Open,
    /// The proof of the open block.
    proof: Option<String>,
    calls: usize,
    stop: Option<Stop>,
    /// Why a call could not be made.
    broken: Option<String>,
    usage: Usage,
}

impl State {
    fn read(&mut self, data: &[u8], sink: Sink<'_>) {
        if self.ended || data.trim_ascii().is_empty() {
            return;
        }
        let chunks: Many<Chunk<'_>> = match serde_json::from_slice(data) {
            Ok(chunks) => chunks,
            Err(error) => {
                let message = format!("the backend's answer does not parse: {error}");
                return self.fail(Problem::new(ProblemKind::Upstream, message), sink);
            }
        };
        for chunk in chunks.0 {
            if let Some(error) = chunk.error.filter(|error| error.get() != "null") {
                return self.fail(failure(error), sink);
            }
            self.chunk(chunk, sink);
        }
    }

    fn chunk(&mut self, chunk: Chunk<'_>, sink: Sink<'_>) {
        if !self.started {
            self.started = true;
            sink(Event::Start { id: chunk.id.map(|id| id.0).unwrap_or_default() });
        }
        if let Some(counts) = chunk.usage {
            self.usage(&counts);
        }
        if chunk.feedback.is_some_and(|feedback| feedback.reason.is_some()) {
            self.stop = Some(Stop::Refusal);
        }
        for candidate in chunk.candidates.0.into_iter().take(1) {
            for part in candidate.content.map(|content| content.parts.0).unwrap_or_default() {
                self.part(part, sink);
            }
            if let Some(Text(reason)) = candidate.finish {
                self.finish(&reason, candidate.message.map(|message| message.0));
            }
        }
    }

    fn usage(&mut self, counts: &Counts) {
        // Counts of later chunks replace those of earlier ones; one that is not repeated stays.
        let set = |old: &mut u64, new: Option<u64>| *old = new.unwrap_or(*old);
        let prompt = counts.prompt.map(|prompt| prompt.saturating_add(counts.tools.unwrap_or(0)));
        set(&mut self.usage.prompt, prompt);
        set(&mut self.usage.cached, counts.cached);
        let answer = self.usage.output - self.usage.reasoning;
        set(&mut self.usage.reasoning, counts.thoughts);
        self.usage.output = counts.answer.unwrap_or(answer).saturating_add(self.usage.reasoning);
    }

    fn part(&mut self, part: Part<'_>, sink: Sink<'_>) {
        let proof = part.signature.filter(|proof| !proof.is_empty());
        if let Some(call) = part.call {
            let Some(Text(name)) = call.name.filter(|name| !name.0.is_empty()) else { return };
            self.vouch(proof.as_deref(), sink);
            self.calls += 1;
            let given = call.id.map(|id| id.0).filter(|id| !id.is_empty());
            let id = given.unwrap_or_else(|| ids::new("call_").into());
            sink(Event::BlockStart(Block::ToolUse { id, name, namespace: None, freeform: false }));
            let arguments = call.args.map(RawValue::get).filter(|args| *args != "null").unwrap_or("{}");
            sink(Event::Delta(Cow::Borrowed(arguments)));
            if let Some(proof) = proof {
                sink(Event::Signature(carrier::seal(Maker::Gemini, &proof).into()));
            }
            sink(Event::BlockEnd);
            return;
        }
        let known = part.text.is_some() || part.code.is_some() || part.result.is_some();
        if !known && !part.others.is_empty() {
            self.close(sink);
            alone(Maker::GeminiPart, &again(&part.others, part.thought, proof.as_deref()), sink);
            return;
        }
        let text = match (part.text, part.code, part.result) {
            (Some(text), ..) => text.into_cow(),
            (_, Some(code), _) => format!("```\n{}\n```\n", code.code.unwrap_or_default().0).into(),
            (.., Some(result)) => format!("```\n{}\n```\n", result.output.unwrap_or_default().0).into(),
            _ => Cow::Borrowed(""),
        };
        let kind = if part.thought { Open::Thinking } else { Open::Text };
        if self.proof.is_some() && proof.is_some() {
            // A block has one: what comes with another is another block.
            self.close(sink);
        }
        // An empty part is only there for its proof, which belongs to what stands before it.
        if !text.is_empty() {
            self.begin(kind, sink);
            sink(Event::Delta(text));
        }
        let Some(proof) = proof else { return };
        if kind == Open::Text && self.open != Open::Text {
            // There are no words that it could be of.
            self.close(sink);
            return alone(Maker::GeminiText, &proof, sink);
        }
        self.begin(kind, sink);
        self.proof = Some(proof.into_owned());
    }

    fn begin(&mut self, kind: Open, sink: Sink<'_>) {
        if self.open == kind {
            return;
        }
        self.close(sink);
        sink(Event::BlockStart(if kind == Open::Thinking { Block::Thinking } else { Block::Text }));
        self.open = kind;
    }

    fn close(&mut self, sink: Sink<'_>) {
        if self.open == Open::Nothing {
            return;
        }
        let (open, proof) = (std::mem::take(&mut self.open), self.proof.take());
        match proof {
            Some(proof) if open == Open::Text => {
                sink(Event::BlockEnd);
                alone(Maker::GeminiText, &proof, sink);
            }
            Some(proof) => {
                sink(Event::Signature(carrier::seal(Maker::Gemini, &proof).into()));
                sink(Event::BlockEnd);
            }
            None => sink(Event::BlockEnd),
        }
    }

    /// Puts a call's proof onto the thinking in front of it too: most protocols carry proofs there only.
    fn vouch(&mut self, proof: Option<&str>, sink: Sink<'_>) {
        if let Some(proof) = proof {
            // What is open may have a proof of its own: the call's gets a block for itself then.
            if self.proof.is_some() {
                self.close(sink);
            }
            self.begin(Open::Thinking, sink);
            sink(Event::Signature(carrier::seal(Maker::GeminiCall, proof).into()));
            sink(Event::BlockEnd);
            self.open = Open::Nothing;
        }
        self.close(sink);
    }

    fn finish(&mut self, reason: &str, message: Option<Cow<'_, str>>) {
        self.stop = Some(match reason {
            "MAX_TOKENS" => Stop::MaxTokens,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Stop::Refusal,
            "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE" => {
                let message = message.map(|message| format!(": {message}")).unwrap_or_default();
                self.broken = Some(format!("the model ended with {reason}{message}"));
                Stop::EndTurn
            }
            // STOP, CONTINUATION, OTHER and whatever comes next year.
            _ => Stop::EndTurn,
        });
    }

    fn conclude(&mut self, cut: Option<Problem>, sink: Sink<'_>) {
        if self.ended {
            return;
        }
        let Some(stop) = self.stop.take() else {
            let ended = || Problem::new(ProblemKind::Upstream, "the backend's answer ended before it was complete");
            return self.fail(cut.unwrap_or_else(ended), sink);
        };
        // Calls that were whole can still be run.
        if let Some(broken) = self.broken.take().filter(|_| self.calls == 0) {
            return self.fail(Problem::new(ProblemKind::Upstream, broken), sink);
        }
        self.ended = true;
        self.close(sink);
        let stop = if self.calls > 0 && stop == Stop::EndTurn { Stop::ToolUse } else { stop };
        sink(Event::Finish { stop, usage: self.usage });
    }

    fn fail(&mut self, problem: Problem, sink: Sink<'_>) {
        self.ended = true;
        self.close(sink);
        sink(Event::Error(problem));
    }
}

/// A block that holds nothing but a proof.
fn alone(maker: Maker, proof: &str, sink: Sink<'_>) {
    sink(Event::BlockStart(Block::Thinking));
    sink(Event::Signature(carrier::seal(maker, proof).into()));
    sink(Event::BlockEnd);
}

/// A part as it came.
fn again(members: &[(Cow<'_, str>, &RawValue)], thought: bool, proof: Option<&str>) -> String {
    let mut out = Vec::new();
    for (name, value) in members {
        out.push(if out.is_empty() { b'{' } else { b',' });
        quote::string(&mut out, name);
        out.push(b':');
        quote::raw(&mut out, value.get());
    }
    if thought {
        quote::raw(&mut out, ",\"thought\":true");
    }
    if let Some(proof) = proof {
        quote::member(&mut out, "thoughtSignature", proof);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// The failure in an error object.
fn failure(error: &RawValue) -> Problem {
    #[derive(Deserialize)]
    struct Code {
        code: Option<u16>,
    }
    let code = serde_json::from_str::<Code>(error.get()).ok().and_then(|error| error.code).unwrap_or(500);
    Problem::from_engine(code, format!("{{\"error\":{}}}", error.get()).as_bytes())
}
