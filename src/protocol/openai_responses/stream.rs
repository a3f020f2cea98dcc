//! Events, written as a Responses stream, and as a whole response: the same writer makes both.
//!
//! Reasoning goes out as a summary, in one part: that is what Codex shows and the AI SDK reads; raw `reasoning_text`
//! is hidden by both. Clients that keep nothing with the server get it sealed in `encrypted_content` as well.

use super::echo::{Echo, Standing};
use super::output_item::{Call, Kind, message, output_text, reasoning};
use super::special::Special;
use super::wire::read;
use super::{carry, failure, tools};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::Request;
use crate::protocol::{AnswerEncoder, EventEncoder, Problem, ProblemKind, ids, quote};

pub(super) struct Encoder {
    /// Whether events are written; a whole answer needs their sum only.
    framed: bool,
    echo: Echo,
    unique: String,
    /// Whether the caller wants reasoning sealed.
    sealed: bool,
    /// Tools whose calls have an item of their own.
    special: Vec<Special>,
    sequence: u64,
    started: bool,
    open: Open,
    /// The open item got its last piece; what comes next tells whether it is complete.
    ending: bool,
    /// What the open item holds so far.
    text: String,
    signature: Option<String>,
    /// Done items, comma between them.
    done: Vec<u8>,
    items: usize,
    /// The response, once it is over.
    response: Vec<u8>,
}

enum Open {
    Nothing,
    Message { id: String, added: bool },
    Reasoning { id: String, added: bool, part: bool },
    Call(Call),
}

impl Encoder {
    pub(super) fn new(request: &Request<'_>) -> Self {
        let unique = ids::new("");
        let find = |name: &str| request.extras.iter().find(|(key, _)| key == name).map(|(_, raw)| *raw);
        let include: Vec<String> = read(find("include")).unwrap_or_default();
        let sealed = include.iter().any(|what| what == "reasoning.encrypted_content")
            || read::<bool>(find("store")) == Some(false);
        let marks = request.extras.iter().filter_map(|(key, _)| key.strip_prefix(tools::SPECIAL));
        Encoder {
            framed: true,
            echo: Echo::new(request, &unique),
            sealed,
            special: marks.filter_map(Special::by_name).collect(),
            unique,
            sequence: 0,
            started: false,
            open: Open::Nothing,
            ending: false,
            text: String::new(),
            signature: None,
            done: Vec::new(),
            items: 0,
            response: Vec::new(),
        }
    }

    /// An event: its head, then what `rest` appends behind a comma.
    fn frame(&mut self, out: &mut Vec<u8>, name: &str, rest: impl FnOnce(&mut Vec<u8>)) {
        if !self.framed {
            return;
        }
        for piece in ["event: ", name, "\ndata: {\"type\":\"", name, "\",\"sequence_number\":"] {
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(self.sequence.to_string().as_bytes());
        out.push(b',');
        self.sequence += 1;
        rest(out);
        out.extend_from_slice(b"}\n\n");
    }

    /// The same for an event about the open item.
    fn about(&mut self, out: &mut Vec<u8>, name: &str, id: &str, rest: impl FnOnce(&mut Vec<u8>)) {
        let at = self.items;
        self.frame(out, name, |out| {
            out.extend_from_slice(b"\"item_id\":\"");
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(format!("\",\"output_index\":{at}").as_bytes());
            rest(out);
        });
    }

    fn item(&mut self, out: &mut Vec<u8>, name: &str, item: &[u8]) {
        let at = self.items;
        self.frame(out, name, |out| {
            out.extend_from_slice(format!("\"output_index\":{at},\"item\":").as_bytes());
            out.extend_from_slice(item);
        });
    }

    fn whole(&mut self, out: &mut Vec<u8>, name: &str, response: &[u8]) {
        self.frame(out, name, |out| {
            out.extend_from_slice(b"\"response\":");
            out.extend_from_slice(response);
        });
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) || !self.framed {
            return;
        }
        let mut response = Vec::new();
        let standing = Standing { status: "in_progress", output: b"", usage: None, incomplete: None, error: None };
        self.echo.response(&mut response, &standing);
        self.whole(out, "response.created", &response);
        self.whole(out, "response.in_progress", &response);
    }

