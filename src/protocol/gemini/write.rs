//! Pieces of answers that a stream and a whole answer share, appended to bytes.

use std::borrow::Cow;

use super::thoughts::Waiting;

use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Stop, Usage};
use crate::protocol::quote;

/// What stands between two members of a list.
pub(super) fn comma(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.push(b',');
    }
}

/// Begins a member of a list.
pub(super) fn member(list: &mut Vec<u8>, begin: &[u8]) {
    comma(list);
    list.extend_from_slice(begin);
}

/// A part of words; `signature` as it stands on the wire.
pub(super) fn text_part(text: &str, thought: bool, signature: Option<&str>, out: &mut Vec<u8>) {
    quote::raw(out, "{\"text\":");
    quote::string(out, text);
    if thought {
        quote::raw(out, ",\"thought\":true");
    }
    signed(signature, out);
}

/// The end of a part, with its proof.
fn signed(signature: Option<&str>, out: &mut Vec<u8>) {
    if let Some(proof) = signature {
        quote::member(out, "thoughtSignature", proof);
    }
    out.push(b'}');
}

/// A call while its arguments come in.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
    /// Sealed.
    pub signature: Option<String>,
}

impl Call {
    /// Appends the call as a part, with what waits for one that the caller keeps; `false`, and nothing appended, when
    /// the arguments are no JSON object.
    pub(super) fn part(&self, waiting: &mut Waiting, out: &mut Vec<u8>) -> bool {
        let Some(arguments) = object(&self.arguments) else { return false };
        let own = self.signature.as_deref().and_then(|sealed| carrier::open(Maker::Gemini, sealed));
        let others = waiting.take();
        out.extend_from_slice(b"{\"functionCall\":{\"id\":");
        quote::string(out, &self.id);
        out.extend_from_slice(b",\"name\":");
        quote::string(out, &self.name);
        out.extend_from_slice(b",\"args\":");
        // Line ends between members would end the event; inside strings JSON has none.
        out.extend(arguments.bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        out.push(b'}');
        signed(own.or(others.as_deref()), out);
        true
    }
}

/// The arguments as text of a JSON object: nothing is `{}`, and an object inside a string is taken out of it.
fn object(arguments: &str) -> Option<Cow<'_, str>> {
    let trimmed = arguments.trim();
    match trimmed.as_bytes().first() {
        None => Some(Cow::Borrowed("{}")),
        Some(b'{') => serde_json::from_str::<serde::de::IgnoredAny>(trimmed).ok().map(|_| Cow::Borrowed(trimmed)),
        Some(b'n') if trimmed == "null" => Some(Cow::Borrowed("{}")),
        Some(b'"') => {
            let inner: String = serde_json::from_str(trimmed).ok()?;
            let inner = inner.trim();
            let fits = inner.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(inner).is_ok();
            fits.then(|| Cow::Owned(inner.to_owned()))
        }
        _ => None,
    }
}

/// Why it ended, in Google's words. A call nobody can run outranks a good end, not a bad one.
pub(super) fn finish_reason(stop: &Stop, malformed: bool) -> &'static str {
    match stop {
        Stop::MaxTokens | Stop::ContextFull => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
        // Gemini CLI asks again on it, unless other calls of the answer were whole.
        Stop::EndTurn | Stop::Sequence(_) | Stop::ToolUse if malformed => "MALFORMED_FUNCTION_CALL",
        Stop::EndTurn | Stop::Sequence(_) | Stop::ToolUse => "STOP",
    }
}

/// The members behind the content of the last candidate, up to the end of the object.
pub(super) fn ending(stop: &Stop, malformed: Option<&str>, usage: Usage, out: &mut Vec<u8>) {
    let reason = finish_reason(stop, malformed.is_some());
    out.extend_from_slice(format!(",\"finishReason\":\"{reason}\"").as_bytes());
    if let Some(name) = malformed {
        out.extend_from_slice(b",\"finishMessage\":");
        quote::string(out, &format!("the arguments of {name} are no JSON object"));
    }
    // Thoughts are counted apart from the rest of the answer.
    let answer = usage.output.saturating_sub(usage.reasoning);
    let total = usage.prompt.saturating_add(usage.output);
    let prompt = usage.prompt;
    out.extend_from_slice(
        format!(",\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":{prompt},\"candidatesTokenCount\":{answer}")
            .as_bytes(),
    );
    if usage.cached > 0 {
        out.extend_from_slice(format!(",\"cachedContentTokenCount\":{}", usage.cached).as_bytes());
    }
    if usage.reasoning > 0 {
        out.extend_from_slice(format!(",\"thoughtsTokenCount\":{}", usage.reasoning).as_bytes());
    }
    out.extend_from_slice(format!(",\"totalTokenCount\":{total}}}").as_bytes());
}

/// Model and id, which every chunk repeats, up to the end of the object.
pub(super) fn identity(model: &str, id: &str) -> Vec<u8> {
    let mut out = b",\"modelVersion\":".to_vec();
    quote::string(&mut out, model);
    if !id.is_empty() {
        out.extend_from_slice(b",\"responseId\":");
        quote::string(&mut out, id);
    }
    out.push(b'}');
    out
}
