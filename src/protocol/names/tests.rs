use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::freeform::Unwrap;
use super::*;
use crate::protocol::ir::{Role, ToolUse, Turn};

fn tool<'a>(namespace: Option<&'a str>, name: &'a str) -> Tool<'a> {
    Tool {
        name: name.into(),
        namespace: namespace.map(Into::into),
        description: Some("does".into()),
        schema: None,
        strict: Some(true),
        freeform: None,
    }
}

fn names_of(request: &Request<'_>) -> Vec<String> {
    request.tools.iter().map(|tool| tool.name.clone().into_owned()).collect()
}

fn back(names: &mut Names, name: &str, pieces: &[&str]) -> (String, Option<String>, bool, String) {
    let mut found = (String::new(), None, false, String::new());
    let mut sink = |event: Event<'_>| match event {
        Event::BlockStart(Block::ToolUse { name, namespace, freeform, .. }) => {
            (found.0, found.1, found.2) = (name.into_owned(), namespace.map(Cow::into_owned), freeform);
        }
        Event::Delta(text) => found.3.push_str(&text),
        _ => {}
    };
    let block = Block::ToolUse { id: "c".into(), name: name.into(), namespace: None, freeform: false };
    names.event(Event::BlockStart(block), &mut sink);
    for piece in pieces {
        names.event(Event::Delta((*piece).into()), &mut sink);
    }
    names.event(Event::BlockEnd, &mut sink);
    found
}

#[test]
fn groups_long_and_odd_names_become_functions_and_come_back() {
    let long = "x".repeat(70);
    let mut request = Request {
        tools: vec![
            tool(None, "plain"),
            tool(Some("mcp__a"), "go"),
            tool(None, &long),
            tool(None, "a.b"),
            tool(Some("g__"), "é"),
        ],
        choice: Choice::Named("go".into()),
        ..Request::default()
    };
    let mut names = Names::apply(&mut request, PLAIN);
    let sent = names_of(&request);
    assert_eq!(sent[..2], ["plain", "mcp__a__go"]);
    assert!(sent[2].len() == 64 && sent[3].starts_with("a_b_") && sent[4].starts_with("g____"), "{sent:?}");
    assert!(sent.iter().all(|name| wire::fits(name, 64)) && request.tools.iter().all(|t| t.namespace.is_none()));
    assert_eq!(request.choice, Choice::Named("mcp__a__go".into()));
    assert_eq!(back(&mut names, "mcp__a__go", &["{}"]), ("go".into(), Some("mcp__a".into()), false, "{}".into()));
    assert_eq!(back(&mut names, &sent[2], &[]).0, long);
    assert_eq!(back(&mut names, "plain", &[]).0, "plain");
    assert_eq!(back(&mut names, "made_up", &["x"]), ("made_up".into(), None, false, "x".into()));
}

#[test]
fn a_name_does_not_depend_on_the_other_tools_and_nobody_loses_his_own() {
    let mut alone = Request { tools: vec![tool(Some("g"), "t")], ..Request::default() };
    let mut late = Request { tools: vec![tool(Some("h"), "u"), tool(Some("g"), "t")], ..Request::default() };
    Names::apply(&mut alone, PLAIN);
    Names::apply(&mut late, PLAIN);
    assert_eq!(names_of(&alone)[0], names_of(&late)[1]);
    let mut clash = Request { tools: vec![tool(Some("g"), "t"), tool(None, "g__t")], ..Request::default() };
    let mut names = Names::apply(&mut clash, PLAIN);
    let sent = names_of(&clash);
    assert!(sent[1] == "g__t" && sent[0].starts_with("g__t_") && sent[0] != sent[1], "{sent:?}");
    assert_eq!(back(&mut names, &sent[0], &[]).1.as_deref(), Some("g"));
    assert_eq!(back(&mut names, "g__t", &[]).1, None);
}

