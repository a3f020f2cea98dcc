//! Gemini's proofs on their way back to Google's servers, to the parts they belong to.

use super::thoughts::Own;
use super::write::{comma, member, text_part};
use crate::protocol::carrier::OfCalls;
use crate::protocol::ir::ToolUse;
use crate::protocol::quote;

/// Proofs on their way to the parts they belong to. Some callers keep every proof where it stood, others (Chat) have
/// them all in front.
#[derive(Default)]
pub(super) struct Proofs<'a> {
    /// Of words that come yet.
    texts: Vec<&'a str>,
    /// Where a proof of the words just written goes.
    behind_text: Option<usize>,
    /// Of calls that come yet.
    calls: OfCalls<'a>,
    /// A thought that has a proof of its own.
    thought: Option<(&'a str, &'a str)>,
}

impl<'a> Proofs<'a> {
    /// Whether nothing waits that has to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.thought.is_none()
    }

    /// Takes a proof, or a part that comes back as it was.
    pub(super) fn add(&mut self, text: &'a str, own: Own<'a>, out: &mut Vec<u8>) {
        match own {
            Own::Call(proof) => self.calls.add(proof),
            Own::Text(proof) => self.of_text(proof, out),
            Own::Thought(proof) => {
                self.thought(out);
                self.thought = Some((text, proof));
            }
            Own::Part(json) => {
                self.thought(out);
                member(out, json.as_bytes());
            }
        }
    }

    /// A proof of words: those in front of it, if it stands right behind them.
    fn of_text(&mut self, proof: &'a str, out: &mut Vec<u8>) {
        match self.behind_text.take().filter(|at| *at == out.len()) {
            Some(at) => {
                out.truncate(at - 1);
                out.extend_from_slice(b",\"thoughtSignature\":");
                quote::string(out, proof);
                out.push(b'}');
            }
            None => self.texts.push(proof),
        }
    }

    /// Words, with the last of the proofs that wait for some; the others are parts of their own, as Google has them too.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.thought(out);
        let last = self.texts.pop();
        self.empty(out);
        comma(out);
        text_part(text, false, last, out);
        self.behind_text = last.is_none().then_some(out.len());
    }

    /// Proofs of words that are not there.
    fn empty(&mut self, out: &mut Vec<u8>) {
        for proof in self.texts.drain(..) {
            comma(out);
            text_part("", false, Some(proof), out);
        }
    }

    /// The thought that waits: it turned out that its proof is no call's.
    fn thought(&mut self, out: &mut Vec<u8>) {
        if let Some((text, proof)) = self.thought.take() {
            comma(out);
            text_part(text, true, Some(proof), out);
        }
    }

    /// The proof of a call that is written next: its own, or the one that came beside it.
    pub(super) fn call(&mut self, call: &'a ToolUse<'_>, out: &mut Vec<u8>) -> Option<&'a str> {
        let known = self.calls.next(call.signature.as_deref());
        // A thought's proof right in front of a call without one: better than none.
        let known = known.or_else(|| self.thought.take().map(|(_, proof)| proof));
        self.rest(out);
        known
    }

    /// What belongs to nothing that came.
    pub(super) fn rest(&mut self, out: &mut Vec<u8>) {
        self.thought(out);
        self.empty(out);
    }
}
