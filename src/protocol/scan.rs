//! A scanner over JSON text that finds where values stand without building anything. It trusts the text to be JSON
//! where it does not look: the engine behind validates what it parses.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::blocks::{self, Escapes};

/// Where a value stands in the text.
pub type Span = Range<usize>;

/// The members of the object at `span`: each key's and each value's place. `None` when it is no object or ends early.
pub fn members(text: &[u8], span: Span) -> Option<Vec<(Span, Span)>> {
    let mut found = Vec::new();
    if span.end > text.len() {
        return None;
    }
    walk_members(text, skip_space(text, span.start), |key, start| {
        let end = skip(text, start)?;
        found.push((key, start..end));
        Some(end)
    })?;
    Some(found)
}

/// The elements of the array at `span`. `None` when it is no array or ends early.
pub fn elements(text: &[u8], span: Span) -> Option<Vec<Span>> {
    let mut found = Vec::new();
    if span.end > text.len() {
        return None;
    }
    walk_elements(text, skip_space(text, span.start), |start| {
        let end = skip(text, start)?;
        found.push(start..end);
        Some(end)
    })?;
    Some(found)
}

/// Walks the object that begins at `at`: `each` gets the place of a key and where its value starts, and says where
/// that ends, so that a value looked into is not scanned twice. The answer is the end of the object.
pub fn walk_members(text: &[u8], at: usize, mut each: impl FnMut(Span, usize) -> Option<usize>) -> Option<usize> {
    if text.get(at) != Some(&b'{') {
        return None;
    }
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b'}') {
        return Some(at + 1);
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
        let end = each(at..key_end, skip_space(text, colon + 1))?;
        at = skip_space(text, end);
        match text.get(at)? {
            b',' => at = skip_space(text, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Walks the array that begins at `at` in the same way.
pub fn walk_elements(text: &[u8], at: usize, mut each: impl FnMut(usize) -> Option<usize>) -> Option<usize> {
    if text.get(at) != Some(&b'[') {
        return None;
    }
    let mut at = skip_space(text, at + 1);
    if text.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        let end = each(at)?;
        at = skip_space(text, end);
        match text.get(at)? {
            b',' => at = skip_space(text, at + 1),
            b']' => return Some(at + 1),
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
    self::key(text, span).as_ref() == key.as_bytes()
}

/// The key at `span`, without quotes and escapes.
pub fn key(text: &[u8], span: Span) -> Cow<'_, [u8]> {
    let raw = text.get(span.clone()).unwrap_or_default();
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    match inner.contains(&b'\\') {
        true => string(text, span).map_or(Cow::Borrowed(inner), |plain| plain.into_bytes().into()),
        false => inner.into(),
    }
}

/// The string at `span`, unescaped.
pub fn string(text: &[u8], span: Span) -> Option<String> {
    // Most have no escapes.
    if text.get(span.start) == Some(&b'"')
        && let Some((end, Escapes::None)) = blocks::checked_end(text, span.start + 1)
        && end + 1 == span.end
    {
        return std::str::from_utf8(&text[span.start + 1..end]).ok().map(str::to_owned);
    }
    serde_json::from_slice(text.get(span)?).ok()
}

/// Whether a string stands at `span` and begins with `prefix` (of plain characters).
pub fn string_starts_with(text: &[u8], span: Span, prefix: &str) -> bool {
    text.get(span).and_then(|raw| raw.strip_prefix(b"\"")).is_some_and(|raw| raw.starts_with(prefix.as_bytes()))
}

/// The number behind the last `"key":` in `text`, for tails of streams.
pub fn last_number(text: &[u8], key: &str) -> Option<u64> {
    let needle = format!("\"{key}\":");
    let at = rfind(text, needle.as_bytes())? + needle.len();
    let rest = text.get(skip_space(text, at)..)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// All counts of tokens in `text`, in their order: the names of members that end in `_tokens`, and their numbers. Words
/// about such a member are none: inside JSON their quotes are escaped.
pub fn tokens(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"_tokens\":"));
    END.find_iter(text).filter_map(|at| {
        let name_end = at + b"_tokens".len();
        let start = memchr::memrchr(b'"', &text[..at])? + 1;
        let digits = text.get(skip_space(text, name_end + 2)..)?;
        let digits = &digits[..digits.iter().take_while(|byte| byte.is_ascii_digit()).count()];
        Some((&text[start..name_end], std::str::from_utf8(digits).ok()?.parse().ok()?))
    })
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

/// `at` is on the opening quote; the answer is behind the closing one. Most bytes of a request are looked at here and
/// nowhere else.
fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    blocks::end(text, at + 1).map(|end| end + 1)
}

/// `at` is where a value starts; the answer is behind it.
pub fn skip(text: &[u8], at: usize) -> Option<usize> {
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
    fn strings_of_any_length_end_at_their_quote() {
        for length in 0..40 {
            for tail in ["", "\\\"", "\\\\", "\\\"\\\\é"] {
                let text = format!("\"{}{tail}\" ,", "é".repeat(length) + &"x".repeat(length % 3));
                assert_eq!(skip(text.as_bytes(), 0), Some(text.len() - 2), "{text}");
            }
        }
    }

    #[test]
    fn numbers_in_tails() {
        assert_eq!(last_number(br#"x{"n":1} {"n": 23}"#, "n"), Some(23));
        assert_eq!(last_number(br#"{"n":null}"#, "n"), None);
        let text =
            br#"_tokens":1,"input_tokens": 7,"a":{"cached_tokens":null},"_tokens":2 "x \"y_tokens\":3" "z_tokens":4.5"#;
        let found: Vec<_> = tokens(text).map(|(name, count)| (std::str::from_utf8(name).unwrap(), count)).collect();
        assert_eq!(found, [("input_tokens", 7), ("_tokens", 2), ("z_tokens", 4)]);
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
