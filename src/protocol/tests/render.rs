//! A small chat template: what an engine makes of a request, so that prompts can be compared byte by byte. Like
//! ChatML: system text, tools, then the messages; content is flattened, since engines flatten it.

use serde_json::Value;

/// A chat or Ollama body as a prompt.
pub(super) fn chat(body: &Value) -> String {
    let mut out = String::new();
    let messages = body["messages"].as_array().unwrap();
    let mut rest = messages.as_slice();
    if let Some(first) = messages.first().filter(|first| first["role"] == "system") {
        out += &format!("<system>{}", flat(&first["content"]));
        rest = &messages[1..];
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        out += &format!("\n<tool>{}", tool["function"]);
    }
    for message in rest {
        assert_ne!(message["role"], "system", "strict templates refuse a late system message");
        out += &format!("\n<{}>", message["role"].as_str().unwrap());
        for key in ["reasoning_content", "thinking"] {
            out += &message[key].as_str().map(|text| format!("<think>{text}</think>")).unwrap_or_default();
        }
        out += &flat(&message["content"]);
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let arguments = &call["function"]["arguments"];
            // Templates print the object, whichever way it came.
            let arguments = arguments.as_str().map_or_else(|| arguments.clone(), |a| serde_json::from_str(a).unwrap());
            out += &format!("<call>{}{arguments}", call["function"]["name"]);
        }
    }
    out
}

/// A Messages body as the prompt llama.cpp and vLLM make of it.
pub(super) fn messages(body: &Value) -> String {
    let mut out = format!("<system>{}", flat(&body["system"]));
    for tool in body["tools"].as_array().into_iter().flatten() {
        out += &format!("\n<tool>{}{}{}", tool["name"], tool["description"], tool["input_schema"]);
    }
    let mut last = "";
    for message in body["messages"].as_array().unwrap() {
        let role = message["role"].as_str().unwrap();
        assert_ne!(role, "system", "strict templates refuse a late system message");
        if role != last {
            out += &format!("\n<{role}>");
        }
        last = role;
        let content = &message["content"];
        let text = [serde_json::json!({"type": "text", "text": content})];
        for block in content.as_array().map_or(text.as_slice(), Vec::as_slice) {
            out += &match block["type"].as_str().unwrap() {
                "text" => flat(&block["text"]),
                "thinking" => format!("<think>{}</think>", flat(&block["thinking"])),
                "tool_use" => format!("<call>{}{}", block["name"], block["input"]),
                "tool_result" => format!("<result>{}</result>", flat(&block["content"])),
                other => panic!("engines drop a {other}"),
            };
        }
    }
    out
}

fn flat(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .map(|part| {
                assert!(part["text"].is_string(), "engines drop {part}");
                part["text"].as_str().unwrap_or_default()
            })
            .collect(),
        _ => String::new(),
    }
}
