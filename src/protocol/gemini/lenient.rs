//! Proto3 JSON as people write it: a list of one without its brackets, a plain text where a message belongs. Google's
//! own examples do both (`"system_instruction": {"parts": {"text": "…"}}`).

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A text that borrows from the body where it can (serde's own `Option<Cow>` never does).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Something that may stand as a plain text too.
pub(super) trait FromText<'a>: Sized {
    /// What the text means; `None` when a text is nothing here.
    fn from_text(_text: Cow<'a, str>) -> Option<Self> {
        None
    }
}

/// A list, one of its elements, or nothing.
#[derive(Debug)]
pub(super) struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Many(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + FromText<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + FromText<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or one of its elements")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(One(element)) = seq.next_element()? {
            list.push(element);
        }
        Ok(Many(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        OneVisitor(PhantomData).visit_map(map).map(|one| Many(vec![one]))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        OneVisitor(PhantomData).visit_borrowed_str(text).map(|one| Many(vec![one]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        OneVisitor(PhantomData).visit_str(text).map(|one| Many(vec![one]))
    }
}

/// One element.
struct One<T>(T);

impl<'de, T: Deserialize<'de> + FromText<'de>> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneVisitor(PhantomData)).map(One)
    }
}

struct OneVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + FromText<'de>> Visitor<'de> for OneVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        T::from_text(Cow::Borrowed(text)).ok_or_else(|| E::custom("a text stands where an object belongs"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(Cow::Owned(text.to_owned())).ok_or_else(|| E::custom("a text stands where an object belongs"))
    }
}

/// An integer as proto3 JSON allows it: `8`, `8.0` or `"8"`.
pub(super) fn integer(raw: &RawValue) -> Option<i64> {
    let text = raw.get().trim_matches('"');
    let whole = text.strip_suffix(".0").unwrap_or(text);
    whole.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|n| n.fract() == 0.0).map(|n| n as i64))
}

/// A number as plain JSON: google-genai for Python sends `topK` as `64.0`, and engines want an integer there.
pub(super) fn plain_number(raw: &RawValue) -> Option<&RawValue> {
    let text = raw.get().trim_matches('"');
    let text = text.strip_suffix(".0").unwrap_or(text);
    text.starts_with(|c: char| c.is_ascii_digit() || c == '-').then(|| serde_json::from_str(text).ok())?
}
