//! JSON, appended piece by piece to bytes that go out as they are: no tree is built for what is written once.

use serde::Serialize;

/// Appends `text` as a JSON string, quotes included.
pub fn string(out: &mut Vec<u8>, text: &str) {
    json(out, text);
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
}
