//! The tools of a Messages request. Those that Anthropic defines and the caller runs (`bash_…`, `text_editor_…`,
//! `memory_…`, `computer_…`) come without a schema, because Claude was taught it: here they are offered as functions
//! with the schema its documentation gives. Those that Anthropic's servers run are left out by name.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::invalid;
use super::wire;
use crate::protocol::Problem;
use crate::protocol::ir::Tool;

/// Reads the tools. Those with `defer_loading` stand last: first the ones nothing in the conversation refers to, then
/// the others in the order of `found`, in which each was referred to, so that the list only ever grows at its end.
pub(super) fn decode<'a>(
    list: Vec<wire::Tool<'a>>,
    found: &[Cow<'a, str>],
    dropped: &mut Vec<String>,
) -> Result<Vec<Tool<'a>>, Problem> {
    let mut tools = Vec::with_capacity(list.len());
    let mut late: Vec<(usize, Tool<'a>)> = Vec::new();
    for (at, tool) in list.into_iter().enumerate() {
        let deferred = tool.defer_loading == Some(true);
        let Some(tool) = one(tool, at, dropped)? else { continue };
        if deferred {
            let since = found.iter().position(|name| *name == tool.name).map_or(0, |at| at + 1);
            late.push((since, tool));
        } else {
            tools.push(tool);
        }
    }
    late.sort_by_key(|(since, _)| *since);
    tools.extend(late.into_iter().map(|(_, tool)| tool));
    Ok(tools)
}

fn one<'a>(tool: wire::Tool<'a>, at: usize, dropped: &mut Vec<String>) -> Result<Option<Tool<'a>>, Problem> {
    let kind = tool.kind.as_deref().unwrap_or("custom");
    let (description, schema) = match (tool.input_schema, taught(kind)) {
        (Some(schema), _) => (tool.description, Some(Cow::Borrowed(schema))),
        (None, Some((description, schema))) => {
            let mut description = description.to_owned();
            if let (Some(width), Some(height)) = (tool.display_width_px, tool.display_height_px) {
                description.push_str(&format!(" The screen is {width} by {height} pixels."));
            }
            let schema = RawValue::from_string(schema.to_owned()).ok().map(Cow::Owned);
            (Some(tool.description.unwrap_or_else(|| description.into())), schema)
        }
        (None, None) if kind == "custom" => (tool.description, None),
        (None, None) => {
            dropped.push(format!("tool {kind}"));
            return Ok(None);
        }
    };
    if tool.name.is_empty() {
        return Err(invalid(format!("tools.{at}.name: field required")));
    }
    Ok(Some(Tool { name: tool.name, namespace: None, description, schema, strict: tool.strict, freeform: None }))
}

/// Description and schema of a tool Claude was taught, by its type. Both hold no character that JSON escapes, but for
/// the schema's own quotes.
pub(super) fn taught(kind: &str) -> Option<(&'static str, &'static str)> {
    let known = KNOWN.iter().find(|known| kind.starts_with(known.kind) && !kind.contains("toolset"))?;
    Some((known.description, known.schema))
}

struct Known {
    /// How the type begins; a date follows.
    kind: &'static str,
    description: &'static str,
    schema: &'static str,
}

const KNOWN: [Known; 4] = [
    Known {
        kind: "bash_",
        description: "Runs a command in a bash session that stays open between calls.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run."},"restart":{"type":"boolean","description":"Start the session anew instead of running a command."}}}"#,
    },
    Known {
        kind: "text_editor_",
        description: "Views, creates and edits text files.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string","description":"Path of the file or folder."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, counted from 1; -1 is the end."},"file_text":{"type":"string","description":"For create: the whole content."},"old_str":{"type":"string","description":"For str_replace: the text to replace; it occurs exactly once."},"new_str":{"type":"string","description":"For str_replace (and insert in older versions): the new text."},"insert_line":{"type":"integer","description":"For insert: the line behind which the text goes; 0 is the top."},"insert_text":{"type":"string","description":"For insert: the text."}},"required":["command","path"]}"#,
    },
    Known {
        kind: "memory_",
        description: "Keeps notes as files below /memories, which last beyond this conversation.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string"},"view_range":{"type":"array","items":{"type":"integer"}},"file_text":{"type":"string"},"old_str":{"type":"string"},"new_str":{"type":"string"},"insert_line":{"type":"integer"},"insert_text":{"type":"string"},"old_path":{"type":"string"},"new_path":{"type":"string"}},"required":["command"]}"#,
    },
    Known {
        kind: "computer_",
        description: "Looks at the screen and uses mouse and keyboard.",
        schema: r#"{"type":"object","properties":{"action":{"type":"string","enum":["screenshot","key","type","mouse_move","left_click","right_click","middle_click","double_click","triple_click","left_click_drag","left_mouse_down","left_mouse_up","scroll","hold_key","wait","cursor_position","zoom"]},"coordinate":{"type":"array","items":{"type":"integer"},"description":"x and y in pixels."},"start_coordinate":{"type":"array","items":{"type":"integer"}},"text":{"type":"string","description":"What to type, or the keys to press."},"duration":{"type":"number","description":"Seconds."},"scroll_direction":{"type":"string","enum":["up","down","left","right"]},"scroll_amount":{"type":"integer"},"region":{"type":"array","items":{"type":"integer"},"description":"For zoom: left, top, right, bottom."}},"required":["action"]}"#,
    },
];
