//! What the strict engine says: tool calls that leave files, built from the tools the client offers.

use std::path::Path;

use serde_json::{Map, Value, json};

/// One answer that is a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A command in the client's shell.
    Shell,
    /// A command in the client's shell, twice in one answer, for two files.
    ShellTwice,
    /// The client's tool that writes a file.
    Write,
    /// Codex's apply_patch, with a patch that adds a file.
    Patch,
    /// No tool: a file in the answer's text, as aider asks for it.
    Listing,
}

/// The file a step leaves; [`Step::ShellTwice`] leaves one more, with `2-` before its name.
const FILE: &str = "made";
/// The last words of every conversation: more than ASCII, because streams are cut inside characters.
pub const TEXT: &str = "Fertig — 完成, the files are there. 🦀";
const THOUGHT: &str = "The user wants a file — 好. I pick the tool for it.";
const BEFORE: &str = "I'll make it now… ";

/// The files `step` leaves and what is in them.
pub fn evidence(step: Step) -> Vec<(String, String)> {
    let name = |prefix: &str| format!("{prefix}{FILE}-by-{}.txt", step.word());
    match step {
        Step::ShellTwice => {
            vec![(name(""), CONTENT.into()), (name("2-"), CONTENT.into())]
        }
        _ => vec![(name(""), CONTENT.into())],
    }
}

/// One line without anything a shell would read.
const CONTENT: &str = "made through llmup";

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Shell => "shell",
            Step::ShellTwice => "shells",
            Step::Write => "write",
            Step::Patch => "patch",
            Step::Listing => "listing",
        }
    }

    /// Tools that can do it, best first.
    fn tools(self) -> &'static [&'static str] {
        match self {
            Step::Shell | Step::ShellTwice => {
                &["Bash", "exec_command", "run_shell_command", "bash", "shell", "run_terminal_command"]
            }
            Step::Write => &["Write", "write", "write_file", "WriteFile", "create"],
            Step::Patch => &["apply_patch"],
            Step::Listing => &[],
        }
    }

    fn calls(self, name: &str, schema: &Value, folder: &Path) -> Result<Vec<Value>, String> {
        let made = evidence(self);
        made.iter().map(|(file, text)| self.arguments(name, schema, folder, file, text)).collect()
    }

    fn arguments(self, name: &str, schema: &Value, folder: &Path, file: &str, text: &str) -> Result<Value, String> {
        let mut arguments = Map::new();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, of) in &properties {
            let command = format!("echo {text} > {file}");
            let value = match key.as_str() {
                "command" | "cmd" if of["type"] == "array" => json!(["bash", "-c", command]),
                "command" | "cmd" => command.into(),
                "file_path" | "filePath" | "filepath" | "path" => folder.join(file).to_string_lossy().into(),
                "content" | "text" | "file_text" => format!("{text}\n").into(),
                "input" | "patch" => format!("*** Begin Patch\n*** Add File: {file}\n+{text}\n*** End Patch\n").into(),
                "description" => "Leave a file — 作成".into(),
                other if required.contains(&other) => filler(of),
                _ => continue,
            };
            arguments.insert(key.clone(), value);
        }
        if let Some(missing) = required.iter().find(|key| !arguments.contains_key(**key)) {
            return Err(format!("{name} requires {missing}, which its schema does not describe: {schema}"));
        }
        if arguments.is_empty() {
            return Err(format!("{name} has no parameters: {schema}"));
        }
        Ok(arguments.into())
    }
}

/// Something of the right type.
fn filler(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("boolean") => false.into(),
        Some("integer" | "number") => schema["minimum"].as_u64().unwrap_or(1).into(),
        Some("array") => json!([]),
        Some("object") => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            properties.iter().map(|(key, of)| (key.clone(), filler(of))).collect::<Map<_, _>>().into()
        }
        _ => "something".into(),
    }
}

/// One answer.
pub struct Reply {
    /// Said before the text, as reasoning.
    pub thought: &'static str,
    pub text: String,
    /// Name and arguments.
    pub calls: Vec<(String, Value)>,
    /// Counts on over one conversation, for ids.
    pub round: usize,
}

/// The answer to a request that passed every check.
pub fn reply(body: &Value, steps: &[Step], folder: &Path) -> Result<Reply, String> {
    let schema = &body["response_format"]["json_schema"]["schema"];
    if schema.is_object() {
        return Ok(Reply { thought: "", text: filler(schema).to_string(), calls: Vec::new(), round: 0 });
    }
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let round = messages.iter().filter(|m| m["tool_calls"].is_array()).count();
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (Some(step), false) = (steps.get(round), tools.is_empty()) else {
        let listing = |step: &&Step| **step == Step::Listing;
        let files = steps.iter().filter(listing).flat_map(|step| evidence(*step));
        let files: String = files.map(|(file, text)| format!("{file}\n```\n{text}\n```\n\n")).collect();
        return Ok(Reply { thought: THOUGHT, text: files + TEXT, calls: Vec::new(), round });
    };
    let offered = |name: &&&str| tools.iter().any(|t| t["function"]["name"] == **name);
    let Some(name) = step.tools().iter().find(offered) else {
        let names: Vec<&Value> = tools.iter().map(|t| &t["function"]["name"]).collect();
        return Err(format!("no tool for {step:?} is offered: {names:?}"));
    };
    let tool = tools.iter().find(|t| t["function"]["name"] == **name).unwrap_or(&Value::Null);
    let calls = step.calls(name, &tool["function"]["parameters"], folder)?;
    let calls = calls.into_iter().map(|arguments| ((*name).to_owned(), arguments)).collect();
    Ok(Reply { thought: THOUGHT, text: BEFORE.into(), calls, round })
}
