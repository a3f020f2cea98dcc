//! A caller's request as it stands on the wire.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::chunk::{Custom, Extra, Function};
use super::wire::{Count, Either, Text};
use crate::protocol::limit::Limit;
use crate::protocol::pull::Words;

/// The members with a meaning here, and all others as they stand. Written out because `&RawValue` fails beside
/// `flatten`.
#[derive(Default)]
pub(super) struct Body<'a> {
    pub model: Option<Text<'a>>,
    pub messages: Vec<Message<'a>>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub tools: Option<Vec<Tool<'a>>>,
    pub functions: Option<Vec<Signature<'a>>>,
    pub tool_choice: Option<Either<'a, ToolChoice<'a>>>,
    pub function_call: Option<Either<'a, Named<'a>>>,
    pub parallel_tool_calls: Option<bool>,
    pub max_tokens: Option<Limit>,
    pub max_completion_tokens: Option<Limit>,
    pub n: Option<Count>,
    pub stop: Option<Either<'a, Vec<Text<'a>>>>,
    pub response_format: Option<ResponseFormat<'a>>,
    pub user: Option<Text<'a>>,
    pub prompt_cache_key: Option<Text<'a>>,
    pub sampling: Vec<(&'static str, &'a RawValue)>,
    pub extras: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// Settings every protocol has a place for, by their own names and llama.cpp's.
const SAMPLING: [(&str, &str); 9] = [
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("min_p", "min_p"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("repetition_penalty", "repetition_penalty"),
    ("repeat_penalty", "repetition_penalty"),
];

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Body<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
                let mut body = Body::default();
                while let Some(Text(key)) = map.next_key()? {
                    match key.as_ref() {
                        "model" => body.model = map.next_value()?,
                        "messages" => body.messages = map.next_value()?,
                        "stream" => body.stream = map.next_value()?,
                        "stream_options" => body.stream_options = map.next_value()?,
                        "tools" => body.tools = map.next_value()?,
                        "tool_choice" => body.tool_choice = map.next_value()?,
                        "parallel_tool_calls" => body.parallel_tool_calls = map.next_value()?,
                        "max_tokens" => body.max_tokens = map.next_value()?,
                        "max_completion_tokens" => body.max_completion_tokens = map.next_value()?,
                        "n" => body.n = map.next_value()?,
                        "stop" => body.stop = map.next_value()?,
                        "response_format" => body.response_format = map.next_value()?,
                        "user" => body.user = map.next_value()?,
                        "prompt_cache_key" => body.prompt_cache_key = map.next_value()?,
                        other => {
                            let value: &'de RawValue = map.next_value()?;
                            if value.get() == "null" {
                                continue;
                            }
                            let read = |error: serde_json::Error| serde::de::Error::custom(format!("{other}: {error}"));
                            match other {
                                "functions" => body.functions = serde_json::from_str(value.get()).map_err(read)?,
                                "function_call" => {
                                    body.function_call = serde_json::from_str(value.get()).map_err(read)?;
                                }
                                _ => {}
                            }
                            match SAMPLING.iter().find(|(known, _)| *known == other) {
                                Some((_, name)) => body.sampling.push((*name, value)),
                                None => body.extras.push((key, value)),
                            }
                        }
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(Reads)
    }
}

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    pub include_usage: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub role: Text<'a>,
    #[serde(borrow)]
    pub content: Option<Words<'a, Vec<Part<'a>>>>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    pub function_call: Option<Function<'a>>,
    #[serde(borrow)]
    pub tool_call_id: Option<Text<'a>>,
    pub name: Option<IgnoredAny>,
    pub audio: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub image_url: Option<Either<'a, Image<'a>>>,
    #[serde(borrow)]
    pub input_audio: Option<Audio<'a>>,
    #[serde(borrow)]
    pub audio_url: Option<Either<'a, Image<'a>>>,
    #[serde(borrow)]
    pub file: Option<File<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Image<'a> {
    #[serde(borrow, default)]
    pub url: Text<'a>,
    #[serde(borrow)]
    pub detail: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Audio<'a> {
    #[serde(borrow, default)]
    pub data: Text<'a>,
    #[serde(borrow)]
    pub format: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct File<'a> {
    #[serde(borrow)]
    pub filename: Option<Text<'a>>,
    #[serde(borrow)]
    pub file_data: Option<Text<'a>>,
    #[serde(borrow)]
    pub file_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
    #[serde(borrow)]
    pub custom: Option<Custom<'a>>,
    #[serde(borrow)]
    pub extra_content: Option<Extra<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub function: Option<Signature<'a>>,
    #[serde(borrow)]
    pub custom: Option<Signature<'a>>,
    // The flat form of Responses, which some callers mix up.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    #[serde(borrow)]
    pub format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Signature<'a> {
    #[serde(borrow, default)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    #[serde(borrow)]
    pub format: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Named<'a> {
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct ToolChoice<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub function: Option<Named<'a>>,
    #[serde(borrow)]
    pub custom: Option<Named<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub allowed_tools: Option<Allowed<'a>>,
    #[serde(borrow)]
    pub mode: Option<Text<'a>>,
    #[serde(borrow)]
    pub tools: Option<Vec<ToolChoice<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct Allowed<'a> {
    #[serde(borrow)]
    pub mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub tools: Vec<ToolChoice<'a>>,
}

#[derive(Deserialize)]
pub(super) struct ResponseFormat<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub json_schema: Option<JsonSchema<'a>>,
}

#[derive(Deserialize)]
pub(super) struct JsonSchema<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
    pub strict: Option<bool>,
}

/// What the members about reasoning may hold, in the words of several vendors.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Reasoning<'a> {
    /// OpenRouter's `reasoning`.
    #[serde(borrow)]
    pub effort: Option<Text<'a>>,
    pub max_tokens: Option<Count>,
    pub exclude: Option<bool>,
    pub enabled: Option<bool>,
    /// `chat_template_kwargs` of Qwen's and GLM's templates, and of DeepSeek's.
    pub enable_thinking: Option<bool>,
    #[serde(borrow)]
    pub thinking: Option<&'a RawValue>,
    /// `thinking` of DeepSeek, Volcengine and Moonshot.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    pub budget_tokens: Option<Count>,
}
