//! What a strict OpenAI-compatible engine or chat template refuses.

use serde_json::{Map, Value};

const TOP: [&str; 21] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "chat_template_kwargs",
    "presence_penalty",
    "frequency_penalty",
    "user",
];
const TYPES: [&str; 7] = ["object", "array", "string", "number", "integer", "boolean", "null"];

/// Everything that is wrong with a request, each with its place.
pub fn request(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(object) = body.as_object() else { return vec!["the body is not an object".into()] };
    keys(object, &TOP, "the request", &mut wrong);
    if body["model"] != super::MODEL {
        wrong.push(format!("model {} is not served", body["model"]));
    }
    // aider, which has no tools, does without.
    let wanted = body["stream"] == true && body.get("tools").is_some();
    if wanted && body["stream_options"]["include_usage"] != true {
        wrong.push("a stream without stream_options.include_usage".into());
    }
    for key in ["max_tokens", "max_completion_tokens"] {
        if let Some(limit) = object.get(key)
            && !limit.as_u64().is_some_and(|n| n > 0 && n <= super::CONTEXT)
        {
            wrong.push(format!("{key} is {limit}"));
        }
    }
    let names = tools(object, &mut wrong);
    choice(object, &names, &mut wrong);
    if let Some(format) = object.get("response_format") {
        let schema = &format["json_schema"]["schema"];
        match format["type"].as_str() {
            Some("text" | "json_object") => {}
            Some("json_schema") if schema.is_object() && format["json_schema"]["name"].is_string() => {
                types(schema, "response_format", &mut wrong);
            }
            _ => wrong.push(format!("response_format {format}")),
        }
    }
    match body["messages"].as_array() {
        Some(list) if !list.is_empty() => messages(list, &mut wrong),
        _ => wrong.push("no messages".into()),
    }
    wrong
}

fn keys(object: &Map<String, Value>, known: &[&str], place: &str, wrong: &mut Vec<String>) {
    wrong.extend(object.keys().filter(|k| !known.contains(&k.as_str())).map(|k| format!("{place} has {k:?}")));
}

