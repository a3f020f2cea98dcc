//! Requests that are odd but legal, or nearly so: what a chat backend is sent for each stands in `golden/odd.txt`. With
//! `LLMUP_BLESS=1` it is written anew: read the difference before it is committed.

use serde_json::Value;

use crate::protocol::accepts::{self, Accepts};
use crate::protocol::names::Names;
use crate::protocol::{Id, PROTOCOLS, Target, Vendor, losses, protocol};

const MESSAGES: [(&str, &str); 23] = [
    ("content as a string", r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#),
    (
        "content as blocks",
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}"#,
    ),
    ("no limit", r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#),
    (
        "nulls everywhere",
        r#"{"model":"m","max_tokens":5,"system":null,"tools":null,"tool_choice":null,"temperature":null,"top_k":null,"stop_sequences":null,"metadata":null,"thinking":null,"stream":null,"output_config":null,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "empty lists",
        r#"{"model":"m","max_tokens":5,"system":[],"tools":[],"stop_sequences":[],"messages":[{"role":"user","content":"x"}]}"#,
    ),
    ("an empty system", r#"{"model":"m","max_tokens":5,"system":"","messages":[{"role":"user","content":"x"}]}"#),
    (
        "empty text blocks",
        r#"{"model":"m","max_tokens":5,"system":[{"type":"text","text":""}],"messages":[{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"x"}]},{"role":"assistant","content":[{"type":"text","text":""}]},{"role":"user","content":"y"}]}"#,
    ),
    (
        "a choice without tools",
        r#"{"model":"m","max_tokens":5,"tool_choice":{"type":"any"},"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "a choice of a tool that is not there",
        r#"{"model":"m","max_tokens":5,"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"g"},"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "unknown members",
        r#"{"model":"m","max_tokens":5,"brand_new":{"a":[1]},"messages":[{"role":"user","content":[{"type":"text","text":"x","new":1}],"new":2}]}"#,
    ),
    (
        "a number beyond all numbers",
        r#"{"model":"m","max_tokens":18446744073709551616,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    ("a limit as 5.0", r#"{"model":"m","max_tokens":5.0,"messages":[{"role":"user","content":"x"}]}"#),
    (
        "escapes and a pair of surrogates",
        r#"{"\u006dodel":"m","max_tokens":5,"messages":[{"role":"us\u0065r","content":"\u00e9\ud83e\udd80\n\u0000\/"}]}"#,
    ),
    ("half a pair", r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a\ud83e b"}]}"#),
    (
        "a key twice",
        r#"{"model":"a","model":"m","max_tokens":4,"max_tokens":5,"messages":[],"messages":[{"role":"user","content":"w","content":"x"}]}"#,
    ),
    (
        "space around",
        " \n\t{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}\r\n ",
    ),
    ("no messages", r#"{"model":"m","max_tokens":5,"messages":[]}"#),
    ("content that is null", r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":null}]}"#),
    (
        "the model begins",
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"x"}]}"#,
    ),
    (
        "the model goes on",
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"{"}]}"#,
    ),
    (
        "a result of nothing",
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}"#,
    ),
    (
        "a result twice",
        r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"r"},{"type":"tool_result","tool_use_id":"a","content":"s"}]}]}"#,
    ),
    ("a role of next year", r#"{"model":"m","max_tokens":5,"messages":[{"role":"critic","content":"x"}]}"#),
];

