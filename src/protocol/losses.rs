//! What a protocol has no word for although a request says it: the documented losses, counted and logged by the
//! gateway. What an outbound says in other words (an error mark as text, a schema's name made up) is no loss.

use super::ir::{Choice, MediaKind, Part, Request, Source};
use super::{Id, Target, Vendor};

/// Members of a chat request that mean something to chat servers only and change the answer.
const CHAT: [&str; 12] = [
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "prediction",
    "web_search_options",
    "modalities",
    "audio",
    "guided_json",
    "guided_regex",
    "guided_grammar",
    "structured_outputs",
    "grammar",
];

/// The same of a Responses request.
const RESPONSES: [&str; 2] = ["max_tool_calls", "top_logprobs"];

/// Short names of what is lost when `request` is written for a backend that speaks `to`.
pub fn of(request: &Request<'_>, to: Id, target: &Target<'_>) -> Vec<String> {
    let mut lost = Vec::new();
    let openai = target.vendor == Vendor::OpenAi;
    let own: &[&str] = match request.from {
        Some(Id::Chat) if to != Id::Chat => &CHAT,
        Some(Id::Responses) if to != Id::Responses => &RESPONSES,
        _ => &[],
    };
    let says = |value: &str| !matches!(value, "null" | "false" | "0" | "{}" | "[]" | "\"\"");
    let asked = request.extras.iter().filter(|(name, raw)| own.contains(&name.as_ref()) && says(raw.get()));
    lost.extend(asked.map(|(name, _)| name.clone().into_owned()));
    if request.verbosity.is_some() && !(to == Id::Responses || (to == Id::Chat && (openai || request.from == Some(to))))
    {
        lost.push("verbosity".to_owned());
    }
    let known: &[&str] = match to {
        Id::Messages => &["temperature", "top_p", "top_k"],
        Id::Gemini => &["temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty"],
        Id::Responses if openai => &["temperature", "top_p"],
        Id::Chat if openai => &["temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"],
        Id::Chat | Id::Responses | Id::Ollama => &[],
    };
    if !known.is_empty() {
        let unknown = request.sampling.iter().filter(|(name, _)| !known.contains(name));
        lost.extend(unknown.map(|(name, _)| (*name).to_owned()));
    }
    let stops = match to {
        Id::Responses => 0,
        Id::Chat if openai => 4,
        Id::Gemini => 5,
        Id::Messages | Id::Chat | Id::Ollama => usize::MAX,
    };
    // Messages refuses a sequence of nothing but space.
    let blank = to == Id::Messages && request.stop.iter().any(|text| text.trim().is_empty());
    if blank || request.stop.len() > stops {
        lost.push("stop".to_owned());
    }
    for part in request.turns.iter().flat_map(|turn| &turn.parts) {
        unreadable(part, to, target.vendor, &mut lost);
    }
    if request.tools.is_empty() {
        return lost;
    }
    // Ollama gets one tool only when one is named, and none when none shall be used; it cannot be made to call.
    if to == Id::Ollama && matches!(request.choice, Choice::Any | Choice::Named(_)) {
        lost.push("tool_choice".to_owned());
    }
    if matches!(to, Id::Gemini | Id::Ollama) {
        if request.parallel == Some(false) {
            lost.push("parallel_tool_calls".to_owned());
        }
        if request.tools.iter().any(|tool| tool.strict == Some(true)) {
            lost.push("strict".to_owned());
        }
    }
    lost
}

/// Media in whose place the protocol gets words.
fn unreadable(part: &Part<'_>, to: Id, vendor: Vendor, lost: &mut Vec<String>) {
    let media = match part {
        Part::Media(media) => media,
        Part::ToolResult { parts, .. } => return parts.iter().for_each(|part| unreadable(part, to, vendor, lost)),
        _ => return,
    };
    let name = match (to, media.kind, &media.source) {
        (Id::Ollama, MediaKind::Image, Source::Base64 { .. }) => return,
        (Id::Messages | Id::Ollama, MediaKind::Audio, _) => "audio part",
        (Id::Ollama, MediaKind::Image, _) => "image part",
        (Id::Ollama, MediaKind::Document, _) => "document part",
        (Id::Messages, MediaKind::Document, Source::Base64 { media_type, .. }) if media_type != "application/pdf" => {
            "document part"
        }
        (Id::Chat, MediaKind::Document, Source::Url(_)) if vendor != Vendor::OpenRouter => "document part",
        (Id::Chat, MediaKind::Audio, Source::Url(_)) if vendor != Vendor::Vllm => "audio part",
        (Id::Responses, MediaKind::Audio, Source::Url(_)) => "audio part",
        _ => return,
    };
    lost.push(name.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::protocol;

    fn lost(from: Id, body: &str, to: Id, vendor: Vendor) -> Vec<String> {
        let request = protocol(from).inbound().unwrap().decode_request(body.as_bytes()).unwrap();
        let mut lost = of(&request, to, &Target { model: "m", vendor, context: 0 });
        lost.sort_unstable();
        lost
    }

    #[test]
    fn what_has_no_place_is_named() {
        let chat = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"logit_bias":{"1":2},"logprobs":true,
            "top_logprobs":0,"verbosity":"low","min_p":0.1,"stop":["a"],"parallel_tool_calls":false,"tool_choice":
            "required","tools":[{"type":"function","function":{"name":"f","strict":true}}]}"#;
        let none: [&str; 0] = [];
        for (to, vendor, expected) in [
            (Id::Chat, Vendor::Unknown, none.to_vec()),
            (Id::Chat, Vendor::OpenAi, vec!["min_p"]),
            (Id::Messages, Vendor::Unknown, vec!["logit_bias", "logprobs", "min_p", "verbosity"]),
            (Id::Responses, Vendor::Unknown, vec!["logit_bias", "logprobs", "stop"]),
            (Id::Responses, Vendor::OpenAi, vec!["logit_bias", "logprobs", "min_p", "stop"]),
            (
                Id::Gemini,
                Vendor::Google,
                vec!["logit_bias", "logprobs", "min_p", "parallel_tool_calls", "strict", "verbosity"],
            ),
            (
                Id::Ollama,
                Vendor::Ollama,
                vec!["logit_bias", "logprobs", "parallel_tool_calls", "strict", "tool_choice", "verbosity"],
            ),
        ] {
            assert_eq!(lost(Id::Chat, chat, to, vendor), expected, "{to:?} {vendor:?}");
        }
        let responses = r#"{"model":"m","input":"x","text":{"verbosity":"low"},"max_tool_calls":1,"top_logprobs":0}"#;
        assert_eq!(lost(Id::Responses, responses, Id::Chat, Vendor::OpenAi), ["max_tool_calls"]);
        assert_eq!(lost(Id::Responses, responses, Id::Chat, Vendor::Vllm), ["max_tool_calls", "verbosity"]);
    }
}
