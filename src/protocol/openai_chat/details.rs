//! OpenRouter's `reasoning_details`: pieces of a list that must come back whole. Pieces of one `index` make one entry.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::wire::Text;
use crate::protocol::carrier::{self, Maker};

/// Members whose pieces are put one behind the other; of others the last one that is not null counts.
const GROWING: [&str; 3] = ["text", "summary", "data"];

/// The entries so far.
#[derive(Default)]
pub(super) struct Details(Vec<Map<String, Value>>);

impl Details {
    /// Takes the pieces of one chunk.
    pub(super) fn take(&mut self, raw: &RawValue) {
        // Another server's member of that name may be anything.
        let Ok(pieces) = serde_json::from_str::<Vec<Map<String, Value>>>(raw.get()) else { return };
        // Pieces of one chunk are entries of their own.
        let known = self.0.len();
        for piece in pieces {
            let same = |entry: &Map<String, Value>| {
                entry.get("type") == piece.get("type")
                    && entry.get("index") == piece.get("index")
                    && (entry.get("id").is_none_or(Value::is_null)
                        || piece.get("id").is_none_or(Value::is_null)
                        || entry.get("id") == piece.get("id"))
            };
            let Some(entry) = self.0.iter_mut().take(known).rev().find(|entry| same(entry)) else {
                self.0.push(piece);
                continue;
            };
            for (name, value) in piece {
                match (entry.get_mut(&name), value) {
                    (Some(Value::String(text)), Value::String(more)) if GROWING.contains(&name.as_str()) => {
                        text.push_str(&more);
                    }
                    (_, Value::Null) => {}
                    (_, value) => {
                        entry.insert(name, value);
                    }
                }
            }
        }
    }

    /// The list as JSON text; what comes later begins another one. `None` when there is nothing.
    pub(super) fn finish(&mut self) -> Option<String> {
        let entries = std::mem::take(&mut self.0);
        (!entries.is_empty()).then(|| Value::from_iter(entries).to_string())
    }
}

/// The readable words in the pieces of one chunk, for chunks that say them nowhere else.
pub(super) fn words(raw: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Piece<'a> {
        #[serde(borrow)]
        text: Option<Text<'a>>,
        #[serde(borrow)]
        summary: Option<Text<'a>>,
    }
    let pieces: Vec<Piece<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    pieces
        .into_iter()
        .filter_map(|piece| piece.text.or(piece.summary))
        .map(|text| text.0)
        .collect::<Vec<Cow<'_, str>>>()
        .concat()
}

/// The proofs of other protocols' backends in a caller's list, where [`entries`] has put them.
pub(super) fn sealed(raw: &RawValue) -> Vec<String> {
    #[derive(Deserialize)]
    struct Piece<'a> {
        #[serde(borrow)]
        data: Option<Text<'a>>,
    }
    let pieces: Vec<Piece<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let data = pieces.into_iter().filter_map(|piece| piece.data);
    data.filter(|data| carrier::is_sealed(data)).map(|data| data.0.into_owned()).collect()
}

/// Entries of `reasoning_details` for a proof: OpenRouter's own as they were, others as an opaque one.
pub(super) fn entries(sealed: &str, index: usize) -> String {
    if let Some(list) = carrier::open(Maker::Details, sealed)
        && let Some(inside) = list.strip_prefix('[').and_then(|list| list.strip_suffix(']'))
    {
        return inside.to_owned();
    }
    serde_json::json!({"type": "reasoning.encrypted", "data": sealed, "index": index}).to_string()
}
