//! What is left alone, and what is said about it.

use super::*;

#[track_caller]
fn refused(text: &str, format: Format) -> EditError {
    apply(text, format, &changes()).unwrap_err()
}

#[test]
fn what_its_program_could_not_read_is_named_by_line_and_column() {
    let at = |error: EditError| match error {
        EditError::Syntax { line, column, .. } => (line, column),
        other => panic!("{other}"),
    };
    assert_eq!(at(refused("{\n  \"a\": nope\n}", Format::Json)).0, 2);
    assert_eq!(at(refused("a = 1\nb = = 2\n", Format::Toml)), (2, 5));
    assert_eq!(at(refused("a = 1\na = 2\n", Format::Toml)).0, 2);
    assert_eq!(at(refused("a: 1\n b: [\n", Format::Yaml)).0, 2);
    assert_eq!(at(refused("A=1\nB=\"open\n", Format::Dotenv)), (2, 3));
}

#[test]
fn other_things_than_settings_are_left_alone() {
    assert_eq!(refused("[1]", Format::Json), EditError::NotAnObject { found: "a list" });
    assert_eq!(refused("just text", Format::Yaml), EditError::NotAnObject { found: "text" });
    assert_eq!(refused("a: 1\n---\nb: 2\n", Format::Yaml), EditError::NotAnObject { found: "several documents" });
    let path = || "env".to_owned();
    assert_eq!(refused("{\"env\": \"x\"}", Format::Json), EditError::Blocked { path: path(), found: "text" });
    assert_eq!(refused("env = [1]", Format::Toml), EditError::Blocked { path: path(), found: "a list" });
    assert_eq!(refused("{\"env\": {}, \"env\": {}}", Format::Json), EditError::Duplicate { path: path() });
    let two = apply("A=1\nA=2\n", Format::Dotenv, &[Change::set(&["A"], "3")]).unwrap_err();
    assert_eq!(two, EditError::Duplicate { path: "A".into() });
    // Elsewhere it is not our affair.
    apply("{\"x\": 1, \"x\": 2}", Format::Json, &changes()).unwrap();
}

#[test]
fn what_would_change_elsewhere_too_is_not_done() {
    // Whoever uses the anchor would get the value too.
    let error = refused("env: &e\n  A: 1\nother: *e\n", Format::Yaml);
    assert!(matches!(error, EditError::Unsafe), "{error}");
    let error = refused("e: &e {A: 1}\nenv: *e\n", Format::Yaml);
    assert!(matches!(error, EditError::Unsupported { .. } | EditError::Unsafe), "{error}");
}

#[test]
fn bytes_that_are_no_text_or_too_many_are_left_alone() {
    assert_eq!(decode(b"{\n\xff}"), Err(EditError::NotUnicode { line: 2 }));
    let large = " ".repeat(LARGEST + 1);
    assert_eq!(decode(large.as_bytes()), Err(EditError::TooLarge { bytes: LARGEST + 1 }));
    assert!(matches!(refused(&large, Format::Json), EditError::TooLarge { .. }));
}

#[test]
fn what_is_nested_without_end_is_an_error_and_no_crash() {
    for (format, text) in [
        (Format::Json, "{\"a\":".repeat(100_000)),
        (Format::Json, "[".repeat(100_000)),
        (Format::Toml, format!("a = {}", "[".repeat(100_000))),
        (Format::Yaml, "- ".repeat(10_000)),
        (Format::Yaml, format!("a: {}", "[".repeat(10_000))),
    ] {
        refused(&text, format);
    }
}
