//! Events, gathered into one whole chat answer.

use super::encoder::{answer_id, legacy, reason, usage};
use super::{details, write};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ids;
use crate::protocol::ir::Request;
use crate::protocol::{AnswerEncoder, Problem, ProblemKind};

struct Call {
    id: String,
    name: String,
    freeform: bool,
    input: String,
    proof: Option<String>,
}

enum Open {
    Text,
    Thinking,
    Call,
}

pub(super) struct Answer {
    model: String,
    legacy: bool,
    id: String,
    open: Open,
    text: String,
    thinking: String,
    /// Entries of `reasoning_details`.
    proofs: Vec<String>,
    calls: Vec<Call>,
    end: Option<Result<(Stop, Usage), Problem>>,
}

impl Answer {
    pub(super) fn new(request: &Request<'_>) -> Self {
        Answer {
            model: request.model.as_ref().to_owned(),
            legacy: legacy(request),
            id: String::new(),
            open: Open::Text,
            text: String::new(),
            thinking: String::new(),
            proofs: Vec::new(),
            calls: Vec::new(),
            end: None,
        }
    }

    fn message(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"role":"assistant""#);
        match self.text.as_str() {
            "" if !self.calls.is_empty() => write::raw(out, "content", "null"),
            text => write::member(out, "content", text),
        }
        write::raw(out, "refusal", "null");
        if !self.thinking.is_empty() {
            write::member(out, "reasoning_content", &self.thinking);
        }
        if !self.proofs.is_empty() {
            write::raw(out, "reasoning_details", "[");
            out.extend_from_slice(self.proofs.join(",").as_bytes());
            out.push(b']');
        }
        match self.calls.first() {
            Some(call) if self.legacy => {
                write::raw(out, "function_call", "{");
                write::member(out, "name", &call.name);
                write::member(out, "arguments", arguments(call));
                out.push(b'}');
            }
            Some(_) => {
                write::raw(out, "tool_calls", "[");
                self.calls.iter().for_each(|call| call_value(out, call));
                out.push(b']');
            }
            None => {}
        }
        out.push(b'}');
    }
}

fn arguments(call: &Call) -> &str {
    if call.input.trim().is_empty() && !call.freeform { "{}" } else { &call.input }
}

fn call_value(out: &mut Vec<u8>, call: &Call) {
    let (kind, name) = if call.freeform { ("custom", "input") } else { ("function", "arguments") };
    write::comma(out);
    out.push(b'{');
    write::member(out, "id", &call.id);
    write::member(out, "type", kind);
    write::raw(out, kind, "{");
    write::member(out, "name", &call.name);
    write::member(out, name, arguments(call));
    out.push(b'}');
    if let Some(proof) = &call.proof {
        write::raw(out, "extra_content", r#"{"google":{"#);
        write::member(out, "thought_signature", proof);
        out.extend_from_slice(b"}}");
    }
    out.push(b'}');
}

impl AnswerEncoder for Answer {
    fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { id } => self.id = answer_id(id),
            Event::BlockStart(Block::Text) => self.open = Open::Text,
            Event::BlockStart(Block::Thinking) => self.open = Open::Thinking,
            Event::BlockStart(Block::ToolUse { id, name, freeform, .. }) => {
                self.open = Open::Call;
                self.calls.push(Call {
                    id: id.as_ref().to_owned(),
                    name: name.as_ref().to_owned(),
                    freeform: *freeform,
                    input: String::new(),
                    proof: None,
                });
            }
            Event::Delta(text) => match self.open {
                Open::Text => self.text.push_str(text),
                Open::Thinking => self.thinking.push_str(text),
                Open::Call => {
                    if let Some(call) = self.calls.last_mut() {
                        call.input.push_str(text);
                    }
                }
            },
            Event::Signature(sealed) => match (&self.open, self.calls.last_mut()) {
                (Open::Call, Some(call)) => call.proof = Some(sealed.as_ref().to_owned()),
                _ => self.proofs.push(details::entries(sealed, self.proofs.len())),
            },
            Event::BlockEnd => self.open = Open::Text,
            Event::Finish { stop, usage } => self.end = Some(Ok((stop.clone(), *usage))),
            Event::Error(problem) => self.end = Some(Err(problem.clone())),
        }
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem> {
        let unfinished = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
        let (stop, spent) = match &self.end {
            Some(Ok((stop, spent))) => (stop, *spent),
            Some(Err(problem)) => return Err(problem.clone()),
            None => return Err(unfinished()),
        };
        let mut out = Vec::with_capacity(self.text.len() + self.thinking.len() + 1024);
        out.push(b'{');
        write::member(&mut out, "id", &self.id);
        write::member(&mut out, "object", "chat.completion");
        write::key(&mut out, "created");
        write::number(&mut out, ids::now());
        write::member(&mut out, "model", &self.model);
        out.extend_from_slice(br#","choices":[{"index":0,"message":"#);
        self.message(&mut out);
        write::raw(&mut out, "logprobs", "null");
        write::member(&mut out, "finish_reason", reason(stop, self.legacy));
        if let Stop::Sequence(text) = stop {
            write::member(&mut out, "stop_reason", text);
        }
        out.extend_from_slice(b"}]");
        write::key(&mut out, "usage");
        usage(&mut out, spent);
        out.push(b'}');
        Ok(out)
    }
}
