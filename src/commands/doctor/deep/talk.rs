//! One exchange in each protocol clients speak: a question with a tool, the model's turn, and the tool's result.

use serde_json::{Value, json};

use super::super::ask::Answer;

/// The tool that is offered. The demo model calls this one too.
pub(super) const TOOL: &str = "get_weather";
/// The argument that is asked for.
pub(super) const CITY: &str = "Paris";
const ASKED: &str = "What is the weather in Paris? Call the tool get_weather with the city Paris. When its result is there, \
                     say in one short sentence what it is.";
const SYSTEM: &str = "You are a careful assistant. You use the tools you are given.";
const RESULT: &str = "18 degrees and light rain";
/// Enough for a model that thinks before it calls.
const MOST_TOKENS: u64 = 2048;

/// A protocol clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Messages,
    Responses,
    Chat,
    Gemini,
}

/// A call of the tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) name: String,
    /// JSON, as it came.
    pub(super) arguments: String,
}

/// What the model said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Turn {
    pub(super) text: String,
    pub(super) thinking: String,
    pub(super) calls: Vec<Call>,
    /// An error within the stream.
    pub(super) error: Option<String>,
}

impl Dialect {
    pub(super) const ALL: [Dialect; 4] = [Dialect::Messages, Dialect::Responses, Dialect::Chat, Dialect::Gemini];

    /// Its name, and whose it is.
    pub(super) fn title(self) -> &'static str {
        match self {
            Dialect::Messages => "Messages (Claude Code)",
            Dialect::Responses => "Responses (Codex)",
            Dialect::Chat => "Chat (OpenCode, Qwen Code)",
            Dialect::Gemini => "Gemini (Gemini CLI)",
        }
    }

    pub(super) fn path(self, model: &str) -> String {
        match self {
            Dialect::Messages => "/v1/messages".into(),
            Dialect::Responses => "/v1/responses".into(),
            Dialect::Chat => "/v1/chat/completions".into(),
            // Names of repositories hold a slash.
            Dialect::Gemini => {
                format!(
                    "/v1beta/models/{}:streamGenerateContent?alt=sse",
                    model.replace('%', "%25").replace('/', "%2F")
                )
            }
        }
    }

    /// The tool, as this protocol describes one.
    pub(super) fn tool(self) -> Value {
        let about = "Tells the weather in a city.";
        let schema = json!({
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city's name"}},
            "required": ["city"],
        });
        match self {
            Dialect::Messages => json!({"name": TOOL, "description": about, "input_schema": schema}),
            Dialect::Responses => {
                json!({"type": "function", "name": TOOL, "description": about, "parameters": schema, "strict": false})
            }
            Dialect::Chat => {
                json!({"type": "function", "function": {"name": TOOL, "description": about, "parameters": schema}})
            }
            Dialect::Gemini => {
                json!({"functionDeclarations": [{"name": TOOL, "description": about, "parametersJsonSchema": schema}]})
            }
        }
    }

    /// The question, streamed.
    pub(super) fn first(self, model: &str) -> Value {
        let tools = json!([self.tool()]);
        match self {
            Dialect::Messages => json!({
                "model": model, "max_tokens": MOST_TOKENS, "stream": true, "system": SYSTEM, "tools": tools,
                "messages": [{"role": "user", "content": ASKED}],
            }),
            Dialect::Responses => json!({
                "model": model, "max_output_tokens": MOST_TOKENS, "stream": true, "store": false, "instructions": SYSTEM,
                "tools": tools, "input": [{"role": "user", "content": [{"type": "input_text", "text": ASKED}]}],
            }),
            Dialect::Chat => json!({
                "model": model, "max_tokens": MOST_TOKENS, "stream": true, "tools": tools,
                "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ASKED}],
            }),
            Dialect::Gemini => json!({
                "systemInstruction": {"parts": [{"text": SYSTEM}]}, "tools": tools,
                "generationConfig": {"maxOutputTokens": MOST_TOKENS},
                "contents": [{"role": "user", "parts": [{"text": ASKED}]}],
            }),
        }
    }

    /// The same conversation after the model's call, with the tool's result.
    pub(super) fn second(self, mut body: Value, call: &Call) -> Value {
        let id = call.id.clone().unwrap_or_default();
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let (list, turns) = match self {
            Dialect::Messages => (
                "messages",
                vec![
                    json!({"role": "assistant", "content": [
                        {"type": "tool_use", "id": id, "name": call.name, "input": arguments}]}),
                    json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": RESULT}]}),
                ],
            ),
            Dialect::Responses => (
                "input",
                vec![
                    json!({"type": "function_call", "call_id": id, "name": call.name, "arguments": call.arguments}),
                    json!({"type": "function_call_output", "call_id": id, "output": RESULT}),
                ],
            ),
            Dialect::Chat => (
                "messages",
                vec![
                    json!({"role": "assistant", "content": null, "tool_calls": [{
                        "id": id, "type": "function",
                        "function": {"name": call.name, "arguments": call.arguments}}]}),
                    json!({"role": "tool", "tool_call_id": id, "content": RESULT}),
                ],
            ),
            Dialect::Gemini => {
                let mut asked = json!({"name": call.name, "args": arguments});
                let mut told = json!({"name": call.name, "response": {"output": RESULT}});
                if let Some(id) = &call.id {
                    (asked["id"], told["id"]) = (id.as_str().into(), id.as_str().into());
                }
                (
                    "contents",
                    vec![
                        json!({"role": "model", "parts": [{"functionCall": asked}]}),
                        json!({"role": "user", "parts": [{"functionResponse": told}]}),
                    ],
                )
            }
        };
        if let Some(all) = body[list].as_array_mut() {
            all.extend(turns);
        }
        body
    }

    /// What a stream of this protocol said.
    pub(super) fn read(self, answer: &Answer) -> Turn {
        let mut turn = Turn::default();
        for (_, event) in &answer.events {
            let error = event.pointer("/error/message").or(event.pointer("/response/error/message"));
            if let Some(error) = error.and_then(Value::as_str) {
                turn.error = Some(error.to_owned());
            }
            match self {
                Dialect::Messages => messages(event, &mut turn),
                Dialect::Responses => responses(event, &mut turn),
                Dialect::Chat => chat(event, &mut turn),
                Dialect::Gemini => gemini(event, &mut turn),
            }
        }
        turn
    }
}

