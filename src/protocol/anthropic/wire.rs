//! The request as it stands on the wire. Flat structs with optional fields: `&RawValue` fails inside internally
//! tagged enums and beside `flatten`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::limit::Limit;
use crate::protocol::pull::{Eager, Loose, Words};
use crate::protocol::text::Text as PromptText;

/// A string that borrows (a bare `Cow` never does).
#[derive(Default, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The top level. Read by hand, so that an error names the member and a member nobody knows gets counted.
#[derive(Default)]
pub(super) struct Body<'a> {
    pub model: Text<'a>,
    pub stream: Option<bool>,
    pub system: Option<Content<'a>>,
    pub messages: Option<Vec<Message<'a>>>,
    pub tools: Option<Vec<Tool<'a>>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    pub max_tokens: Option<Limit>,
    pub temperature: Option<&'a RawValue>,
    pub top_p: Option<&'a RawValue>,
    pub top_k: Option<&'a RawValue>,
    pub stop_sequences: Option<Vec<Text<'a>>>,
    pub output_config: Option<OutputConfig<'a>>,
    pub output_format: Option<Format<'a>>,
    pub thinking: Option<Thinking<'a>>,
    pub metadata: Option<Metadata<'a>>,
    /// Members that ask for something there is no place for.
    pub unknown: Vec<Cow<'a, str>>,
}

/// Members that steer Anthropic's service only (billing, placement, its cache, its context editing, what SDKs for
/// other clouds put into the body): leaving them out loses nothing.
const HARMLESS: [&str; 12] = [
    "anthropic_beta",
    "anthropic_version",
    "betas",
    "cache_control",
    "container",
    "context_management",
    "diagnostics",
    "fallbacks",
    "inference_geo",
    "service_tier",
    "speed",
    "user_profile_id",
];

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(Text(key)) = map.next_key()? {
            let map = &mut map;
            match key.as_ref() {
                "model" => body.model = member(map, &key)?,
                "stream" => body.stream = member(map, &key)?,
                "system" => body.system = member(map, &key)?,
                "messages" => body.messages = member(map, &key)?,
                "tools" => body.tools = member(map, &key)?,
                "tool_choice" => body.tool_choice = member(map, &key)?,
                "max_tokens" => body.max_tokens = member(map, &key)?,
                "temperature" => body.temperature = member(map, &key)?,
                "top_p" => body.top_p = member(map, &key)?,
                "top_k" => body.top_k = member(map, &key)?,
                "stop_sequences" => body.stop_sequences = member(map, &key)?,
                "output_config" => body.output_config = member(map, &key)?,
                "output_format" => body.output_format = member(map, &key)?,
                "thinking" => body.thinking = member(map, &key)?,
                "metadata" => body.metadata = member(map, &key)?,
                known if HARMLESS.contains(&known) => drop(map.next_value::<IgnoredAny>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    body.unknown.push(key);
                }
            }
        }
        Ok(body)
    }
}

fn member<'de, A: MapAccess<'de>, T: Deserialize<'de>>(map: &mut A, key: &str) -> Result<T, A::Error> {
    map.next_value().map_err(|error| A::Error::custom(format_args!("{key}: {}", without_place(&error.to_string()))))
}

/// An error's words without "at line 1 column …": bodies have one line.
pub(super) fn without_place(error: &str) -> &str {
    error.split(" at line ").next().unwrap_or(error)
}

/// A string or blocks, read at once where they are fine.
pub(super) type Content<'a> = Eager<'a, Words<'a, Vec<Block<'a>>>>;

impl<'a> From<Loose<'a>> for Content<'a> {
    fn from(loose: Loose<'a>) -> Self {
        match loose {
            Loose::Text(text) => Content::Read(Words::Text(text)),
            Loose::Raw(raw) => Content::Raw(raw),
        }
    }
}

#[derive(serde::Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub text: Option<PromptText<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub signature: Option<Cow<'a, str>>,
    /// Of `redacted_thinking`.
    #[serde(borrow)]
    pub data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub tool_use_id: Option<Cow<'a, str>>,
    /// Of results: mostly one long string.
    #[serde(borrow)]
    pub content: Option<Loose<'a>>,
    pub is_error: Option<bool>,
    /// An object; of `search_result` a string.
    #[serde(borrow)]
    pub source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub context: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub tool_name: Option<Cow<'a, str>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub media_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub file_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
}

/// What a server tool of Anthropic's answered, in any of its shapes: whatever of it is text.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Found<'a> {
    #[serde(borrow)]
    pub title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub stdout: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub stderr: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub error_code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub media_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Tool<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub description: Option<PromptText<'a>>,
    #[serde(borrow)]
    pub input_schema: Option<&'a RawValue>,
    pub strict: Option<bool>,
    pub defer_loading: Option<bool>,
    pub display_width_px: Option<u64>,
    pub display_height_px: Option<u64>,
}

#[derive(serde::Deserialize)]
pub(super) struct ToolChoice<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    pub disable_parallel_tool_use: Option<bool>,
}

#[derive(serde::Deserialize)]
pub(super) struct OutputConfig<'a> {
    #[serde(borrow)]
    pub effort: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub format: Option<Format<'a>>,
}

#[derive(serde::Deserialize)]
pub(super) struct Format<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
pub(super) struct Thinking<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    pub budget_tokens: Option<u64>,
    #[serde(borrow)]
    pub display: Option<Cow<'a, str>>,
}

#[derive(serde::Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub user_id: Option<Cow<'a, str>>,
}
