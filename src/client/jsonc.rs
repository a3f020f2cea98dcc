//! Reads settings files the way their owners do: JSON with comments, trailing commas and a byte order mark.

use serde_json::Value;

/// Why a settings file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct Broken {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in bytes.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

/// The value in `text`. An empty file (or one of comments only) is an empty object, as the clients take it.
pub fn read(text: &str) -> Result<Value, Broken> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let plain = plain(text)?;
    if plain.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(&plain).map_err(|error| {
        let said = error.to_string();
        let reason = said.split(" at line ").next().unwrap_or(&said).to_owned();
        Broken { line: error.line(), column: error.column(), reason }
    })
}

/// `text` with comments and trailing commas blanked; every other byte stays at its place, so positions hold.
fn plain(text: &str) -> Result<String, Broken> {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    // The place of a comma that nothing but space and comments has followed, when it ended a value.
    let mut comma: Option<usize> = None;
    let mut last = b'[';
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'"' => {
                at = end_of_string(bytes, at);
                (comma, last) = (None, b'"');
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n);
                blank(&mut out[start..at]);
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let Some(length) = bytes[at + 2..].windows(2).position(|pair| pair == b"*/") else {
                    return Err(broken(text, at, "a comment that never ends"));
                };
                at += length + 4;
                blank(&mut out[start..at]);
            }
            b if b.is_ascii_whitespace() => at += 1,
            b => {
                if b == b',' {
                    comma = (!matches!(last, b'[' | b'{' | b',' | b':')).then_some(at);
                } else {
                    if let (b']' | b'}', Some(place)) = (b, comma) {
                        out[place] = b' ';
                    }
                    comma = None;
                }
                last = b;
                at += 1;
            }
        }
    }
    // Only whole ASCII bytes and whole comments were replaced.
    String::from_utf8(out).map_err(|error| broken(text, error.utf8_error().valid_up_to(), "not Unicode"))
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn broken(text: &str, at: usize, reason: &str) -> Broken {
    let before = &text.as_bytes()[..at];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    Broken {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        column: at - line_start + 1,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_trailing_commas_and_a_byte_order_mark_are_no_hindrance() {
        let text = "\u{feff}// settings\n{\n  \"env\": { /* mine */ \"A\": \"//no, /*comment*/\", },\n  \"l\": [1, 2, /*x*/ ], // end\n}\n";
        assert_eq!(read(text).unwrap(), json!({"env": {"A": "//no, /*comment*/"}, "l": [1, 2]}));
    }

    #[test]
    fn an_empty_file_is_no_settings() {
        assert_eq!(read(" // nothing yet\n").unwrap(), json!({}));
    }

    #[test]
    fn an_error_names_its_place_in_the_original() {
        let error = read("{\n  /* a\n long one */ \"a\": nope\n}").unwrap_err();
        assert_eq!((error.line, error.column), (3, 20), "{error}");
        let error = read("{}\n  /* open").unwrap_err();
        assert_eq!((error.line, error.column), (2, 3), "{error}");
        assert!(read("[,]").is_err() && read("{,}").is_err() && read("[1,,]").is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "[/*\",\\\\\\]\\}]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\{\\}\\[\\]\",:/*\\\\ \n0-9a-zé\u{feff}]{0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn plain_json_keeps_its_value(value in any_json()) {
            prop_assert_eq!(read(&value.to_string()).unwrap(), value.clone());
            prop_assert_eq!(read(&format!("/**/{value:#}//")).unwrap(), value);
        }
    }
}
