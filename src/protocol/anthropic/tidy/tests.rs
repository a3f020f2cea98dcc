//! Edits change what they must and no other byte.

use super::tidy;
use crate::protocol::head::splice;

fn tidied(body: &str) -> String {
    let mut patches = Vec::new();
    tidy(body.as_bytes(), &mut patches);
    String::from_utf8(splice(body.as_bytes(), patches)).unwrap()
}

#[test]
fn early_system_messages_lead_and_later_ones_become_the_users() {
    let user = r#"{"role":"user","content":"hi"}"#;
    let early = r#"{"role":"system","content":"B"}"#;
    let blocks = r#"{"role":"system","content":[{"type":"text","text":"C"}]}"#;
    let answer = r#"{"role":"assistant","content":"yes"}"#;
    let [a, b, c] = ["A", "B", "C"].map(|t| format!(r#"{{"type":"text","text":"{t}"}}"#));
    let body = |system: &str, messages: &[&str]| format!(r#"{{{system}"messages":[{}]}}"#, messages.join(","));
    let list = |blocks: &[&str]| format!(r#""system":[{}],"#, blocks.join(","));
    for (system, expected) in [
        (list(&[&a]), list(&[&a, &b, &c])),
        (r#""system":"A","#.to_owned(), list(&[&a, &b, &c])),
        (String::new(), list(&[&b, &c])),
        (list(&[r#"{"type":"text","text":"x-anthropic-billing-header: q"}"#]), list(&[&b, &c])),
    ] {
        for order in [[user, early, blocks], [early, user, blocks], [early, blocks, user]] {
            assert_eq!(tidied(&body(&system, &order)), body(&expected, &[user]));
            let long = [order[0], order[1], order[2], answer, early];
            let late = early.replace("system", "user");
            assert_eq!(tidied(&body(&system, &long)), body(&expected, &[user, answer, &late]));
        }
    }
    let only = body("", &[early]);
    assert_eq!(tidied(&only), only);
}

#[test]
fn the_billing_block_goes_wherever_it_stands_and_nothing_else_changes() {
    let bill = r#"{"type":"text","text":"x-anthropic-billing-header: cc_version=1;"}"#;
    let text = r#"{"type":"text", "text":"You are…" }"#;
    let body = |blocks: &str| format!(r#"{{"system": [{blocks}] ,"messages":[]}}"#);
    assert_eq!(tidied(&body(&format!("{bill}, {text}"))), body(text));
    assert_eq!(tidied(&body(&format!("{text},{bill}"))), body(text));
    assert_eq!(tidied(&body(&format!("{text},{bill},{text}"))), body(&format!("{text},{text}")));
    assert_eq!(tidied(&body(bill)), body(""));
    assert_eq!(tidied(&body(text)), body(text));
    assert_eq!(tidied(r#"{"system":"x-anthropic-billing-header: a;\nYou"}"#), r#"{"system":"You"}"#);
    assert_eq!(tidied(r#"{"system":"x-anthropic-billing-header: a;"}"#), r#"{"system":""}"#);
}

const WEB: &str = r#"{"type":"web_search_20250305","name":"web_search"}"#;

fn tool(name: &str, late: bool) -> String {
    let late = if late { r#","defer_loading":true"# } else { "" };
    format!(r#"{{"name":"{name}","input_schema":{{"type":"object"}}{late}}}"#)
}

#[test]
fn late_tools_stand_last_in_the_order_they_were_found() {
    let [a, b, c, d] = [("A", false), ("B", true), ("C", true), ("D", false)].map(|(name, late)| tool(name, late));
    let reference = |name: &str| format!(r#"{{"type":"tool_reference","tool_name":"{name}"}}"#);
    let body = |tools: &str, found: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"tool_result","content":[{found}]}}]}}],"tools":[{tools}]}}"#
        )
    };
    let words = |name: &str| format!(r#"{{"type":"text","text":"The tool {name} is available now."}}"#);
    let placed = [a.as_str(), &d, &b, &c].join(",");
    assert_eq!(tidied(&body(&format!("{a}, {b},{c},{d}"), "")), body(&placed, ""));
    assert_eq!(tidied(&body(&placed, "")), body(&placed, ""));
    let found = [reference("C"), reference("B")].join(",");
    let said = [words("C"), words("B")].join(",");
    assert_eq!(tidied(&body(&placed, &found)), body(&[a.as_str(), &d, &c, &b].join(","), &said));
}

#[test]
fn an_engine_sees_no_tool_it_does_not_know() {
    let a = tool("A", false);
    let body = |tools: &str, choice: &str| format!(r#"{{"tools":[{tools}],"tool_choice":{choice},"messages":[]}}"#);
    let named = r#"{"type":"tool","name":"web_search"}"#;
    let count = |body: &str| tidy(body.as_bytes(), &mut Vec::new()).len();
    assert_eq!(tidied(&body(&format!("{WEB},{a}"), named)), body(&a, r#"{"type":"auto"}"#));
    assert_eq!(tidied(&body(&format!("{a},{WEB}"), r#"{"type":"any"}"#)), body(&a, r#"{"type":"any"}"#));
    assert_eq!(tidied(&body(WEB, named)), body("", r#"{"type":"none"}"#));
    assert_eq!((count(&body(WEB, named)), count(&body(&a, named))), (1, 0));
    let bash = r#"{"type":"bash_20250124","name":"bash"}"#;
    let out: serde_json::Value = serde_json::from_str(&tidied(&body(bash, "{}"))).unwrap();
    assert_eq!(out["tools"][0]["input_schema"]["properties"]["command"]["type"], "string");
    assert_eq!((&out["tools"][0]["name"], count(&body(bash, "{}"))), (&"bash".into(), 0));
    for kind in ["text_editor_20250728", "memory_20250818", "computer_20250124"] {
        let out: serde_json::Value =
            serde_json::from_str(&tidied(&body(&bash.replace("bash_20250124", kind), "{}"))).unwrap();
        assert_eq!(out["tools"][0]["input_schema"]["type"], "object", "{kind}");
    }
}

/// Prints how long head and edits take on a request of a coding agent's size; meaningful with optimisation only.
#[test]
#[ignore = "a measurement, not a check"]
fn time_per_request() {
    let line = r#"    let total: f64 = items.iter().map(|item| item.price).sum();\n    if total > limit {\n        return Err(\"over the limit\".into());\n    }\n"#;
    let code = line.repeat(24);
    let mut messages = vec![
        format!(r#"{{"role":"user","content":"{code}"}}"#),
        format!(
            r#"{{"role":"system","content":[{{"type":"text","text":"{}","cache_control":{{"type":"ephemeral"}}}}]}}"#,
            "word ".repeat(1800)
        ),
    ];
    for _ in 0..28 {
        messages.push(format!(r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"Read","input":{{"path":"{}"}}}}]}}"#, "p".repeat(200)));
        messages.push(format!(r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a","content":[{{"type":"text","text":"{code}"}}]}}]}}"#));
    }
    let tools: Vec<String> = (0..20).map(|n| tool(&format!("T{n}{}", "d".repeat(900)), n == 7)).collect();
    let body = format!(
        r#"{{"model":"x","max_tokens":9,"system":[{{"type":"text","text":"x-anthropic-billing-header: z"}},{{"type":"text","text":"{}"}}],"tools":[{},{WEB}],"messages":[{}],"stream":true}}"#,
        "You are. ".repeat(700),
        tools.join(","),
        messages.join(",")
    );
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = std::time::Instant::now();
        let mut patches = Vec::new();
        let head = crate::protocol::head::Head::scan(body.as_bytes()).unwrap();
        head.rename(body.as_bytes(), "local", &mut patches);
        tidy(body.as_bytes(), &mut patches);
        let out = splice(body.as_bytes(), patches);
        times.push((start.elapsed().as_micros(), out.len()));
    }
    times.sort_unstable();
    println!("{} bytes: {} µs (median of head, edits and splice)", body.len(), times[100].0);
}

proptest::proptest! {
    #[test]
    fn nearly_tools_are_survived(tools in r#"[\[\]{}",:\\a ]{0,12}"#, rest in r#"[\[\]{}",:\\a ]{0,12}"#) {
        let body = format!(r#"{{"tools":[{{"type":{tools},"name":{rest}}},{tools}],"tool_choice":{{"name":{rest}}},"messages":[{{"role":"user","content":[{{"content":[{{"type":"tool_reference","tool_name":{tools}}}]}}]}}]}}"#);
        let mut patches = Vec::new();
        tidy(body.as_bytes(), &mut patches);
        let _ = splice(body.as_bytes(), patches);
    }

    #[test]
    fn nearly_json_is_survived(system in r#"[\[\]{}",:\\a ]{0,12}"#, messages in r#"[\[\]{}",:\\a ]{0,12}"#) {
        let body = format!(r#"{{"system":{system},"messages":[{{"role":"system","content":{messages}}},1,{{"a":{messages}}}]}}"#);
        let mut patches = Vec::new();
        tidy(body.as_bytes(), &mut patches);
        let _ = splice(body.as_bytes(), patches);
    }
}
