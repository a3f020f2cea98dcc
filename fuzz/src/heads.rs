//! Edits of bodies that go through as bytes, and the reading of foreign errors.

use serde_json::Value;

use crate::protocol::anthropic::tidy::tidy as tidied;
use crate::protocol::head::{Head, splice};
use crate::protocol::{PROTOCOLS, Problem};

const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Renaming and clamping change these members of a body that parses, and it parses afterwards.
pub fn head(body: &[u8], control: &[u8]) {
    let parsed: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
    let Some(head) = Head::scan(body) else {
        assert!(parsed.is_none(), "an object that was not scanned");
        return;
    };
    let context = u64::from(control.first().copied().unwrap_or(100)) * 16;
    let mut patches = Vec::new();
    head.rename(body, "new \"name\"", &mut patches);
    head.clamp(body, context, &mut patches);
    let edited = splice(body, patches);
    let Some(mut before) = parsed else { return };
    let mut after: Value = serde_json::from_slice(&edited).expect("edits keep JSON valid");
    assert_eq!(after["model"], "new \"name\"");
    assert_eq!(head.model.as_deref(), before["model"].as_str());
    assert_eq!(head.stream, before["stream"] == true);
    for limit in LIMITS {
        let (was, is) = (before[limit].as_u64(), after[limit].as_u64());
        if let (Some(was), Some(is)) = (was, is) {
            assert!(is == was || (is < was && is <= context && is > 0), "{limit}: {was} became {is} in {context}");
        }
    }
    for value in [&mut before, &mut after] {
        let members = value.as_object_mut().expect("an object");
        for name in LIMITS.into_iter().chain(["model"]) {
            if name == "model" || members.get(name).is_some_and(Value::is_u64) {
                members.remove(name);
            }
        }
    }
    assert_eq!(before, after, "something else changed");
}

/// Tidying keeps JSON valid, and touches `system` and `messages` only.
pub fn tidy(body: &[u8], _: &[u8]) {
    let mut patches = Vec::new();
    tidied(body, &mut patches);
    let edited = splice(body, patches);
    let Ok(Value::Object(mut before)) = serde_json::from_slice(body) else { return };
    let mut after: serde_json::Map<String, Value> = serde_json::from_slice(&edited).expect("edits keep JSON valid");
    let users = |messages: Option<&Value>| -> Vec<Value> {
        let all = messages.and_then(Value::as_array).cloned().unwrap_or_default();
        all.into_iter().filter(|m| m["role"] != "system").collect()
    };
    let (was, is) = (users(before.get("messages")), users(after.get("messages")));
    // Each kept message stands there still, in order; late system ones became the user's.
    let mut rest = is.iter();
    for message in &was {
        assert!(rest.any(|m| m == message), "lost: {message}");
    }
    for name in ["system", "messages"] {
        before.remove(name);
        after.remove(name);
    }
    assert_eq!(before, after, "something else changed");
}

/// Tidying keeps JSON valid, touches messages and tools only, and leaves nothing to tidy.
pub fn chat_tidy(body: &[u8], _: &[u8]) {
    let tidied = |body: &[u8]| {
        let mut patches = Vec::new();
        crate::protocol::openai_chat::tidy::tidy(body, &mut patches);
        splice(body, patches)
    };
    let edited = tidied(body);
    let Ok(Value::Object(mut before)) = serde_json::from_slice(body) else { return };
    let mut after: serde_json::Map<String, Value> = serde_json::from_slice(&edited).expect("edits keep JSON valid");
    assert_eq!(tidied(&edited), edited, "not tidy yet");
    for name in ["messages", "tools", "tool_choice", "parallel_tool_calls"] {
        before.remove(name);
        after.remove(name);
    }
    assert_eq!(before, after, "something else changed");
}

/// An engine's refusal, whatever it is, becomes one in every dialect.
pub fn problem(body: &[u8], control: &[u8]) {
    let status = 400 + u16::from(control.first().copied().unwrap_or(0)) % 200;
    let problem = Problem::from_engine(status, body);
    assert!((400..600).contains(&problem.status()) && !problem.message.is_empty());
    for protocol in PROTOCOLS {
        let encoded = protocol.encode_error(&problem);
        serde_json::from_slice::<Value>(&encoded).expect("an error's body is JSON");
        let in_stream = protocol.encode_stream_error(&problem);
        assert!(std::str::from_utf8(&in_stream).is_ok_and(|text| text.ends_with('\n')));
        let _ = (protocol.ends_properly(body), protocol.usage(body, body));
    }
}
