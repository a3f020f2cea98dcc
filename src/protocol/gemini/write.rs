//! Pieces of answers that a stream and a whole answer share, appended to bytes.

use std::borrow::Cow;

use crate::protocol::carrier::{self, Maker};
use crate::protocol::event::{Stop, Usage};

/// A text as a JSON string.
pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    // Writing into memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// A part of words.
pub(super) fn text_part(text: &str, thought: bool, signature: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"text\":");
    string(text, out);
    if thought {
        out.extend_from_slice(b",\"thought\":true");
    }
    signed(signature, out);
}

/// The end of a part, with the proof that belongs to it if Gemini made it.
fn signed(signature: Option<&str>, out: &mut Vec<u8>) {
    if let Some(proof) = signature.and_then(|sealed| carrier::open(Maker::Gemini, sealed)) {
        out.extend_from_slice(b",\"thoughtSignature\":");
        string(proof, out);
    }
    out.push(b'}');
}

/// A call while its arguments come in.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
    pub signature: Option<String>,
}

impl Call {
    /// Appends the call as a part; `false`, and nothing appended, when the arguments are no JSON object.
    pub(super) fn part(&self, out: &mut Vec<u8>) -> bool {
        let Some(arguments) = object(&self.arguments) else { return false };
        out.extend_from_slice(b"{\"functionCall\":{\"id\":");
        string(&self.id, out);
        out.extend_from_slice(b",\"name\":");
        string(&self.name, out);
        out.extend_from_slice(b",\"args\":");
        // Line ends between members would end the event; inside strings JSON has none.
        out.extend(arguments.bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        out.push(b'}');
        signed(self.signature.as_deref(), out);
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
        string(&format!("the arguments of {name} are no JSON object"), out);
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
    string(model, &mut out);
    if !id.is_empty() {
        out.extend_from_slice(b",\"responseId\":");
        string(id, &mut out);
    }
    out.push(b'}');
    out
}
