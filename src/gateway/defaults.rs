//! Members of a request that an entry of the catalog gives for callers that leave them out.

use serde_json::value::RawValue;

use super::backend::Options;
use crate::protocol::Id;
use crate::protocol::head::{Head, Patch};
use crate::protocol::ir::Request;
use crate::protocol::scan;

/// Sampling settings a default can be given for, under Chat's names.
pub const SAMPLING: [&str; 8] =
    ["temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty"];

/// The name a protocol that is passed through has for a member, if it has that member at all.
fn native_name(dialect: Id, name: &str) -> Option<&str> {
    match dialect {
        Id::Chat => Some(name),
        Id::Messages => ["temperature", "top_p", "top_k", "max_tokens"].into_iter().find(|known| *known == name),
        Id::Responses if name == "max_tokens" => Some("max_output_tokens"),
        Id::Responses => ["temperature", "top_p"].into_iter().find(|known| *known == name),
        // Nested in `generationConfig` or `options`: only by translation.
        Id::Gemini | Id::Ollama => None,
    }
}

/// Edits that add what the body leaves out.
pub(super) fn patch(options: &Options, dialect: Id, head: &Head, body: &[u8], patches: &mut Vec<Patch>) {
    if options.defaults.is_empty() {
        return;
    }
    let Some(members) = scan::members(body, head.object.clone()).filter(|members| !members.is_empty()) else { return };
    let Some(open) = body.iter().position(|b| *b == b'{') else { return };
    let has = |name: &str| members.iter().any(|(key, _)| scan::key_is(body, key.clone(), name));
    for (name, value) in &options.defaults {
        let Some(name) = native_name(dialect, name) else { continue };
        let limit = name == "max_tokens" && has("max_completion_tokens");
        if !has(name) && !limit {
            let with = format!("{}:{},", crate::protocol::head::quote(name), value.get());
            patches.push(Patch { span: open + 1..open + 1, with: with.into_bytes() });
        }
    }
}

/// Adds what the request leaves out.
pub(super) fn apply<'a>(options: &'a Options, request: &mut Request<'a>) {
    for (name, value) in &options.defaults {
        let value: &'a RawValue = value;
        if name == "max_tokens" {
            request.max_tokens = request.max_tokens.or_else(|| value.get().parse().ok());
        } else if let Some(name) = SAMPLING.into_iter().find(|known| known == name)
            && !request.sampling.iter().any(|(given, _)| *given == name)
        {
            request.sampling.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::head::splice;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        Options {
            defaults: pairs.iter().map(|(name, value)| ((*name).to_owned(), raw(value))).collect(),
            ..Options::default()
        }
    }

    fn patched(dialect: Id, body: &str, pairs: &[(&str, &str)]) -> String {
        let head = Head::scan(body.as_bytes()).unwrap();
        let mut patches = Vec::new();
        head.rename(body.as_bytes(), "m", &mut patches);
        patch(&options(pairs), dialect, &head, body.as_bytes(), &mut patches);
        String::from_utf8(splice(body.as_bytes(), patches)).unwrap()
    }

    #[test]
    fn only_what_is_missing_is_added_and_only_where_the_protocol_has_it() {
        let pairs = [("temperature", "0.7"), ("max_tokens", "150"), ("seed", "1")];
        assert_eq!(
            patched(Id::Chat, r#"{"model":"x","temperature":1}"#, &pairs),
            r#"{"max_tokens":150,"seed":1,"model":"m","temperature":1}"#
        );
        assert_eq!(
            patched(Id::Chat, r#" {"max_completion_tokens":9}"#, &pairs),
            r#" {"model":"m","temperature":0.7,"seed":1,"max_completion_tokens":9}"#
        );
        assert_eq!(
            patched(Id::Messages, r#"{"model":"m","max_tokens":2}"#, &pairs),
            r#"{"temperature":0.7,"model":"m","max_tokens":2}"#
        );
        assert_eq!(patched(Id::Chat, "{}", &pairs), r#"{"model":"m"}"#);
    }

    #[test]
    fn the_caller_beats_the_default_in_a_translated_request() {
        let options = options(&[("temperature", "0.7"), ("top_p", "0.9"), ("max_tokens", "150"), ("unknown", "1")]);
        let own = RawValue::from_string("1".into()).unwrap();
        let mut request = Request { sampling: vec![("temperature", &own)], ..Request::default() };
        apply(&options, &mut request);
        assert_eq!(request.max_tokens, Some(150));
        let sampling: Vec<_> = request.sampling.iter().map(|(name, value)| (*name, value.get())).collect();
        assert_eq!(sampling, [("temperature", "1"), ("top_p", "0.9")]);
    }
}
