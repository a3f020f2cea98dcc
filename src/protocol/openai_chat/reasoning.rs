//! How callers and servers say how much to reason. The table between efforts and budgets is [`effort`].

use super::request::repeats;
use super::write;
use crate::protocol::effort::{self, of_three};
use crate::protocol::ir::Request;
use crate::protocol::{Target, Vendor};

/// Appends what the vendor has for it. Whatever the caller said in the vendor's own words goes along by itself.
pub(super) fn write(out: &mut Vec<u8>, request: &Request<'_>, target: &Target<'_>) {
    let said = &request.reasoning;
    let off = said.enabled == Some(false) || said.effort.as_deref() == Some("none");
    let effort = said.effort.as_deref().or(said.budget.map(effort::of_budget)).filter(|_| !off);
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
                write::member(out, "reasoning_effort", of_three(effort));
            }
        }
        Vendor::OpenAi => {
            // A model that does not reason refuses the parameter.
            if let Some(effort) = effort.filter(|_| reasons(target.model) && !own("reasoning_effort")) {
                write::member(out, "reasoning_effort", if effort == "max" { "xhigh" } else { effort });
            }
        }
        Vendor::Google | Vendor::Ollama => {
            let effort = if off { Some("none") } else { effort.map(of_three) };
            if let Some(effort) = effort.filter(|_| !own("reasoning_effort")) {
                write::member(out, "reasoning_effort", effort);
            }
        }
        Vendor::Anthropic => {
            if let Some(enabled) = enabled.filter(|_| !own("thinking")) {
                write::raw(out, "thinking", r#"{"type":"#);
                if enabled {
                    out.extend_from_slice(br#""enabled""#);
                    write::key(out, "budget_tokens");
                    // No limit is no number: the largest one that has a name.
                    let asked = said.budget.unwrap_or_else(|| effort::budget(effort.unwrap_or("high")));
                    write::number(out, asked.clamp(1_024, effort::budget("xhigh")));
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
                write::member(out, "reasoning_effort", of_three(effort));
            }
        }
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
    fn models_that_reason_are_known_by_name() {
        for (model, expected) in
            [("o3-mini", true), ("gpt-5.2", true), ("gpt-4o", false), ("gpt-5-chat-latest", false), ("omni", false)]
        {
            assert_eq!(reasons(model), expected, "{model}");
        }
    }
}
