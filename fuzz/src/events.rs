//! What every stream of events must be, and a copy of one that outlives it.

use crate::protocol::event::{Block, Event, Filter, Stop, Usage};

/// An event without ids (decoders may make them up) and with neighbouring deltas joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Start,
    Text,
    Thinking,
    Call { name: String, namespace: Option<String>, freeform: bool },
    Delta(String),
    Signature(String),
    End,
    Finish(Stop, Usage),
    Error(String),
}

/// Takes events, checks their brackets, remembers them.
#[derive(Default)]
pub struct Recorder {
    pub seen: Vec<Seen>,
    ids: Vec<String>,
    open: bool,
    signed: bool,
    ended: bool,
}

impl Recorder {
    pub fn add(&mut self, event: &Event<'_>) {
        assert!(!self.ended, "{event:?} after the end: {:?}", self.seen);
        let started = !self.seen.is_empty();
        let seen = match event {
            Event::Start { .. } => {
                assert!(!started, "a second start: {:?}", self.seen);
                Seen::Start
            }
            Event::BlockStart(block) => {
                assert!(started && !self.open, "{block:?} opens inside {:?}", self.seen);
                (self.open, self.signed) = (true, false);
                match block {
                    Block::Text => Seen::Text,
                    Block::Thinking => Seen::Thinking,
                    Block::ToolUse { id, name, namespace, freeform } => {
                        assert!(!id.is_empty(), "{block:?}");
                        self.ids.push(id.clone().into_owned());
                        Seen::Call {
                            name: name.clone().into_owned(),
                            namespace: namespace.as_ref().map(|n| n.clone().into_owned()),
                            freeform: *freeform,
                        }
                    }
                }
            }
            Event::Delta(text) => {
                assert!(self.open && !self.signed, "a delta out of place: {:?}", self.seen);
                match self.seen.last_mut() {
                    Some(Seen::Delta(last)) => {
                        last.push_str(text);
                        return;
                    }
                    _ if text.is_empty() => return,
                    _ => Seen::Delta(text.clone().into_owned()),
                }
            }
            Event::Signature(proof) => {
                assert!(self.open && !self.signed, "a signature out of place: {:?}", self.seen);
                self.signed = true;
                Seen::Signature(proof.clone().into_owned())
            }
            Event::BlockEnd => {
                assert!(self.open, "an end without a start: {:?}", self.seen);
                self.open = false;
                Seen::End
            }
            Event::Finish { stop, usage } => {
                assert!(started && !self.open, "finished too early: {:?}", self.seen);
                self.ended = true;
                Seen::Finish(stop.clone(), *usage)
            }
            Event::Error(problem) => {
                assert!(!self.open, "failed inside a block: {:?}", self.seen);
                self.ended = true;
                Seen::Error(problem.message.clone())
            }
        };
        self.seen.push(seen);
    }

    /// After the last one: it ended, and no two calls share an id.
    pub fn complete(mut self) -> Vec<Seen> {
        assert!(self.ended, "neither finished nor failed: {:?}", self.seen);
        let calls = self.ids.len();
        self.ids.sort();
        self.ids.dedup();
        if std::env::var_os("LLMUP_FUZZ_UNIQUE_IDS").is_some() {
            assert_eq!(self.ids.len(), calls, "two calls with one id: {:?}", self.seen);
        }
        self.seen
    }
}

pub fn failed(seen: &[Seen]) -> bool {
    matches!(seen.last(), Some(Seen::Error(_)))
}

/// Plays events through `filter`; with `cuts` each delta in pieces: of that many bytes, then (or with none given)
/// of single characters.
pub fn through(filter: &mut dyn Filter, script: &[Event<'_>], cuts: Option<&[u8]>) -> Vec<Seen> {
    let mut recorder = Recorder::default();
    let mut sink = |event: Event<'_>| recorder.add(&event);
    for event in script {
        match event {
            Event::Delta(text) if cuts.is_some() => {
                let (mut rest, mut cuts) = (text.as_ref(), cuts.unwrap_or_default().iter());
                while !rest.is_empty() {
                    let length = cuts.next().map_or(1, |n| usize::from(*n)).clamp(1, rest.len());
                    let at = (length..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
                    let (piece, more) = rest.split_at(at);
                    filter.event(Event::Delta(piece.into()), &mut sink);
                    rest = more;
                }
            }
            other => filter.event(other.clone(), &mut sink),
        }
    }
    recorder.complete()
}
