use serde_json::{Value, json};

use crate::protocol::Inbound;
use crate::protocol::gemini::Gemini;
use crate::protocol::ir::{Choice, Format, Part, Request, Role, Source};

/// The turns in a form that can be compared.
fn turns(request: &Request<'_>) -> Vec<String> {
    fn show(part: &Part<'_>) -> String {
        match part {
            Part::Text(text) => format!("text {text}"),
            Part::Thinking { text, signature } => format!("thought {text} {}", signature.as_deref().unwrap_or("-")),
            Part::Media(media) => match &media.source {
                Source::Base64 { media_type, data } => format!("{:?} {media_type} {data}", media.kind),
                Source::Url(url) => format!("{:?} at {url}", media.kind),
                Source::File(file) => format!("{:?} file {file}", media.kind),
            },
            Part::ToolUse(call) => {
                let proof = call.signature.as_deref().unwrap_or("-");
                format!("call {} {} {} {proof}", call.id, call.name, call.input)
            }
            Part::ToolResult { id, parts, is_error } => {
                let inner: Vec<String> = parts.iter().map(show).collect();
                format!("result {id} {}{}", if *is_error { "failed " } else { "" }, inner.join("+"))
            }
        }
    }
    let line = |(role, parts): (Role, Vec<String>)| format!("{role:?}: {}", parts.join(" | "));
    request.turns.iter().map(|turn| line((turn.role, turn.parts.iter().map(show).collect()))).collect()
}

#[test]
fn both_spellings_and_short_forms_are_one_request() {
    let long = json!({
        "systemInstruction": {"role": "user", "parts": [{"text": "S"}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "-_=="}}]}],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"maxOutputTokens": 9, "topK": 64, "stopSequences": ["X"], "responseMimeType": "application/json",
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 5}},
    });
    let short = json!({
        "system_instruction": "S",
        "contents": {"parts": [{"text": "hi"}, {"inline_data": {"mime_type": "image/png", "data": "-_=="}}]},
        "tools": {"function_declarations": {"name": "f", "parameters_json_schema": {"type": "object"}}},
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "generation_config": {"max_output_tokens": "9", "top_k": 64.0, "stop_sequences": ["X"], "response_mime_type": "application/json",
            "thinking_config": {"include_thoughts": true, "thinking_budget": "5"}},
    });
    let wrapped = json!({"generateContentRequest": long});
    for body in [long, short, wrapped].map(|body| body.to_string()) {
        let request = Gemini.decode_request(body.as_bytes()).unwrap();
        assert_eq!(request.system, ["S"]);
        assert_eq!(turns(&request), ["User: text hi | Image image/png +/=="]);
        assert_eq!(request.tools[0].schema.as_deref().unwrap().get(), r#"{"type":"object"}"#);
        assert_eq!(request.choice, Choice::Named("f".into()));
        assert_eq!((request.max_tokens, request.stop.len()), (Some(9), 1));
        assert_eq!((request.sampling[0].0, request.sampling[0].1.get()), ("top_k", "64"));
        assert!(matches!(request.format, Format::Json));
        assert_eq!((request.reasoning.show, request.reasoning.budget), (Some(true), Some(5)));
        assert!(request.dropped.is_empty(), "{:?}", request.dropped);
    }
}

#[test]
fn calls_without_ids_are_paired_by_name_and_order_and_the_same_each_time() {
    let call = |name: &str, n: u32| json!({"functionCall": {"name": name, "args": {"n": n}}});
    let said = |name: &str, what: &str| json!({"functionResponse": {"name": name, "response": {"output": what}}});
    let mut contents = vec![
        json!({"parts": [{"text": "go"}]}),
        json!({"role": "model", "parts": [{"text": "so"}, call("f", 1), call("g", 2), call("f", 3)]}),
        json!({"role": "function", "parts": [{"text": "note"}, said("f", "one"), said("f", "three")]}),
        json!({"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {"error": "no"}}}]}),
    ];
    let expected = [
        "User: text go",
        r#"Assistant: text so | call gemini_call_0 f {"n":1} - | call gemini_call_1 g {"n":2} - | call gemini_call_2 f {"n":3} -"#,
        "User: result gemini_call_0 text one | result gemini_call_2 text three | result gemini_call_1 failed text no | text note",
        r#"Assistant: call gemini_call_3 f {"n":4} -"#,
    ];
    let body = json!({"contents": contents}).to_string();
    assert_eq!(turns(&Gemini.decode_request(body.as_bytes()).unwrap()), expected[..3]);
    contents.push(json!({"role": "model", "parts": [call("f", 4)]}));
    let body = json!({"contents": contents}).to_string();
    assert_eq!(turns(&Gemini.decode_request(body.as_bytes()).unwrap()), expected);
}

#[test]
fn ids_and_proofs_are_kept_and_dummies_are_not() {
    let body = json!({"contents": [
        {"role": "model", "parts": [
            {"text": "t", "thought": true, "thoughtSignature": "P0"},
            {"functionCall": {"id": "x", "name": "f"}, "thoughtSignature": "P1"},
            {"functionCall": {"id": "x", "name": "f"}, "thoughtSignature": "skip_thought_signature_validator"},
            {"functionCall": {"id": "y", "name": "f", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "y", "name": "f", "response": {"a": 1}}},
            {"functionResponse": {"id": "x", "name": "f", "response": {"result": {"b": 2}},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "QQ=="}}]}},
            {"functionResponse": {"id": "x", "name": "f", "response": {"output": ""}}},
            {"functionResponse": {"id": "lost", "name": "h", "response": {"output": "o"}}},
        ]},
    ]})
    .to_string();
    assert_eq!(
        turns(&Gemini.decode_request(body.as_bytes()).unwrap()),
        [
            "Assistant: thought t gm1_P0 | call x f {} gm1_P1 | call gemini_call_1 f {} - | call y f {} -",
            r#"User: result y text {"a":1} | result x text {"b":2}+Image image/png QQ== | result gemini_call_1  | result lost text o"#,
        ]
    );
}

