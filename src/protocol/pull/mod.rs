//! Reads JSON into flat structs in one pass over the text. serde_json walks a string once per level of nesting that
//! keeps it raw, and again to resolve its escapes; here a string is walked once, and [`Text`](super::text::Text) takes
//! it as it was written.
//!
//! It reads only what is fine. Everything else (text that is no JSON, a value of another type, a number or a depth
//! nobody sends) is read again by serde_json, which knows the right words for what is wrong.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::blocks::{self, Escapes};
use super::text;

mod forms;
mod members;
#[cfg(test)]
mod tests;

pub use forms::{Eager, Loose, Spanned, Words};

/// Reads a whole text.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, serde_json::Error> {
    match simdutf8::basic::from_utf8(bytes).ok().and_then(quick) {
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

/// Not for this reader.
#[derive(Debug)]
pub struct Odd;

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

/// The text and a place in it. Whoever knows what to expect asks it for one member after the other ([`Reader::over`]).
pub struct Reader<'de> {
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

    /// The first byte of what comes. Mostly no space stands before it.
    #[inline]
    fn peek(&mut self) -> Result<u8, Odd> {
        match self.text.as_bytes().get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => self.peek_behind_space(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self) -> Result<u8, Odd> {
        self.space();
        self.text.as_bytes().get(self.at).copied().ok_or(Odd)
    }

    #[inline]
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

    /// The inside of the string that begins here, and what escapes it has.
    #[inline]
    fn string(&mut self) -> Result<(&'de str, Escapes), Odd> {
        let start = self.at + 1;
        let (end, escapes) = blocks::checked_end(self.text.as_bytes(), start).ok_or(Odd)?;
        self.at = end + 1;
        Ok((self.text.get(start..end).ok_or(Odd)?, escapes))
    }

    /// A number as it stands, and whether it is an integer.
    fn number(&mut self) -> Result<(&'de str, bool), Odd> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits = |mut at: usize| {
            let begin = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at - begin
        };
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
    fn key(&mut self) -> Result<(&'de str, Escapes), Odd> {
        if self.peek()? != b'"' {
            return Err(Odd);
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Odd> {
        match self.string()? {
            (plain, Escapes::None) => visitor.visit_borrowed_str(plain),
            (inner, _) => match text::unescape(inner) {
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
        if name == forms::SPANNED {
            self.space();
            let start = self.at;
            return visitor.visit_seq(Spanning { reader: self, start, left: 2 });
        }
        if name == forms::LOOSE {
            return if self.peek()? == b'"' { self.deserialize_bytes(visitor) } else { visitor.visit_some(self) };
        }
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

    /// A string for [`Text`](super::text::Text): as it was written, and in a wrapper where that has escapes.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        if self.peek()? != b'"' {
            return self.deserialize_any(visitor);
        }
        match self.string()? {
            (plain, Escapes::None) => visitor.visit_borrowed_str(plain),
            (inner, Escapes::Whole) => visitor.visit_newtype_struct(BorrowedStrDeserializer::new(inner)),
            (inner, Escapes::Surrogates) => visitor.visit_string(text::unescape(inner).0),
        }
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
            (key, Escapes::None) => seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some),
            // A key nobody escapes.
            _ => Err(Odd),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Odd> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A value, and then the same as it stands.
struct Spanning<'r, 'de> {
    reader: &'r mut Reader<'de>,
    start: usize,
    left: u8,
}

impl<'de> SeqAccess<'de> for Spanning<'_, 'de> {
    type Error = Odd;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Odd> {
        self.left = self.left.saturating_sub(1);
        match self.left {
            1 => seed.deserialize(&mut *self.reader).map(Some),
            _ => {
                let raw = self.reader.text.get(self.start..self.reader.at).ok_or(Odd)?;
                seed.deserialize(BorrowedStrDeserializer::new(raw)).map(Some)
            }
        }
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
