//! The chat template: ChatML with Hermes-style tools, and at its end the choice of the script. It is one text for
//! two interpreters (jinja2 in Python engines, llama.cpp's own), so it uses only what both know.

use super::Scripts;

/// The template with this list of scripts in it.
pub(super) fn render(scripts: &Scripts) -> String {
    let mut by_tool = Vec::new();
    let mut by_round = Vec::new();
    let mut by_word = Vec::new();
    for script in &scripts.list {
        let (name, mode) = (&script.name, script.mode());
        if let Some(tool) = name.strip_prefix("tool:") {
            let (tool, arguments) = tool.split_once('(').unwrap_or((tool, ""));
            let arguments = arguments.trim_end_matches(')').split(", ").filter(|argument| !argument.is_empty());
            let arguments: String = arguments
                .map(|argument| match argument.strip_suffix("[]") {
                    Some(list) => format!(", ['{list}', true]"),
                    None => format!(", ['{argument}', false]"),
                })
                .collect();
            by_tool.push(format!("['{tool}', '{mode}'{arguments}]"));
        } else if let Some(round) = name.strip_prefix("after:") {
            by_round.push(format!("['{round}', '{mode}']"));
        } else if !matches!(name.as_str(), "text" | "done" | "fim") {
            by_word.push(format!("['[[{name}]]', '{mode}']"));
        }
    }
    include_str!("chat_template.jinja")
        .replace("TOOL_MODES", &by_tool.join(", "))
        .replace("ROUND_MODES", &by_round.join(", "))
        .replace("WORD_MODES", &by_word.join(", "))
}
