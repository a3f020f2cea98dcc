use serde_json::{Value, json};

use super::support::*;

const HELLO: &str = r#"data: {"id":"c1","choices":[{"delta":{"role":"assistant","content":"Hello"}}]}

data: {"choices":[{"delta":{"content":" there"}}]}

data: {"choices":[{"delta":{},"finish_reason":"stop"}]}

data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2}}

data: [DONE]

"#;

const PATCH: &str = r#"data: {"id":"c1","choices":[{"delta":{"reasoning_content":"hm"}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"apply_patch","arguments":"{\"inp"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"ut\":\"*** Begin\\nx"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}},{"index":1,"id":"b","function":{"name":"agents__close","arguments":"{\"id\":1}"}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}

data: [DONE]

"#;

async fn post(running: &Running, path: &str, body: &Value) -> (u16, String) {
    let (status, _, answer) = call(&running.address, "POST", path, KEY, &body.to_string()).await;
    (status, answer)
}

async fn fetch(running: &Running, method: &str, path: &str) -> (u16, Value) {
    let (status, _, answer) = call(&running.address, method, path, KEY, "").await;
    (status, serde_json::from_str(&answer).unwrap())
}

fn last(stream: &str) -> Value {
    let data = stream.lines().rfind(|line| line.starts_with("data: ")).unwrap();
    serde_json::from_str(&data["data: ".len()..]).unwrap()
}

fn sent(seen: &Seen, at: usize) -> Value {
    serde_json::from_str(&seen.requests.lock().unwrap()[at].1).unwrap()
}

#[tokio::test]
async fn a_conversation_goes_on_from_a_kept_response_streamed_or_not() {
    let (url, seen) = backend(stream(HELLO)).await;
    let running = gateway(ready(&url, false)).await;
    let first = json!({"model": "m", "instructions": "be kind", "input": "hi", "stream": true});
    let (status, answer) = post(&running, "/v1/responses", &first).await;
    assert_eq!(status, 200);
    let response = last(&answer)["response"].take();
    let id = response["id"].as_str().unwrap();
    let second = json!({"model": "m", "previous_response_id": id, "input": [{"role": "user", "content": "and now?"}]});
    let (status, answer) = post(&running, "/v1/responses", &second).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["previous_response_id"], &answer["status"]), (&id.into(), &"completed".into()));
    let messages = sent(&seen, 1)["messages"].take();
    let said: Vec<_> =
        messages.as_array().unwrap().iter().map(|m| (m["role"].as_str().unwrap(), m["content"].clone())).collect();
    assert_eq!(
        said,
        [("user", json!("hi")), ("assistant", json!("Hello there")), ("user", json!("and now?"))],
        "no instructions"
    );
    // The third goes on from the second, though the first was deleted.
    let (status, deleted) = fetch(&running, "DELETE", &format!("/v1/responses/{id}")).await;
    assert_eq!((status, deleted), (200, json!({"id": id, "object": "response", "deleted": true})));
    let third = json!({"model": "m", "previous_response_id": answer["id"], "input": "go on", "store": false});
    assert_eq!(post(&running, "/v1/responses", &third).await.0, 200);
    assert_eq!(sent(&seen, 2)["messages"].as_array().unwrap().len(), 5);
    let (status, problem) =
        post(&running, "/v1/responses", &json!({"model": "m", "previous_response_id": id, "input": "x"})).await;
    assert!(status == 404 && problem.contains(&format!("Previous response with id '{id}' not found")), "{problem}");
    assert_eq!(seen.requests.lock().unwrap().len(), 3, "nothing was asked without the history");
}

#[tokio::test]
async fn kept_responses_can_be_looked_at() {
    let (url, _) = backend(stream(HELLO)).await;
    let running = gateway(ready(&url, false)).await;
    let (_, answer) = post(&running, "/v1/responses", &json!({"model": "m", "input": [{"role": "user", "content": "one"}, {"role": "user", "content": "two", "id": "mine"}]})).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let path = format!("/v1/responses/{}", answer["id"].as_str().unwrap());
    assert_eq!(fetch(&running, "GET", &path).await, (200, answer));
    let (_, items) = fetch(&running, "GET", &format!("{path}/input_items")).await;
    let said: Vec<_> = items["data"].as_array().unwrap().iter().map(|item| item["content"].as_str().unwrap()).collect();
    assert_eq!((said, &items["first_id"], &items["has_more"]), (vec!["two", "one"], &"mine".into(), &false.into()));
    let (_, items) = fetch(&running, "GET", &format!("{path}/input_items?order=asc&limit=1")).await;
    assert_eq!((&items["data"][0]["content"], &items["has_more"]), (&"one".into(), &true.into()));
    let after = items["last_id"].as_str().unwrap();
    let (_, items) = fetch(&running, "GET", &format!("{path}/input_items?order=asc&after={after}")).await;
    assert_eq!(items["data"][0]["content"], "two");
    assert_eq!(fetch(&running, "POST", &format!("{path}/cancel")).await.0, 400);
    assert_eq!(fetch(&running, "GET", "/v1/responses/resp_nobody").await.0, 404);
    assert_eq!(fetch(&running, "DELETE", "/v1/responses/resp_nobody").await.0, 404);
    // Without a key there is nothing to see.
    assert_eq!(call(&running.address, "GET", &path, "", "").await.0, 401);
}

