//! Reads JSON into flat structs in one pass over the text. serde_json walks a string once per level of nesting that
//! keeps it raw, and again to resolve its escapes; here a string is walked once, and [`Text`](super::text::Text) takes
//! it as it was written.
//!
//! It reads only what is fine. Everything else (text that is no JSON, a value of another type, a number or a depth
//! nobody sends) is read again by serde_json, which knows the right words for what is wrong.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::quote;
use super::text::{self, Text};

/// Reads a whole text.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(bytes).ok().and_then(quick) {
        Some(value) => Ok(value),
        None => serde_json::from_slice(bytes),
    }
}

/// Reads a whole text.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, serde_json::Error> {
    quick(text).map_or_else(|| serde_json::from_str(text), Ok)
}

fn quick<'de, T: Deserialize<'de>>(text: &'de str) -> Option<T> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = T::deserialize(&mut reader).ok()?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// What is read at once where it is what it should be, and kept as it stands where it is not: then whoever uses it says
/// in which message or item it is wrong.
#[derive(Debug)]
pub enum Eager<'a, T> {
    /// Read.
    Read(T),
    /// As it stands.
    Raw(&'a RawValue),
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Eager<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            <&'de RawValue>::deserialize(deserializer).map(Eager::Raw)
        } else {
            T::deserialize(deserializer).map(Eager::Read)
        }
    }
}

/// A string, or something else.
#[derive(Debug)]
pub enum Words<'a, T> {
    /// A string.
    Text(Text<'a>),
    /// Something else.
    Other(T),
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Words<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(bool, PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = Words<'de, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a list or an object")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Words::Text(if self.0 { Text::written(text) } else { text.into() }))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Words::Text(text.to_owned().into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Words::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Words::Other)
            }
        }
        match !deserializer.is_human_readable() {
            true => deserializer.deserialize_bytes(Reads(true, PhantomData)),
            false => deserializer.deserialize_any(Reads(false, PhantomData)),
        }
    }
}

/// Not for this reader.
#[derive(Debug)]
struct Odd;

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

impl std::error::Error for Odd {}

impl de::Error for Odd {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Odd
    }
}

/// As deep as serde_json goes.
const DEEPEST: usize = 127;

struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }

    /// The first byte of what comes.
    fn peek(&mut self) -> Result<u8, Odd> {
        self.space();
        self.text.as_bytes().get(self.at).copied().ok_or(Odd)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Odd> {
        if self.peek()? != byte {
            return Err(Odd);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether another element or member comes, in a list or object that ends with `close`.
    fn more(&mut self, first: &mut bool, close: u8) -> Result<bool, Odd> {
        let next = self.peek()?;
        if next == close {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn word(&mut self, word: &str) -> Result<(), Odd> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(Odd);
        }
        self.at += word.len();
        Ok(())
    }

    /// The inside of the string that begins here, and whether it holds escapes.
    fn string(&mut self) -> Result<(&'de str, bool), Odd> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let (mut at, mut escapes) = (start, false);
        loop {
            at = quote::special(bytes, at).ok_or(Odd)?;
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    at += match bytes.get(at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') => {
                            let digits = bytes.get(at + 2..at + 6).ok_or(Odd)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return Err(Odd);
                            }
                            6
                        }
                        _ => return Err(Odd),
                    };
                }
                _ => return Err(Odd),
            }
        }
        self.at = at + 1;
        Ok((self.text.get(start..at).ok_or(Odd)?, escapes))
    }

    /// A number as it stands, and whether it is an integer.
    fn number(&mut self) -> Result<(&'de str, bool), Odd> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits =
            |at: usize| bytes.get(at..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count());
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
            return Err(Odd);
        }
        at += whole;
        let integer = !matches!(bytes.get(at), Some(b'.' | b'e' | b'E'));
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            at += 1 + fraction;
            if fraction == 0 {
                return Err(Odd);
            }
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            at += exponent;
            if exponent == 0 {
                return Err(Odd);
            }
        }
        self.at = at;
        Ok((self.text.get(start..at).ok_or(Odd)?, integer))
    }

    fn deeper(&mut self) -> Result<(), Odd> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST { Err(Odd) } else { Ok(()) }
    }

    /// Reads over a value.
    fn skip(&mut self) -> Result<(), Odd> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => {
                self.deeper()?;
                let mut first = true;
                while self.more(&mut first, b'}')? {
                    self.key()?;
                    self.skip()?;
                }
                self.depth -= 1;
                Ok(())
            }
            b'[' => {
                self.deeper()?;
                let mut first = true;
                while self.more(&mut first, b']')? {
                    self.skip()?;
                }
                self.depth -= 1;
                Ok(())
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number().map(|_| ()),
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(&'de str, bool), Odd> {
        if self.peek()? != b'"' {
            return Err(Odd);
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Odd> {
        match self.string()? {
            (plain, false) => visitor.visit_borrowed_str(plain),
            (inner, true) => match text::unescape(inner) {
                (plain, true) => visitor.visit_string(plain),
                (_, false) => Err(Odd),
            },
        }
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Odd;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        match self.peek()? {
            b'"' => self.visit_string(visitor),
            b'{' => {
                self.deeper()?;
                let mut members = Inside { reader: self, first: true, done: false };
                let value = visitor.visit_map(&mut members)?;
                if !members.done && members.reader.more(&mut members.first, b'}')? {
                    return Err(Odd);
                }
                self.depth -= 1;
                Ok(value)
            }
            b'[' => {
                self.deeper()?;
                let mut elements = Inside { reader: self, first: true, done: false };
                let value = visitor.visit_seq(&mut elements)?;
                if !elements.done && elements.reader.more(&mut elements.first, b']')? {
                    return Err(Odd);
                }
                self.depth -= 1;
                Ok(value)
            }
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            _ => match self.number()? {
                (digits, true) if digits.starts_with('-') => visitor.visit_i64(digits.parse().map_err(|_| Odd)?),
                (digits, true) => visitor.visit_u64(digits.parse().map_err(|_| Odd)?),
                (digits, false) => visitor.visit_f64(digits.parse().map_err(|_| Odd)?),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        if self.peek()? == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    /// serde_json's raw values ask with a name of its own and want a map of one member, whose key is that name.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Odd> {
        if !name.starts_with("$serde_json::private::") {
            return visitor.visit_newtype_struct(self);
        }
        self.space();
        let start = self.at;
        self.skip()?;
        let raw = self.text.get(start..self.at).ok_or(Odd)?;
        visitor.visit_map(Raw { name, raw: Some(raw) })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        self.skip()?;
        visitor.visit_unit()
    }

    /// A string as it was written, for [`Text`](super::text::Text).
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        if self.peek()? != b'"' {
            return self.deserialize_any(visitor);
        }
        visitor.visit_borrowed_str(self.string()?.0)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

/// What stands between two brackets.
struct Inside<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
    /// The closing one was read.
    done: bool,
}

impl<'de> SeqAccess<'de> for &mut Inside<'_, 'de> {
    type Error = Odd;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Odd> {
        if self.done || !self.reader.more(&mut self.first, b']')? {
            self.done = true;
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for &mut Inside<'_, 'de> {
    type Error = Odd;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Odd> {
        if self.done || !self.reader.more(&mut self.first, b'}')? {
            self.done = true;
            return Ok(None);
        }
        match self.reader.key()? {
            (key, false) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            // A key nobody escapes.
            (_, true) => Err(Odd),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Odd> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A value as it stands, in the form in which serde_json's raw values take it.
struct Raw<'de> {
    name: &'static str,
    raw: Option<&'de str>,
}

impl<'de> MapAccess<'de> for Raw<'de> {
    type Error = Odd;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Odd> {
        if self.raw.is_none() {
            return Ok(None);
        }
        seed.deserialize(BorrowedStrDeserializer::new(self.name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Odd> {
        seed.deserialize(BorrowedStrDeserializer::new(self.raw.take().ok_or(Odd)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

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
}
