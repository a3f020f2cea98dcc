//! Events, gathered into one whole response.

use super::thoughts::{Own, Waiting};
use super::write::{Call, comma, ending, identity, text_part};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::{AnswerEncoder, Problem, ProblemKind};

pub(super) struct Answer {
    model: String,
    show: bool,
    id: String,
    /// The parts so far, commas between them.
    parts: Vec<u8>,
    open: Open,
    text: String,
    signature: Option<String>,
    waiting: Waiting,
    malformed: Option<String>,
    end: Option<Result<(Stop, Usage), Problem>>,
}

enum Open {
    Nothing,
    Text,
    Thinking,
    Call { id: String, name: String },
}

impl Answer {
    pub(super) fn new(model: &str, show: bool) -> Self {
        Answer {
            model: model.to_owned(),
            show,
            id: String::new(),
            parts: Vec::new(),
            open: Open::Nothing,
            text: String::new(),
            signature: None,
            waiting: Waiting::default(),
            malformed: None,
            end: None,
        }
    }

    fn close(&mut self) {
        let (text, signature) = (std::mem::take(&mut self.text), self.signature.take());
        let before = self.parts.len();
        comma(&mut self.parts);
        let written = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Call { id, name } => {
                let call = Call { id, name, arguments: text, signature };
                let whole = call.part(&mut self.waiting, &mut self.parts);
                if !whole {
                    self.malformed.get_or_insert(call.name);
                }
                whole
            }
            Open::Text if !text.is_empty() => {
                text_part(&text, false, self.waiting.take().as_deref(), &mut self.parts);
                true
            }
            Open::Thinking => self.thought(&text, signature.as_deref()),
            _ => false,
        };
        if !written {
            self.parts.truncate(before);
        }
    }

    /// A thought, or what else came as one; whether it was written.
    fn thought(&mut self, text: &str, sealed: Option<&str>) -> bool {
        let own = sealed.and_then(Own::of);
        let out = &mut self.parts;
        match own {
            Some(Own::Text(proof)) => text_part("", false, Some(proof), out),
            Some(Own::Part(json)) => out.extend_from_slice(json.as_bytes()),
            Some(Own::Thought(proof)) if self.show => text_part(text, true, Some(proof), out),
            _ => {
                if own.is_none() {
                    self.waiting.add(text, sealed);
                }
                if !self.show || text.is_empty() {
                    return false;
                }
                text_part(text, true, None, out);
            }
        }
        true
    }
}

impl AnswerEncoder for Answer {
    fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { id } => self.id = id.to_string(),
            Event::BlockStart(block) => {
                self.text.clear();
                self.open = match block {
                    Block::Text => Open::Text,
                    Block::Thinking => Open::Thinking,
                    Block::ToolUse { id, name, .. } => Open::Call { id: id.to_string(), name: name.to_string() },
                };
            }
            Event::Delta(text) => self.text.push_str(text),
            Event::Signature(sealed) => self.signature = Some(sealed.to_string()),
            Event::BlockEnd => self.close(),
            Event::Finish { stop, usage } => self.end = Some(Ok((stop.clone(), *usage))),
            Event::Error(problem) => self.end = Some(Err(problem.clone())),
        }
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem> {
        let unfinished = || Problem::new(ProblemKind::Upstream, "the engine's answer ended before it was complete");
        let Answer { end, mut parts, mut waiting, .. } = *self;
        let (stop, usage) = end.unwrap_or_else(|| Err(unfinished()))?;
        let rest = waiting.take();
        if parts.is_empty() || rest.is_some() {
            // SDKs read the first part without asking whether there is one.
            comma(&mut parts);
            text_part("", false, rest.as_deref(), &mut parts);
        }
        let mut out = b"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[".to_vec();
        out.extend_from_slice(&parts);
        out.extend_from_slice(b"]}");
        ending(&stop, self.malformed.as_deref(), usage, &mut out);
        out.extend(identity(&self.model, &self.id));
        Ok(out)
    }
}
