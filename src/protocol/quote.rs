//! JSON, appended piece by piece to bytes that go out as they are: no tree is built for what is written once.

use serde::Serialize;

use super::blocks::special;

/// Appends `text` as a JSON string, quotes included. A request is mostly text that needs no escape, so text is looked
/// through in blocks and copied in runs.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inner(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string.
pub fn inner(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    while let Some(next) = special(bytes, at) {
        out.extend_from_slice(&bytes[copied..next]);
        match bytes[next] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                b'0' + (other >> 4),
                b"0123456789abcdef"[usize::from(other & 15)],
            ]),
        }
        at = next + 1;
        copied = at;
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Appends `,"key":` and `text` as a JSON string. `key` holds plain characters only.
pub fn member(out: &mut Vec<u8>, key: &str, text: &str) {
    self::key(out, key);
    string(out, text);
}

/// Appends `,"key":`. `key` holds plain characters only.
pub fn key(out: &mut Vec<u8>, key: &str) {
    raw(out, ",\"");
    raw(out, key);
    raw(out, "\":");
}

/// Appends what is JSON already.
pub fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Appends `value` as JSON (for numbers, flags and lists of texts).
pub fn json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing to memory cannot fail, and none of these values has keys that are no strings.
    let _ = serde_json::to_writer(out, value);
}

/// Appends a comma unless something has just been opened.
pub fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'[' | b'{')) {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_json() {
        let mut out = b"{\"a\":[".to_vec();
        for text in ["x\"\n", "é\u{2028}"] {
            comma(&mut out);
            string(&mut out, text);
        }
        out.push(b']');
        member(&mut out, "b", "\\");
        key(&mut out, "c");
        json(&mut out, &7u64);
        out.push(b'}');
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!({"a": ["x\"\n", "é\u{2028}"], "b": "\\", "c": 7}));
    }

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_survives_at_every_place() {
        for byte in 0..=0x7fu8 {
            for before in 0..18 {
                let text = format!("{}{}\u{e9}tail of it", "x".repeat(before), byte as char);
                assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
            }
        }
        assert_eq!(written("a\"b\\c\n\u{1}\u{7f}é"), "\"a\\\"b\\\\c\\n\\u0001\u{7f}é\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back(text: String) {
            assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
