//! Paths as clients write them, in the one form the routes know: percent-encoded colons (google-genai for Python sends
//! `models/x%3AgenerateContent`), and the longer paths of Google's Vertex.

use std::borrow::Cow;

/// The path percent-decoded, once, and in Gemini's short form. What does not decode to UTF-8 stays as it is.
pub(super) fn plain(path: &str) -> Cow<'_, str> {
    let path = decode(path);
    match vertex(&path) {
        Some(short) => Cow::Owned(short),
        None => path,
    }
}

/// Percent-decoded.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (other, ..) => {
                out.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// `/{version}[/projects/P/locations/L]/publishers/{publisher}/models…` as `/v1beta/models…`. A publisher other than
/// Google is half of a model's name: the SDKs split `org/name` that way.
fn vertex(path: &str) -> Option<String> {
    let rest = ["/v1beta1/", "/v1beta/", "/v1/"].iter().find_map(|version| path.strip_prefix(version))?;
    let rest = match rest.strip_prefix("projects/") {
        Some(rest) => {
            let (_, rest) = rest.split_once("/locations/")?;
            rest.split_once('/')?.1
        }
        None => rest,
    };
    let (publisher, rest) = rest.strip_prefix("publishers/")?.split_once('/')?;
    let rest = rest.strip_prefix("models")?;
    match (publisher, rest.strip_prefix('/')) {
        (_, None) if rest.is_empty() => Some("/v1beta/models".to_owned()),
        ("google", Some(model)) => Some(format!("/v1beta/models/{model}")),
        (publisher, Some(model)) => Some(format!("/v1beta/models/{publisher}/{model}")),
        _ => None,
    }
}

/// Model and verb of a path in Gemini's short form: `/v1beta/models/{model}:{verb}`, split at the last colon, for
/// models have colons too (Ollama's tags). Without a verb, the model only.
pub(super) fn gemini(path: &str) -> Option<(&str, Option<&str>)> {
    let rest = ["/v1beta/", "/v1beta1/", "/v1/"].iter().find_map(|version| path.strip_prefix(version))?;
    let mut model = rest.strip_prefix("models/").or_else(|| rest.strip_prefix("tunedModels/"))?;
    // Some callers pass the whole resource name on as the model's.
    while let Some(inner) = model.strip_prefix("models/") {
        model = inner;
    }
    Some(match model.rsplit_once(':') {
        Some((model, verb)) if VERBS.contains(&verb) => (model, Some(verb)),
        _ => (model, None),
    })
}

/// What Gemini's models can be asked. `predict` is Vertex's older way to embeddings.
pub(super) const VERBS: [&str; 6] =
    ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents", "predict"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_gemini_path_is_one_path() {
        let generate = Some("generateContent");
        for (path, model, verb) in [
            ("/v1beta/models/m:generateContent", "m", generate),
            ("/v1/models/m%3AgenerateContent", "m", generate),
            ("/v1/models/org%2Fm%3atag%3AgenerateContent", "org/m:tag", generate),
            ("/v1beta1/publishers/google/models/m:generateContent", "m", generate),
            ("/v1/publishers/google/models/m:generateContent", "m", generate),
            ("/v1beta1/publishers/org/models/m:generateContent", "org/m", generate),
            ("/v1beta1/projects/p/locations/l/publishers/google/models/m:tag:generateContent", "m:tag", generate),
            ("/v1beta/models/models/m:countTokens", "m", Some("countTokens")),
            ("/v1beta/tunedModels/m:streamGenerateContent", "m", Some("streamGenerateContent")),
            ("/v1beta/models/m:7b", "m:7b", None),
        ] {
            assert_eq!(gemini(&plain(path)), Some((model, verb)), "{path}");
        }
        assert_eq!(plain("/v1beta1/publishers/google/models"), "/v1beta/models");
        assert_eq!(gemini("/v1/chat/completions"), None);
    }

    #[test]
    fn what_does_not_decode_stays() {
        for path in ["/a%zz", "/a%", "/a%f", "/%ff"] {
            assert_eq!(plain(path), path);
        }
    }
}
