use serde_json::{Value, json};

use super::support::*;
use crate::gateway::{BackendState, Ready};
use crate::protocol::{Id, Vendor};

const TOOL: &str = r#"data: {"id":"chatcmpl-1","choices":[{"delta":{"role":"assistant","content":null}}]}

data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}

data: {"choices":[{"delta":{"content":"Let me look."}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"read"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"p\":"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"é\"}"}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":8}}}

data: [DONE]

"#;

const GOOG: &str = "x-goog-api-key: secret\r\n";

fn request() -> String {
    json!({
        "contents": [{"role": "user", "parts": [{"text": "look"}]}],
        "tools": [{"functionDeclarations": [{"name": "read", "parameters": {"type": "OBJECT"}}]}, {"googleSearch": {}}],
        "generationConfig": {"maxOutputTokens": 999_999, "thinkingConfig": {"includeThoughts": true}},
    })
    .to_string()
}

fn parts(chunks: &[Value]) -> Vec<Value> {
    chunks.iter().flat_map(|c| c["candidates"][0]["content"]["parts"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn gemini_cli_gets_a_tool_call_in_each_framing() {
    let (url, seen) = backend(stream(TOOL)).await;
    let running = gateway(ready(&url, false)).await;
    let expected = [
        json!({"text": "hm", "thought": true}),
        // The reasoning once more, for callers that keep no thoughts: `llmup-t1:0:2:hm`.
        json!({"text": "Let me look.", "thoughtSignature": "bGxtdXAtdDE6MDoyOmht"}),
        json!({"functionCall": {"id": "a", "name": "read", "args": {"p": "é"}}}),
    ];
    // As Gemini CLI asks (in its Vertex form), as google-genai for Python does, and without `alt=sse`.
    let path = "/v1beta1/publishers/google/models/gemini-x:streamGenerateContent?alt=sse";
    let (status, head, answer) = call(&running.address, "POST", path, GOOG, &request()).await;
    assert!(status == 200 && head.contains("text/event-stream"), "{head}");
    let events: Vec<&str> = answer.strip_suffix("\n\n").unwrap().split("\n\n").collect();
    let data = |event: &&str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    let chunks: Vec<Value> = events.iter().map(data).collect();
    assert_eq!(parts(&chunks)[..3], expected);
    let last = chunks.last().unwrap();
    assert_eq!((&last["candidates"][0]["finishReason"], &last["modelVersion"]), (&"STOP".into(), &"gemini-x".into()));
    assert_eq!(last["usageMetadata"]["cachedContentTokenCount"], 8);

    let path = "/v1beta/models/gemini-x:streamGenerateContent?key=secret";
    let (status, head, answer) = call(&running.address, "POST", path, "", &request()).await;
    assert!(status == 200 && head.contains("application/json"), "{head}");
    assert_eq!(serde_json::from_str::<Vec<Value>>(&answer).unwrap(), chunks);

    let path = "/v1/models/gemini-x%3AgenerateContent";
    let (status, head, answer) = call(&running.address, "POST", path, GOOG, &request()).await;
    assert!(status == 200 && head.contains("application/json"), "{head}");
    assert_eq!(parts(&[serde_json::from_str(&answer).unwrap()]), expected);

    let sent: Value = serde_json::from_str(&seen.requests.lock().unwrap()[0].1).unwrap();
    assert_eq!((&sent["model"], &sent["stream"]), (&"engine-name".into(), &true.into()));
    assert_eq!(sent["tools"][0]["function"]["parameters"]["type"], "object");
    assert!(sent["max_tokens"].as_u64().unwrap() < 4096, "{sent}");
    assert_eq!(running.counters.read().dropped, 3, "googleSearch, three times");
}

#[tokio::test]
async fn a_cut_answer_is_an_error_in_each_framing() {
    let half = &TOOL[..TOOL.find("finish_reason").unwrap() - 40];
    let (url, _) = backend(Script::Say(stream_bytes(half, false))).await;
    let running = gateway(ready(&url, false)).await;
    let path = |verb: &str| format!("/v1beta/models/m:{verb}");
    let sse = path("streamGenerateContent?alt=sse");
    let (_, _, body) = call(&running.address, "POST", &sse, GOOG, &request()).await;
    let last = body.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("data: {\"error\":{\"code\":502") && !body.contains("finishReason"), "{body}");
    let (_, _, body) = call(&running.address, "POST", &path("streamGenerateContent"), GOOG, &request()).await;
    let array: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!(array.last().unwrap()["error"]["status"], "UNAVAILABLE");
    let (status, _, body) = call(&running.address, "POST", &path("generateContent"), GOOG, &request()).await;
    assert!(status == 502 && body.contains("UNAVAILABLE"), "{body}");
}

#[tokio::test]
async fn an_overflow_names_both_numbers() {
    let full = r#"{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens)","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#;
    let (url, _) = backend(reply("400 Bad Request", "application/json", full)).await;
    let running = gateway(ready(&url, false)).await;
    let path = "/v1beta/models/m:streamGenerateContent?alt=sse";
    let (status, _, body) = call(&running.address, "POST", path, GOOG, &request()).await;
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &error["error"]["status"]), (400, &"INVALID_ARGUMENT".into()));
    assert!(body.contains("9000") && body.contains("4096"), "{body}");
}

#[tokio::test]
async fn tokens_are_counted_with_tools_and_an_estimate_says_so() {
    let path = "/v1beta/models/m:countTokens";
    let (url, seen) = backend(reply("200 OK", "application/json", r#"{"prompt":"p","tokens":[1,2,3]}"#)).await;
    let running = gateway(ready(&url, false)).await;
    let wrapped = format!(r#"{{"generateContentRequest":{}}}"#, request());
    for body in [request(), wrapped] {
        let (_, head, answer) = call(&running.address, "POST", path, GOOG, &body).await;
        assert_eq!(answer, r#"{"totalTokens":3}"#);
        assert!(!head.contains("llmup-estimate"));
    }
    let asked: Value = serde_json::from_str(&seen.requests.lock().unwrap()[2].1).unwrap();
    assert_eq!(asked["tools"][0]["function"]["name"], "read");
    let (url, _) = backend(reply("404 Not Found", "text/plain", "")).await;
    let running = gateway(ready(&url, false)).await;
    let (status, head, answer) = call(&running.address, "POST", path, GOOG, &request()).await;
    assert!(status == 200 && head.contains("llmup-estimate: true"), "{head}");
    let plain = serde_json::from_str::<Value>(&answer).unwrap()["totalTokens"].as_u64().unwrap();
    // A picture counts as one, not as the text it travels in.
    let picture =
        json!({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "A".repeat(400_000)}}]}]});
    let (_, _, answer) = call(&running.address, "POST", path, GOOG, &picture.to_string()).await;
    let pictured = serde_json::from_str::<Value>(&answer).unwrap()["totalTokens"].as_u64().unwrap();
    assert!(plain > 20 && pictured > 500 && pictured < 2_000, "{plain} {pictured}");
}

#[tokio::test]
async fn models_are_listed_in_googles_words_to_its_callers() {
    let running = gateway(ready("http://127.0.0.1:1", false)).await;
    for (path, headers) in [
        ("/v1beta/models", KEY),
        ("/v1/models", GOOG),
        ("/v1/models?key=secret", ""),
        ("/v1beta1/publishers/google/models", GOOG),
    ] {
        let (status, _, body) = call(&running.address, "GET", path, headers, "").await;
        let list: Value = serde_json::from_str(&body).unwrap();
        let model = &list["models"][0];
        assert_eq!((status, &model["name"], &model["inputTokenLimit"]), (200, &"models/my-model".into(), &4096.into()));
    }
    let (status, _, body) = call(&running.address, "GET", "/v1/models/my-model", GOOG, "").await;
    assert!(status == 200 && body.contains(r#""name":"models/my-model""#), "{body}");
    let (status, _, body) = call(&running.address, "GET", "/v1beta/models/other", GOOG, "").await;
    assert!(status == 404 && body.contains("NOT_FOUND"), "{body}");
}

#[tokio::test]
async fn embeddings_come_from_the_engines_own_route() {
    let answer = r#"{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1.5,2]}]}"#;
    let (url, seen) = backend(reply("200 OK", "application/json", answer)).await;
    let running = gateway(ready(&url, false)).await;
    let one =
        |text: &str| json!({"model": "models/e", "content": {"parts": [{"text": text}]}, "outputDimensionality": 2});
    let body = json!({"requests": [one("a"), one("b")]}).to_string();
    let (_, _, answer) = call(&running.address, "POST", "/v1beta/models/e:batchEmbedContents", GOOG, &body).await;
    assert_eq!(answer, r#"{"embeddings":[{"values":[1.5,2]},{"values":[3,4]}]}"#);
    let (head, sent) = seen.requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /v1/embeddings "), "{head}");
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent, json!({"model": "engine-name", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2}));

    let (url, _) = backend(reply("200 OK", "application/json", r#"{"data":[{"embedding":[1]}]}"#)).await;
    let running = gateway(ready(&url, false)).await;
    let single = "/v1beta/models/e:embedContent";
    let (_, _, answer) = call(&running.address, "POST", single, GOOG, &one("a").to_string()).await;
    assert_eq!(answer, r#"{"embedding":{"values":[1]}}"#);

    let refused =
        r#"{"error":{"code":501,"message":"This server does not support embeddings","type":"not_supported_error"}}"#;
    let (url, _) = backend(reply("501 Not Implemented", "application/json", refused)).await;
    let running = gateway(ready(&url, false)).await;
    let (status, _, body) = call(&running.address, "POST", single, GOOG, &one("a").to_string()).await;
    assert!(status == 501 && body.contains("UNIMPLEMENTED") && body.contains("embeddings"), "{body}");
}

/// Google's own answer: a thought, and a call whose proof must come back.
const GOOGLE: &str = r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hm","thought":true}]},"index":0}],"responseId":"r1"}

data: {"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"Read","args":{"p":"é"}},"thoughtSignature":"cHJvb2Y="}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":15}}

"#;

fn google(url: &str, native: bool) -> BackendState {
    BackendState::from(Ready {
        speaks: Id::Gemini,
        native: if native { vec![Id::Gemini] } else { vec![] },
        vendor: Vendor::Google,
        api_key: Some("engine-key".to_owned()),
        ..Ready::chat(url, "gemini-3-pro")
    })
}

#[tokio::test]
async fn claude_code_gets_an_answer_of_googles_and_its_proof_comes_back() {
    let (url, seen) = backend(stream(GOOGLE)).await;
    let running = gateway(google(&url, false)).await;
    let tools = json!([{"name": "Read", "input_schema": {"type": "object"}}]);
    let ask =
        |messages: Value| json!({"model": "c", "max_tokens": 99, "tools": tools, "messages": messages}).to_string();
    let user = json!({"role": "user", "content": "hi"});
    let (status, _, body) = call(&running.address, "POST", "/v1/messages", KEY, &ask(json!([user]))).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &answer["stop_reason"], &answer["usage"]["output_tokens"]),
        (200, &"tool_use".into(), &5.into())
    );
    let content = answer["content"].as_array().unwrap();
    let call_block = content.last().unwrap();
    assert_eq!((&call_block["name"], &call_block["input"]), (&"Read".into(), &json!({"p": "é"})));
    let (head, sent) = seen.requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /v1beta/models/gemini-3-pro:streamgeneratecontent?alt=sse "), "{head}");
    assert!(head.contains("x-goog-api-key: engine-key"), "{head}");
    let sent: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(sent["tools"][0]["functionDeclarations"][0]["name"], "Read");
    assert_eq!(sent["generationConfig"]["maxOutputTokens"], 99);

    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_block["id"], "content": "x"}]});
    let again = json!([user, {"role": "assistant", "content": content}, result]);
    call(&running.address, "POST", "/v1/messages", KEY, &ask(again)).await;
    let sent: Value = serde_json::from_str(&seen.requests.lock().unwrap()[1].1).unwrap();
    let part = &sent["contents"][1]["parts"][0];
    assert_eq!(
        (&part["functionCall"]["name"], &part["thoughtSignature"]),
        (&"Read".into(), &"cHJvb2Y=".into()),
        "{sent}"
    );
    assert_eq!(sent["contents"][2]["parts"][0]["functionResponse"]["response"], json!({"output": "x"}));
}

#[tokio::test]
async fn gemini_to_gemini_goes_through_as_bytes() {
    let (url, seen) = backend(stream(GOOGLE)).await;
    let running = gateway(google(&url, true)).await;
    let path = "/v1/models/alias%3AstreamGenerateContent?alt=sse";
    let (status, _, answer) = call(&running.address, "POST", path, GOOG, &request()).await;
    assert_eq!((status, answer.as_str()), (200, GOOGLE));
    let (head, sent) = seen.requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("post /v1beta/models/gemini-3-pro:streamgeneratecontent?alt=sse "), "{head}");
    assert_eq!(sent, request());
    assert_eq!(running.counters.read().output_tokens, 5);
}
