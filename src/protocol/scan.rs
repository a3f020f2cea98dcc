//! A scanner over JSON text that finds where values stand without building anything. It trusts the text to be JSON
//! where it does not look: the engine behind validates what it parses.

use std::ops::Range;

/// Where a value stands in the text.
pub type Span = Range<usize>;

/// The members of the object at `span`: each key's and each value's place. `None` when it is no object or ends early.
pub fn members(text: &[u8], span: Span) -> Option<Vec<(Span, Span)>> {
    let mut found = Vec::new();
    let mut at = skip_space(text, span.start);
    if text.get(at) != Some(&b'{') || span.end > text.len() {
        return None;
    }
    at = skip_space(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return Some(found);
    }
    loop {
        if text.get(at) != Some(&b'"') {
            return None;
        }
        let key_end = skip_string(text, at)?;
        let colon = skip_space(text, key_end);
        if text.get(colon) != Some(&b':') {
            return None;
        }
        let start = skip_space(text, colon + 1);
        let end = skip_value(text, start)?;
        found.push((at..key_end, start..end));
        at = skip_space(text, end);
        match text.get(at)? {
            b',' => at = skip_space(text, at + 1),
            b'}' => return Some(found),
            _ => return None,
        }
    }
}

/// The elements of the array at `span`. `None` when it is no array or ends early.
pub fn elements(text: &[u8], span: Span) -> Option<Vec<Span>> {
    let mut found = Vec::new();
    let mut at = skip_space(text, span.start);
    if text.get(at) != Some(&b'[') || span.end > text.len() {
        return None;
    }
    at = skip_space(text, at + 1);
    if text.get(at) == Some(&b']') {
        return Some(found);
    }
    loop {
        let end = skip_value(text, at)?;
        found.push(at..end);
        at = skip_space(text, end);
        match text.get(at)? {
            b',' => at = skip_space(text, at + 1),
            b']' => return Some(found),
            _ => return None,
        }
    }
}

/// The value of the last member called `key` of the object at `span` (parsers keep the last one too).
pub fn member(text: &[u8], span: Span, key: &str) -> Option<Span> {
    members(text, span)?.into_iter().rev().find(|(k, _)| key_is(text, k.clone(), key)).map(|(_, v)| v)
}

/// Whether the key at `span`, quotes included, is `key`; an escaped spelling counts.
pub fn key_is(text: &[u8], span: Span, key: &str) -> bool {
    let raw = text.get(span.clone()).unwrap_or_default();
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    inner == key.as_bytes() || (inner.contains(&b'\\') && string(text, span).is_some_and(|s| s == key))
}

/// The string at `span`, unescaped.
pub fn string(text: &[u8], span: Span) -> Option<String> {
    serde_json::from_slice(text.get(span)?).ok()
}

/// Whether a string stands at `span` and begins with `prefix` (of plain characters).
pub fn string_starts_with(text: &[u8], span: Span, prefix: &str) -> bool {
    text.get(span).and_then(|raw| raw.strip_prefix(b"\"")).is_some_and(|raw| raw.starts_with(prefix.as_bytes()))
}

/// The first run of digits in `text`.
pub fn first_number(text: &str) -> Option<u64> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = &text[start..];
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

/// The number behind the last `"key":` in `text`, for tails of streams.
pub fn last_number(text: &[u8], key: &str) -> Option<u64> {
    let needle = format!("\"{key}\":");
    let at = rfind(text, needle.as_bytes())? + needle.len();
    let rest = text.get(skip_space(text, at)..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// Where `needle` stands last.
pub fn rfind(text: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(text, needle)
}

/// Whether a line of a stream begins with `start`. Text inside JSON never does: its line ends are escaped.
pub fn has_line(text: &[u8], start: &[u8]) -> bool {
    memchr::memmem::find_iter(text, start).any(|at| at == 0 || matches!(text[at - 1], b'\n' | b'\r'))
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// `at` is on the opening quote; the answer is behind the closing one.
fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let start = at + 1;
    let mut at = start;
    loop {
        // Looking for quotes only: text is full of `\n`, and each stop costs more than the bytes between.
        let quote = at + memchr::memchr(b'"', text.get(at..)?)?;
        let slashes = text[start..quote].iter().rev().take_while(|b| **b == b'\\').count();
        at = quote + 1;
        if slashes % 2 == 0 {
            return Some(at);
        }
    }
}

fn skip_value(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => skip_string(text, at),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut at = at;
            loop {
                match text.get(at)? {
                    b'"' => {
                        at = skip_string(text, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        b',' | b'}' | b']' | b':' => None,
        _ => {
            let length = text[at..]
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
                .unwrap_or(text.len() - at);
            Some(at + length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_stand() {
        let text = br#" { "a" : [1, "x,]}\"", {"b":2}] , "b":null,"c":{"d":"e"} }"#;
        let all = 0..text.len();
        let a = member(text, all.clone(), "a").unwrap();
        let parts: Vec<_> = elements(text, a).unwrap().into_iter().map(|s| &text[s]).collect();
        assert_eq!(parts, [b"1".as_slice(), br#""x,]}\"""#, br#"{"b":2}"#]);
        assert_eq!(&text[member(text, all.clone(), "b").unwrap()], b"null");
        let c = member(text, all.clone(), "c").unwrap();
        assert_eq!(string(text, member(text, c, "d").unwrap()).as_deref(), Some("e"));
        assert_eq!(member(text, all, "z"), None);
    }

    #[test]
    fn keys_may_be_escaped_and_the_last_one_counts() {
        let text = br#"{"model":1,"mod\u0065l":2}"#;
        assert_eq!(&text[member(text, 0..text.len(), "model").unwrap()], b"2");
    }

    #[test]
    fn strings_end_at_the_first_quote_behind_an_even_number_of_backslashes() {
        for (inner, more) in [("", ""), ("a\\\\", "b"), ("\\\\\\\"", ""), ("\\\"\\\"x\\n", ",\"y\"")] {
            let text = format!("\"{inner}\"{more}");
            assert_eq!(skip_string(text.as_bytes(), 0), Some(inner.len() + 2), "{text}");
        }
        for open in ["\"", "\"a", "\"a\\\"", "\"a\\"] {
            assert_eq!(skip_string(open.as_bytes(), 0), None, "{open}");
        }
    }

    #[test]
    fn lines_begin_at_line_ends() {
        assert!(has_line(b"data: [DONE]", b"data: [DONE]") && has_line(b"x\n\ndata: [DONE]\n", b"data: [DONE]"));
        assert!(!has_line(b"data: {\"text\":\"x\\ndata: [DONE]\"}", b"data: [DONE]"));
    }

    #[test]
    fn numbers_in_tails() {
        assert_eq!(last_number(br#"x{"n":1} {"n": 23}"#, "n"), Some(23));
        assert_eq!(last_number(br#"{"n":null}"#, "n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = members(&bytes, 0..bytes.len());
            let _ = elements(&bytes, 0..bytes.len());
        }

        #[test]
        fn nearly_json_is_survived(text in r#"[\[\]{}",:\\a1 ]{0,40}"#) {
            let _ = members(text.as_bytes(), 0..text.len());
            let _ = elements(text.as_bytes(), 0..text.len());
            let _ = member(text.as_bytes(), 0..text.len(), "a");
        }
    }
}
