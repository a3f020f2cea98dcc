//! Reasoning that Gemini did not make, on its way through a Gemini caller. Such callers drop thoughts from their
//! history and keep `thoughtSignature` where it stands on words and calls (Gemini CLI 0.61), so that is where all of it
//! goes: the text, and the proof with its maker's tag. The member is bytes in Google's schema, hence base64.

use std::borrow::Cow;

use super::SKIP;
use super::turns::is_dummy;
use crate::protocol::carrier::{self, Maker};
use crate::protocol::head::Patch;
use crate::protocol::ir::Part;
use crate::protocol::media;

/// What the bytes begin with. Nine bytes: in base64 it is a text of its own.
const MARK: &str = "llmup-t1:";
const MARK_IN_BASE64: &str = "bGxtdXAtdDE6";

/// Reasoning that waits for the next part the caller keeps.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Lengths, proofs and texts, one behind the other.
    packed: String,
}

impl Waiting {
    /// Takes a block of reasoning; a proof that Gemini made goes another way.
    pub(super) fn add(&mut self, text: &str, sealed: Option<&str>) {
        let sealed = sealed.unwrap_or_default();
        if text.is_empty() && sealed.is_empty() {
            return;
        }
        if self.packed.is_empty() {
            self.packed.push_str(MARK);
        }
        for piece in [sealed, text] {
            self.packed.push_str(&format!("{}:{piece}", piece.len()));
        }
    }

    /// All of it as a `thoughtSignature`.
    pub(super) fn take(&mut self) -> Option<String> {
        let packed = std::mem::take(&mut self.packed);
        (!packed.is_empty()).then(|| media::base64(&packed))
    }
}

/// The reasoning in a `thoughtSignature`; `None` when the gateway did not make it.
fn unpack(signature: &str) -> Option<Vec<Part<'static>>> {
    let packed = signature.starts_with(MARK_IN_BASE64).then(|| media::text(signature)).flatten()?;
    let mut rest = packed.strip_prefix(MARK)?;
    let mut piece = || {
        let (length, behind) = rest.split_once(':')?;
        let (piece, behind) = behind.split_at_checked(length.parse().ok()?)?;
        rest = behind;
        Some(piece.to_owned())
    };
    let mut found = Vec::new();
    while let Some(sealed) = piece() {
        let text = piece()?;
        let signature = Some(sealed).filter(|sealed| !sealed.is_empty()).map(Cow::Owned);
        found.push(Part::Thinking { text: text.into(), signature });
    }
    Some(found)
}

/// Puts what Google takes in place of the signatures in a body that the gateway made: Google refuses them.
pub fn unsign(body: &[u8], patches: &mut Vec<Patch>) {
    let begin = format!("\"{MARK_IN_BASE64}");
    for at in memchr::memmem::find_iter(body, begin.as_bytes()) {
        if let Some(length) = memchr::memchr(b'"', &body[at + 1..]) {
            patches.push(Patch { span: at + 1..at + 1 + length, with: SKIP.into() });
        }
    }
}

/// What a `thoughtSignature` in a caller's history is.
pub(super) enum Signature<'a> {
    /// Nothing: missing, or what clients put where one is missing.
    None,
    /// Gemini's own.
    Own(Cow<'a, str>),
    /// Somebody else's reasoning, in front of the part.
    Others(Vec<Part<'static>>),
}

impl<'a> Signature<'a> {
    pub(super) fn of(signature: Option<Cow<'a, str>>) -> Self {
        match signature.filter(|proof| !proof.is_empty() && !is_dummy(proof)) {
            None => Signature::None,
            Some(proof) => match unpack(&proof) {
                Some(parts) => Signature::Others(parts),
                None => Signature::Own(proof),
            },
        }
    }
}

/// Gemini's own proof for a caller of Gemini: what it is of, and the proof itself.
pub(super) enum Own<'s> {
    /// Of words; they stand before it.
    Text(&'s str),
    /// Of the thought it comes with.
    Thought(&'s str),
    /// A part of its own.
    Part(&'s str),
    /// Of a call, which for callers of Gemini has it itself.
    Call(&'s str),
}

impl<'s> Own<'s> {
    /// `None`: it is somebody else's.
    pub(super) fn of(sealed: &'s str) -> Option<Self> {
        let open = |maker| carrier::open(maker, sealed);
        open(Maker::GeminiText)
            .map(Own::Text)
            .or_else(|| open(Maker::Gemini).map(Own::Thought))
            .or_else(|| open(Maker::GeminiPart).filter(|part| is_object(part)).map(Own::Part))
            .or_else(|| open(Maker::GeminiCall).map(Own::Call))
    }
}

/// Whether the text is a JSON object: it may have gone through a caller's hands.
pub(super) fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_comes_out_of_a_signature_as_it_went_in() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.take(), None);
        waiting.add("", None);
        assert_eq!(waiting.take(), None);
        waiting.add("a: 3:é", Some("am1_p"));
        waiting.add("", Some("ar1_q"));
        waiting.add("b", None);
        let signature = waiting.take().unwrap();
        assert!(waiting.take().is_none());
        // Python's SDK sends bytes back in the other alphabet.
        for sent in [signature.clone(), signature.replace('+', "-").replace('/', "_").replace('=', "")] {
            let Signature::Others(parts) = Signature::of(Some(sent.into())) else { panic!("not ours") };
            let read: Vec<(&str, Option<&str>)> = parts
                .iter()
                .map(|part| match part {
                    Part::Thinking { text, signature } => (text.as_ref(), signature.as_deref()),
                    _ => panic!("{part:?}"),
                })
                .collect();
            assert_eq!(read, [("a: 3:é", Some("am1_p")), ("", Some("ar1_q")), ("b", None)]);
        }
        for own in ["proof", "bGxtdXAt", &media::base64("llmup-t1:9:x"), &media::base64("llmup-t1:0:9:x")] {
            let read = Signature::of(Some(own.into()));
            assert!(!matches!(&read, Signature::Others(parts) if !parts.is_empty()), "{own}");
        }
        assert!(matches!(Signature::of(Some(SKIP.into())), Signature::None));
    }
}
