//! A limit on tokens as clients write it: `5`, `5.0` (languages of one number type), `-1` for none (clients of llama.cpp
//! and LM Studio), `1e30` for the same.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// Tokens; `None` when it is no limit at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<u64>);

/// From here on numbers are no longer counted one by one, and nobody means them.
const MOST: f64 = 9_007_199_254_740_992.0;

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl Visitor<'_> for Reads {
            type Value = Limit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Limit, E> {
                Ok(Limit(Some(number).filter(|number| (*number as f64) < MOST)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Limit, E> {
                Ok(Limit(u64::try_from(number).ok()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Limit, E> {
                Ok(Limit((0.0..MOST).contains(&number).then_some(number as u64)))
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_meant() {
        for (text, expected) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("0", Some(0)),
            ("-1", None),
            ("-1.0", None),
            ("1e30", None),
            ("18446744073709551615", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(serde_json::from_str::<Limit>(text).unwrap(), Limit(expected), "{text}");
        }
        assert!(serde_json::from_str::<Limit>("\"5\"").is_err());
    }
}
