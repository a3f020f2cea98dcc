//! One request on its way to its backend and back: what every step of the path needs.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};

use super::Shared;
use super::answer::Answer;
use super::backend::Ready;
use super::metrics::InFlight;
use super::pulse::Pulse;
use super::upstream::{Fate, Sending};
use crate::protocol::accepts::Accepts;
use crate::protocol::head::Head;
use crate::protocol::ir::Framing;
use crate::protocol::{Id, Problem, ProblemKind};

/// What the path of a request says, for protocols that say it there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InPath<'a> {
    pub(super) model: Option<&'a str>,
    pub(super) framing: Option<Framing>,
}

/// The request in the middle of its way: its body comes and goes apart from it.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) backend: &'a Ready,
    /// The caller's protocol.
    pub(super) dialect: Id,
    /// The caller's headers.
    pub(super) headers: &'a HeaderMap,
    pub(super) head: &'a Head,
    pub(super) in_path: InPath<'a>,
    pub(super) pulse: Pulse,
    pub(super) in_flight: InFlight,
}

impl Exchange<'_> {
    /// Sends a JSON body to a path below the backend's prefix.
    pub(super) fn send(&self, path: &str, body: Bytes) -> Sending {
        self.shared.upstream.post(self.backend, path, self.headers, body, self.fate(false))
    }

    /// The same for a body that limits its answer: should the limit not fit beside the prompt, the body is sent once
    /// more with one that does.
    pub(super) fn send_limited(&self, path: &str, body: Bytes, limit: Option<u64>) -> Sending {
        let context = self.backend.context;
        // A prompt has at most a token per byte and rarely less than one per eight: most limits fit for sure, and
        // then the prompt is let go as soon as it is sent.
        let tight = limit.is_some_and(|limit| context == 0 || limit.saturating_add(body.len() as u64 / 8) > context);
        self.shared.upstream.post(self.backend, path, self.headers, body, self.fate(tight))
    }

    fn fate(&self, tight: bool) -> Fate {
        let heals = self.backend.heals.then(|| {
            let mut backend = self.pulse.backend();
            // What happens to it from now on counts.
            backend.mark_unchanged();
            backend
        });
        Fate { tight, heals }
    }

    /// The head of an answer that the caller gets whole, however long it takes.
    pub(super) async fn answer_head(&mut self, sending: &mut Sending) -> Result<Response<Answer>, Problem> {
        let answer = self.pulse.head(sending, true).await.transpose()?;
        answer.ok_or_else(|| Problem::new(ProblemKind::Internal, "there is no answer"))
    }

    /// Whether the body goes through as it is: the backend speaks the caller's protocol, and nothing in the body has
    /// to be put in other words for its model.
    pub(super) fn natively(&self, body: &[u8]) -> bool {
        self.backend.native.contains(&self.dialect) && !mentions_unreadable(self.backend.accepts, body)
    }
}

/// Whether a body has parts that the model cannot read. Looks for the quoted names of such parts only: inside texts
/// quotes are escaped, and a tool that happens to use such a name costs a translation, no more.
fn mentions_unreadable(accepts: Accepts, body: &[u8]) -> bool {
    let kinds: [(Option<bool>, &[&str]); 3] = [
        (accepts.images, &["\"image\"", "\"image_url\"", "\"input_image\""]),
        (accepts.documents, &["\"document\"", "\"file\"", "\"input_file\""]),
        (accepts.audio, &["\"input_audio\""]),
    ];
    let has = |names: &[&str]| names.iter().any(|name| memchr::memmem::find(body, name.as_bytes()).is_some());
    kinds.iter().any(|(readable, names)| *readable == Some(false) && has(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_of_a_request_are_taken_for_media() {
        let none = Accepts { images: Some(false), ..Accepts::default() };
        assert!(mentions_unreadable(none, br#"{"content":[{"type": "image","source":{}}]}"#));
        assert!(mentions_unreadable(none, br#"{"type":"image_url"}"#));
        assert!(!mentions_unreadable(none, br#"{"text":"the \"image\" of an image"}"#));
        assert!(!mentions_unreadable(none, br#"{"type":"document"}"#));
        assert!(!mentions_unreadable(Accepts::default(), br#"{"type":"image"}"#));
    }
}