fn add(text: &mut String, more: &Value) {
    text.push_str(more.as_str().unwrap_or_default());
}

fn owned(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn messages(event: &Value, turn: &mut Turn) {
    let block = &event["content_block"];
    if block["type"] == "tool_use" {
        let name = owned(&block["name"]).unwrap_or_default();
        turn.calls.push(Call { id: owned(&block["id"]), name, arguments: String::new() });
    }
    let delta = &event["delta"];
    add(&mut turn.text, &delta["text"]);
    add(&mut turn.thinking, &delta["thinking"]);
    if let Some(call) = turn.calls.last_mut() {
        add(&mut call.arguments, &delta["partial_json"]);
    }
}

fn responses(event: &Value, turn: &mut Turn) {
    match event["type"].as_str().unwrap_or_default() {
        "response.output_text.delta" => add(&mut turn.text, &event["delta"]),
        "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
            add(&mut turn.thinking, &event["delta"]);
        }
        "response.output_item.done" if event["item"]["type"] == "function_call" => {
            let item = &event["item"];
            turn.calls.push(Call {
                id: owned(&item["call_id"]),
                name: owned(&item["name"]).unwrap_or_default(),
                arguments: owned(&item["arguments"]).unwrap_or_default(),
            });
        }
        _ => {}
    }
}

fn chat(event: &Value, turn: &mut Turn) {
    let delta = &event["choices"][0]["delta"];
    add(&mut turn.text, &delta["content"]);
    add(&mut turn.thinking, &delta["reasoning_content"]);
    add(&mut turn.thinking, &delta["reasoning"]);
    for part in delta["tool_calls"].as_array().into_iter().flatten() {
        let function = &part["function"];
        let at = part["index"].as_u64().unwrap_or(0) as usize;
        if at >= turn.calls.len() {
            turn.calls.push(Call::default());
        }
        let Some(call) = turn.calls.last_mut() else { continue };
        call.id = owned(&part["id"]).or(call.id.take());
        add(&mut call.name, &function["name"]);
        add(&mut call.arguments, &function["arguments"]);
    }
}

fn gemini(event: &Value, turn: &mut Turn) {
    for part in event["candidates"][0]["content"]["parts"].as_array().into_iter().flatten() {
        let call = &part["functionCall"];
        if call.is_object() {
            turn.calls.push(Call {
                id: owned(&call["id"]),
                name: owned(&call["name"]).unwrap_or_default(),
                arguments: call["args"].to_string(),
            });
        } else if part["thought"] == true {
            add(&mut turn.thinking, &part["text"]);
        } else {
            add(&mut turn.text, &part["text"]);
        }
    }
}
