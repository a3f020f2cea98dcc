//! JSON appended to bytes. A request is mostly text that needs no escape, so text is looked through eight bytes at a
//! time and copied in runs.

use std::io::Write;

/// Appends `text` as a JSON string, quotes included.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    inner(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string.
pub(super) fn inner(out: &mut Vec<u8>, text: &str) {
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

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A high bit in each byte of `word` that is zero. Bytes above a zero byte may be marked wrongly, never one below it.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Where the first byte from `at` on stands that JSON wants escaped.
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(Ok(eight)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let word = u64::from_le_bytes(eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = control | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')).map(|found| at + found)
}

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

    proptest::proptest! {
        #[test]
        fn any_text_comes_back(text: String) {
            assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
