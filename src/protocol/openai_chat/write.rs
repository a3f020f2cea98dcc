//! JSON objects appended to bytes, member by member, with the commas they need.

use std::io::Write;

pub(super) use crate::protocol::quote::{inner, string};

/// Appends a number.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    // Writing into a vector does not fail.
    let _ = write!(out, "{number}");
}

/// Appends `,` where one is missing: behind a value.
pub(super) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), None | Some(b'{' | b'[' | b',' | b':')) {
        out.push(b',');
    }
}

/// Appends `"key":` with the comma it needs. The key is a plain word.
pub(super) fn key(out: &mut Vec<u8>, key: &str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends the member `key` with a text.
pub(super) fn member(out: &mut Vec<u8>, name: &str, text: &str) {
    key(out, name);
    string(out, text);
}

/// Appends the member `key` with JSON that is ready.
pub(super) fn raw(out: &mut Vec<u8>, name: &str, json: &str) {
    key(out, name);
    out.extend_from_slice(json.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_and_nowhere_else() {
        let mut out = b"{".to_vec();
        member(&mut out, "a", "x{");
        raw(&mut out, "b", "[1]");
        key(&mut out, "c");
        number(&mut out, 7);
        out.push(b'}');
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"x{","b":[1],"c":7}"#);
    }
}
