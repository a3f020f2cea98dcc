//! llama.cpp keeps the prompts of other conversations in main memory, beside everything that it reserves at its start:
//! `prompt_cache` of `profiles/engines/llama-cpp.yaml`.

use std::sync::OnceLock;

use super::EngineId;
use super::version::reached;
use crate::profile::{self, PromptCache};

/// The facts, where a version (`None`: unknown, assume a current one) surely has the flag. `None` also when the file
/// cannot be read, which a test rules out.
pub fn prompt_cache(engine: EngineId, version: Option<&str>) -> Option<&'static PromptCache> {
    static FACTS: OnceLock<Option<PromptCache>> = OnceLock::new();
    if engine != EngineId::LlamaCpp {
        return None;
    }
    let read = || profile::engine(EngineId::LlamaCpp.name()).ok().flatten()?.prompt_cache;
    let facts = FACTS.get_or_init(read).as_ref()?;
    version.is_none_or(|have| reached(engine, have, &facts.since)).then_some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_surely_have_it_are_told_from_those_that_may_not() {
        let of = |version| prompt_cache(EngineId::LlamaCpp, version);
        let facts = of(None).expect("the file says it");
        assert!(facts.flag.starts_with("--") && facts.default_mib > 0 && !facts.source.is_empty());
        assert!(of(Some("b11669")).is_some() && of(Some("2026.10.11549")).is_some() && of(Some("b8664")).is_some());
        assert!(of(Some("b6210")).is_none());
        assert!(prompt_cache(EngineId::Ollama, None).is_none(), "Ollama runs its own");
    }
}
