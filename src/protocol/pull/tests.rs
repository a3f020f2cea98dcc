use super::*;
use serde_json::Value;
use serde_json::value::RawValue;

#[test]
fn it_reads_what_serde_json_reads_and_nothing_else() {
    for text in [
        r#" { "a" : [ 1 , -2, 3.5e-2, 1E5, 0, -0.5 ], "b":null,"c":{"d":true,"e":false}, "f":"x\n\u00e9\ud83d\ude00" } "#,
        r#""x""#,
        "7",
        "[]",
        "{}",
        "[[],{}]",
        // Wrong ones.
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "tru",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\ud83d\"",
        "[1]x",
        "{1:2}",
        "\"",
        "nul",
        "[,1]",
        "+1",
        "\"\\",
    ] {
        let (ours, theirs) = (quick::<Value>(text), serde_json::from_str::<Value>(text).ok());
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn raw_values_come_as_they_stand() {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        a: Option<&'a RawValue>,
        #[serde(borrow)]
        b: Eager<'a, Vec<u64>>,
    }
    let text = r#"{"b":[1, 2],"x":[{}],"a": {"k" : [1.50, "\u00e9"]} }"#;
    let body: Body<'_> = quick(text).unwrap();
    assert_eq!(body.a.map(RawValue::get), Some(r#"{"k" : [1.50, "\u00e9"]}"#));
    assert!(matches!(body.b, Eager::Read(list) if list == [1, 2]));
    let body: Body<'_> = from_str(r#"{"b": "no list"}"#).unwrap();
    assert!(matches!(body.b, Eager::Raw(raw) if raw.get() == "\"no list\""));
}

#[test]
fn what_is_read_may_be_kept_as_it_stands_too() {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        a: Option<Spanned<'a, Vec<u64>>>,
        b: u8,
    }
    let body: Body<'_> = quick(r#"{"a":  [1, 2 ] ,"b":3}"#).unwrap();
    let a = body.a.unwrap();
    assert!(matches!(a.value, Eager::Read(list) if list == [1, 2]));
    assert_eq!((a.raw, body.b), ("[1, 2 ]", 3));
    let body: Body<'_> = from_str(r#"{"a": ["x"],"b":3}"#).unwrap();
    assert!(matches!(body.a, Some(Spanned { value: Eager::Raw(_), raw: r#"["x"]"# })));
    let body: Body<'_> = quick(r#"{"a":null,"b":3}"#).unwrap();
    assert!(body.a.is_none());
}

#[test]
fn depth_is_bounded() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(quick::<de::IgnoredAny>(&deep(100)).is_some());
    assert!(quick::<de::IgnoredAny>(&deep(100_000)).is_none());
    assert!(quick::<Value>(&deep(100_000)).is_none());
}

proptest::proptest! {
    #[test]
    fn it_agrees_with_serde_json(text in r#"([\[\]{}",:\\1 -]|"a"|"\\n"|true|null|1\.5){0,14}"#) {
        let (ours, theirs) = (quick::<Value>(&text), serde_json::from_str::<Value>(&text).ok());
        // What it leaves to serde_json it may leave; what it reads is the same.
        if ours.is_some() {
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>) {
        let _ = from_slice::<Value>(&bytes);
    }
}

#[test]
fn loose_values_are_strings_or_what_stands_there() {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        a: Option<Loose<'a>>,
    }
    for (value, text) in [
        (r#""plain""#, Some("plain")),
        (r#""a\n\"b\"""#, Some("a\n\"b\"")),
        (r#""\ud83d\ude00 \ud83d""#, Some("\u{1f600} \u{fffd}")),
        (r#"[{"a": 1}]"#, None),
        ("7", None),
    ] {
        let json = format!("{{\"a\": {value}}}");
        for body in [quick::<Body<'_>>(&json), serde_json::from_str(&json).ok()] {
            match body.unwrap().a.unwrap() {
                Loose::Text(found) => assert_eq!(Some(&*found), text),
                Loose::Raw(raw) => assert_eq!((raw.get(), text), (value, None)),
            }
        }
    }
    assert!(quick::<Body<'_>>(r#"{"a":null}"#).unwrap().a.is_none());
}
