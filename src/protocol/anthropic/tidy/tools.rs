//! The tools: those that came late stand last, and an engine sees none it does not know.

use super::survey::{Survey, Tool};
use super::{replace, text};
use crate::protocol::anthropic::tools::taught;
use crate::protocol::head::Patch;
use crate::protocol::scan;

/// References to tools become words: engines drop the block, and the model would see an empty result.
pub(super) fn found(body: &[u8], survey: &Survey, patches: &mut Vec<Patch>) {
    for reference in &survey.references {
        let quoted = text(body, &reference.name);
        let name = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        let words = format!("{{\"type\":\"text\",\"text\":\"The tool {name} is available now.\"}}");
        patches.push(replace(reference.span.clone(), words));
    }
}

/// Brings the tools into an order that only grows at its end (as [`crate::protocol::anthropic`] does when it
/// translates), gives the ones Claude was taught their schema, and takes out the ones that run on Anthropic's servers:
/// llama.cpp answers 500 to a tool without a schema. The answer names those that went.
pub(super) fn order(body: &[u8], survey: &Survey, patches: &mut Vec<Patch>) -> Vec<String> {
    let tools = &survey.tools;
    let (Some(first), Some(last)) = (tools.first(), tools.last()) else { return Vec::new() };
    let since = |tool: &Tool| {
        let name = tool.name.as_ref().map(|name| text(body, name));
        let at = survey.references.iter().position(|known| Some(text(body, &known.name)) == name);
        (tool.deferred, at.filter(|_| tool.deferred).map_or(0, |at| at + 1))
    };
    let mut sorted: Vec<&Tool> = tools.iter().collect();
    sorted.sort_by_key(|tool| since(tool));
    let moved = sorted.iter().zip(tools).any(|(a, b)| a.span != b.span);
    let foreign = |tool: &Tool| {
        let kind = tool.kind.as_ref().map_or("", |kind| text(body, kind));
        !tool.has_schema && kind.starts_with('"') && kind != "\"custom\""
    };
    if !moved && !tools.iter().any(foreign) {
        return Vec::new();
    }
    let mut list = String::with_capacity(last.span.end - first.span.start);
    let mut gone: Vec<&Tool> = Vec::new();
    for tool in sorted {
        let written = if foreign(tool) { schooled(body, tool) } else { Some(text(body, &tool.span).to_owned()) };
        match written {
            Some(written) => {
                list.push_str(if list.is_empty() { "" } else { "," });
                list.push_str(&written);
            }
            None => gone.push(tool),
        }
    }
    if let Some(choice) = &survey.tool_choice {
        let name = choice.name.as_ref().map(|name| text(body, name));
        let lost = name.is_some() && gone.iter().any(|gone| gone.name.as_ref().map(|gone| text(body, gone)) == name);
        // A choice among no tools, or of one that is gone, would be refused.
        if list.is_empty() || lost {
            let kind = if list.is_empty() { "none" } else { "auto" };
            patches.push(replace(choice.span.clone(), format!("{{\"type\":\"{kind}\"}}")));
        }
    }
    patches.push(replace(first.span.start..last.span.end, list));
    gone.iter()
        .map(|tool| format!("tool {}", tool.kind.as_ref().map_or("", |kind| text(body, kind)).trim_matches('"')))
        .collect()
}

/// The tool as a function with the schema Claude was taught for it.
fn schooled(body: &[u8], tool: &Tool) -> Option<String> {
    let kind = scan::string(body, tool.kind.clone()?)?;
    let (description, schema) = taught(&kind)?;
    let name = text(body, tool.name.as_ref()?);
    Some(format!("{{\"name\":{name},\"description\":\"{description}\",\"input_schema\":{schema}}}"))
}
