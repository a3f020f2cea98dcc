//! Whether the model's chat template takes what every coding tool sends: a system message, and tools.

use serde_json::json;

use super::{Finding, Probe, Section, talk};

/// What was found, and whether tools can be offered at all.
pub(super) fn template(probe: &Probe<'_>) -> (Vec<Finding>, bool) {
    let section = Section::Gateway;
    let user = json!({"role": "user", "content": "Say hello."});
    let system = json!({"role": "system", "content": "You are brief."});
    let mut findings = Vec::new();
    let ask = |messages: serde_json::Value, tools: bool| {
        let mut body = json!({"model": probe.model(), "messages": messages, "max_tokens": 8});
        if tools {
            body["tools"] = json!([talk::Dialect::Chat.tool()]);
        }
        match probe.post("/v1/chat/completions", &body) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(answer.complaint()),
            Err(why) => Err(why),
        }
    };
    let with_system = ask(json!([system, user]), false);
    let with_tools = ask(json!([user]), true);
    let takes_tools = with_tools.is_ok();
    if with_system.is_ok() && takes_tools {
        findings.push(Finding::ok(section, "the chat template takes system messages and tools"));
    }
    if let Err(why) = with_system {
        let cure = "let llmup rewrite requests: `llmup start MODEL --translate`; or another template: `-- --chat-template FILE`";
        let text = "a request with a system message is refused; the same without one is answered";
        findings.push(Finding::problem("LLMUP-M010", section, text, cure).because(vec![why]));
    }
    if let Err(why) = with_tools {
        let cure = "start it by its profile's name, so that the right parser is chosen: `llmup start MODEL`; or a model with tools: `llmup models`";
        let text = "a request that offers a tool is refused; the same without one is answered";
        findings.push(Finding::problem("LLMUP-M011", section, text, cure).because(vec![why]));
    }
    (findings, takes_tools)
}
