//! Every kind of client in front of every kind of backend.

use super::*;

/// A backend, what it answers, and the model's turn as it must come back.
struct Case {
    backend: Backend,
    stream: String,
    back: Value,
}

fn event(value: Value) -> String {
    format!("event: {}\n{}", value["type"].as_str().unwrap(), frames(std::slice::from_ref(&value)))
}

fn cases() -> Vec<Case> {
    let claude: String = [
        json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m é"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SIG+/="}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking", "data": "SIGredacted"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "Let "}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "me"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "c1", "name": "Read", "input": {}}}),
        json!({"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{\"p\":1}"}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}}),
        json!({"type": "message_stop"}),
    ]
    .map(event)
    .concat();
    let chat = |deltas: &[Value]| {
        let chunk = |delta: &Value, end: Value| json!({"id": "a", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]});
        let mut chunks: Vec<Value> = deltas.iter().map(|delta| chunk(delta, Value::Null)).collect();
        chunks.push(chunk(&json!({}), "tool_calls".into()));
        frames(&chunks) + "data: [DONE]\n\n"
    };
    let call = json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "Read", "arguments": "{\"p\":1}"}}]});
    let details = json!({"type": "reasoning.text", "text": "hm é", "signature": "SIG", "format": "f", "index": 0});
    let router = chat(&[
        json!({"reasoning": "hm é", "reasoning_details": [{"type": "reasoning.text", "text": "hm é", "format": "f", "index": 0}]}),
        json!({"reasoning_details": [{"type": "reasoning.text", "signature": "SIG", "format": "f", "index": 0}]}),
        json!({"content": "Let me"}),
        call.clone(),
    ]);
    let mut signed = call.clone();
    signed["tool_calls"][0]["extra_content"] = json!({"google": {"thought_signature": "SIG"}});
    let google_chat = chat(&[json!({"content": "Let me"}), signed.clone()]);
    let engine = chat(&[json!({"reasoning": "hm é"}), json!({"content": "Let me"}), call.clone()]);
    let sent_call = json!({"id": "c1", "type": "function", "function": {"name": "Read", "arguments": "{\"p\":1}"}});
    let mut sent_signed = sent_call.clone();
    sent_signed["extra_content"] = signed["tool_calls"][0]["extra_content"].clone();

    let item = |item: &Value, at: u64| {
        event(
            json!({"type": "response.output_item.added", "output_index": at, "item": {"type": item["type"], "id": item["id"], "name": item["name"], "call_id": item["call_id"]}}),
        ) + &event(json!({"type": "response.output_item.done", "output_index": at, "item": item}))
    };
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm é"}], "encrypted_content": "SIG"});
    let openai = event(json!({"type": "response.created", "response": {"id": "r"}}))
        + &item(&reasoning, 0)
        + &item(
            &json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Let me", "annotations": []}]}),
            1,
        )
        + &item(
            &json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "Read", "arguments": "{\"p\":1}"}),
            2,
        )
        + &event(json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}));
    let said = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me"}]});
    let asked = json!({"type": "function_call", "call_id": "c1", "name": "Read", "arguments": "{\"p\":1}"});

    let part = |part: Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]});
    let gemini_call =
        json!({"functionCall": {"id": "c1", "name": "Read", "args": {"p": 1}}, "thoughtSignature": "SIG"});
    let gemini = frames(&[
        part(json!({"text": "hm é", "thought": true})),
        part(json!({"text": "Let "})),
        part(json!({"text": "me"})),
        part(gemini_call.clone()),
        json!({"candidates": [{"finishReason": "STOP"}]}),
    ]);
    let ollama: String = [
        json!({"message": {"role": "assistant", "thinking": "hm é", "content": ""}, "done": false}),
        json!({"message": {"role": "assistant", "content": "Let me"}, "done": false}),
        json!({"message": {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": {"name": "Read", "arguments": {"p": 1}}}]}, "done": false}),
        json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"}),
    ]
    .iter()
    .map(|line| format!("{line}\n"))
    .collect();

    let case = |backend, stream, back| Case { backend, stream, back };
    vec![
        case(
            CLAUDE,
            claude,
            json!([{"type": "thinking", "thinking": "hm é", "signature": "SIG+/="}, {"type": "redacted_thinking", "data": "SIGredacted"},
                {"type": "text", "text": "Let me"}, {"type": "tool_use", "id": "c1", "name": "Read", "input": {"p": 1}}]),
        ),
        case(
            (Id::Chat, Vendor::OpenRouter, "r/m"),
            router,
            json!({"content": "Let me", "reasoning_details": [details], "tool_calls": [sent_call]}),
        ),
        case(
            (Id::Chat, Vendor::Google, "gemini-3-pro"),
            google_chat,
            json!({"content": "Let me", "tool_calls": [sent_signed]}),
        ),
        case(
            (Id::Chat, Vendor::LlamaCpp, "m"),
            engine,
            json!({"content": "Let me", "reasoning_content": "hm é", "tool_calls": [sent_call]}),
        ),
        case(
            (Id::Responses, Vendor::OpenAi, "gpt-5"),
            openai,
            json!([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm é"}], "encrypted_content": "SIG"}, said, asked]),
        ),
        case(GOOGLE, gemini, json!([{"text": "Let me"}, gemini_call])),
        case(
            (Id::Ollama, Vendor::Ollama, "m"),
            ollama,
            json!({"content": "Let me", "thinking": "hm é",
                "tool_calls": [{"id": "c1", "function": {"name": "Read", "arguments": {"p": 1}}}]}),
        ),
    ]
}

/// What our own marks look like: none may reach a backend.
const MARKS: [&str; 12] =
    ["SIG", "am1_", "ar1_", "gm1_", "gt1_", "gc1_", "gp1_", "rs1_", "od1_", "tx1_", "bGxtdXAt", "llmup-r1"];

#[test]
fn who_made_a_proof_gets_it_back_and_nobody_else_does() {
    let cases = cases();
    let (mut tried, mut wrong) = (0, Vec::new());
    for case in &cases {
        for client in &CLIENTS {
            for framing in FRAMINGS {
                let (to, ..) = case.backend;
                let answer = told(client.speaks, to, &case.stream, framing, case.stream.len());
                let next = client.next(&answer, framing);
                let back = turn(to, &sent(client.speaks, case.backend, &next));
                let what = format!("{} {framing:?} {:?}", client.name, case.backend);
                if joined(&back) != case.back {
                    wrong.push(format!("{what}:\n  sent {back}\n  want {}\n  next {next}", case.back));
                }
                for other in cases.iter().filter(|other| other.backend != case.backend) {
                    let body = sent(client.speaks, other.backend, &next).to_string();
                    let found: Vec<&&str> = MARKS.iter().filter(|mark| body.contains(**mark)).collect();
                    // Google's chat endpoint and its own protocol have one kind of proof.
                    let related = [case, other].iter().all(|case| case.backend.1 == Vendor::Google);
                    let fine = found.is_empty() || (related && found == [&"SIG"]);
                    if !fine {
                        wrong.push(format!("{what} -> {:?}: {found:?} in {body}", other.backend));
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 400, "{tried}");
}

/// With words beside each other as one: Google's SDK for Python keeps every piece.
fn joined(turn: &Value) -> Value {
    let Some(list) = turn.as_array() else { return turn.clone() };
    let is_text = |part: &Value| {
        part["text"].is_string() && part.as_object().unwrap().keys().all(|key| key == "text" || key == "type")
    };
    let mut found: Vec<Value> = Vec::new();
    for part in list {
        match found.last_mut() {
            Some(last) if is_text(last) && is_text(part) => {
                last["text"] = format!("{}{}", last["text"].as_str().unwrap(), part["text"].as_str().unwrap()).into();
            }
            _ => found.push(part.clone()),
        }
    }
    found.into()
}

#[test]
fn a_stream_of_bytes_says_the_same() {
    for case in cases() {
        for client in &CLIENTS {
            let (to, ..) = case.backend;
            let again = |size| {
                let answer = told(client.speaks, to, &case.stream, Framing::Events, size);
                turn(to, &sent(client.speaks, case.backend, &client.next(&answer, Framing::Events)))
            };
            assert_eq!(again(1), again(case.stream.len()), "{} {:?}", client.name, case.backend);
        }
    }
}
