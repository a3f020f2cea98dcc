//! Gemini's schemas (a subset of OpenAPI with upper-case types) as JSON schema. The order of members stays: engines
//! that guide the answer by the schema write it in that order.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lenient::Text;

/// Schemas inside schemas beyond this are left as they are.
const DEEPEST: usize = 48;

/// Gemini's form as JSON schema. A schema that already is one comes back unchanged in meaning.
pub(super) fn normal(raw: &RawValue) -> Cow<'_, RawValue> {
    let mut out = String::with_capacity(raw.get().len());
    schema(raw.get(), 0, &mut out);
    match RawValue::from_string(out) {
        Ok(schema) => Cow::Owned(schema),
        Err(_) => Cow::Borrowed(raw),
    }
}

/// A JSON schema, but with upper-case types where the sender thought they belong (Gemini CLI 0.61's router).
pub(super) fn json_schema(raw: &RawValue) -> Cow<'_, RawValue> {
    const UPPER: [&str; 6] = ["\"OBJECT\"", "\"STRING\"", "\"ARRAY\"", "\"NUMBER\"", "\"INTEGER\"", "\"BOOLEAN\""];
    if UPPER.iter().any(|name| raw.get().contains(name)) { normal(raw) } else { Cow::Borrowed(raw) }
}

/// The members of an object in their order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The name JSON schema has for a member; `None` for those it does not know.
fn keyword(key: &str) -> Option<&str> {
    Some(match key {
        "any_of" => "anyOf",
        "one_of" => "oneOf",
        "all_of" => "allOf",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "min_items" => "minItems",
        "max_items" => "maxItems",
        "min_properties" => "minProperties",
        "max_properties" => "maxProperties",
        "prefix_items" => "prefixItems",
        "additional_properties" => "additionalProperties",
        "ref" => "$ref",
        "defs" => "$defs",
        "nullable" | "propertyOrdering" | "property_ordering" | "example" => return None,
        other => other,
    })
}

fn schema(text: &str, depth: usize, out: &mut String) {
    let members = match serde_json::from_str::<Members<'_>>(text) {
        Ok(Members(members)) if depth < DEEPEST => members,
        _ => return out.push_str(text),
    };
    let nullable = members.iter().any(|(key, value)| key == "nullable" && value.get() == "true");
    let mut first = true;
    out.push('{');
    for (key, value) in &members {
        let Some(name) = keyword(key) else { continue };
        let value = value.get();
        let before = out.len();
        if !first {
            out.push(',');
        }
        string(name, out);
        out.push(':');
        let kept = match name {
            "type" => types(value, nullable, out),
            "format" => {
                // OpenAPI's words for the sizes of numbers and for enumerations say nothing to JSON schema.
                let known = !matches!(value, "\"enum\"" | "\"int32\"" | "\"int64\"" | "\"float\"" | "\"double\"");
                out.push_str(value);
                known
            }
            "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" => {
                // Proto3 JSON writes 64-bit integers as strings.
                let inner = value.trim_matches('"');
                out.push_str(if inner.parse::<f64>().is_ok_and(f64::is_finite) { inner } else { value });
                true
            }
            "properties" | "$defs" | "definitions" | "patternProperties" => {
                named(value, depth, out);
                true
            }
            "items" | "additionalProperties" | "not" => {
                schema(value, depth + 1, out);
                true
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                list(value, depth, nullable && name == "anyOf", out);
                true
            }
            "enum" if nullable => {
                with_null(value, out);
                true
            }
            _ => {
                out.push_str(value);
                true
            }
        };
        if kept {
            first = false;
        } else {
            out.truncate(before);
        }
    }
    out.push('}');
}