#[test]
fn what_has_no_place_is_named_and_code_becomes_text() {
    let body = json!({
        "contents": [{"parts": [
            {"executableCode": {"language": "PYTHON", "code": "1+1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
            {"toolCall": {"x": 1}}, {"text": ""},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://files.example/a.pdf"}},
            {"fileData": {"fileUri": "https://files.example/a.png"}}, {"fileData": {"fileUri": "files/abc"}},
            {"inlineData": {"mimeType": "text/csv", "data": "YSxi"}},
        ]}],
        "tools": [{"googleSearch": {}}, {"urlContext": {}, "functionDeclarations": [{"name": "f",
            "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}}}]}],
        "generationConfig": {"candidateCount": 2, "seed": 7, "presencePenalty": 0.5,
            "responseSchema": {"type": "OBJECT", "properties": {"b": {"type": "BOOLEAN"}}},
            "thinkingConfig": {"thinkingBudget": 0, "thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}},
        "safetySettings": [], "labels": {"a": "b"}, "cachedContent": "c",
    })
    .to_string();
    let request = Gemini.decode_request(body.as_bytes()).unwrap();
    assert_eq!(
        turns(&request),
        ["User: text ```python\n1+1\n``` | text ```\n2\n``` | Document at https://files.example/a.pdf \
          | Image at https://files.example/a.png | Document file files/abc | text a,b"]
    );
    let dropped = [
        "part toolCall",
        "tool googleSearch",
        "tool urlContext",
        "candidateCount",
        "safetySettings",
        "labels",
        "cachedContent",
    ];
    assert_eq!(request.dropped, dropped);
    let schema: Value = serde_json::from_str(request.tools[0].schema.as_deref().unwrap().get()).unwrap();
    assert_eq!(schema, json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}));
    let Format::Schema { schema, .. } = &request.format else { panic!("{:?}", request.format) };
    let schema: Value = serde_json::from_str(schema.get()).unwrap();
    assert_eq!(schema, json!({"type": "object", "properties": {"b": {"type": "boolean"}}}));
    assert_eq!((request.reasoning.enabled, request.reasoning.show), (Some(false), Some(false)));
    assert_eq!(request.reasoning.effort, None);
    let names: Vec<&str> = request.sampling.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["seed", "presence_penalty"]);
}

#[test]
fn several_allowed_functions_are_a_filter_and_unknown_ones_an_error() {
    let body = |mode: &str, allowed: &[&str]| {
        json!({"contents": "hi", "tools": [{"functionDeclarations": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": allowed}}})
        .to_string()
    };
    for (mode, choice, left) in
        [("ANY", Choice::Any, 2), ("VALIDATED", Choice::Auto, 2), ("AUTO", Choice::Auto, 3), ("NONE", Choice::None, 3)]
    {
        let body = body(mode, &["a", "c"]);
        let request = Gemini.decode_request(body.as_bytes()).unwrap();
        assert_eq!((&request.choice, request.tools.len()), (&choice, left), "{mode}");
    }
    assert_eq!(Gemini.decode_request(body("ANY", &["z"]).as_bytes()).unwrap_err().status(), 400);
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    for (body, word) in [
        (r#"{"contents":[]}"#, "contents"),
        (r#"{}"#, "contents"),
        (r#"{"contents":[{"role":"robot","parts":[]}]}"#, "robot"),
        (r#"{"contents":[{"parts":[{"inlineData":{"data":"QQ=="}}]}]}"#, "mimeType"),
        (r#"{"contents":[3]}"#, "parse"),
        ("nonsense", "parse"),
    ] {
        let problem = Gemini.decode_request(body.as_bytes()).unwrap_err();
        assert!(problem.status() == 400 && problem.message.contains(word), "{body}: {}", problem.message);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = Gemini.decode_request(&bytes);
    }

    #[test]
    fn nearly_requests_are_survived(
        key in "text|thought|functionCall|functionResponse|inlineData|x",
        value in r#"[\[\]{}",:a1 ]{0,16}"#,
        top in "contents|tools|systemInstruction|toolConfig|generationConfig",
    ) {
        let body = format!(r#"{{"{top}":{value},"contents":[{{"role":"model","parts":[{{"{key}":{value}}}]}}]}}"#);
        let _ = Gemini.decode_request(body.as_bytes());
    }
}
