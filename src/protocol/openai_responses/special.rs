//! Tools of OpenAI's own that the client runs: they have no schema on the wire, so the model gets them as functions,
//! and its calls go back as the items the client expects.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::wire;
use crate::protocol::ir::Tool;
use crate::protocol::text::Text;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// Looks for tools that are not on offer yet; answered with more tools.
    ToolSearch,
    /// One command as a list of words.
    LocalShell,
    /// Several commands as lines.
    Shell,
    /// One change of one file.
    ApplyPatch,
}

const ALL: [Special; 4] = [Special::ToolSearch, Special::LocalShell, Special::Shell, Special::ApplyPatch];

impl Special {
    /// The tool's type, and the name the model sees.
    pub(super) fn name(self) -> &'static str {
        match self {
            Special::ToolSearch => "tool_search",
            Special::LocalShell => "local_shell",
            Special::Shell => "shell",
            Special::ApplyPatch => "apply_patch",
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Special> {
        ALL.into_iter().find(|special| special.name() == name)
    }

    /// The type of its calls.
    pub(super) fn call(self) -> &'static str {
        match self {
            Special::ToolSearch => "tool_search_call",
            Special::LocalShell => "local_shell_call",
            Special::Shell => "shell_call",
            Special::ApplyPatch => "apply_patch_call",
        }
    }

    pub(super) fn by_call(kind: &str) -> Option<Special> {
        ALL.into_iter().find(|special| special.call() == kind)
    }

    /// What the ids of its calls begin with.
    pub(super) fn id(self) -> &'static str {
        match self {
            Special::ToolSearch => "tsc_",
            Special::LocalShell => "lsh_",
            Special::Shell => "sh_",
            Special::ApplyPatch => "apc_",
        }
    }

    /// The members of a call's item that hold `arguments`, what the model wrote.
    pub(super) fn members(self, arguments: &str) -> String {
        let value = serde_json::from_str::<Value>(arguments).ok().filter(Value::is_object);
        match (self, value) {
            (Special::ToolSearch, value) => {
                format!(r#""execution":"client","arguments":{}"#, value.unwrap_or_else(|| json!({})))
            }
            (Special::LocalShell, value) => {
                let value = value.unwrap_or_else(|| json!({"command": arguments}));
                let command = match &value["command"] {
                    Value::Array(words) => Value::from(words.clone()),
                    Value::String(line) => json!(["bash", "-lc", line]),
                    _ => json!([]),
                };
                let mut action = json!({"type": "exec", "command": command, "env": {}});
                for key in ["timeout_ms", "working_directory"] {
                    if !value[key].is_null() {
                        action[key] = value[key].clone();
                    }
                }
                format!(r#""action":{action}"#)
            }
            (Special::Shell, value) => {
                let value = value.unwrap_or_else(|| json!({"commands": [arguments]}));
                let commands = match &value["commands"] {
                    Value::String(line) => json!([line]),
                    Value::Array(lines) => Value::from(lines.clone()),
                    _ => json!([]),
                };
                let (timeout, length) = (&value["timeout_ms"], &value["max_output_length"]);
                let action = json!({"commands": commands, "timeout_ms": timeout, "max_output_length": length});
                format!(r#""action":{action}"#)
            }
            (Special::ApplyPatch, value) => {
                let operation = value.unwrap_or_else(|| json!({"type": "update_file", "path": "", "diff": arguments}));
                format!(r#""operation":{operation}"#)
            }
        }
    }
}

const LOCAL_SHELL: &str = r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"}},"required":["command"]}"#;
const SHELL: &str = r#"{"type":"object","properties":{"commands":{"type":"array","items":{"type":"string"},"description":"Shell commands, run one after the other."},"timeout_ms":{"type":"integer"},"max_output_length":{"type":"integer"}},"required":["commands"]}"#;
const APPLY_PATCH: &str = r#"{"type":"object","properties":{"type":{"type":"string","enum":["create_file","update_file","delete_file"]},"path":{"type":"string"},"diff":{"type":"string","description":"The change in V4A diff format; not for delete_file."}},"required":["type","path"]}"#;

/// The tool as a function, if the client runs it.
pub(super) fn function<'a>(tool: &wire::Tool<'a>) -> Option<Tool<'a>> {
    let special = Special::by_name(&tool.kind)?;
    let (description, schema) = match special {
        Special::ToolSearch if tool.execution.as_deref() == Some("client") => {
            let schema = tool.parameters.map(Cow::Borrowed);
            return Some(plain(special, tool.description.clone().unwrap_or_default(), schema));
        }
        Special::ToolSearch => return None,
        Special::LocalShell => ("Runs a command on the user's machine and returns its output.", LOCAL_SHELL),
        Special::Shell => {
            let hosted = tool.environment.is_some_and(|raw| raw.get().contains("\"container"));
            if hosted {
                return None;
            }
            ("Runs shell commands on the user's machine and returns their output.", SHELL)
        }
        Special::ApplyPatch => ("Creates, changes or deletes one file.", APPLY_PATCH),
    };
    let schema = RawValue::from_string(schema.to_owned()).ok().map(Cow::Owned);
    Some(plain(special, description.into(), schema))
}

fn plain<'a>(special: Special, description: Text<'a>, schema: Option<Cow<'a, RawValue>>) -> Tool<'a> {
    Tool {
        name: special.name().into(),
        namespace: None,
        description: Some(description).filter(|text| !text.is_empty()),
        schema,
        strict: None,
        freeform: None,
    }
}
