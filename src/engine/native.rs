//! Which protocols an engine may be passed requests in as they are: `native` of `profiles/engines/<id>.yaml`.

use super::version::reached;
use super::{EngineId, Serves};
use crate::profile;

/// What an engine serves itself in a version (`None`: unknown, assume a current one). Nothing but Chat when the table
/// cannot be read, which a test rules out.
pub(super) fn serves(engine: EngineId, version: Option<&str>) -> Serves {
    let table = profile::engine(engine.name()).ok().flatten().map(|facts| facts.native).unwrap_or_default();
    let right = |protocol: &str| {
        let Some(since) = table.get(protocol).and_then(|native| native.since.as_deref()) else { return false };
        version.is_none_or(|version| reached(engine, version, since))
    };
    Serves { messages: right("messages"), count_tokens: right("count_tokens"), responses: right("responses") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound_and_every_engine_has_one() {
        for id in EngineId::ALL {
            let facts = profile::engine(id.name()).unwrap().expect("a file for every engine");
            let names: Vec<&str> = facts.native.keys().map(String::as_str).collect();
            assert_eq!(names, ["chat", "count_tokens", "messages", "responses"], "{id}");
            for (protocol, native) in &facts.native {
                assert!(native.since.is_some() != native.not.is_some(), "{id} {protocol}: since or not, never both");
                assert!(!native.source.is_empty(), "{id} {protocol} has no source");
            }
            assert!(facts.native["chat"].since.is_some(), "{id}: all translation ends there");
            // Codex's custom and namespace tools break in every engine's own endpoint.
            assert!(!serves(id, None).responses, "{id}");
            assert!(serves(id, None).messages, "{id}");
        }
    }

    #[test]
    fn old_versions_are_translated_for() {
        let messages = |id, version| serves(id, Some(version)).messages;
        assert!(messages(EngineId::Vllm, "0.33.0") && messages(EngineId::Vllm, "0.32.0+cpu"));
        assert!(!messages(EngineId::Vllm, "0.11.2"));
        assert!(messages(EngineId::LlamaCpp, "b11669") && messages(EngineId::LlamaCpp, "2026.10.11549"));
        assert!(!messages(EngineId::LlamaCpp, "b6210"));
        assert!(messages(EngineId::Ollama, "0.33.0") && !messages(EngineId::Ollama, "0.12.3"));
    }
}