    fn open(&mut self, block: &Block<'_>, out: &mut Vec<u8>) {
        self.text.clear();
        self.signature = None;
        let tail = format!("{}_{}", self.unique, self.items);
        self.open = match block {
            Block::Text => Open::Message { id: format!("msg_{tail}"), added: false },
            Block::Thinking => Open::Reasoning { id: format!("rs_{tail}"), added: false, part: false },
            Block::ToolUse { id: call, name, namespace, freeform } => {
                let special = self.special.iter().find(|special| special.name() == name.as_ref());
                let (kind, prefix) = match special {
                    Some(special) if namespace.is_none() => (Kind::Special(*special), special.id()),
                    _ if *freeform => (Kind::Custom, "ctc_"),
                    _ => (Kind::Function, "fc_"),
                };
                Open::Call(Call {
                    id: format!("{prefix}{tail}"),
                    call: call.as_ref().to_owned(),
                    name: name.as_ref().to_owned(),
                    namespace: namespace.as_deref().map(str::to_owned),
                    kind,
                })
            }
        };
        if let Open::Call(call) = &self.open {
            let item = call.item("in_progress", "");
            self.item(out, "response.output_item.added", &item);
        }
    }

    /// Opens what is only opened when there is something to say: no empty message, no empty summary.
    fn fill(&mut self, out: &mut Vec<u8>, with_text: bool) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Message { id, added: false } => {
                self.item(out, "response.output_item.added", &message(&id, "in_progress", None));
                self.about(out, "response.content_part.added", &id, |out| {
                    out.extend_from_slice(b",\"content_index\":0,\"part\":");
                    out.extend_from_slice(&output_text(""));
                });
                self.open = Open::Message { id, added: true };
            }
            Open::Reasoning { id, added, mut part } => {
                if !added {
                    let item = reasoning(&id, "", None);
                    self.item(out, "response.output_item.added", &item);
                }
                if with_text && !part {
                    self.about(out, "response.reasoning_summary_part.added", &id, |out| {
                        out.extend_from_slice(
                            b",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}",
                        );
                    });
                    part = true;
                }
                self.open = Open::Reasoning { id, added: true, part };
            }
            other => self.open = other,
        }
    }

    fn delta(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.fill(out, true);
        self.text.push_str(text);
        let (name, id, place, logprobs) = match &self.open {
            Open::Nothing => return,
            Open::Message { id, .. } => ("response.output_text.delta", id, ",\"content_index\":0", true),
            Open::Reasoning { id, .. } => ("response.reasoning_summary_text.delta", id, ",\"summary_index\":0", false),
            Open::Call(call) => match call.kind {
                Kind::Function => ("response.function_call_arguments.delta", &call.id, "", false),
                Kind::Custom => ("response.custom_tool_call_input.delta", &call.id, "", false),
                Kind::Special(_) => return,
            },
        };
        let id = id.clone();
        self.about(out, name, &id, |out| {
            out.extend_from_slice(place.as_bytes());
            out.extend_from_slice(b",\"delta\":");
            quote::string(out, text);
            if logprobs {
                out.extend_from_slice(b",\"logprobs\":[]");
            }
        });
    }

    fn close(&mut self, out: &mut Vec<u8>, status: &str) {
        if self.signature.is_some() {
            self.fill(out, false);
        }
        if matches!(&self.open, Open::Call(call) if call.kind == Kind::Function) && self.text.is_empty() {
            // No arguments: clients parse them as JSON.
            self.delta("{}", out);
        }
        let text = std::mem::take(&mut self.text);
        let item = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing | Open::Message { added: false, .. } | Open::Reasoning { added: false, .. } => return,
            Open::Message { id, .. } => {
                self.about(out, "response.output_text.done", &id, |out| {
                    out.extend_from_slice(b",\"content_index\":0,\"text\":");
                    quote::string(out, &text);
                    out.extend_from_slice(b",\"logprobs\":[]");
                });
                self.about(out, "response.content_part.done", &id, |out| {
                    out.extend_from_slice(b",\"content_index\":0,\"part\":");
                    out.extend_from_slice(&output_text(&text));
                });
                message(&id, status, Some(&text))
            }
            Open::Reasoning { id, part, .. } => {
                if part {
                    self.about(out, "response.reasoning_summary_text.done", &id, |out| {
                        out.extend_from_slice(b",\"summary_index\":0,\"text\":");
                        quote::string(out, &text);
                    });
                    self.about(out, "response.reasoning_summary_part.done", &id, |out| {
                        out.extend_from_slice(b",\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":");
                        quote::string(out, &text);
                        out.push(b'}');
                    });
                }
                let signature = self.signature.take();
                let sealed =
                    (self.sealed || signature.is_some()).then(|| carry::seal_reasoning(&text, signature.as_deref()));
                reasoning(&id, &text, sealed.as_deref())
            }
            Open::Call(call) => {
                let done = match call.kind {
                    Kind::Function => Some(("response.function_call_arguments.done", "arguments")),
                    Kind::Custom => Some(("response.custom_tool_call_input.done", "input")),
                    Kind::Special(_) => None,
                };
                if let Some((event, member)) = done {
                    self.about(out, event, &call.id, |out| {
                        if call.kind == Kind::Function {
                            out.extend_from_slice(b",\"name\":");
                            quote::string(out, &call.name);
                        }
                        out.extend_from_slice(format!(",\"{member}\":").as_bytes());
                        quote::string(out, &text);
                    });
                }
                call.item(status, &text)
            }
        };
        self.item(out, "response.output_item.done", &item);
        if self.items > 0 {
            self.done.push(b',');
        }
        self.done.extend_from_slice(&item);
        self.items += 1;
    }

    /// Closes the item whose end is known, now that `next` tells how. A call that a failure cut off is not handed
    /// out: clients run a call as soon as its item is done (Codex does).
    fn settle(&mut self, next: &Event<'_>, out: &mut Vec<u8>) {
        match next {
            Event::Finish { stop: Stop::MaxTokens | Stop::Refusal | Stop::ContextFull, .. } => {
                self.close(out, "incomplete");
            }
            Event::Error(_) if matches!(self.open, Open::Call(_)) => self.open = Open::Nothing,
            Event::Error(_) => self.close(out, "incomplete"),
            _ => self.close(out, "completed"),
        }
    }

    fn finish(
        &mut self,
        out: &mut Vec<u8>,
        status: &str,
        usage: Option<Usage>,
        incomplete: Option<&str>,
        error: Option<(&str, &str)>,
    ) {
        let mut response = Vec::new();
        self.echo.response(&mut response, &Standing { status, output: &self.done, usage, incomplete, error });
        self.whole(out, &format!("response.{status}"), &response);
        self.response = response;
    }
}