#[test]
fn the_history_gets_the_same_names() {
    let call = |namespace: Option<&'static str>, name: &'static str, freeform| {
        Part::ToolUse(ToolUse {
            id: "c".into(),
            name: name.into(),
            namespace: namespace.map(Into::into),
            input: "a \"b\"".into(),
            freeform,
            signature: None,
        })
    };
    let parts = vec![
        call(Some("g"), "t", false),
        call(Some("gone"), "x", false),
        call(None, "patch", true),
        call(None, "t", false),
    ];
    let mut patch = tool(None, "patch");
    patch.freeform = Some(None);
    let mut request = Request {
        tools: vec![tool(Some("g"), "t"), patch],
        turns: vec![Turn { role: Role::Assistant, parts }],
        ..Request::default()
    };
    Names::apply(&mut request, PLAIN);
    let calls: Vec<_> = request.turns[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolUse(call) => (call.name.as_ref(), call.input.as_ref(), call.freeform),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(calls[0].0, "g__t");
    assert_eq!(calls[1].0, "gone__x");
    assert_eq!(calls[2], ("patch", r#"{"input":"a \"b\""}"#, false));
    assert_eq!(calls[3].0, "t", "a plain name stays");
}

#[test]
fn freeform_tools_carry_their_grammar_in_the_description() {
    let flat = r#"{"type":"grammar","syntax":"lark","definition":"start: \"x\""}"#;
    let nested = r#"{"type":"grammar","grammar":{"syntax":"lark","definition":"start: \"x\""}}"#;
    for format in [flat, nested] {
        let format: &RawValue = serde_json::from_str(format).unwrap();
        let mut patch = tool(None, "apply_patch");
        patch.freeform = Some(Some(format));
        let mut request = Request { tools: vec![patch], ..Request::default() };
        let mut names = Names::apply(&mut request, PLAIN);
        let sent = &request.tools[0];
        let said = sent.description.as_deref().unwrap();
        assert!(said.starts_with("does\n\n") && said.ends_with("lark grammar:\nstart: \"x\""), "{said}");
        let schema: Value = serde_json::from_str(sent.schema.as_ref().unwrap().get()).unwrap();
        assert!(schema["required"][0] == "input" && sent.freeform.is_none());
        assert_eq!(
            back(&mut names, "apply_patch", &["{\"inp", "ut\": \"a\\", "nb\"}"]),
            ("apply_patch".into(), None, true, "a\nb".into())
        );
    }
}

#[test]
fn a_backend_that_knows_them_gets_groups_and_freeform_tools_untouched() {
    let mut patch = tool(Some("g"), "t");
    patch.freeform = Some(None);
    let mut request = Request { tools: vec![patch], ..Request::default() };
    let names = Names::apply(&mut request, Rule { longest: 64, groups: true, freeform: true });
    assert!(names.back.is_empty() && request.tools[0].namespace.is_some() && request.tools[0].freeform.is_some());
}

fn unwrap(pieces: &[&str]) -> String {
    let (mut unwrap, mut out) = (Unwrap::default(), String::new());
    pieces.iter().for_each(|piece| unwrap.push(piece, &mut out));
    unwrap.end(&mut out);
    out
}

/// What models send, and the text that is meant.
const FORMS: &[(&str, &str)] = &[
    (r#"{"input":"*** Begin\nx\\y \"q\" \u00e9 \ud83d\ude00 \/"}"#, "*** Begin\nx\\y \"q\" é 😀 /"),
    ("*** Begin Patch\n\"x\"", "*** Begin Patch\n\"x\""),
    ("{ \"patch\" : \"a\" }", "a"),
    (r#"{"command":["apply_patch","text"]}"#, "text"),
    (r#"{"other":"x","input":"y"}"#, "y"),
    (r#"{"odd":"only"}"#, "only"),
    (r#""just a string""#, "just a string"),
    ("{}", ""),
    ("", ""),
    ("{ x: 1 }", "{ x: 1 }"),
    (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#),
    (r#"{"input":"say "hi" now"}"#, "say \"hi\" now"),
    (r#"{"input":"\d \ud83d x \u12"}"#, "\\d \u{fffd} x \\u12"),
    (r#"{"input":"cut off"#, "cut off"),
    (r#"{"input":"cut off\u00"#, "cut off\\u00"),
    (r#"{"input":5}"#, r#"{"input":5}"#),
];

#[test]
fn every_form_gives_its_text_however_it_is_split() {
    for (sent, meant) in FORMS {
        assert_eq!(unwrap(&[sent]), *meant, "{sent}");
        for at in (0..=sent.len()).filter(|at| sent.is_char_boundary(*at)) {
            assert_eq!(unwrap(&[&sent[..at], &sent[at..]]), *meant, "{sent} split at {at}");
        }
        let single: Vec<String> = sent.chars().map(String::from).collect();
        let single: Vec<&str> = single.iter().map(String::as_str).collect();
        assert_eq!(unwrap(&single), *meant, "{sent} by characters");
    }
}

#[test]
fn the_text_comes_as_it_streams() {
    let (mut unwrap, mut out) = (Unwrap::default(), String::new());
    unwrap.push("{\"input\":\"one", &mut out);
    assert_eq!(out, "one");
    unwrap.push(" two\\", &mut out);
    assert_eq!(out, "one two");
}

proptest::proptest! {
    #[test]
    fn wrapped_text_comes_back_whole(text: String, cuts: Vec<usize>) {
        let sent = freeform::wrap(&text);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (sent.len() + 1)).filter(|at| sent.is_char_boundary(*at)).collect();
        ends.extend([0, sent.len()]);
        ends.sort_unstable();
        let pieces: Vec<&str> = ends.windows(2).map(|pair| &sent[pair[0]..pair[1]]).collect();
        proptest::prop_assert_eq!(unwrap(&pieces), text);
    }

    #[test]
    fn anything_is_survived_and_split_the_same(sent in r#"[ -~\n"\\{}:,inputdu0-9é]{0,60}"#, cut: usize) {
        let at = cut % (sent.len() + 1);
        let whole = unwrap(&[&sent]);
        if sent.is_char_boundary(at) {
            proptest::prop_assert_eq!(unwrap(&[&sent[..at], &sent[at..]]), whole);
        }
    }

    #[test]
    fn names_always_fit(group: Option<String>, name: String) {
        let made = wire::name(group.as_deref(), &name, 64);
        proptest::prop_assert!(wire::fits(&made, 64), "{}", made);
    }
}
