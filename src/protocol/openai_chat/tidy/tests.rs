use serde_json::{Value, json};

use super::tidy;
use crate::protocol::head::splice;

fn tidied(body: &str) -> String {
    let mut patches = Vec::new();
    tidy(body.as_bytes(), &mut patches);
    String::from_utf8(splice(body.as_bytes(), patches)).unwrap()
}

fn messages(list: Value) -> Value {
    let body = json!({"messages": list, "stream": true}).to_string();
    serde_json::from_str::<Value>(&tidied(&body)).unwrap()["messages"].take()
}

#[test]
fn what_is_in_order_keeps_its_bytes() {
    for body in [
        r#"{ "model":"m", "messages" : [{"role":"system","content":"s"}, {"role":"user","content":[{"type":"text","text":"a"}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},{"role":"tool","content":"r"},
            {"role":"tool","content":"r"},{"role":"user","content":"b"}],
            "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}] }"#,
        r#"{"messages":[]}"#,
        r#"{"messages":"x","tools":{}}"#,
        r#"{"messages":[{"role":"user","name":"a","content":"x"},{"role":"user","name":"b","content":"y"}]}"#,
        r#"{"messages":[{"role":"user","content":null},{"role":"user","content":"y"}]}"#,
        "nonsense",
        "",
    ] {
        assert_eq!(tidied(body), body);
    }
}

#[test]
fn user_messages_in_a_row_become_one() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let part = |text: &str| json!({"type": "text", "text": text});
    for (one, two, both) in [
        (json!("a\"\n"), json!("b"), json!("a\"\n\n\nb")),
        (json!(""), json!("b"), json!("b")),
        (json!("a"), json!([part("b")]), json!([part("a"), part("b")])),
        (json!([part("a")]), json!("b"), json!([part("a"), part("b")])),
        (json!([part("a")]), json!([part("b"), part("c")]), json!([part("a"), part("b"), part("c")])),
    ] {
        assert_eq!(messages(json!([user(one.clone()), user(two.clone())])), json!([user(both.clone())]));
        let answer = json!({"role": "assistant", "content": "ok"});
        let list = json!([user(json!("x")), answer, user(one), user(two), answer, user(json!("y"))]);
        assert_eq!(messages(list), json!([user(json!("x")), answer, user(both), answer, user(json!("y"))]));
    }
    let three = json!([user(json!("a")), user(json!("b")), user(json!("c"))]);
    assert_eq!(messages(three), json!([user(json!("a\n\nb\n\nc"))]));
}

#[test]
fn one_system_message_comes_first() {
    let say = |role: &str, content: &str| json!({"role": role, "content": content});
    for (list, expected) in [
        (vec![say("developer", "a"), say("user", "u")], vec![say("system", "a"), say("user", "u")]),
        (
            vec![say("system", "a"), say("developer", "b"), say("user", "u"), say("system", "c"), say("user", "v")],
            vec![say("system", "a\n\nb\n\nc"), say("user", "u\n\nv")],
        ),
        (vec![say("user", "u"), say("system", "a")], vec![say("system", "a"), say("user", "u")]),
        (
            vec![say("user", "u"), say("system", "a"), say("system", "b"), say("user", "v"), say("assistant", "x")],
            vec![say("system", "a\n\nb"), say("user", "u\n\nv"), say("assistant", "x")],
        ),
        (
            vec![say("user", "u"), say("assistant", "x"), say("system", "late"), say("user", "v")],
            vec![say("user", "u"), say("assistant", "x"), say("user", "late\n\nv")],
        ),
    ] {
        assert_eq!(messages(Value::from(list)), Value::from(expected));
    }
}

#[test]
fn a_conversation_keeps_the_bytes_of_its_beginning() {
    let first = json!([{"role": "developer", "content": "a"}, {"role": "user", "content": "b"},
        {"role": "user", "content": "c"}]);
    let mut second = first.clone();
    second.as_array_mut().unwrap().extend([
        json!({"role": "assistant", "content": "d"}),
        json!({"role": "system", "content": "e"}),
        json!({"role": "user", "content": "f"}),
    ]);
    let (first, second) = (messages(first), messages(second));
    assert_eq!(first.as_array().unwrap()[..], second.as_array().unwrap()[..2]);
}

#[test]
fn tools_get_a_schema_and_empty_lists_go() {
    let tool = |more: &str| format!(r#"{{"type":"function","function":{{"name":"f"{more}}}}}"#);
    let empty = r#","parameters":{"type":"object","properties":{}}"#;
    for (given, expected) in [("", empty), (r#","parameters":null"#, empty), (empty, empty)] {
        let body = |tool: &str| format!(r#"{{"tools":[{tool}],"messages":[]}}"#);
        assert_eq!(tidied(&body(&tool(given))), body(&tool(expected)));
    }
    for (given, expected) in [
        (r#"{"a":1,"tools":[ ],"b":2}"#, r#"{"a":1,"b":2}"#),
        (r#"{"tools":[],"b":2}"#, r#"{"b":2}"#),
        (r#"{"a":1,"tools":[]}"#, r#"{"a":1}"#),
        (r#"{"a":1,"tools":[],"tool_choice":"auto"}"#, r#"{"a":1,"tool_choice":"none"}"#),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[],"content":"x"}]}"#,
            r#"{"messages":[{"role":"assistant","content":"x"}]}"#,
        ),
        (
            r#"{"messages":[{"tool_calls":[],"role":"assistant","content":"x"}]}"#,
            r#"{"messages":[{"role":"assistant","content":"x"}]}"#,
        ),
    ] {
        assert_eq!(tidied(given), expected);
    }
}

proptest::proptest! {
    /// Whatever was valid JSON stays so, and a second time changes nothing.
    #[test]
    fn any_conversation_stays_json_and_settles(
        roles in proptest::collection::vec("system|developer|user|assistant|tool", 0..8),
        contents in proptest::collection::vec(0..5usize, 8),
        tools in 0..4usize,
    ) {
        let content = [json!("x"), json!(""), json!(null), json!([{"type": "text", "text": "y"}]), json!([])];
        let list: Vec<Value> = roles.iter().zip(&contents).map(|(role, at)| json!({"role": role, "content": content[*at]})).collect();
        let tools: Vec<Value> = (0..tools).map(|_| json!({"type": "function", "function": {"name": "f"}})).collect();
        let once = tidied(&json!({"messages": list, "tools": tools, "tool_choice": "auto"}).to_string());
        let value: Value = serde_json::from_str(&once).unwrap();
        let words = |value: &Value| value.to_string().matches(['x', 'y']).count();
        let before: usize = list.iter().map(|message| words(&message["content"])).sum();
        let after: usize = value["messages"].as_array().unwrap().iter().map(|m| {
            m["content"].as_array().map_or_else(|| words(&m["content"]), |parts| parts.iter().map(|p| words(&p["text"])).sum())
        }).sum();
        // "type":"text" holds letters, too: only the words count.
        let lists = list.iter().filter(|m| m["content"].is_array() && m["content"] != json!([])).count();
        proptest::prop_assert_eq!(before - lists * 3, after);
        proptest::prop_assert_eq!(tidied(&once), once);
    }

    #[test]
    fn nearly_json_is_survived(text in r#"[\[\]{}",:\\a1 ]{0,40}"#) {
        let _ = tidied(&format!(r#"{{"messages":{text},"tools":{text}}}"#));
    }
}