#[tokio::test]
async fn what_shall_not_be_kept_is_not() {
    let (url, _) = backend(stream(HELLO)).await;
    let running = gateway(ready(&url, false)).await;
    for streamed in [true, false] {
        let (_, answer) =
            post(&running, "/v1/responses", &json!({"model": "m", "input": "x", "store": false, "stream": streamed}))
                .await;
        let response = if streamed { last(&answer)["response"].take() } else { serde_json::from_str(&answer).unwrap() };
        assert_eq!(fetch(&running, "GET", &format!("/v1/responses/{}", response["id"].as_str().unwrap())).await.0, 404);
    }
    for body in [
        json!({"model": "m", "input": "x", "background": true}),
        json!({"model": "m", "input": "x", "conversation": "c", "previous_response_id": "resp_1"}),
    ] {
        assert_eq!(post(&running, "/v1/responses", &body).await.0, 400);
    }
}

#[tokio::test]
async fn items_that_are_referred_to_are_found() {
    let (url, seen) = backend(stream(HELLO)).await;
    let running = gateway(ready(&url, false)).await;
    let (_, answer) = post(&running, "/v1/responses", &json!({"model": "m", "input": "hi"})).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let input = json!([{"role": "user", "content": "hi"}, {"type": "item_reference", "id": answer["output"][0]["id"]},
                       {"type": "item_reference", "id": "unknown"}, {"role": "user", "content": "more"}]);
    assert_eq!(post(&running, "/v1/responses", &json!({"model": "m", "input": input, "store": false})).await.0, 200);
    assert_eq!(sent(&seen, 1)["messages"][1], json!({"role": "assistant", "content": "Hello there"}));
}

#[tokio::test]
async fn codex_gets_its_own_kinds_of_tools_back() {
    let (url, seen) = backend(stream(PATCH)).await;
    let running = gateway(ready(&url, false)).await;
    let body = json!({"model": "m", "stream": true, "store": false, "include": ["reasoning.encrypted_content"], "input": "patch it",
        "tools": [{"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
                  {"type": "namespace", "name": "agents", "tools": [{"type": "function", "name": "close", "parameters": {"type": "object"}}]},
                  {"type": "web_search"}]});
    let (_, answer) = post(&running, "/v1/responses", &body).await;
    assert!(answer.contains(r#""delta":"*** Begin\nx""#), "{answer}");
    let output = last(&answer)["response"]["output"].take();
    assert_eq!(output[0]["encrypted_content"], "llmup-r1:0:hm");
    assert_eq!((&output[1]["type"], &output[1]["input"]), (&"custom_tool_call".into(), &"*** Begin\nx".into()));
    assert_eq!((&output[2]["name"], &output[2]["namespace"]), (&"close".into(), &"agents".into()));
    let offered = sent(&seen, 0)["tools"].take();
    let names: Vec<_> =
        offered.as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["apply_patch", "agents__close"]);
    // Codex sends everything back.
    let mut input = vec![json!({"role": "user", "content": "patch it"})];
    input.extend(output.as_array().unwrap().iter().cloned());
    input.push(json!({"type": "custom_tool_call_output", "call_id": "a", "output": "Done"}));
    input.push(json!({"type": "function_call_output", "call_id": "b", "output": "closed"}));
    let mut next = body.clone();
    next["input"] = input.into();
    assert_eq!(post(&running, "/v1/responses", &next).await.0, 200);
    let messages = sent(&seen, 1)["messages"].take();
    assert_eq!(messages[1]["reasoning_content"], "hm");
    assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], r#"{"input":"*** Begin\nx"}"#);
    assert_eq!(messages[1]["tool_calls"][1]["function"]["name"], "agents__close");
    assert_eq!((&messages[2]["content"], &messages[3]["content"]), (&"Done".into(), &"closed".into()));
    assert_eq!(running.counters.read().dropped, 2, "web_search, twice");
}

#[tokio::test]
async fn a_conversation_is_compacted_by_the_model_and_goes_on() {
    let (url, seen) = backend(stream(HELLO)).await;
    let running = gateway(ready(&url, false)).await;
    let body = json!({"model": "m", "instructions": "be kind", "tools": [{"type": "function", "name": "f"}], "input": [
        {"type": "message", "role": "user", "content": "do it"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "done"}]}]});
    let (status, answer) = post(&running, "/v1/responses/compact", &body).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["object"], &answer["usage"]["total_tokens"]), (&"response.compaction".into(), &12.into()));
    let output = &answer["output"];
    assert_eq!(
        (output[0]["content"][0]["text"].as_str(), output[1]["type"].as_str()),
        (Some("do it"), Some("compaction"))
    );
    assert_eq!(output.as_array().unwrap().len(), 2);
    let asked = sent(&seen, 0);
    assert!(
        asked["messages"].as_array().unwrap().len() == 4
            && asked["messages"][0]["content"] == "be kind"
            && asked["tools"].is_null()
    );
    let mut input = output.as_array().unwrap().clone();
    input.push(json!({"role": "user", "content": "go on"}));
    assert_eq!(post(&running, "/v1/responses", &json!({"model": "m", "input": input})).await.0, 200);
    let said = sent(&seen, 1)["messages"][0]["content"].take();
    assert_eq!(said, "do it\n[Summary of the conversation so far]\nHello there\ngo on");
    assert_eq!(post(&running, "/v1/responses/compact", &json!({"model": "m", "input": []})).await.0, 400);
}

#[tokio::test]
async fn a_cut_answer_fails_in_words_codex_reads() {
    let half = &HELLO[..HELLO.find("finish_reason").unwrap() - 30];
    let (url, _) = backend(stream(half)).await;
    let running = gateway(ready(&url, false)).await;
    let (_, answer) = post(&running, "/v1/responses", &json!({"model": "m", "input": "x", "stream": true})).await;
    let failed = last(&answer);
    assert_eq!(
        (&failed["type"], &failed["response"]["error"]["code"]),
        (&"response.failed".into(), &"server_error".into())
    );
    let id = failed["response"]["id"].as_str().unwrap();
    assert_eq!(fetch(&running, "GET", &format!("/v1/responses/{id}")).await.0, 404, "not kept");
}
