//! The caller's name for the model in an answer that otherwise goes through as bytes.
//!
//! Only where it costs nothing: in an answer that is one piece, and in the first event of a Messages stream, which is
//! the only one that names the model. Chat and Gemini name it in every chunk and Responses in its last event once
//! more: there the engine's own name stays, rather than every byte being looked at.

use crate::protocol::head::{Head, quote, splice};

/// A whole answer with the name that was asked for, if it names a model.
pub(super) fn whole(answer: &[u8], asked: &str) -> Option<Vec<u8>> {
    let head = Head::scan(answer).filter(|head| !head.model_spans.is_empty())?;
    let mut patches = Vec::new();
    head.rename(answer, asked, &mut patches);
    (!patches.is_empty()).then(|| splice(answer, patches))
}

/// The first event of a stream, held back until it is complete.
pub(super) struct First {
    /// The member as engines write it, with and without a space, and what takes its place.
    wanted: [(Vec<u8>, Vec<u8>); 2],
    held: Vec<u8>,
}

/// The first event of an answer is short; what is longer is something else.
const LONGEST: usize = 4 << 10;

impl First {
    /// From the engine's name to the one that was asked for; `None` when they are the same.
    pub(super) fn new(engine: &str, asked: &str) -> Option<First> {
        let member = |between: &str, name: &str| format!("\"model\":{between}{}", quote(name)).into_bytes();
        let wanted = ["", " "].map(|between| (member(between, engine), member(between, asked)));
        (engine != asked).then_some(First { wanted, held: Vec::new() })
    }

    /// Takes a piece; appends all there is once the event is complete, and says whether it is.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        self.held.extend_from_slice(piece);
        let find = |needle: &[u8]| memchr::memmem::find(&self.held, needle);
        if find(b"\n\n").or_else(|| find(b"\n\r\n")).is_none() && self.held.len() < LONGEST {
            return false;
        }
        for (engine, asked) in &self.wanted {
            if let Some(at) = find(engine) {
                out.extend_from_slice(&self.held[..at]);
                out.extend_from_slice(asked);
                out.extend_from_slice(&self.held[at + engine.len()..]);
                return true;
            }
        }
        out.extend_from_slice(&self.held);
        true
    }

    /// What is held of an event that never became complete.
    pub(super) fn rest(self) -> Vec<u8> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_gets_the_name_however_it_is_split() {
        let event = "event: message_start\ndata: {\"message\":{\"model\": \"engine\"}}\n\nevent: x\ndata: {\"model\": \"engine\"}\n\n";
        let expected = event.replacen("\"engine\"", "\"a \\\"b\\\"\"", 1);
        for size in 1..event.len() {
            let (mut first, mut out) = (First::new("engine", "a \"b\""), Vec::new());
            for piece in event.as_bytes().chunks(size) {
                match &mut first {
                    Some(held) => {
                        if held.push(piece, &mut out) {
                            first = None;
                        }
                    }
                    None => out.extend_from_slice(piece),
                }
            }
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
        }
        assert!(First::new("m", "m").is_none());
        let (mut first, mut out) = (First::new("m", "n").unwrap(), Vec::new());
        assert!(!first.push(b"event: mess", &mut out) && out.is_empty());
        assert_eq!(first.rest(), b"event: mess");
        let mut first = First::new("m", "n").unwrap();
        assert!(first.push(&[b'x'; LONGEST], &mut out) && out.len() == LONGEST);
    }

    #[test]
    fn a_whole_answer_gets_the_name_at_its_top_only() {
        let answer = br#"{"model":"engine", "choices":[{"model":"engine"}]}"#;
        assert_eq!(whole(answer, "asked").unwrap(), br#"{"model":"asked", "choices":[{"model":"engine"}]}"#);
        assert_eq!(whole(answer, "engine"), None);
        assert_eq!(whole(b"{}", "asked"), None);
        assert_eq!(whole(b"nonsense", "asked"), None);
    }
}