/// One type or several; whether any is left.
fn types(value: &str, nullable: bool, out: &mut String) -> bool {
    let one = |Text(name): Text<'_>| name.to_ascii_lowercase();
    let mut names: Vec<String> = match value.as_bytes().first() {
        Some(b'[') => serde_json::from_str::<Vec<Text<'_>>>(value).map(|all| all.into_iter().map(one).collect()),
        _ => serde_json::from_str::<Text<'_>>(value).map(|name| vec![one(name)]),
    }
    .unwrap_or_default();
    names.retain(|name| name != "type_unspecified");
    if names.is_empty() {
        return false;
    }
    if nullable && !names.iter().any(|name| name == "null") {
        names.push("null".to_owned());
    }
    if let [only] = names.as_slice() {
        string(only, out);
        return true;
    }
    for (at, name) in names.iter().enumerate() {
        out.push(if at == 0 { '[' } else { ',' });
        string(name, out);
    }
    out.push(']');
    true
}

/// An object whose members are schemas.
fn named(value: &str, depth: usize, out: &mut String) {
    let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(value) else { return out.push_str(value) };
    out.push('{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        string(name, out);
        out.push(':');
        schema(value.get(), depth + 1, out);
    }
    out.push('}');
}

/// A list of schemas.
fn list(value: &str, depth: usize, nullable: bool, out: &mut String) {
    let Ok(members) = serde_json::from_str::<Vec<&RawValue>>(value) else { return out.push_str(value) };
    out.push('[');
    for (at, value) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        schema(value.get(), depth + 1, out);
    }
    if nullable {
        out.push_str(if members.is_empty() { "{\"type\":\"null\"}" } else { ",{\"type\":\"null\"}" });
    }
    out.push(']');
}

/// The values of an enumeration that may be null too.
fn with_null(value: &str, out: &mut String) {
    match value.strip_suffix(']') {
        Some(open) if !value.contains("null") => {
            out.push_str(open);
            out.push_str(if open.trim_end().ends_with('[') { "null]" } else { ",null]" });
        }
        _ => out.push_str(value),
    }
}

fn string(text: &str, out: &mut String) {
    out.push_str(&crate::protocol::head::quote(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(text: &str) -> String {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        normal(&raw).get().to_owned()
    }

    #[test]
    fn googles_subset_becomes_json_schema() {
        let cases = [
            (
                r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"b":{"type":"ARRAY","min_items":"1","items":{"type":"INTEGER","format":"int64"}}},"propertyOrdering":["type","b"],"required":["b"]}"#,
                r#"{"type":"object","properties":{"type":{"type":["string","null"]},"b":{"type":"array","minItems":1,"items":{"type":"integer"}}},"required":["b"]}"#,
            ),
            (r#"{"type":"STRING","format":"enum","enum":["A","B"]}"#, r#"{"type":"string","enum":["A","B"]}"#),
            (
                r#"{"type":"STRING","enum":["A"],"nullable":true,"maxLength":"9"}"#,
                r#"{"type":["string","null"],"enum":["A",null],"maxLength":9}"#,
            ),
            (
                r#"{"any_of":[{"type":"NUMBER"},{"type":"TYPE_UNSPECIFIED","example":1}],"nullable":true}"#,
                r#"{"anyOf":[{"type":"number"},{},{"type":"null"}]}"#,
            ),
            (r#"{"type":["STRING","NULL"]}"#, r#"{"type":["string","null"]}"#),
            ("true", "true"),
        ];
        for (given, wanted) in cases {
            assert_eq!(normalised(given), wanted);
        }
    }

    #[test]
    fn a_plain_json_schema_is_left_as_it_stands() {
        let text = r#"{ "type":"object", "properties":{"x":{"type":"string","default":"x"}} }"#;
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        assert!(matches!(json_schema(&raw), Cow::Borrowed(_)));
        // Only types are types.
        let text = r#"{"type":"string","default":"NUMBER","enum":["STRING"]}"#;
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        assert_eq!(json_schema(&raw).get(), text);
    }

    #[test]
    fn a_schema_nested_without_end_is_survived() {
        let deep = format!("{}{}{}", r#"{"items":"#.repeat(200_000), "1", "}".repeat(200_000));
        assert!(!normalised(&deep).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn what_comes_out_is_json(key in "type|enum|format|minimum|anyOf|properties|nullable", value in r#"[\[\]{}",:a1 ]{0,20}"#) {
            let text = format!(r#"{{"nullable":true,"{key}":{value}}}"#);
            if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
                let out = normalised(&text);
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
            }
        }
    }
}
