//! The caller's name for the model in an answer that otherwise goes through as bytes.
//!
//! Nothing is parsed. A stream is searched for the member `"model"` with the engine's own name as its value: inside a
//! JSON string its quotes would be escaped, so what is found is a member. Only a member of the caller's own (metadata
//! that a Responses engine repeats) could be named and hold the same. Messages names the model in its first event and
//! nowhere else, so the search ends with that; Chat names it in every chunk, Responses in three events. The search costs
//! 20 ns for a chunk of 300 bytes, and where both names are the same there is none.

use memchr::memmem::Finder;

use crate::protocol::head::{Head, quote, splice};

/// A whole answer with the name that was asked for, if it names a model.
pub(super) fn whole(answer: &[u8], asked: &str) -> Option<Vec<u8>> {
    let head = Head::scan(answer).filter(|head| !head.model_spans.is_empty())?;
    let mut patches = Vec::new();
    head.rename(answer, asked, &mut patches);
    (!patches.is_empty()).then(|| splice(answer, patches))
}

/// What stands before the name.
const MEMBER: &[u8] = b"\"model\":";

/// The first event of Messages is short; what is longer is something else.
const LONGEST: usize = 4 << 10;

/// The names in a stream, split anywhere.
pub(super) struct Names {
    member: Finder<'static>,
    /// As JSON strings.
    engine: Vec<u8>,
    asked: Vec<u8>,
    /// Whether the first one is the only one.
    once: bool,
    /// How much was read.
    seen: usize,
    /// Bytes that may be the beginning of a name.
    held: Vec<u8>,
}

impl Names {
    /// From the engine's name to the one that was asked for, in the first place only or in all; `None` when they are
    /// the same.
    pub(super) fn new(engine: &str, asked: &str, once: bool) -> Option<Names> {
        (engine != asked).then(|| Names {
            member: Finder::new(MEMBER),
            engine: quote(engine).into_bytes(),
            asked: quote(asked).into_bytes(),
            once,
            seen: 0,
            held: Vec::new(),
        })
    }

    /// Takes a piece and appends what of it is certain. Says whether there is nothing more to look for.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> bool {
        self.seen = self.seen.saturating_add(piece.len());
        if self.held.is_empty() {
            return self.read(piece, out);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(piece);
        self.read(&held, out)
    }

    fn read(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let mut rest = bytes;
        while let Some(at) = self.member.find(rest) {
            let behind = &rest[at + MEMBER.len()..];
            // Python writes a space there.
            let value = behind.strip_prefix(b" ").unwrap_or(behind);
            if value.len() < self.engine.len() && self.engine.starts_with(value) {
                out.extend_from_slice(&rest[..at]);
                self.held.extend_from_slice(&rest[at..]);
                return false;
            }
            let taken = rest.len() - value.len();
            out.extend_from_slice(&rest[..taken]);
            rest = value;
            if let Some(behind) = value.strip_prefix(self.engine.as_slice()) {
                out.extend_from_slice(&self.asked);
                rest = behind;
                if self.once {
                    out.extend_from_slice(rest);
                    return true;
                }
            }
        }
        if self.once && self.seen > LONGEST {
            out.extend_from_slice(rest);
            return true;
        }
        let cut = (1..MEMBER.len()).rev().find(|length| rest.ends_with(&MEMBER[..*length])).unwrap_or(0);
        let (sure, unsure) = rest.split_at(rest.len() - cut);
        out.extend_from_slice(sure);
        self.held.extend_from_slice(unsure);
        false
    }

    /// What is held of a name that never became complete.
    pub(super) fn rest(self) -> Vec<u8> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stream in pieces of `size` bytes.
    fn renamed(stream: &str, size: usize, once: bool) -> String {
        let (mut names, mut out) = (Names::new("engine", "a \"b\"", once), Vec::new());
        for piece in stream.as_bytes().chunks(size) {
            match &mut names {
                Some(held) => {
                    if held.push(piece, &mut out) {
                        names = None;
                    }
                }
                None => out.extend_from_slice(piece),
            }
        }
        out.extend(names.map(Names::rest).unwrap_or_default());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_exchanged_however_the_stream_is_split() {
        let streams = [
            "data: {\"id\":\"c\",\"model\":\"engine\",\"choices\":[{\"delta\":{\"content\":\"\\\"model\\\":\\\"engine\\\"\"}}]}\n\ndata: {\"model\":\"engine\"}\n\ndata: [DONE]\n\n",
            "data: {\"model\": \"engine\", \"x\":\"model\"}\n\ndata: {\"model\": \"engine\"}\n\n",
            "data: {\"model\":\"engine-2\",\"model\":null,\"models\":\"engine\"}\n\ndata: {\"model\":\"\"model\":\"engine\"",
            "\"model\":\"eng",
            "\"mod",
            "",
        ];
        for stream in streams {
            let name = |stream: &str, times| {
                let one = |stream: &str, space: &str| {
                    stream.replacen(
                        &format!("\"model\":{space}\"engine\""),
                        &format!("\"model\":{space}\"a \\\"b\\\"\""),
                        times,
                    )
                };
                one(&one(stream, ""), " ")
            };
            for size in 1..=stream.len().max(1) {
                assert_eq!(renamed(stream, size, false), name(stream, usize::MAX), "{size}");
                assert_eq!(renamed(stream, size, true), name(stream, 1), "once, {size}");
            }
        }
        assert!(Names::new("m", "m", false).is_none());
    }

    #[test]
    fn messages_are_searched_at_their_beginning_only() {
        let stream = format!("{}\"model\":\"engine\"", "x".repeat(LONGEST + 1));
        assert_eq!(renamed(&stream, LONGEST + 1, true), stream);
        assert_ne!(renamed(&stream, LONGEST + 1, false), stream);
    }

    proptest::proptest! {
        /// Nothing is lost, added or moved, wherever a stream is split.
        #[test]
        fn any_bytes_go_through(pieces in proptest::collection::vec(r#"("model":|"model"|"engine"|"mo|engine| |"|:|x){0,6}"#, 0..12)) {
            let stream = pieces.concat();
            let (mut names, mut out) = (Names::new("engine", "asked", false).unwrap(), Vec::new());
            for piece in &pieces {
                assert!(!names.push(piece.as_bytes(), &mut out));
            }
            out.extend(names.rest());
            let mut whole = Names::new("engine", "asked", false).unwrap();
            let mut expected = Vec::new();
            whole.push(stream.as_bytes(), &mut expected);
            expected.extend(whole.rest());
            assert_eq!(&out, &expected);
            let back = String::from_utf8(out).unwrap().replace("\"asked\"", "\"engine\"");
            assert_eq!(back, stream);
        }
    }

    #[test]
    #[ignore = "a measurement, not a check"]
    fn time_per_chunk() {
        let chunk = format!(
            "data: {{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"engine\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n",
            "x".repeat(110)
        );
        let (mut names, mut out) = (Names::new("engine", "asked", false).unwrap(), Vec::new());
        for with in [true, false] {
            let start = std::time::Instant::now();
            for _ in 0..1_000_000 {
                out.clear();
                if with {
                    names.push(std::hint::black_box(chunk.as_bytes()), &mut out);
                } else {
                    out.extend_from_slice(std::hint::black_box(chunk.as_bytes()));
                }
            }
            println!("{} bytes, renamed {with}: {} ns", chunk.len(), start.elapsed().as_nanos() / 1_000_000);
        }
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
