//! How a model's makers say to sample, as the engine's defaults for requests that do not say it themselves. Ollama's
//! tags bring their own.

use super::variant::is_here;
use super::{Facts, Reason};
use crate::engine::EngineId;

/// The flags, and why.
pub(super) fn flags(facts: &Facts<'_>, engine: EngineId, recipe: &[String]) -> Option<(Vec<String>, Reason)> {
    let sampling = facts.profile?.sampling.as_ref()?;
    let given = |name: &str| {
        recipe.iter().chain(&facts.request.engine_args).any(|arg| {
            let arg = arg.split('=').next().unwrap_or(arg);
            arg == name || arg.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let temperature = sampling.temperature.map(serde_json::Value::from);
    let values = [
        ("temperature", &["--temp", "--temperature"][..], temperature),
        ("top_p", &["--top-p"][..], sampling.top_p.map(Into::into)),
        ("top_k", &["--top-k"][..], sampling.top_k.map(Into::into)),
    ];
    let mut said = Vec::new();
    let args = match engine {
        // vLLM takes them from generation_config.json beside the weights: only what that lacks is said, and nothing of
        // weights that are not here yet.
        EngineId::Vllm
            if is_here(facts.weights) && !given("--override-generation-config") && !given("--generation-config") =>
        {
            let members = values.into_iter().filter_map(|(name, _, value)| Some((name.to_owned(), value?)));
            let members: serde_json::Map<_, _> = members.collect();
            said.extend(members.iter().map(|(name, value)| format!("{name} {value}")));
            vec!["--override-generation-config".to_owned(), serde_json::Value::Object(members).to_string()]
        }
        EngineId::LlamaCpp => {
            let mut args = Vec::new();
            for (name, flags, value) in values {
                let Some(value) = value.filter(|_| !flags.iter().any(|flag| given(flag))) else { continue };
                said.push(format!("{name} {value}"));
                args.extend([flags[0].to_owned(), value.to_string()]);
            }
            args
        }
        _ => return None,
    };
    let because = "how its makers say to sample; requests that say otherwise win".to_owned();
    (!said.is_empty()).then(|| (args, Reason { choice: said.join(", "), because }))
}
