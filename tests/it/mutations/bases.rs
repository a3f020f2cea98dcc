//! Proper requests of each protocol, rich enough that a mistake anywhere in them is tried; and proper answers.

use llmup::protocol::Id;
use serde_json::{Value, json};

use super::{Base, schema};

pub fn of(id: Id) -> Vec<Base> {
    match id {
        Id::Chat => chat(),
        Id::Messages => messages(),
        Id::Responses => responses(),
        Id::Gemini => gemini(),
        Id::Ollama => ollama(),
    }
}

fn chat() -> Vec<Base> {
    let path = "/v1/chat/completions";
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "bash", "arguments": "{}"}});
    let body = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 100, "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]},
            {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
            {"role": "tool", "tool_call_id": "a", "content": "one"},
            {"role": "tool", "tool_call_id": "b", "content": "two"},
        ],
        "tools": [{"type": "function", "function": {"name": "bash", "parameters": schema()}}], "tool_choice": "auto",
    });
    vec![Base { path, body }]
}

fn messages() -> Vec<Base> {
    let body = |stream: bool| {
        json!({
            "model": "m", "max_tokens": 100, "stream": stream,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Look."},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "a", "name": "bash", "input": {"command": "ls"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "a", "is_error": true,
                        "content": [{"type": "text", "text": "no"}]},
                    {"type": "text", "text": "Go on."}]},
                {"role": "system", "content": "Late."},
            ],
            "tools": [{"name": "bash", "description": "runs", "input_schema": schema()},
                {"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
            "thinking": {"type": "enabled", "budget_tokens": 2048}, "temperature": 1, "stop_sequences": ["END"],
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            "metadata": {"user_id": "u"},
        })
    };
    vec![
        Base { path: "/v1/messages?beta=true", body: body(true) },
        Base { path: "/v1/messages", body: body(false) },
        Base { path: "/v1/messages/count_tokens", body: body(false) },
    ]
}

fn responses() -> Vec<Base> {
    let path = "/v1/responses";
    let body = |stream: bool| {
        json!({
            "model": "m", "stream": stream, "store": false, "instructions": "Be brief.", "max_output_tokens": 100,
            "input": [
                {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
                {"role": "user", "content": [{"type": "input_text", "text": "Look."},
                    {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto"}]},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "x"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
                {"type": "function_call", "call_id": "a", "name": "look", "namespace": "group", "arguments": "{}"},
                {"type": "custom_tool_call", "call_id": "b", "name": "apply_patch", "input": "*** x"},
                {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "r"}]},
                {"type": "custom_tool_call_output", "call_id": "b", "output": "done"},
            ],
            "tools": [
                {"type": "function", "name": "bash", "parameters": schema(), "strict": false},
                {"type": "custom", "name": "apply_patch",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}},
                {"type": "namespace", "name": "group", "description": "d",
                    "tools": [{"type": "function", "name": "look", "parameters": schema()}]},
                {"type": "web_search"},
            ],
            "tool_choice": "auto", "parallel_tool_calls": true, "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "temperature": 0.1,
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
        })
    };
    vec![Base { path, body: body(true) }, Base { path, body: body(false) }]
}

fn gemini() -> Vec<Base> {
    let body = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Look."}, {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]},
            {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"functionCall": {"name": "bash", "args": {"command": "ls"}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "i", "name": "bash", "args": {}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "bash", "response": {"output": "1"}}},
                {"functionResponse": {"id": "i", "name": "bash", "response": {"error": "e"}}}]},
        ],
        "tools": [{"functionDeclarations": [
            {"name": "bash", "description": "runs", "parameters": {"type": "OBJECT", "required": ["command"],
                "properties": {"command": {"type": "STRING", "nullable": true, "maxLength": "9"}}}},
            {"name": "b", "parametersJsonSchema": schema()}]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["bash"]}},
        "generationConfig": {"temperature": 0.5, "topP": 0.9, "topK": 4, "maxOutputTokens": 100,
            "stopSequences": ["END"], "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 100}},
    });
    [
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        "/v1beta/models/m:streamGenerateContent",
        "/v1/models/m%3AgenerateContent",
        "/v1beta/models/m:countTokens",
    ]
    .map(|path| Base { path, body: body.clone() })
    .into()
}

fn ollama() -> Vec<Base> {
    let body = |stream: bool| {
        json!({
            "model": "m", "stream": stream, "think": true, "keep_alive": "5m", "format": {"type": "object"},
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Look.", "images": ["QUJD"]},
                {"role": "assistant", "content": "", "thinking": "hm",
                    "tool_calls": [{"function": {"name": "bash", "arguments": {"command": "ls"}}}]},
                {"role": "tool", "tool_name": "bash", "content": "ok"},
            ],
            "tools": [{"type": "function", "function": {"name": "bash", "parameters": schema()}}],
            "options": {"temperature": 0.1, "num_predict": 100, "num_ctx": 4096, "stop": ["END"]},
        })
    };
    vec![Base { path: "/api/chat", body: body(true) }, Base { path: "/api/chat", body: body(false) }]
}

/// A chat stream: words, reasoning, or two calls whose pieces come in turn.
pub fn stream(turn: usize) -> String {
    let call = |index: u64, piece: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]});
    let open = |index: u64, id: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": "bash", "arguments": ""}}]});
    let (deltas, finish): (Vec<Value>, &str) = match turn % 3 {
        0 => (
            vec![
                json!({"role": "assistant", "content": ""}),
                json!({"content": "caf\u{e9} "}),
                json!({"content": "{}"}),
            ],
            "stop",
        ),
        1 => (vec![json!({"reasoning_content": "hm"}), json!({"content": "Yes."})], "length"),
        _ => {
            let pieces = [(0, "{\"comm"), (1, "{\"command\":"), (0, "and\":\"a\"}"), (1, "\"b\"}")];
            let pieces = pieces.iter().map(|(index, piece)| call(*index, piece));
            ([open(0, "call_a"), open(1, "call_b")].into_iter().chain(pieces).collect(), "tool_calls")
        }
    };
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let mut out = String::new();
    for delta in deltas {
        out += &chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]), Value::Null);
    }
    out += &chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}]), Value::Null);
    out += &chunk(json!([]), json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}));
    out + "data: [DONE]\n\n"
}
