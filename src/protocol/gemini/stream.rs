//! Events, written as a Gemini stream: one response object per chunk, either as event-stream data or as elements of a
//! growing array. No event names, comments or `[DONE]`: the SDK in Gemini CLI 0.61 parses every line as JSON.

use super::write::{Call, ending, identity, text_part};
use super::{Gemini, error_bytes};
use crate::protocol::event::{Block, Event};
use crate::protocol::ir::Framing;
use crate::protocol::{EventEncoder, Protocol};

pub(super) struct Encoder {
    model: String,
    framing: Framing,
    /// Whether the caller wants to see thoughts.
    show: bool,
    /// What every chunk ends with.
    identity: Vec<u8>,
    open: Open,
    /// The first call whose arguments are no object.
    malformed: Option<String>,
    begun: bool,
    ended: bool,
}

enum Open {
    Nothing,
    Text,
    Thinking,
    Call(Call),
}

const BEFORE: &[u8] = b"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[";

impl Encoder {
    pub(super) fn new(model: &str, framing: Framing, show: bool) -> Self {
        Encoder {
            model: model.to_owned(),
            framing,
            show,
            identity: identity(model, ""),
            open: Open::Nothing,
            malformed: None,
            begun: false,
            ended: false,
        }
    }

    /// What stands before a chunk.
    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.framing, self.begun) {
            (Framing::Array, false) => b"[",
            (Framing::Array, true) => b",\r\n",
            _ => b"data: ",
        });
        self.begun = true;
    }

    /// What stands behind it.
    fn complete(&self, out: &mut Vec<u8>) {
        if self.framing != Framing::Array {
            out.extend_from_slice(b"\n\n");
        }
    }

    /// A chunk of one part.
    fn chunk(&mut self, out: &mut Vec<u8>, part: impl FnOnce(&mut Vec<u8>)) {
        self.begin(out);
        out.extend_from_slice(BEFORE);
        part(out);
        out.extend_from_slice(b"]},\"index\":0}]");
        out.extend_from_slice(&self.identity);
        self.complete(out);
    }
}

impl EventEncoder for Encoder {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { id } => self.identity = identity(&self.model, id),
            Event::BlockStart(block) => {
                self.open = match block {
                    Block::Text => Open::Text,
                    Block::Thinking => Open::Thinking,
                    Block::ToolUse { id, name, .. } => {
                        Open::Call(Call { id: id.to_string(), name: name.to_string(), ..Call::default() })
                    }
                };
            }
            Event::Delta(text) => match &mut self.open {
                Open::Call(call) => call.arguments.push_str(text),
                Open::Text => self.chunk(out, |out| text_part(text, false, None, out)),
                Open::Thinking if self.show => self.chunk(out, |out| text_part(text, true, None, out)),
                Open::Thinking | Open::Nothing => {}
            },
            Event::Signature(sealed) => match &mut self.open {
                Open::Call(call) => call.signature = Some(sealed.to_string()),
                // Behind its text, in a part of its own, as Gemini itself streams it.
                Open::Text if super::is_own(sealed) => {
                    self.chunk(out, |out| text_part("", false, Some(sealed), out));
                }
                _ => {}
            },
            Event::BlockEnd => {
                if let Open::Call(call) = std::mem::replace(&mut self.open, Open::Nothing) {
                    let mut part = Vec::new();
                    if call.part(&mut part) {
                        self.chunk(out, |out| out.append(&mut part));
                    } else {
                        self.malformed.get_or_insert(call.name);
                    }
                }
            }
            Event::Finish { stop, usage } => {
                self.ended = true;
                self.begin(out);
                out.extend_from_slice(BEFORE);
                text_part("", false, None, out);
                out.extend_from_slice(b"]}");
                ending(stop, self.malformed.as_deref(), *usage, out);
                out.extend_from_slice(&self.identity);
                self.complete(out);
                if self.framing == Framing::Array {
                    out.push(b']');
                }
            }
            Event::Error(problem) => {
                self.ended = true;
                if self.framing == Framing::Array {
                    self.begin(out);
                    out.extend(error_bytes(problem));
                    out.push(b']');
                } else {
                    out.extend(Gemini.encode_stream_error(problem));
                }
            }
        }
    }
}
