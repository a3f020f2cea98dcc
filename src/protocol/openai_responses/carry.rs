//! What we put into `encrypted_content`, for clients that keep nothing but that: Codex stores nothing with the server
//! and sends reasoning items back as they came. To everyone else it is opaque, and what others put there is opaque to
//! us.

/// Reasoning: the length of the signature, the signature, the text.
const REASONING: &str = "llmup-r1:";

/// A summary of what a conversation was before it was compacted.
const SUMMARY: &str = "llmup-c1:";

/// Reasoning as `encrypted_content`. The signature keeps the tag of its maker.
pub(super) fn seal_reasoning(text: &str, signature: Option<&str>) -> String {
    let signature = signature.unwrap_or_default();
    format!("{REASONING}{}:{signature}{text}", signature.len())
}

/// The text and the signature, if the content is ours.
pub(super) fn open_reasoning(content: &str) -> Option<(&str, Option<&str>)> {
    let (length, rest) = content.strip_prefix(REASONING)?.split_once(':')?;
    let (signature, text) = rest.split_at_checked(length.parse().ok()?)?;
    Some((text, Some(signature).filter(|s| !s.is_empty())))
}

/// Whether the gateway made it.
pub fn is_ours(content: &str) -> bool {
    content.starts_with(REASONING) || content.starts_with(SUMMARY)
}

/// A summary as the `encrypted_content` of a compaction item.
pub fn seal_summary(summary: &str) -> String {
    format!("{SUMMARY}{summary}")
}

/// A summary as the user's words.
pub fn told_summary(summary: &str) -> String {
    format!("[Summary of the conversation so far]\n{summary}")
}

/// The summary, if the content is ours.
pub fn open_summary(content: &str) -> Option<&str> {
    content.strip_prefix(SUMMARY)
}
