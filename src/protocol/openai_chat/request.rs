//! A chat request, written so that strict templates take it: one system message and it comes first, roles merged,
//! every tool call followed by its results and nothing between.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::protocol::ir::{Choice, Format, Part, Request, Role, ToolUse, Turn};
use crate::protocol::media;

pub(super) fn encode(request: &Request<'_>, model: &str) -> Vec<u8> {
    let mut body = Map::new();
    body.insert("model".into(), model.into());
    let mut messages = Messages::default();
    if !request.system.is_empty() {
        messages.list.push(json!({"role": "system", "content": request.system.join("\n\n")}));
    }
    request.turns.iter().for_each(|turn| messages.turn(turn));
    messages.flush();
    body.insert("messages".into(), messages.list.into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({"include_usage": true}));
    if let Some(limit) = request.max_tokens {
        body.insert("max_tokens".into(), limit.into());
    }
    for (name, value) in &request.sampling {
        body.insert((*name).into(), raw(value));
    }
    if !request.stop.is_empty() {
        body.insert("stop".into(), json!(request.stop));
    }
    if !request.tools.is_empty() {
        tools(request, &mut body);
    }
    if let Format::Schema { name, schema, strict } = &request.format {
        let name = name.as_deref().unwrap_or("answer");
        let schema = json!({"name": name, "schema": raw(schema), "strict": strict.unwrap_or(true)});
        body.insert("response_format".into(), json!({"type": "json_schema", "json_schema": schema}));
    }
    if let Some(thinking) = request.reasoning.enabled {
        body.insert("chat_template_kwargs".into(), json!({"enable_thinking": thinking}));
    }
    if let Some(effort) = request.reasoning.effort.as_deref().filter(|_| request.reasoning.enabled != Some(false)) {
        // Engines know three levels.
        let effort = match effort {
            "minimal" | "low" => "low",
            "medium" => "medium",
            _ => "high",
        };
        body.insert("reasoning_effort".into(), effort.into());
    }
    Value::Object(body).to_string().into_bytes()
}

fn raw(value: &RawValue) -> Value {
    serde_json::from_str(value.get()).unwrap_or(Value::Null)
}

fn tools(request: &Request<'_>, body: &mut Map<String, Value>) {
    let tools = request.tools.iter().map(|tool| {
        let schema = tool.schema.as_deref().map(raw).filter(Value::is_object);
        let mut function = json!({
            "name": tool.name,
            "parameters": schema.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        });
        if let Some(description) = &tool.description {
            function["description"] = description.as_ref().into();
        }
        if let Some(strict) = tool.strict {
            function["strict"] = strict.into();
        }
        json!({"type": "function", "function": function})
    });
    body.insert("tools".into(), tools.collect());
    let choice = match &request.choice {
        Choice::Unset => None,
        Choice::Auto => Some("auto".into()),
        Choice::Any => Some("required".into()),
        Choice::None => Some("none".into()),
        Choice::Named(name) => Some(json!({"type": "function", "function": {"name": name}})),
    };
    body.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
    if let Some(parallel) = request.parallel {
        body.insert("parallel_tool_calls".into(), parallel.into());
    }
}

#[derive(Default)]
struct Messages {
    list: Vec<Value>,
    /// Calls of the last assistant turn that have no result yet.
    open: Vec<String>,
}

impl Messages {
    fn turn(&mut self, turn: &Turn<'_>) {
        match turn.role {
            Role::Assistant => {
                self.flush();
                self.assistant(&turn.parts);
            }
            Role::User => self.user(&turn.parts),
        }
    }

    /// Templates and servers refuse a call without a result: one that never came is said so.
    fn flush(&mut self) {
        for id in std::mem::take(&mut self.open) {
            self.list
                .push(json!({"role": "tool", "tool_call_id": id, "content": "[no result: the call was interrupted]"}));
        }
    }

    fn assistant(&mut self, parts: &[Part<'_>]) {
        let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
        for part in parts {
            match part {
                Part::Text(more) => text.push_str(more),
                Part::Thinking { text: more, .. } => thinking.push_str(more),
                Part::ToolUse(ToolUse { id, name, input, .. }) => {
                    self.open.push(id.as_ref().to_owned());
                    let function = json!({"name": name, "arguments": input});
                    calls.push(json!({"id": id, "type": "function", "function": function}));
                }
                Part::Media(_) | Part::ToolResult { .. } => {}
            }
        }
        // Never without content: some servers refuse an assistant message that only thought.
        let mut message = json!({"role": "assistant", "content": text});
        if !thinking.is_empty() {
            message["reasoning_content"] = thinking.into();
        }
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        self.list.push(message);
    }

    fn user(&mut self, parts: &[Part<'_>]) {
        let mut rest: Vec<Content<'_>> = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => rest.push(Content::Text(Cow::Borrowed(text))),
                Part::Media(media) => rest.extend(media::to_url(&media.source).map(Content::Image)),
                Part::ToolResult { id, parts, is_error } => {
                    let mut text = String::from(if *is_error { "[tool error] " } else { "" });
                    let mut first = true;
                    for part in parts {
                        match part {
                            Part::Text(more) => {
                                if !std::mem::take(&mut first) {
                                    text.push('\n');
                                }
                                text.push_str(more);
                            }
                            Part::Media(media) => rest.extend(media::to_url(&media.source).map(Content::Image)),
                            _ => {}
                        }
                    }
                    if let Some(at) = self.open.iter().position(|open| open == id) {
                        self.open.remove(at);
                        self.list.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
                    } else {
                        // The call was cut out of the history: its result is only something to know.
                        rest.push(Content::Text(format!("[tool result] {text}").into()));
                    }
                }
                Part::Thinking { .. } | Part::ToolUse(_) => {}
            }
        }
        self.flush();
        if rest.is_empty() {
            return;
        }
        let content = if rest.iter().all(|part| matches!(part, Content::Text(_))) {
            let texts = rest.iter().map(|part| match part {
                Content::Text(text) => text.as_ref(),
                Content::Image(_) => "",
            });
            Value::from(texts.collect::<Vec<_>>().join("\n"))
        } else {
            rest.iter()
                .map(|part| match part {
                    Content::Text(text) => json!({"type": "text", "text": text}),
                    Content::Image(url) => json!({"type": "image_url", "image_url": {"url": url}}),
                })
                .collect()
        };
        self.list.push(json!({"role": "user", "content": content}));
    }
}

enum Content<'a> {
    Text(Cow<'a, str>),
    Image(Cow<'a, str>),
}