fn tools<'a>(object: &'a Map<String, Value>, wrong: &mut Vec<String>) -> Vec<&'a str> {
    let Some(list) = object.get("tools") else { return Vec::new() };
    let Some(list) = list.as_array().filter(|list| !list.is_empty()) else {
        wrong.push("tools is empty or no list".into());
        return Vec::new();
    };
    let mut names: Vec<&str> = Vec::new();
    for (i, tool) in list.iter().enumerate() {
        let name = tool["function"]["name"].as_str().unwrap_or_default();
        let place = format!("tool {i} {name:?}");
        if tool["type"] != "function" || !tool["function"].is_object() {
            wrong.push(format!("{place} is no function: {}", tool["type"]));
            continue;
        }
        keys(tool.as_object().unwrap(), &["type", "function"], &place, wrong);
        let known = ["name", "description", "parameters", "strict"];
        keys(tool["function"].as_object().unwrap(), &known, &place, wrong);
        if !plain(name) {
            wrong.push(format!("{place}: the name is not ^[a-zA-Z0-9_-]{{1,64}}$"));
        }
        if names.contains(&name) {
            wrong.push(format!("{place} stands twice"));
        }
        names.push(name);
        if !matches!(tool["function"]["description"], Value::String(_) | Value::Null) {
            wrong.push(format!("{place}: the description is no string"));
        }
        let parameters = &tool["function"]["parameters"];
        if parameters["type"] != "object" {
            wrong.push(format!("{place}: the parameters are no object schema: {parameters}"));
        }
        types(parameters, &place, wrong);
    }
    names
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Types as JSON schema spells them, wherever the keyword stands.
fn types(schema: &Value, place: &str, wrong: &mut Vec<String>) {
    let Some(object) = schema.as_object() else {
        if !schema.is_boolean() {
            wrong.push(format!("{place}: {schema} is no schema"));
        }
        return;
    };
    let named: Vec<&Value> = match object.get("type") {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    wrong.extend(
        named
            .iter()
            .filter(|t| !t.as_str().is_some_and(|t| TYPES.contains(&t)))
            .map(|t| format!("{place}: {t} is no type of JSON schema")),
    );
    if let Some(properties) = object.get("properties") {
        match properties.as_object() {
            Some(properties) => properties.values().for_each(|inner| types(inner, place, wrong)),
            None => wrong.push(format!("{place}: properties is {properties}")),
        }
    }
    for key in ["items", "additionalProperties", "not"] {
        object.get(key).into_iter().for_each(|inner| types(inner, place, wrong));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        object.get(key).and_then(Value::as_array).into_iter().flatten().for_each(|inner| types(inner, place, wrong));
    }
}

fn choice(object: &Map<String, Value>, names: &[&str], wrong: &mut Vec<String>) {
    let Some(choice) = object.get("tool_choice") else { return };
    let known = match choice {
        Value::String(word) => matches!(word.as_str(), "auto" | "none" | "required"),
        named => named["function"]["name"].as_str().is_some_and(|name| names.contains(&name)),
    };
    if !known {
        wrong.push(format!("tool_choice {choice}"));
    }
    if names.is_empty() && choice != "none" {
        wrong.push("tool_choice without tools".into());
    }
}

fn messages(list: &[Value], wrong: &mut Vec<String>) {
    let role = |message: &Value| message["role"].as_str().unwrap_or_default().to_owned();
    let mut open: Vec<String> = Vec::new();
    let mut used: Vec<String> = Vec::new();
    for (i, message) in list.iter().enumerate() {
        let place = format!("message {i} ({})", role(message));
        let before = i.checked_sub(1).map(|i| role(&list[i])).unwrap_or_default();
        let Some(object) = message.as_object() else {
            wrong.push(format!("{place} is no object"));
            continue;
        };
        if !open.is_empty() && role(message) != "tool" {
            wrong.push(format!("{place} stands where the results of {open:?} are due"));
            open.clear();
        }
        match role(message).as_str() {
            "system" => {
                keys(object, &["role", "content"], &place, wrong);
                if i > 0 {
                    wrong.push(format!("{place}: system messages come first, and there is one"));
                }
                content(message, &place, wrong);
            }
            "user" => {
                keys(object, &["role", "content"], &place, wrong);
                if before == "user" {
                    wrong.push(format!("{place}: two user turns in a row"));
                }
                content(message, &place, wrong);
            }
            "assistant" => {
                let mut known = vec!["role", "content", "tool_calls", "reasoning_content", "reasoning"];
                // Copilot CLI sends back all that OpenAI's type of an answer has.
                if message["refusal"].is_null() {
                    known.push("refusal");
                }
                keys(object, &known, &place, wrong);
                if before == "assistant" {
                    wrong.push(format!("{place}: two assistant turns in a row"));
                }
                if !matches!(before.as_str(), "user" | "tool") {
                    wrong.push(format!("{place} answers nobody"));
                }
                calls(message, &place, &mut open, &mut used, wrong);
            }
            "tool" => {
                keys(object, &["role", "content", "tool_call_id", "name"], &place, wrong);
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                match open.iter().position(|o| o == id) {
                    Some(at) => drop(open.remove(at)),
                    None => wrong.push(format!("{place} answers {id:?}, which nobody called")),
                }
                if message["content"] != "" {
                    content(message, &place, wrong);
                }
            }
            other => wrong.push(format!("{place}: there is no role {other:?}")),
        }
    }
    if !open.is_empty() {
        wrong.push(format!("{open:?} have no result"));
    }
    if list[0]["role"] != "system" {
        wrong.push("no system message comes first".into());
    }
    if !matches!(role(&list[list.len() - 1]).as_str(), "user" | "tool") {
        wrong.push("the last message leaves nothing to answer".into());
    }
}

/// Text, or parts that are not empty.
fn content(message: &Value, place: &str, wrong: &mut Vec<String>) {
    let empty = match &message["content"] {
        Value::String(text) => text.is_empty(),
        Value::Array(parts) => {
            for part in parts {
                match part["type"].as_str() {
                    Some("text") if part["text"].as_str().is_some_and(|t| !t.is_empty()) => {
                        keys(part.as_object().unwrap(), &["type", "text"], place, wrong);
                    }
                    Some("image_url") if part["image_url"]["url"].is_string() && message["role"] == "user" => {
                        keys(part.as_object().unwrap(), &["type", "image_url"], place, wrong);
                    }
                    _ => wrong.push(format!("{place} has the part {part}")),
                }
            }
            parts.is_empty()
        }
        _ => true,
    };
    if empty {
        wrong.push(format!("{place} has no content: {}", message["content"]));
    }
}

fn calls(message: &Value, place: &str, open: &mut Vec<String>, used: &mut Vec<String>, wrong: &mut Vec<String>) {
    let Some(list) = message.get("tool_calls") else {
        content(message, place, wrong);
        return;
    };
    let list = list.as_array().filter(|l| !l.is_empty());
    if list.is_none() {
        wrong.push(format!("{place}: tool_calls is empty or no list"));
    }
    if !matches!(message["content"], Value::Null | Value::String(_)) {
        content(message, place, wrong);
    }
    for call in list.into_iter().flatten() {
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        let known = ["id", "type", "function"];
        call.as_object().into_iter().for_each(|object| keys(object, &known, place, wrong));
        call["function"].as_object().into_iter().for_each(|f| keys(f, &["name", "arguments"], place, wrong));
        if call["type"] != "function" {
            wrong.push(format!("{place}: a call of type {}", call["type"]));
        }
        if id.is_empty() || used.contains(&id) {
            wrong.push(format!("{place}: the id {id:?} is empty or taken"));
        }
        if !call["function"]["name"].as_str().is_some_and(plain) {
            wrong.push(format!("{place}: a call of {}", call["function"]["name"]));
        }
        let arguments = call["function"]["arguments"].as_str();
        let parsed = arguments.and_then(|text| serde_json::from_str::<Value>(text).ok());
        if !parsed.is_some_and(|value| value.is_object()) {
            wrong.push(format!("{place}: arguments {} are no JSON text of an object", call["function"]["arguments"]));
        }
        used.push(id.clone());
        open.push(id);
    }
}
