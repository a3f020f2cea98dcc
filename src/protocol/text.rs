//! Text of a request. A prompt is mostly text, and on its way through the gateway nobody reads it: what came inside a
//! JSON string goes out as the same bytes inside another one, and its escapes are resolved only for who looks.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::quote;

/// Text, of which `&str` is had by dereferencing.
#[derive(Clone)]
pub struct Text<'a> {
    held: Held<'a>,
    /// What an escaped one says, once somebody asked.
    read: OnceCell<Box<str>>,
}

#[derive(Clone)]
enum Held<'a> {
    /// From anywhere.
    Plain(Cow<'a, str>),
    /// The inside of a JSON string without escapes.
    Same(&'a str),
    /// The inside of a JSON string: valid escapes, no surrogate that could stand alone.
    Escaped(&'a str),
}

/// The text a JSON value is, to be looked at; `None` when it is no string. Borrowed where it has no escapes.
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    Text::of(raw).map(Text::into_cow)
}

impl<'a> Text<'a> {
    /// The inside of a JSON string. Only for what a parser has seen: escapes valid, no controls. An escaped surrogate
    /// without its other half, which JSON parsers differ about and engines fail on, becomes U+FFFD.
    pub(super) fn written(inner: &'a str) -> Self {
        let Some(slash) = memchr::memchr(b'\\', inner.as_bytes()) else {
            return Held::Same(inner).into();
        };
        if surrogates(&inner.as_bytes()[slash..]) {
            return unescape(inner).0.into();
        }
        Held::Escaped(inner).into()
    }

    /// The inside of a JSON string without escapes.
    pub(super) fn same(inner: &'a str) -> Self {
        Held::Same(inner).into()
    }

    /// The inside of a JSON string whose escapes are valid and none of a surrogate.
    pub(super) fn escaped<D: Deserializer<'a>>(inner: D) -> Result<Self, D::Error> {
        <&str>::deserialize(inner).map(|inner| Held::Escaped(inner).into())
    }

    /// The text a JSON value is; `None` when it is no string.
    pub fn of(raw: &'a RawValue) -> Option<Self> {
        raw.get().strip_prefix('"')?.strip_suffix('"').map(Text::written)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.about() == 0
    }

    /// About how many bytes it has, escapes counted: for estimates, at no cost.
    pub fn about(&self) -> usize {
        match &self.held {
            Held::Plain(text) => text.len(),
            Held::Same(text) | Held::Escaped(text) => text.len(),
        }
    }

    /// Appends it as the inside of a JSON string.
    pub fn write_inner(&self, out: &mut Vec<u8>) {
        match &self.held {
            Held::Plain(text) => quote::inner(out, text),
            Held::Same(inner) | Held::Escaped(inner) => out.extend_from_slice(inner.as_bytes()),
        }
    }

    /// Appends it as a JSON string.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.write_inner(out);
        out.push(b'"');
    }

    /// The plain text.
    pub fn into_cow(self) -> Cow<'a, str> {
        match self.held {
            Held::Plain(text) => text,
            Held::Same(text) => Cow::Borrowed(text),
            Held::Escaped(inner) => Cow::Owned(self.read.into_inner().map_or_else(|| unescape(inner).0, String::from)),
        }
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match &self.held {
            Held::Plain(text) => text,
            Held::Same(text) => text,
            Held::Escaped(inner) => self.read.get_or_init(|| unescape(inner).0.into()),
        }
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self
    }
}

impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Held::Same("").into()
    }
}

impl<'a> From<Held<'a>> for Text<'a> {
    fn from(held: Held<'a>) -> Self {
        Text { held, read: OnceCell::new() }
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(plain: Cow<'a, str>) -> Self {
        Held::Plain(plain).into()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(plain: &'a str) -> Self {
        Cow::Borrowed(plain).into()
    }
}

impl From<String> for Text<'_> {
    fn from(plain: String) -> Self {
        Cow::<'_, str>::Owned(plain).into()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for Text<'_> {
    fn eq(&self, other: &T) -> bool {
        &**self == other.as_ref()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = !deserializer.is_human_readable();
        if raw { deserializer.deserialize_bytes(Reads { raw }) } else { deserializer.deserialize_str(Reads { raw }) }
    }
}

/// Takes a string as [`super::pull`] gives it (as it was written), or as others do.
struct Reads {
    raw: bool,
}

impl<'de> Visitor<'de> for Reads {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(if self.raw { Text::same(text) } else { text.into() })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Text<'de>, D::Error> {
        Text::escaped(inner)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(text.to_owned().into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
        Ok(text.into())
    }
}

/// Whether text that holds escapes holds one of a surrogate. A `\\ud8…`, which is none, counts too.
fn surrogates(text: &[u8]) -> bool {
    memchr::memmem::find_iter(text, b"\\u").any(|at| matches!(text.get(at + 2), Some(b'd' | b'D')))
}

/// The text inside a JSON string, and whether all of it could be said: half a surrogate pair becomes U+FFFD.
pub(super) fn unescape(inner: &str) -> (String, bool) {
    let bytes = inner.as_bytes();
    let mut text = String::with_capacity(inner.len());
    let (mut at, mut whole) = (0, true);
    while let Some(run) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        text.push_str(inner.get(at..at + run).unwrap_or_default());
        at += run + 2;
        text.push(match bytes.get(at - 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                let unit = hex(bytes, at);
                at += 4;
                let low = || match bytes.get(at..at + 2) {
                    Some(b"\\u") => hex(bytes, at + 2).filter(|low| (0xdc00..0xe000).contains(low)),
                    _ => None,
                };
                match unit {
                    Some(high @ 0xd800..0xdc00) => match low() {
                        Some(low) => {
                            at += 6;
                            char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap_or('\u{fffd}')
                        }
                        None => {
                            whole = false;
                            '\u{fffd}'
                        }
                    },
                    unit => unit.and_then(char::from_u32).unwrap_or_else(|| {
                        whole = false;
                        '\u{fffd}'
                    }),
                }
            }
            Some(&plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            _ => {
                whole = false;
                '\u{fffd}'
            }
        });
    }
    text.push_str(inner.get(at..).unwrap_or_default());
    (text, whole)
}

fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (String, String) {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let text = Text::of(raw).unwrap();
        let mut out = Vec::new();
        text.write(&mut out);
        (text.to_string(), String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_was_written_goes_out_as_it_was() {
        for json in [r#""""#, r#""plain é""#, r#""a\n\"b\"\\\/\u00e9\u0000""#, r#""\\\\""#] {
            let (plain, out) = read(json);
            assert_eq!(out, json);
            assert_eq!(plain, serde_json::from_str::<String>(json).unwrap());
        }
    }

    #[test]
    fn half_a_surrogate_pair_never_goes_out() {
        for (json, plain) in [
            (r#""\ud83d\ude00!""#, "\u{1f600}!"),
            (r#""\uD83D""#, "\u{fffd}"),
            (r#""x\ude00y""#, "x\u{fffd}y"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d""#, "\\ud83d"),
        ] {
            let (text, out) = read(json);
            assert_eq!(text, plain, "{json}");
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), plain, "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_through(text: String) {
            let json = serde_json::to_string(&text).unwrap();
            let (plain, out) = read(&json);
            assert_eq!(&plain, &text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }

        #[test]
        fn any_escapes_are_survived(inner in r#"(\\u[dD]?[0-9a-fA-F]{0,4}|\\.|[a-z\\é]){0,12}"#) {
            let _ = unescape(&inner);
        }
    }
}
