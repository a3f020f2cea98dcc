//! What the demo model says, and when. Data only.

use super::super::ModelError;

/// The answers of a demo model, by name, in order of rank.
///
/// * `text`: the answer to anything (must be there); `done`: the answer after a tool result (must be there)
/// * `tool:NAME`: the answer when a tool of that name is offered; the first one in the list that is offered wins
/// * `tool:NAME(ARGUMENT, LIST[])`: the same, when that tool takes these arguments and requires no others; `[]` marks one
///   that is a list
/// * `after:N`: the answer after the N-th tool result (1, 2, …) of the user's turn instead of `done`, to stage several
///   tool calls
/// * `fim`: what fill-in-the-middle writes
/// * any other name: the answer when the last user message contains `[[name]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scripts {
    pub(super) list: Vec<Script>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) name: String,
    pub(super) text: String,
    /// Starts again at its end instead of stopping.
    pub(super) endless: bool,
}

impl Script {
    /// The name as it stands in the mode token.
    pub(super) fn mode(&self) -> String {
        if self.name == "fim" {
            return "<|fim_middle|>".into();
        }
        let plain: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("<|mode_{plain}|>")
    }
}

impl Scripts {
    /// No answers yet but the two that must be there.
    pub fn new(text: &str, done: &str) -> Scripts {
        Scripts { list: Vec::new() }.with("text", text).with("done", done)
    }

    /// Adds an answer, or replaces the one of that name.
    #[must_use]
    pub fn with(self, name: &str, text: &str) -> Scripts {
        self.put(name, text, false)
    }

    /// Adds an answer that never ends.
    #[must_use]
    pub fn with_endless(self, name: &str, text: &str) -> Scripts {
        self.put(name, text, true)
    }

    /// Adds the call of a tool that is answered with whenever that tool is offered. `arguments` is a JSON object.
    #[must_use]
    pub fn with_tool(self, tool: &str, arguments: &str) -> Scripts {
        let call = tool_call(tool, arguments);
        self.with(&format!("tool:{tool}"), &call)
    }

    /// Adds the call of a tool that is answered with when the tool that is offered takes exactly that: two clients may
    /// call different tools by one name.
    #[must_use]
    fn with_form(self, tool: &str, arguments: &[(&str, Value<'_>)]) -> Scripts {
        let text = |text: &str| format!("\"{text}\"");
        let (mut form, mut members) = (Vec::new(), Vec::new());
        for (name, value) in arguments {
            let (mark, json) = match value {
                Value::Text(value) => ("", text(value)),
                Value::List(words) => {
                    ("[]", format!("[{}]", words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", ")))
                }
            };
            form.push(format!("{name}{mark}"));
            members.push(format!("\"{name}\": {json}"));
        }
        let call = tool_call(tool, &format!("{{{}}}", members.join(", ")));
        self.with(&format!("tool:{tool}({})", form.join(", ")), &call)
    }

    /// Adds the call of a tool that follows the `round`-th tool result (1, 2, …) of the user's turn.
    #[cfg(test)]
    #[must_use]
    pub(super) fn then_tool(self, round: u32, tool: &str, arguments: &str) -> Scripts {
        let call = tool_call(tool, arguments);
        self.with(&format!("after:{round}"), &call)
    }

    fn put(mut self, name: &str, text: &str, endless: bool) -> Scripts {
        let script = Script { name: name.into(), text: text.into(), endless };
        match self.list.iter_mut().find(|s| s.name == name) {
            Some(old) => *old = script,
            None => self.list.push(script),
        }
        self
    }

    /// Refuses what the format cannot carry, with the reason.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let refuse = |name: &str, why: &str| Err(ModelError::Script { name: name.into(), why: why.into() });
        for must in ["text", "done"] {
            if !self.list.iter().any(|s| s.name == must) {
                return refuse(must, "this script must be there");
            }
        }
        for (i, script) in self.list.iter().enumerate() {
            if script.text.is_empty() {
                return refuse(&script.name, "it is empty");
            }
            if script.name.chars().any(|c| c.is_control() || matches!(c, '\'' | '"' | '\\' | '{' | '}' | '%')) {
                return refuse(&script.name, "a name is plain text without quotes, braces or percent signs");
            }
            if self.list.iter().take(i).any(|s| s.mode() == script.mode()) {
                return refuse(&script.name, "another script's name differs only in punctuation");
            }
            if script.text.contains("<think>") && self.list.iter().filter(|s| s.text.contains("<think>")).count() > 1 {
                return refuse(&script.name, "only one script may think");
            }
        }
        Ok(())
    }
}

/// A tool call as Hermes and Qwen write it: every engine has a parser for it.
fn tool_call(tool: &str, arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"{tool}\", \"arguments\": {arguments}}}\n</tool_call>")
}

/// What an argument is: text that needs no escapes in JSON, or a list of such.
enum Value<'a> {
    Text(&'a str),
    List(&'a [&'a str]),
}

/// The one command every demo tool call runs; it leaves a file as evidence.
const MARK: &str = "echo made-by-llmup-demo > llmup-demo.txt";

impl Default for Scripts {
    /// Ranked by how specific a tool's name is: `get_weather` only test programs offer, then the shells of coding tools:
    /// Claude Code and Continue (`Bash`), Codex (new and old name), goose (`shell`), Gemini CLI and Qwen Code
    /// (`run_shell_command`), OpenCode and Copilot CLI (`bash`). Each with what its schema requires and nothing else:
    /// llama.cpp lets a call have only what the schema has, and does not end one without what it requires.
    fn default() -> Self {
        let described = |why| [("command", Value::Text(MARK)), ("description", Value::Text(why))];
        Scripts::new(
            "Hi! This is the llmup demo model: tiny and scripted, but served by a real engine. The way from here works.",
            "All set. The tool ran and its result came back to the demo model.",
        )
        .with("think", "<think>\nThe user wants to watch me think, so I count: one, two, three.\n</think>\n\nI counted to three.")
        .with_endless("loop", "round and round it goes; ")
        .with("utf8", "Grüße, façade, 東京 and 한글, then 🦀🎉 ok")
        // As aider takes it, which offers no tools: a name, and the whole file.
        .with("listing", "Here is the whole file.\n\nllmup-demo.txt\n```\nmade-by-llmup-demo, by aider\n```\n")
        .with_tool("get_weather", r#"{"city": "Paris"}"#)
        .with_form("Bash", &described("Leave a marker file"))
        .with_form("Bash", &[("command", Value::Text(MARK))])
        .with_form("exec_command", &[("cmd", Value::Text(MARK))])
        .with_form("shell", &[("command", Value::List(&["bash", "-lc", MARK]))])
        .with_form("shell", &[("command", Value::Text(MARK))])
        .with_form("run_shell_command", &described("Write the marker"))
        .with_form("run_shell_command", &[("command", Value::Text(MARK))])
        .with_form("bash", &described("Make a file as a mark"))
        .with_form("bash", &[("command", Value::Text(MARK))])
        .with("fim", "first, second):\n    return first + second\n")
    }
}
