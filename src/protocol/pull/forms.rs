//! What may have more than one form.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::text::Text;

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

/// By this name [`Spanned`] asks for a value and for the same as it stands.
pub(super) const SPANNED: &str = "$llmup::Spanned";

/// What is read at once, and where it stands.
#[derive(Debug)]
pub struct Spanned<'a, T> {
    /// Read, or as it stands.
    pub value: Eager<'a, T>,
    /// As it stands.
    pub raw: &'a str,
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Spanned<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = Spanned<'de, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value and its text")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut both: A) -> Result<Self::Value, A::Error> {
                let missing = || de::Error::custom("a part is missing");
                let value = both.next_element()?.ok_or_else(missing)?;
                Ok(Spanned { value: Eager::Read(value), raw: both.next_element()?.ok_or_else(missing)? })
            }
        }
        if deserializer.is_human_readable() {
            let raw = <&'de RawValue>::deserialize(deserializer)?;
            return Ok(Spanned { value: Eager::Raw(raw), raw: raw.get() });
        }
        deserializer.deserialize_newtype_struct(SPANNED, Reads(PhantomData))
    }
}

/// By this name [`Loose`] asks for a string, or, where there is none, for what is there.
pub(super) const LOOSE: &str = "$llmup::Loose";

/// A string, read at once, or something else as it stands.
#[derive(Debug)]
pub enum Loose<'a> {
    /// A string.
    Text(Text<'a>),
    /// Something else.
    Raw(&'a RawValue),
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Loose<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Text::same(text)))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                Text::escaped(inner).map(Loose::Text)
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Loose::Text(text.into()))
            }
            fn visit_some<D: Deserializer<'de>>(self, other: D) -> Result<Self::Value, D::Error> {
                <&'de RawValue>::deserialize(other).map(Loose::Raw)
            }
        }
        if deserializer.is_human_readable() {
            let raw = <&'de RawValue>::deserialize(deserializer)?;
            return Ok(Text::of(raw).map_or(Loose::Raw(raw), Loose::Text));
        }
        deserializer.deserialize_newtype_struct(LOOSE, Reads)
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
                Ok(Words::Text(if self.0 { Text::same(text) } else { text.into() }))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
                Text::escaped(inner).map(Words::Text)
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Words::Text(text.to_owned().into()))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Words::Text(text.into()))
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
