//! The request as it stands on the wire. Flat structs with optional fields: `&RawValue` fails inside internally
//! tagged enums and beside `flatten`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::pull::{self, Eager, Words};
use crate::protocol::text::{self, Text as PromptText};

type Text<'a> = Option<Cow<'a, str>>;
type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub model: Text<'a>,
    pub stream: Option<bool>,
    #[serde(borrow)]
    pub input: Option<Eager<'a, Words<'a, Vec<Item<'a>>>>>,
    #[serde(borrow)]
    pub instructions: Raw<'a>,
    #[serde(borrow)]
    pub tools: Raw<'a>,
    #[serde(borrow)]
    pub tool_choice: Raw<'a>,
    #[serde(borrow)]
    pub parallel_tool_calls: Raw<'a>,
    #[serde(borrow)]
    pub max_output_tokens: Raw<'a>,
    #[serde(borrow)]
    pub max_tool_calls: Raw<'a>,
    #[serde(borrow)]
    pub temperature: Raw<'a>,
    #[serde(borrow)]
    pub top_p: Raw<'a>,
    #[serde(borrow)]
    pub top_logprobs: Raw<'a>,
    #[serde(borrow)]
    pub presence_penalty: Raw<'a>,
    #[serde(borrow)]
    pub frequency_penalty: Raw<'a>,
    #[serde(borrow)]
    pub repetition_penalty: Raw<'a>,
    #[serde(borrow)]
    pub top_k: Raw<'a>,
    #[serde(borrow)]
    pub min_p: Raw<'a>,
    #[serde(borrow)]
    pub seed: Raw<'a>,
    #[serde(borrow)]
    pub stop: Raw<'a>,
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub reasoning: Raw<'a>,
    #[serde(borrow)]
    pub include: Raw<'a>,
    #[serde(borrow)]
    pub store: Raw<'a>,
    #[serde(borrow)]
    pub metadata: Raw<'a>,
    #[serde(borrow)]
    pub prompt_cache_key: Raw<'a>,
    #[serde(borrow)]
    pub safety_identifier: Raw<'a>,
    #[serde(borrow)]
    pub user: Raw<'a>,
    #[serde(borrow)]
    pub previous_response_id: Raw<'a>,
    #[serde(borrow)]
    pub conversation: Raw<'a>,
    #[serde(borrow)]
    pub background: Raw<'a>,
    #[serde(borrow)]
    pub truncation: Raw<'a>,
    #[serde(borrow)]
    pub prompt: Raw<'a>,
}

/// Every kind of input item.
#[derive(Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub role: Text<'a>,
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(borrow)]
    pub call_id: Text<'a>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub namespace: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub arguments: Raw<'a>,
    #[serde(borrow)]
    pub input: Raw<'a>,
    #[serde(borrow)]
    pub output: Raw<'a>,
    #[serde(borrow)]
    pub action: Raw<'a>,
    #[serde(borrow)]
    pub operation: Raw<'a>,
    #[serde(borrow)]
    pub tools: Raw<'a>,
    #[serde(borrow)]
    pub summary: Raw<'a>,
    #[serde(borrow)]
    pub encrypted_content: Text<'a>,
}

/// Every kind of content part.
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub text: Option<PromptText<'a>>,
    #[serde(borrow)]
    pub refusal: Text<'a>,
    #[serde(borrow)]
    pub image_url: Raw<'a>,
    #[serde(borrow)]
    pub detail: Text<'a>,
    #[serde(borrow)]
    pub file_id: Text<'a>,
    #[serde(borrow)]
    pub file_data: Text<'a>,
    #[serde(borrow)]
    pub file_url: Text<'a>,
    #[serde(borrow)]
    pub filename: Text<'a>,
    #[serde(borrow)]
    pub input_audio: Raw<'a>,
}

/// `image_url` where it is an object, as in Chat.
#[derive(Deserialize)]
pub(super) struct ImageUrl<'a> {
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    #[serde(borrow)]
    pub detail: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Audio<'a> {
    #[serde(borrow)]
    pub data: Cow<'a, str>,
    #[serde(borrow)]
    pub format: Text<'a>,
}

/// Every kind of tool; `function` and `custom` hold the nested form of Chat.
#[derive(Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub description: Option<PromptText<'a>>,
    #[serde(borrow)]
    pub parameters: Raw<'a>,
    pub strict: Option<bool>,
    pub defer_loading: Option<bool>,
    #[serde(borrow)]
    pub format: Raw<'a>,
    #[serde(borrow)]
    pub tools: Raw<'a>,
    #[serde(borrow)]
    pub function: Raw<'a>,
    #[serde(borrow)]
    pub custom: Raw<'a>,
    #[serde(borrow)]
    pub execution: Text<'a>,
    #[serde(borrow)]
    pub environment: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct ToolChoice<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub function: Raw<'a>,
    #[serde(borrow)]
    pub custom: Raw<'a>,
    #[serde(borrow)]
    pub mode: Text<'a>,
    #[serde(borrow)]
    pub tools: Raw<'a>,
    #[serde(borrow)]
    pub allowed_tools: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct TextConfig<'a> {
    #[serde(borrow)]
    pub format: Raw<'a>,
    #[serde(borrow)]
    pub verbosity: Raw<'a>,
}

#[derive(Deserialize)]
pub(super) struct Format<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub name: Text<'a>,
    #[serde(borrow)]
    pub schema: Raw<'a>,
    pub strict: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Reasoning<'a> {
    #[serde(borrow)]
    pub effort: Raw<'a>,
    #[serde(borrow)]
    pub summary: Raw<'a>,
}

/// The value as what is wanted; `None` when it is something else.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    pull::from_str(raw?.get()).ok()
}

/// The value as text.
pub(super) fn string(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    raw.and_then(text::string)
}