const CHAT: [(&str, &str); 23] = [
    (
        "content as parts",
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#,
    ),
    (
        "nulls everywhere",
        r#"{"model":"m","stream":null,"stream_options":null,"tools":null,"tool_choice":null,"parallel_tool_calls":null,"max_tokens":null,"n":null,"stop":null,"response_format":null,"user":null,"temperature":null,"functions":null,"messages":[{"role":"user","content":"x","name":null,"tool_calls":null,"refusal":null}]}"#,
    ),
    (
        "no tools and a choice",
        r#"{"model":"m","tools":[],"tool_choice":"auto","parallel_tool_calls":false,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "a required tool that is not there",
        r#"{"model":"m","tool_choice":"required","messages":[{"role":"user","content":"x"}]}"#,
    ),
    (
        "no calls",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"a","tool_calls":[]},{"role":"user","content":"y"}]}"#,
    ),
    (
        "an answer of null",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":null},{"role":"user","content":"y"}]}"#,
    ),
    (
        "an answer without content",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant"},{"role":"user","content":"y"}]}"#,
    ),
    (
        "arguments as an object",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"p":1}}}]},{"role":"tool","tool_call_id":"a","content":"r"}]}"#,
    ),
    (
        "arguments of nothing",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]},{"role":"tool","tool_call_id":"a","content":""}]}"#,
    ),
    (
        "an unanswered call",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"user","content":"y"}]}"#,
    ),
    (
        "a result of no call",
        r#"{"model":"m","messages":[{"role":"user","content":"x"},{"role":"tool","tool_call_id":"a","content":"r"}]}"#,
    ),
    (
        "the first form of calls",
        r#"{"model":"m","functions":[{"name":"f","parameters":{"type":"object"}}],"function_call":{"name":"f"},"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}]}"#,
    ),
    ("an empty system", r#"{"model":"m","messages":[{"role":"system","content":""},{"role":"user","content":"x"}]}"#),
    ("nothing but a system", r#"{"model":"m","messages":[{"role":"system","content":"s"}]}"#),
    ("one stop as a string", r#"{"model":"m","stop":"END","messages":[{"role":"user","content":"x"}]}"#),
    ("counts as 5.0", r#"{"model":"m","max_tokens":5.0,"n":1.0,"messages":[{"role":"user","content":"x"}]}"#),
    ("two choices", r#"{"model":"m","n":2,"messages":[{"role":"user","content":"x"}]}"#),
    (
        "both limits",
        r#"{"model":"m","max_tokens":5,"max_completion_tokens":7,"messages":[{"role":"user","content":"x"}]}"#,
    ),
    ("unknown members", r#"{"model":"m","brand_new":{"a":[1]},"messages":[{"role":"user","content":"x","new":1}]}"#),
    (
        "a part of next year",
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"hologram","hologram":{}},{"type":"text","text":"x"}]}]}"#,
    ),
    ("a key twice", r#"{"model":"a","model":"m","messages":[],"messages":[{"role":"user","content":"x"}]}"#),
    ("no messages", r#"{"model":"m","messages":[]}"#),
    ("a limit below nothing", r#"{"model":"m","max_tokens":-1,"messages":[{"role":"user","content":"x"}]}"#),
];

const RESPONSES: [(&str, &str); 22] = [
    ("input as a string", r#"{"model":"m","input":"x"}"#),
    ("input as one item", r#"{"model":"m","input":{"role":"user","content":"x"}}"#),
    ("input of nothing", r#"{"model":"m","input":[]}"#),
    ("an empty input", r#"{"model":"m","input":""}"#),
    ("no input", r#"{"model":"m"}"#),
    (
        "nulls everywhere",
        r#"{"model":"m","input":"x","instructions":null,"tools":null,"tool_choice":null,"text":null,"reasoning":null,"include":null,"store":null,"stream":null,"metadata":null,"max_output_tokens":null,"previous_response_id":null,"temperature":null,"parallel_tool_calls":null,"prompt":null}"#,
    ),
    ("empty instructions", r#"{"model":"m","instructions":"","input":"x"}"#),
    (
        "no tools and a choice",
        r#"{"model":"m","tools":[],"tool_choice":"required","parallel_tool_calls":true,"input":"x"}"#,
    ),
    (
        "a hosted choice",
        r#"{"model":"m","tools":[{"type":"web_search"}],"tool_choice":{"type":"web_search"},"input":"x"}"#,
    ),
    (
        "no tool is allowed",
        r#"{"model":"m","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]},"input":"x"}"#,
    ),
    (
        "a function without a schema",
        r#"{"model":"m","tools":[{"type":"function","name":"f","parameters":null,"strict":null}],"input":"x"}"#,
    ),
    (
        "content as a string and as parts",
        r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"message","role":"user","content":[{"type":"input_text","text":"b"}]}]}"#,
    ),
    ("an empty message", r#"{"model":"m","input":[{"role":"user","content":[]},{"role":"user","content":"x"}]}"#),
    (
        "an empty refusal",
        r#"{"model":"m","input":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},{"role":"user","content":"y"}]}"#,
    ),
    (
        "an output before its call",
        r#"{"model":"m","input":[{"type":"function_call_output","call_id":"a","output":"r"},{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"role":"user","content":"x"}]}"#,
    ),
    (
        "an output of null",
        r#"{"model":"m","input":[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"a","output":null}]}"#,
    ),
    (
        "arguments that were cut off",
        r#"{"model":"m","input":[{"type":"function_call","call_id":"a","name":"f","arguments":"{\"p\":"},{"type":"function_call_output","call_id":"a","output":"r"}]}"#,
    ),
    (
        "reasoning of nothing",
        r#"{"model":"m","input":[{"role":"user","content":"x"},{"type":"reasoning","summary":[]},{"role":"assistant","content":"a"},{"role":"user","content":"y"}]}"#,
    ),
    ("an item of next year", r#"{"model":"m","input":[{"type":"hologram","a":1},{"role":"user","content":"x"}]}"#),
    ("an item that is no object", r#"{"model":"m","input":["x"]}"#),
    ("a number beyond all numbers", r#"{"model":"m","max_output_tokens":1e30,"input":"x"}"#),
    ("a key twice", r#"{"model":"a","model":"m","input":"w","input":"x"}"#),
];

const GEMINI: [(&str, &str); 23] = [
    ("parts as one part", r#"{"contents":{"parts":{"text":"x"}}}"#),
    ("contents as a text", r#"{"contents":"x"}"#),
    ("parts as texts", r#"{"contents":[{"parts":["a","b"]}]}"#),
    (
        "nulls everywhere",
        r#"{"contents":[{"role":null,"parts":[{"text":"x","thought":null,"thoughtSignature":null,"functionCall":null}]}],"systemInstruction":null,"tools":null,"toolConfig":null,"generationConfig":null,"safetySettings":null,"cachedContent":null,"labels":null}"#,
    ),
    (
        "nulls in the settings",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"temperature":null,"topK":null,"maxOutputTokens":null,"stopSequences":null,"responseSchema":null,"thinkingConfig":null,"candidateCount":null}}"#,
    ),
    (
        "empty lists",
        r#"{"contents":[{"role":"user","parts":[{"text":"x"}]}],"tools":[],"safetySettings":[],"generationConfig":{"stopSequences":[]}}"#,
    ),
    (
        "tools without functions",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}"#,
    ),
    (
        "a tool that is not there is allowed",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}}"#,
    ),
    (
        "modes in small letters",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"any"}}}"#,
    ),
    (
        "an unspecified mode",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"MODE_UNSPECIFIED"}}}"#,
    ),
    ("an empty system", r#"{"systemInstruction":{"parts":[]},"contents":[{"parts":[{"text":"x"}]}]}"#),
    ("a system as a text", r#"{"system_instruction":"s","contents":[{"parts":[{"text":"x"}]}]}"#),
    ("no contents", r#"{"contents":[]}"#),
    (
        "contents without parts",
        r#"{"contents":[{"role":"user"},{"role":"model","parts":[]},{"role":"user","parts":[{"text":"x"}]}]}"#,
    ),
    ("an empty part", r#"{"contents":[{"parts":[{},{"text":""},{"text":"x"}]}]}"#),
    (
        "numbers as strings",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":"5","topK":"40","temperature":"0.5"}}"#,
    ),
    (
        "a number beyond all numbers",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":1e40}}"#,
    ),
    (
        "a response that is a text",
        r#"{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":"r"}}]}]}"#,
    ),
    (
        "a response without a response",
        r#"{"contents":[{"role":"user","parts":[{"text":"x"}]},{"role":"model","parts":[{"functionCall":{"name":"f"}}]},{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}]}"#,
    ),
    (
        "a response of no call",
        r#"{"contents":[{"role":"function","parts":[{"functionResponse":{"name":"f","response":{"output":"r"}}}]}]}"#,
    ),
    ("a part of next year", r#"{"contents":[{"parts":[{"hologram":{}},{"text":"x"}]}]}"#),
    (
        "a key in both spellings",
        r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":4},"generation_config":{"max_output_tokens":5}}"#,
    ),
    (
        "a system in the contents",
        r#"{"contents":[{"role":"system","parts":[{"text":"s"}]},{"role":"user","parts":[{"text":"x"}]}]}"#,
    ),
];

/// What a backend is sent, or why not.
fn sent(from: Id, to: Id, body: &str) -> String {
    let mut request = match protocol(from).inbound().unwrap().decode_request(body.as_bytes()) {
        Ok(request) => request,
        Err(problem) => return format!("{} {}", problem.status(), problem.message),
    };
    accepts::apply(&mut request, Accepts::default()).unwrap();
    let outbound = protocol(to).outbound().unwrap();
    let _ = Names::apply(&mut request, outbound.names());
    let target = Target { model: "e", vendor: Vendor::Unknown, context: 0 };
    let mut body: Value = serde_json::from_slice(&outbound.encode_request(&request, &target)).unwrap();
    for same in ["model", "stream", "stream_options"] {
        body.as_object_mut().unwrap().remove(same);
    }
    let mut lost = request.dropped.clone();
    lost.extend(losses::of(&request, to, &target));
    if lost.is_empty() { body.to_string() } else { format!("{body}\n    lost: {}", lost.join(", ")) }
}

#[test]
fn odd_requests_become_what_is_written() {
    let mut told = String::new();
    let tables = [(Id::Messages, &MESSAGES[..]), (Id::Chat, &CHAT), (Id::Responses, &RESPONSES), (Id::Gemini, &GEMINI)];
    for (from, table) in tables {
        told += &format!("== {from:?}\n");
        for (what, body) in table {
            told += &format!("{what}\n    {}\n", sent(from, Id::Chat, body));
            // Other backends get JSON, too.
            PROTOCOLS.iter().filter(|to| to.outbound().is_some()).for_each(|to| drop(sent(from, to.id(), body)));
        }
    }
    let file = super::golden::folder().join("odd.txt");
    if std::env::var_os("LLMUP_BLESS").is_some() {
        std::fs::write(&file, &told).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap().replace("\r\n", "\n");
    for (told, expected) in told.lines().zip(expected.lines()) {
        assert_eq!(told, expected);
    }
    assert_eq!(told.len(), expected.len());
}

/// Nesting: 100 deep is read, as a schema, as arguments and as a result; without end it is refused in words.
#[test]
fn deep_nesting_is_read_or_refused() {
    let deep = |levels: usize| format!("{}1{}", "{\"a\":[".repeat(levels / 2), "]}".repeat(levels / 2));
    let body = |from: Id, value: &str| match from {
        Id::Messages => format!(
            r#"{{"model":"m","max_tokens":5,"tools":[{{"name":"f","input_schema":{value}}}],"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"f","input":{value}}}]}}]}}"#
        ),
        Id::Chat => format!(
            r#"{{"model":"m","metadata":{value},"tools":[{{"type":"function","function":{{"name":"f","parameters":{value}}}}}],"messages":[{{"role":"user","content":"x"}}]}}"#
        ),
        Id::Responses => format!(
            r#"{{"model":"m","metadata":{value},"tools":[{{"type":"function","name":"f","parameters":{value}}}],"input":"x"}}"#
        ),
        _ => format!(
            r#"{{"tools":[{{"functionDeclarations":[{{"name":"f","parametersJsonSchema":{value}}}]}}],"contents":[{{"role":"user","parts":[{{"text":"x"}}]}},{{"role":"model","parts":[{{"functionCall":{{"name":"f","args":{value}}}}}]}}]}}"#
        ),
    };
    for from in [Id::Messages, Id::Chat, Id::Responses, Id::Gemini] {
        for to in PROTOCOLS.iter().filter(|to| to.outbound().is_some()).map(|to| to.id()) {
            let told = sent(from, to, &body(from, &deep(100)));
            assert!(told.starts_with('{'), "{from:?} {to:?}: {told}");
        }
        // What is only passed on is not looked into, however deep it is.
        let body = body(from, &deep(100_000));
        let Ok(request) = protocol(from).inbound().unwrap().decode_request(body.as_bytes()) else { continue };
        for to in PROTOCOLS.iter().filter_map(|to| to.outbound()) {
            assert!(
                !to.encode_request(&request, &Target { model: "e", vendor: Vendor::Unknown, context: 0 }).is_empty()
            );
        }
    }
}
