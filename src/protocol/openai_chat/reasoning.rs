//! How callers and servers say how much to reason, and the one table between the two ways to say it: efforts and
//! budgets of tokens. Vendors name budgets of about this size for their efforts; any such table is a convention.
//!
//! | effort | budget |
//! |---|---|
//! | `minimal` | 1,024 |
//! | `low` | 4,096 |
//! | `medium` | 12,288 |
//! | `high` | 24,576 |
//! | `xhigh` | 49,152 |
//! | `max` | no limit |

use super::request::repeats;
use super::write;
use crate::protocol::ir::Request;
use crate::protocol::{Target, Vendor};

const TABLE: [(&str, u64); 5] =
    [("minimal", 1_024), ("low", 4_096), ("medium", 12_288), ("high", 24_576), ("xhigh", 49_152)];

/// The least effort whose budget holds `tokens`.
fn effort_of(tokens: u64) -> &'static str {
    TABLE.iter().find(|(_, budget)| tokens <= *budget).map_or("max", |(effort, _)| effort)
}

/// Appends what the vendor has for it. Whatever the caller said in the vendor's own words goes along by itself.
pub(super) fn write(out: &mut Vec<u8>, request: &Request<'_>, target: &Target<'_>) {
    let said = &request.reasoning;
    let off = said.enabled == Some(false) || said.effort.as_deref() == Some("none");
    let effort = said.effort.as_deref().or(said.budget.map(effort_of)).filter(|_| !off);
    let enabled = if off { Some(false) } else { said.enabled.or(effort.map(|_| true)) };
    let own = |name: &str| repeats(request, name);
    match target.vendor {
        Vendor::OpenRouter => {
            if !own("reasoning") {
                openrouter(out, enabled, said.budget, effort);
            }
        }
        // `thinking` switches it, in both; DeepSeek has no efforts below `high`.
        Vendor::DeepSeek | Vendor::Volcengine => {
            if let Some(enabled) = enabled.filter(|_| !own("thinking")) {
                let kind = if enabled { r#"{"type":"enabled"}"# } else { r#"{"type":"disabled"}"# };
                write::raw(out, "thinking", kind);
            }
            if let Some(effort) = effort.filter(|_| target.vendor == Vendor::Volcengine && !own("reasoning_effort")) {
                write::member(out, "reasoning_effort", three(effort));
            }
        }
        Vendor::OpenAi => {
            // A model that does not reason refuses the parameter.
            if let Some(effort) = effort.filter(|_| reasons(target.model) && !own("reasoning_effort")) {
                write::member(out, "reasoning_effort", if effort == "max" { "xhigh" } else { effort });
            }
        }
        Vendor::Google | Vendor::Ollama => {
            let effort = if off { Some("none") } else { effort.map(three) };
            if let Some(effort) = effort.filter(|_| !own("reasoning_effort")) {
                write::member(out, "reasoning_effort", effort);
            }
        }
        Vendor::Anthropic => {
            if let Some(enabled) = enabled.filter(|_| !own("thinking")) {
                write::raw(out, "thinking", r#"{"type":"#);
                if enabled {
                    let of_effort = TABLE.iter().find(|(known, _)| Some(*known) == effort).map(|(_, budget)| *budget);
                    out.extend_from_slice(br#""enabled""#);
                    write::key(out, "budget_tokens");
                    write::number(out, said.budget.or(of_effort).unwrap_or(TABLE[3].1).max(1_024));
                } else {
                    out.extend_from_slice(br#""disabled""#);
                }
                out.push(b'}');
            }
        }
        Vendor::Unknown | Vendor::Vllm | Vendor::LlamaCpp => {
            // Hybrid models' templates read this; others ignore it. Not switched on by an effort alone: templates of
            // models that always reason may not know the switch.
            let switch = if off { Some(false) } else { said.enabled };
            if let Some(enabled) = switch.filter(|_| !own("chat_template_kwargs")) {
                let switch = if enabled { r#"{"enable_thinking":true}"# } else { r#"{"enable_thinking":false}"# };
                write::raw(out, "chat_template_kwargs", switch);
            }
            if let Some(effort) = effort.filter(|_| !own("reasoning_effort")) {
                write::member(out, "reasoning_effort", three(effort));
            }
        }
    }
}

/// Engines and most vendors know three efforts.
fn three(effort: &str) -> &'static str {
    match effort {
        "minimal" | "low" => "low",
        "medium" => "medium",
        _ => "high",
    }
}

fn openrouter(out: &mut Vec<u8>, enabled: Option<bool>, budget: Option<u64>, effort: Option<&str>) {
    let Some(enabled) = enabled else { return };
    write::key(out, "reasoning");
    out.push(b'{');
    match (enabled, budget, effort) {
        (false, ..) => write::raw(out, "enabled", "false"),
        // One of the two only.
        (true, Some(budget), _) => {
            write::key(out, "max_tokens");
            write::number(out, budget);
        }
        (true, None, Some(effort)) => write::member(out, "effort", if effort == "max" { "xhigh" } else { effort }),
        (true, None, None) => write::raw(out, "enabled", "true"),
    }
    out.push(b'}');
}

/// Whether a model of OpenAI's takes an effort: the o-series, and GPT from 5 on but for its chat variants.
fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    let digit = |prefix: &str| {
        name.strip_prefix(prefix).and_then(|rest| rest.chars().next()).and_then(|first| first.to_digit(10))
    };
    digit("o").is_some() || (digit("gpt-").is_some_and(|version| version >= 5) && !name.contains("chat"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_names() {
        let efforts = [0, 1_024, 1_025, 10_000, 24_576, 31_999, 100_000].map(effort_of);
        assert_eq!(efforts, ["minimal", "minimal", "low", "medium", "high", "xhigh", "max"]);
        for (model, expected) in
            [("o3-mini", true), ("gpt-5.2", true), ("gpt-4o", false), ("gpt-5-chat-latest", false), ("omni", false)]
        {
            assert_eq!(reasons(model), expected, "{model}");
        }
    }
}
