//! The requests.

use serde_json::{Value, json};

/// One short question.
pub fn small(protocol: &str, stream: bool, mode: &str) -> String {
    let words = format!("What does this repository do? mode:{mode} ");
    match protocol {
        "responses" => json!({"model": "m", "stream": stream, "input": words}),
        "gemini" => json!({"contents": [{"role": "user", "parts": [{"text": words}]}]}),
        _ => json!({"model": "m", "max_tokens": 1024, "stream": stream, "messages": [{"role": "user", "content": words}]}),
    }
    .to_string()
}

/// Per kilobyte about as many escapes as this repository's own files have as JSON (44).
fn code(n: usize) -> String {
    let line = format!("    let value_{n} = map.get(\"key {n}\").unwrap_or(&default); // caf\u{e9}, as it is\n");
    line.repeat(55)
}

/// What a coding agent sends in the middle of its work: tools, calls and their results, about 150 KB.
pub fn large(protocol: &str) -> String {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string", "description": "Where it is."},
        "limit": {"type": "integer"}}, "required": ["path"], "additionalProperties": false});
    let about = "Reads a file of the repository and gives its lines, numbered. ".repeat(12);
    let system = "You help with code. Answer briefly. ".repeat(250);
    let turns = 26;
    match protocol {
        "chat" => {
            let mut messages = vec![json!({"role": "system", "content": system}), json!({"role": "user", "content": "Start."})];
            for n in 0..turns {
                let arguments = json!({"path": format!("src/{n}.rs")}).to_string();
                messages.push(json!({"role": "assistant", "content": "I look.", "tool_calls": [{"id": format!("c{n}"),
                    "type": "function", "function": {"name": "read_file", "arguments": arguments}}]}));
                messages.push(json!({"role": "tool", "tool_call_id": format!("c{n}"), "content": code(n)}));
            }
            let tools: Vec<Value> = (0..15).map(|n| json!({"type": "function", "function": {"name": format!("read_file_{n}"), "description": about, "parameters": schema}})).collect();
            json!({"model": "m", "max_tokens": 1024, "messages": messages, "tools": tools})
        }
        "responses" => {
            let mut input = vec![json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Start."}]})];
            for n in 0..turns {
                let arguments = json!({"path": format!("src/{n}.rs")}).to_string();
                input.push(json!({"type": "function_call", "call_id": format!("c{n}"), "name": "read_file", "arguments": arguments}));
                input.push(json!({"type": "function_call_output", "call_id": format!("c{n}"), "output": code(n)}));
            }
            let tools: Vec<Value> = (0..15).map(|n| json!({"type": "function", "name": format!("read_file_{n}"), "description": about, "parameters": schema})).collect();
            json!({"model": "m", "instructions": system, "input": input, "tools": tools})
        }
        "gemini" => {
            let mut contents = vec![json!({"role": "user", "parts": [{"text": "Start."}]})];
            for n in 0..turns {
                contents.push(json!({"role": "model", "parts": [{"functionCall": {"name": "read_file", "args": {"path": format!("src/{n}.rs")}}}]}));
                contents.push(json!({"role": "user", "parts": [{"functionResponse": {"name": "read_file", "response": {"output": code(n)}}}]}));
            }
            let tools: Vec<Value> = (0..15).map(|n| json!({"name": format!("read_file_{n}"), "description": about, "parametersJsonSchema": schema})).collect();
            json!({"systemInstruction": {"parts": [{"text": system}]}, "contents": contents, "tools": [{"functionDeclarations": tools}]})
        }
        _ => {
            let mut messages = vec![json!({"role": "user", "content": [{"type": "text", "text": "Start."}]})];
            for n in 0..turns {
                messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": format!("c{n}"), "name": "read_file", "input": {"path": format!("src/{n}.rs")}}]}));
                messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": format!("c{n}"), "content": code(n)}]}));
            }
            let tools: Vec<Value> = (0..15).map(|n| json!({"name": format!("read_file_{n}"), "description": about, "input_schema": schema})).collect();
            json!({"model": "m", "max_tokens": 1024, "system": [{"type": "text", "text": system}], "messages": messages, "tools": tools})
        }
    }
    .to_string()
    // Where a model is named it comes first, as coding tools write it.
    .replacen("\"model\":\"m\",", "", 1)
    .replacen('{', if protocol == "gemini" { "{" } else { "{\"model\":\"m\"," }, 1)
}

/// The same, answered by a stream.
pub fn large_stream(protocol: &str, mode: &str) -> String {
    large(protocol).replacen("Start.", &format!("mode:{mode} "), 1).replacen('{', "{\"stream\":true,", 1)
}
