//! Edits are made, taken back, and taken back after somebody else wrote in between.

mod broken;
mod list;
mod random;
mod set_out;

use serde_json::json;

use super::*;

fn changes() -> Vec<Change> {
    vec![
        Change::set(&["env", "BASE"], "http://127.0.0.1:1/x"),
        Change::set(&["env", "MODEL"], "m \"q\""),
        Change::set(&["depth", "below", "n"], 7),
        Change::set(&["top"], true),
        Change::remove(&["env", "OLD"]),
        Change::remove(&["gone"]),
    ]
}

/// Applies, checks what it means, takes it back and gives the text in between.
#[track_caller]
fn there_and_back(text: &str, format: Format, changes: &[Change]) -> String {
    let edited = apply(text, format, changes).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    let again = apply(&edited.text, format, changes).unwrap();
    assert_eq!((again.text.as_str(), again.undo.len()), (edited.text.as_str(), 0), "once is enough");
    let back = restore(&edited.text, format, &edited.undo).unwrap_or_else(|error| panic!("{error}: {edited:?}"));
    assert_eq!(back.kept, Vec::<Vec<Step>>::new());
    let meaning = |text: &str| read(text.strip_prefix(MARK).unwrap_or(text), format).unwrap();
    assert_eq!(meaning(&back.text), meaning(text), "{:?}\n{:?}\n{:?}", text, edited.text, back.text);
    let undo: Vec<Undo> = serde_json::from_str(&serde_json::to_string(&edited.undo).unwrap()).unwrap();
    assert_eq!(undo, edited.undo);
    edited.text
}

#[test]
fn what_already_stands_there_is_no_change() {
    let edited = apply("{\"a\": 1} // x", Format::Json, &[Change::set(&["a"], 1), Change::remove(&["b"])]).unwrap();
    assert_eq!((edited.text.as_str(), edited.undo.len()), ("{\"a\": 1} // x", 0));
}

#[test]
fn what_somebody_else_wrote_since_stays_and_is_named() {
    let old = "{\n  \"env\": {\n    \"BASE\": \"https://old\", // mine\n    \"OLD\": \"1\"\n  }\n}\n";
    let edited = apply(old, Format::Json, &changes()).unwrap();
    let theirs =
        edited.text.replace("m \\\"q\\\"", "theirs").replace("\"top\": true", "\"top\": true,\n  \"more\": [1]");
    let back = restore(&theirs, Format::Json, &edited.undo).unwrap();
    assert_eq!(back.kept.iter().map(|path| shown(path)).collect::<Vec<_>>(), ["env.MODEL"]);
    let expected = json!({"env": {"BASE": "https://old", "MODEL": "theirs", "OLD": "1"}, "more": [1]});
    assert_eq!(json::read(&back.text).unwrap(), expected, "{}", back.text);
    assert!(back.text.contains("\"https://old\", // mine"), "{}", back.text);
}

#[test]
fn what_somebody_removed_since_is_gone_and_no_conflict() {
    let edited = apply("", Format::Json, &changes()).unwrap();
    let back = restore("{\"other\": 1}", Format::Json, &edited.undo).unwrap();
    assert_eq!((back.text.as_str(), back.kept.len()), ("{\"other\": 1}", 0));
}

#[test]
fn parents_that_others_use_since_stay() {
    for (format, text) in [
        (Format::Json, "{\"env\": {\"BASE\": \"http://127.0.0.1:1/x\", \"THEIRS\": 1}}"),
        (Format::Toml, "[env]\nBASE = \"http://127.0.0.1:1/x\"\nTHEIRS = 1\n"),
        (Format::Yaml, "env:\n  BASE: http://127.0.0.1:1/x\n  THEIRS: 1\n"),
    ] {
        let undo = apply("", format, &changes()[..1]).unwrap().undo;
        let back = restore(text, format, &undo).unwrap();
        assert_eq!(read(&back.text, format).unwrap(), json!({"env": {"THEIRS": 1}}), "{}", back.text);
    }
}

#[test]
fn items_of_lists_are_found_by_a_name_and_made_when_missing() {
    let path = |last: &str| {
        let item = Step::Item { key: "name".into(), is: "llmup".into() };
        vec![Step::Key("models".into()), item, Step::Key(last.into())]
    };
    let changes = [
        Change { path: path("url"), to: Some("http://127.0.0.1:1".into()) },
        Change { path: path("n"), to: Some(3.into()) },
    ];
    let ours = json!({"name": "llmup", "url": "http://127.0.0.1:1", "n": 3});
    for (format, text) in [
        (Format::Json, "{\n  \"models\": [\n    {\"name\": \"other\"} // theirs\n  ]\n}"),
        (Format::Json, "{\"models\": [{\"name\": \"other\"}]}"),
        (Format::Yaml, "models:\n  - name: other # theirs\n"),
        (Format::Yaml, "models:\r\n- name: other\r\n  more: 1\r\nlast: 1\r\n"),
        (Format::Yaml, "models: [{name: other}]\n"),
    ] {
        let new = there_and_back(text, format, &changes);
        let value = read(&new, format).unwrap();
        assert_eq!(value["models"][1], ours, "{new}");
        assert_eq!(value["models"][0]["name"], "other");
        let undo = apply(text, format, &changes).unwrap().undo;
        assert_eq!(restore(&new, format, &undo).unwrap().text, text);
    }
    for format in [Format::Json, Format::Yaml] {
        let new = there_and_back("", format, &changes);
        assert_eq!(read(&new, format).unwrap()["models"], json!([ours]), "{new}");
        let whole = [Change { path: path("x")[..2].to_vec(), to: Some(json!({"url": "u", "list": ["a", {"b": 1}]})) }];
        let new = there_and_back("", format, &whole);
        let expected = json!([{"name": "llmup", "url": "u", "list": ["a", {"b": 1}]}]);
        assert_eq!(read(&new, format).unwrap()["models"], expected, "{new}");
    }
}

#[test]
fn a_group_in_braces_gets_groups_in_braces() {
    let provider = |key: &str| Change::set(&["providers", "llmup", key], "x");
    let new = there_and_back("providers = { other = { a = 1 } } # c\n", Format::Toml, &[provider("a"), provider("b")]);
    assert_eq!(new, "providers = { other = { a = 1 }, llmup = { a = \"x\", b = \"x\" } } # c\n");
}

#[test]
fn lines_to_put_in_by_hand_are_a_whole_file() {
    assert_eq!(
        by_hand(Format::Json, &changes()[..1]),
        "{\n  \"env\": {\n    \"BASE\": \"http://127.0.0.1:1/x\"\n  }\n}\n"
    );
    assert_eq!(by_hand(Format::Toml, &changes()[..1]), "[env]\nBASE = \"http://127.0.0.1:1/x\"\n");
    assert_eq!(by_hand(Format::Yaml, &changes()[..1]), "env:\n  BASE: \"http://127.0.0.1:1/x\"\n");
}

#[test]
fn values_that_look_like_something_else_stay_text() {
    for value in
        ["", "yes", "1", "null", "a: b", "#x", "it's", "\"", "- a", "ж\u{1f600}", "a\nb", "\t", "~", "0x1f", "*a"]
    {
        for format in [Format::Json, Format::Toml, Format::Yaml] {
            let changes = [Change::set(&["k", "v"], value), Change::set(&["w"], value)];
            let new = there_and_back("", format, &changes);
            let old = there_and_back(&new, format, &[Change::set(&["w"], "other")]);
            assert_ne!(old, new);
        }
    }
}
