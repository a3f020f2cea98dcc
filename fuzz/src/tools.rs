//! The filters between decoder and encoder.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::events::{Seen, through};
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::{Request, Tool};
use crate::protocol::names::{self, Names};
use crate::protocol::repair::Repair;
use crate::protocol::think::Think;

fn tool<'a>(name: &'a str, namespace: Option<&'a str>, schema: Option<&str>, freeform: bool) -> Tool<'a> {
    Tool {
        name: name.into(),
        namespace: namespace.map(Cow::from),
        description: None,
        schema: schema.and_then(|text| RawValue::from_string(text.into()).ok()).map(Cow::Owned),
        strict: None,
        freeform: freeform.then_some(None),
    }
}

fn script<'a>(block: Block<'a>, text: &'a str) -> Vec<Event<'a>> {
    let usage = Usage::default();
    vec![
        Event::Start { id: "x".into() },
        Event::BlockStart(block),
        Event::Delta(text.into()),
        Event::BlockEnd,
        Event::Finish { stop: Stop::ToolUse, usage },
    ]
}

fn deltas(seen: &[Seen]) -> String {
    seen.iter().filter_map(|s| if let Seen::Delta(text) = s { Some(text.as_str()) } else { None }).collect()
}

/// A freeform tool's call comes back as its text, however its JSON was split; a long or grouped name comes back whole.
pub fn names(body: &[u8], control: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let long = "mcp__a_server_with_a_long_name__and_a_tool_whose_name_is_just_as_long_as_that";
    let offered = || Request {
        tools: vec![
            tool("apply_patch", None, None, true),
            tool("look", Some("group"), Some(r#"{"type":"object"}"#), false),
            tool(long, None, Some(r#"{"type":"object"}"#), false),
        ],
        ..Request::default()
    };
    let run = |text: &str, at: usize, cuts: Option<&[u8]>| {
        let mut request = offered();
        let mut names = Names::apply(&mut request, names::PLAIN);
        let name = request.tools[at].name.clone().into_owned();
        assert!(name.len() <= names::PLAIN.longest, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{name}");
        let call = Block::ToolUse { id: "c".into(), name: name.into(), namespace: None, freeform: false };
        through(&mut names, &script(call, text), cuts)
    };
    // What a model may send: anything.
    assert_eq!(run(text, 0, Some(control)), run(text, 0, None), "split and whole differ");
    // What it should send.
    for key in ["input", "patch"] {
        let proper = serde_json::json!({ key: text }).to_string();
        let back = run(&proper, 0, Some(control));
        let freeform = |s: &Seen| matches!(s, Seen::Call { name, freeform: true, .. } if name == "apply_patch");
        assert!(back.iter().any(freeform), "{back:?}");
        assert_eq!(deltas(&back), text, "{key}");
    }
    for (at, wanted) in [(1, "look"), (2, long)] {
        let back = run(text, at, Some(control));
        assert!(back.iter().any(|s| matches!(s, Seen::Call { name, .. } if name == wanted)), "{back:?}");
        assert_eq!(deltas(&back), text);
    }
}

/// What a text holds does not depend on how it was split, and nothing of it is lost but the tags and blanks around.
pub fn think(body: &[u8], control: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let run = |cuts: Option<&[u8]>| through(&mut Think::default(), &script(Block::Text, text), cuts);
    let whole = run(None);
    assert_eq!(run(Some(control)), whole, "split and whole differ");
    let squeezed = |text: &str| -> String { text.split_whitespace().collect() };
    let plain = squeezed(&text.replacen("<think>", "", 1).replacen("</think>", "", 1));
    let left = squeezed(&deltas(&whole));
    assert!(left == plain || left == squeezed(text) || left == squeezed(&text.replacen("<think>", "", 1)), "{whole:?}");
}

/// Text that becomes no call stays as it was; what it becomes does not depend on how it was split.
pub fn repair(body: &[u8], control: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let schema = r#"{"type":"object","properties":{"command":{"type":"string"},"n":{"type":"integer"}}}"#;
    let request = Request {
        tools: vec![tool("bash", None, Some(schema), false), tool("get_weather", None, Some(schema), false)],
        ..Request::default()
    };
    for thinking in [false, true] {
        let run = |cuts: Option<&[u8]>| {
            let mut repair = Repair::new(&request).expect("tools were offered");
            let block = if thinking { Block::Thinking } else { Block::Text };
            through(&mut repair, &script(block, text), cuts)
        };
        let (split, whole) = (run(Some(control)), run(None));
        assert_eq!(split, whole, "split and whole differ");
        let calls = whole.iter().filter(|s| matches!(s, Seen::Call { .. })).count();
        if calls == 0 {
            assert_eq!(deltas(&whole), text, "words were lost");
        }
        for pair in whole.windows(2) {
            if let [Seen::Call { name, .. }, Seen::Delta(input)] = pair {
                assert!(name == "bash" || name == "get_weather", "{name} was not offered");
                let input: serde_json::Value = serde_json::from_str(input).expect("arguments are JSON");
                assert!(input.is_object(), "{input}");
            }
        }
    }
}