impl EventEncoder for Encoder {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.start(out);
        if std::mem::take(&mut self.ending) {
            self.settle(event, out);
        }
        match event {
            Event::Start { .. } => {}
            Event::BlockStart(block) => self.open(block, out),
            Event::Delta(text) => self.delta(text, out),
            Event::Signature(sealed) => {
                if matches!(self.open, Open::Reasoning { .. }) {
                    self.signature = Some(sealed.as_ref().to_owned());
                }
            }
            Event::BlockEnd => self.ending = true,
            Event::Finish { stop, usage } => match stop {
                Stop::MaxTokens => self.finish(out, "incomplete", Some(*usage), Some("max_output_tokens"), None),
                Stop::Refusal => self.finish(out, "incomplete", Some(*usage), Some("content_filter"), None),
                Stop::ContextFull => {
                    let full = "the context is full: the answer is not complete";
                    self.finish(out, "failed", Some(*usage), None, Some(("context_length_exceeded", full)));
                }
                Stop::EndTurn | Stop::ToolUse | Stop::Sequence(_) => {
                    self.finish(out, "completed", Some(*usage), None, None);
                }
            },
            Event::Error(problem) => {
                let (code, message) = failure(problem);
                self.finish(out, "failed", None, None, Some((code, &message)));
            }
        }
    }
}

/// The whole answer: the response the stream would have ended with.
pub(super) struct Answer {
    encoder: Encoder,
    failed: Option<Problem>,
}

impl Answer {
    pub(super) fn new(request: &Request<'_>) -> Self {
        Answer { encoder: Encoder { framed: false, ..Encoder::new(request) }, failed: None }
    }
}

impl AnswerEncoder for Answer {
    fn add(&mut self, event: &Event<'_>) {
        if let Event::Error(problem) = event {
            self.failed = Some(problem.clone());
        }
        self.encoder.encode(event, &mut Vec::new());
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem> {
        match self.failed {
            Some(problem) => Err(problem),
            None if self.encoder.response.is_empty() => {
                Err(Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete"))
            }
            None => Ok(self.encoder.response),
        }
    }
}
