//! Calls left as text become calls, and everything else stays what it was.

use super::Repair;
use crate::protocol::event::{Block, Event, Filter, Stop, Usage};
use crate::protocol::ir::{Format, Request, Tool};

fn tool(name: &'static str, schema: &'static str) -> Tool<'static> {
    let schema = serde_json::from_str::<&serde_json::value::RawValue>(schema).unwrap();
    Tool {
        name: name.into(),
        namespace: None,
        description: None,
        schema: Some(std::borrow::Cow::Borrowed(schema)),
        strict: None,
        freeform: None,
    }
}

fn request() -> Request<'static> {
    let read = r#"{"type":"object","properties":{"path":{"type":"string"},"lines":{"type":"integer"}}}"#;
    Request { tools: vec![tool("Read", read), tool("Now", r#"{"type":"object"}"#)], ..Request::default() }
}

/// One text block in these pieces, as short words.
fn filtered(request: &Request<'_>, kind: Block<'static>, pieces: &[&str]) -> Vec<String> {
    let mut filter = Repair::new(request).unwrap();
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    {
        let mut sink = |event: Event<'_>| match event {
            Event::BlockStart(block) => {
                assert!(!std::mem::replace(&mut open, true));
                found.push(match block {
                    Block::Text => "text ".into(),
                    Block::Thinking => "think ".into(),
                    Block::ToolUse { name, id, .. } => {
                        assert!(!id.is_empty());
                        format!("call {name} ")
                    }
                });
            }
            Event::Delta(text) => {
                assert!(open);
                found.last_mut().unwrap().push_str(&text);
            }
            Event::BlockEnd => assert!(std::mem::replace(&mut open, false)),
            Event::Finish { stop, .. } => found.push(format!("{stop:?}")),
            other => panic!("{other:?}"),
        };
        filter.event(Event::BlockStart(kind), &mut sink);
        for piece in pieces {
            filter.event(Event::Delta((*piece).into()), &mut sink);
        }
        filter.event(Event::BlockEnd, &mut sink);
        filter.event(Event::Finish { stop: Stop::EndTurn, usage: Usage::default() }, &mut sink);
    }
    assert!(!open);
    found
}

/// The same however it is cut.
fn outcome(text: &str) -> Vec<String> {
    let request = request();
    let whole = filtered(&request, Block::Text, &[text]);
    for (at, _) in text.char_indices() {
        let (a, b) = text.split_at(at);
        assert_eq!(filtered(&request, Block::Text, &[a, b]), whole, "{text:?} cut at {at}");
    }
    let single: Vec<String> = text.chars().map(String::from).collect();
    let single: Vec<&str> = single.iter().map(String::as_str).collect();
    assert_eq!(filtered(&request, Block::Text, &single), whole, "{text:?} letter by letter");
    whole
}

const READ: &str = r#"call Read {"path":"a b","lines":3}"#;

#[test]
fn every_markup_becomes_a_call() {
    let hermes = r#"<tool_call>
{"name": "Read", "arguments": {"path":"a b","lines":3}}
</tool_call>"#;
    let coder = "<tool_call>\n<function=Read>\n<parameter=path>\na b\n</parameter>\n<parameter=lines>\n3\n</parameter>\n</function>\n</tool_call>";
    let coder_alone = "<function=Read><parameter=path>a b</parameter><parameter=lines>3</parameter></function>";
    let glm = "<tool_call>Read\n<arg_key>path</arg_key>\n<arg_value>a b</arg_value>\n<arg_key>lines</arg_key>\n<arg_value>3</arg_value>\n</tool_call>";
    let llama = r#"<|python_tag|>{"name": "Read", "parameters": {"path":"a b","lines":3}}"#;
    let mistral = r#"[TOOL_CALLS][{"name": "Read", "arguments": {"path":"a b","lines":3}}]"#;
    let newer = r#"[TOOL_CALLS]Read[ARGS]{"path":"a b","lines":3}"#;
    let bare = r#"{"name": "Read", "arguments": {"path":"a b","lines":3}}"#;
    let nested = r#" {"type":"function","function":{"name":"Read","arguments":"{\"path\":\"a b\",\"lines\":3}"}} "#;
    let listed = r#"[{"name": "Read", "parameters": {"path":"a b","lines":3}}]"#;
    for text in [hermes, coder, coder_alone, glm, llama, mistral, newer, bare, nested, listed] {
        let found = outcome(text);
        // The order of keys is a map's where the markup has no JSON of its own.
        let found: Vec<String> =
            found.iter().map(|f| f.replace(r#"{"lines":3,"path":"a b"}"#, r#"{"path":"a b","lines":3}"#)).collect();
        assert_eq!(found, [READ, "ToolUse"], "{text}");
    }
}

#[test]
fn words_stay_in_front_and_behind_and_between_calls() {
    let call = r#"<tool_call>{"name":"Now","arguments":{}}</tool_call>"#;
    assert_eq!(outcome(&format!("I look.\n\n{call}")), ["text I look.\n\n", "call Now {}", "ToolUse"]);
    assert_eq!(outcome(&format!("\n\n{call}\n{call}\n")), ["call Now {}", "call Now {}", "ToolUse"]);
    assert_eq!(outcome(&format!("{call} and then")), ["call Now {}", "text  and then", "ToolUse"]);
    // The closing mark may be missing at the end.
    assert_eq!(outcome(r#"<tool_call>{"name":"Now","arguments":{}}"#), ["call Now {}", "ToolUse"]);
    // A closing mark inside an argument closes nothing.
    let inside = r#"<tool_call>{"name":"Now","arguments":{"t":"</tool_call>"}}</tool_call>"#;
    assert_eq!(outcome(inside), [r#"call Now {"t":"</tool_call>"}"#, "ToolUse"]);
    let two = r#"<|python_tag|>{"name":"Now","parameters":{}}; {"name":"Now","parameters":{"a":1}}"#;
    assert_eq!(outcome(two), ["call Now {}", r#"call Now {"a":1}"#, "ToolUse"]);
}

#[test]
fn what_is_no_call_of_an_offered_tool_stays_text() {
    for text in [
        "plain words, 1 < 2 and [x]",
        "",
        " \n",
        r#"<tool_call>{"name":"Unknown","arguments":{}}</tool_call>"#,
        r#"<tool_call>{"name":"Now","arguments":[]}</tool_call>"#,
        r#"<tool_call>{"name":"Now""#,
        "Use `<tool_call>` for that",
        "the mark <tool_call> begins a call",
        "```\n<tool_call>{\"name\":\"Now\",\"arguments\":{}}</tool_call>\n```\n",
        r#"Like this: "<tool_call>{"name":"Now","arguments":{}}</tool_call>""#,
        "<tool_call>Nowhere</tool_call>",
        "<function=Unknown></function>",
        "<function=No",
        "[TOOL_CALLS]nothing",
        "<|python_tag|>print(1)",
        r#"{"name": "Unknown", "arguments": {}}"#,
        r#"{"name": "Now"}"#,
        r#"{"name": "Now", "arguments": {}} is how"#,
        r#"[{"name": "Now", "arguments": {}}, {"x": 1}]"#,
        r#"{"answer": 4}"#,
    ] {
        let expected = format!("text {text}");
        assert_eq!(outcome(text), [expected.as_str(), "EndTurn"], "{text}");
    }
}

#[test]
fn json_that_was_asked_for_is_no_call() {
    let request = Request { format: Format::Json, ..request() };
    let text = r#"{"name": "Now", "arguments": {}}"#;
    assert_eq!(filtered(&request, Block::Text, &[text]), [&format!("text {text}"), "EndTurn"]);
}

#[test]
fn an_answer_that_is_all_reasoning_gives_up_its_calls() {
    let thoughts = r#"I look. <tool_call>{"name":"Now","arguments":{}}</tool_call>"#;
    let found = filtered(&request(), Block::Thinking, &[thoughts]);
    assert_eq!(found, [&format!("think {thoughts}"), "call Now {}", "ToolUse"]);
    assert_eq!(filtered(&request(), Block::Thinking, &["hm"]), ["think hm", "EndTurn"]);
}

#[test]
fn no_tools_no_filter() {
    assert!(Repair::new(&Request::default()).is_none());
}

proptest::proptest! {
    #[test]
    fn any_text_without_a_call_is_unchanged(pieces in proptest::collection::vec(
        r#"[<\[`]{0,2}(tool_call>|function=|TOOL_CALLS\]|Now|Read|\{"name":|"arguments":|\}|</tool_call>|[a-z \n]{0,3}){0,3}"#, 0..6
    )) {
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let found = filtered(&request(), Block::Text, &pieces);
        if !found.iter().any(|f| f.starts_with("call ")) {
            let text: String = pieces.concat();
            proptest::prop_assert_eq!(found, vec![format!("text {text}"), "EndTurn".to_owned()]);
        }
    }
}
