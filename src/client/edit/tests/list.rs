//! Files that are one list of groups.

use serde_json::json;

use super::*;

fn at(steps: &[&str], to: Value) -> Change {
    let mut path = vec![Step::Item { key: "name".into(), is: "ours".into() }];
    path.extend(steps.iter().map(|key| Step::Key((*key).to_owned())));
    Change { path, to: Some(to) }
}

pub(super) fn changes() -> Vec<Change> {
    let mut model = at(&["models"], json!({ "id": "m", "url": "http://127.0.0.1:1/v1" }));
    model.path.push(Step::Item { key: "id".into(), is: "m".into() });
    vec![at(&["vendor"], "v".into()), model]
}

fn ours() -> Value {
    json!({ "name": "ours", "vendor": "v", "models": [{ "id": "m", "url": "http://127.0.0.1:1/v1" }] })
}

#[test]
fn a_group_is_put_behind_those_of_others_and_taken_out_again() {
    for (text, before) in [
        ("", json!([])),
        ("[]", json!([])),
        ("// none yet\n[\n]\n", json!([])),
        ("[{\"name\":\"a\",\"vendor\":\"w\"}]", json!([{ "name": "a", "vendor": "w" }])),
        ("[\r\n\t{\r\n\t\t\"name\": \"a\", // mine\r\n\t},\r\n]\r\n", json!([{ "name": "a" }])),
        ("[1, null, {\"name\": 2}]", json!([1, null, { "name": 2 }])),
    ] {
        let edited = there_and_back(text, Format::JsonList, &changes());
        let mut after = before.as_array().unwrap().clone();
        after.push(ours());
        assert_eq!(value(&edited, Format::JsonList).unwrap(), Value::from(after), "{edited}");
        assert!(!text.contains("\r\n") || !edited.replace("\r\n", "").contains('\n'), "{edited:?}");
        assert!(!text.contains("// mine") || edited.contains("// mine"), "{edited}");
    }
    assert!(says_nothing("[ ]\n", Format::JsonList) && !says_nothing("[1]", Format::JsonList));
}

#[test]
fn a_group_of_that_name_keeps_what_is_its_users() {
    let old = "[\n\t{\n\t\t\"name\": \"ours\",\n\t\t\"vendor\": \"w\",\n\t\t\"apiKey\": \"k\"\n\t}\n]";
    let edited = apply(old, Format::JsonList, &changes()).unwrap();
    let now = value(&edited.text, Format::JsonList).unwrap();
    assert_eq!((&now[0]["apiKey"], &now[0]["vendor"]), (&json!("k"), &json!("v")));
    assert_eq!(restore(&edited.text, Format::JsonList, &edited.undo).unwrap().text, old);
}

#[test]
fn written_anew_by_its_program_the_group_still_goes_and_what_was_added_is_kept() {
    let edited = apply("[]", Format::JsonList, &changes()).unwrap();
    let mut now = value(&edited.text, Format::JsonList).unwrap();
    now.as_array_mut().unwrap().insert(0, json!({ "name": "a" }));
    let back = restore(&format!("{now:#}"), Format::JsonList, &edited.undo).unwrap();
    assert_eq!(value(&back.text, Format::JsonList).unwrap(), json!([{ "name": "a" }]));
    assert_eq!(back.kept.len(), 0);
    now[1]["settings"] = json!({ "m": 1 });
    let back = restore(&now.to_string(), Format::JsonList, &edited.undo).unwrap();
    assert_eq!(
        value(&back.text, Format::JsonList).unwrap(),
        json!([{ "name": "a" }, { "name": "ours", "settings": { "m": 1 } }])
    );
}

#[test]
fn what_is_no_list_or_has_the_group_twice_is_left_alone() {
    let refused = |text: &str| apply(text, Format::JsonList, &changes()).unwrap_err();
    for text in ["{}", "{ \"name\": \"ours\" }"] {
        assert_eq!(refused(text), EditError::NotAList { found: "a group of settings" });
    }
    let twice = "[{\"name\": \"ours\"}, {\"name\": \"ours\"}]";
    assert_eq!(refused(twice), EditError::Duplicate { path: "[name=ours]".into() });
    let shown = by_hand(Format::JsonList, &changes());
    assert_eq!(value(&shown, Format::JsonList).unwrap(), json!([ours()]), "{shown}");
}
