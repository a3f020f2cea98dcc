//! What the versions of Claude differ in, read off the model's name. Other models behind Messages (llama.cpp, vLLM,
//! DeepSeek, …) have no version here and get the oldest form of everything, which all of them know.
//!
//! The cut-offs are those of the model table in Claude Code 2.1.330 (capabilities `adaptive_thinking`, `max_effort`,
//! `xhigh_effort`, `rejects_disabled_thinking`, `max_output_tokens`, and its test for who takes a temperature), but for
//! two that it does not tell: models before 3.5, and one of temperature and top_p since 4.5.

use crate::protocol::effort;

/// Major and minor version: `claude-opus-4-5-20251101` is 4.5, `claude-3-7-sonnet-latest` 3.7.
pub(super) type Version = (u32, u32);

/// The version in a model's name; `None` when it is no Claude.
pub(super) fn version(model: &str) -> Option<Version> {
    let rest = &model[model.rfind("claude")?..];
    // Longer runs of digits are dates.
    let number = |word: &str| word.parse().ok().filter(|_| word.len() <= 2);
    let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric());
    let major = words.find_map(number)?;
    Some((major, words.next().and_then(number).unwrap_or(0)))
}

/// How it is told to reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It cannot.
    Never,
    /// `thinking: {type: enabled, budget_tokens}`.
    Budget,
    /// `thinking: {type: adaptive}` and `output_config.effort`; the newest refuse the older form.
    Adaptive,
}

pub(super) fn form(version: Option<Version>) -> Form {
    match version {
        Some(version) if version >= (4, 6) => Form::Adaptive,
        Some(version) if version < (3, 7) => Form::Never,
        _ => Form::Budget,
    }
}

/// Whether it can be told not to reason: all could until 5.5, and the families Fable and Mythos never could.
pub(super) fn can_rest(model: &str) -> bool {
    let newest = version(model).is_some_and(|version| version >= (5, 5));
    !newest && !["claude-fable", "claude-mythos"].iter().any(|family| model.contains(family))
}

/// Limit on the answer's tokens when the caller set none: what a version can give, or half of a known context.
pub(super) fn limit(version: Option<Version>, context: u64) -> u64 {
    let most = match version {
        Some(version) if version < (3, 5) => 4_096,
        Some(version) if version < (3, 7) => 8_192,
        _ => 32_000,
    };
    if context == 0 { most } else { most.min((context / 2).max(1)) }
}

/// Which sampling settings it takes: since 4.5 one of temperature and top_p, since 4.7 none.
pub(super) fn samples(version: Option<Version>, name: &str, others: bool) -> bool {
    match version {
        Some(version) if version >= (4, 7) => false,
        Some(version) if version >= (4, 5) => name != "top_p" || !others,
        _ => true,
    }
}

/// The effort's word for it: `max` came with 4.6, `xhigh` with 4.7.
pub(super) fn effort(version: Option<Version>, effort: &str) -> &'static str {
    match effort {
        "xhigh" if version >= Some((4, 7)) => "xhigh",
        "max" if version >= Some((4, 6)) => "max",
        other => effort::of_three(other),
    }
}

/// Tokens of reasoning for an effort; `limit` is the whole answer's. `None` when there is no room for the least.
pub(super) fn budget(effort: Option<&str>, asked: Option<u64>, limit: u64) -> Option<u64> {
    let wanted = asked.unwrap_or_else(|| effort.map_or(effort::budget("medium"), effort::budget));
    // The answer itself keeps a quarter.
    let fits = wanted.max(1_024).min(limit / 4 * 3);
    (fits >= 1_024).then_some(fits)
}

/// The effort that goes with a budget.
pub(super) fn effort_of(budget: u64) -> &'static str {
    effort::of_three(effort::of_budget(budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_off_names() {
        for (name, expected) in [
            ("claude-opus-4-5-20251101", Some((4, 5))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("claude-3-7-sonnet-latest", Some((3, 7))),
            ("anthropic/claude-sonnet-4.6", Some((4, 6))),
            ("eu.anthropic.claude-opus-5-5-v1:0", Some((5, 5))),
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("qwen3-4-7b", None),
            ("claude", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    #[test]
    fn budgets_leave_room_for_the_answer() {
        assert_eq!(budget(None, Some(32_000), 32_000), Some(24_000));
        assert_eq!(budget(Some("low"), None, 32_000), Some(4_096));
        assert_eq!(budget(Some("max"), None, 8_000), Some(6_000));
        assert_eq!(budget(Some("high"), None, 1_000), None);
        assert_eq!((limit(Some((3, 7)), 0), limit(Some((3, 0)), 0)), (32_000, 4_096));
        assert_eq!((effort(Some((4, 6)), "max"), effort(Some((4, 6)), "xhigh")), ("max", "high"));
        let rests = ["claude-opus-5", "claude-sonnet-5-20260101", "claude-opus-4-8", "m"].map(can_rest);
        let never = ["claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5", "claude-mythos-5-1"].map(can_rest);
        assert_eq!((rests, never), ([true; 4], [false; 4]));
        assert_eq!((limit(Some((3, 5)), 0), limit(None, 8_192), limit(None, 0)), (8_192, 4_096, 32_000));
    }
}
