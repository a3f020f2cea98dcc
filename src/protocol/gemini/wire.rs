//! The request as it stands on the wire, every key in camelCase and in snake_case: Google's servers take both.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lenient::{FromText, Many, Text};
use crate::protocol::text::Text as PromptText;

#[derive(Deserialize)]
pub(super) struct Body<'a> {
    /// countTokens may wrap the whole request.
    #[serde(borrow, default, rename = "generateContentRequest", alias = "generate_content_request")]
    pub wrapped: Option<Box<Body<'a>>>,
    #[serde(borrow, default)]
    pub contents: Many<Content<'a>>,
    #[serde(borrow, default, rename = "systemInstruction", alias = "system_instruction")]
    pub system: Many<Content<'a>>,
    #[serde(borrow, default)]
    pub tools: Many<Tool<'a>>,
    #[serde(borrow, default, rename = "toolConfig", alias = "tool_config")]
    pub tool_config: Option<ToolConfig<'a>>,
    #[serde(borrow, default, rename = "generationConfig", alias = "generation_config")]
    pub config: Option<Config<'a>>,
    #[serde(default, rename = "safetySettings", alias = "safety_settings")]
    pub safety: Option<IgnoredAny>,
    pub labels: Option<IgnoredAny>,
    #[serde(default, rename = "cachedContent", alias = "cached_content")]
    pub cached: Option<IgnoredAny>,
}

/// A turn. A part that stands where a content belongs is read as a content of one part.
#[derive(Deserialize, Default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub role: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub parts: Many<Part<'a>>,
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
}

impl<'de: 'a, 'a> FromText<'de> for Content<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Content { text: Some(Text(text)), ..Content::default() })
    }
}

/// A part: one of its members says what it is.
#[derive(Default)]
pub(super) struct Part<'a> {
    pub text: Option<PromptText<'a>>,
    pub thought: bool,
    pub signature: Option<Cow<'a, str>>,
    pub inline: Option<Blob<'a>>,
    pub file: Option<FileData<'a>>,
    pub call: Option<Call<'a>>,
    pub response: Option<Response<'a>>,
    pub code: Option<Code<'a>>,
    pub result: Option<CodeResult<'a>>,
    /// Members we do not know.
    pub others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'de: 'a, 'a> FromText<'de> for Part<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(Part { text: Some(text.into()), ..Part::default() })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Part<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartVisitor(PhantomData))
    }
}

struct PartVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for PartVisitor<'a> {
    type Value = Part<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part<'a>, A::Error> {
        let mut part = Part::default();
        while let Some(Text(key)) = map.next_key::<Text<'a>>()? {
            match key.as_ref() {
                "text" => part.text = map.next_value()?,
                "thought" => part.thought = map.next_value::<Option<bool>>()? == Some(true),
                "thoughtSignature" | "thought_signature" => {
                    part.signature = map.next_value::<Option<Text<'a>>>()?.map(|text| text.0);
                }
                "inlineData" | "inline_data" => part.inline = map.next_value()?,
                "fileData" | "file_data" => part.file = map.next_value()?,
                "functionCall" | "function_call" => part.call = map.next_value()?,
                "functionResponse" | "function_response" => part.response = map.next_value()?,
                "executableCode" | "executable_code" => part.code = map.next_value()?,
                "codeExecutionResult" | "code_execution_result" => part.result = map.next_value()?,
                // They only say how to look at the media beside them.
                "videoMetadata" | "video_metadata" | "mediaResolution" | "media_resolution" | "partMetadata"
                | "part_metadata" => {
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    if let Some(value) = map.next_value::<Option<&'a RawValue>>()? {
                        part.others.push((key, value));
                    }
                }
            }
        }
        Ok(part)
    }
}

#[derive(Deserialize)]
pub(super) struct Blob<'a> {
    #[serde(borrow, rename = "mimeType", alias = "mime_type")]
    pub mime: Option<Text<'a>>,
    #[serde(borrow)]
    pub data: Option<Text<'a>>,
    #[serde(borrow, rename = "displayName", alias = "display_name")]
    pub name: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct FileData<'a> {
    #[serde(borrow, rename = "mimeType", alias = "mime_type")]
    pub mime: Option<Text<'a>>,
    #[serde(borrow, rename = "fileUri", alias = "file_uri")]
    pub uri: Option<Text<'a>>,
    #[serde(borrow, rename = "displayName", alias = "display_name")]
    pub name: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub parts: Many<Part<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Code<'a> {
    #[serde(borrow)]
    pub language: Option<Text<'a>>,
    #[serde(borrow)]
    pub code: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct CodeResult<'a> {
    #[serde(borrow)]
    pub output: Option<Text<'a>>,
}

/// Functions, and the names of Google's own tools beside them.
#[derive(Default)]
pub(super) struct Tool<'a> {
    pub functions: Vec<Declaration<'a>>,
    pub others: Vec<Cow<'a, str>>,
}

impl FromText<'_> for Tool<'_> {}

impl<'de: 'a, 'a> Deserialize<'de> for Tool<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ToolVisitor(PhantomData))
    }
}

struct ToolVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ToolVisitor<'a> {
    type Value = Tool<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tool")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tool<'a>, A::Error> {
        let mut tool = Tool::default();
        while let Some(Text(key)) = map.next_key::<Text<'a>>()? {
            if matches!(key.as_ref(), "functionDeclarations" | "function_declarations") {
                tool.functions = map.next_value::<Many<Declaration<'a>>>()?.0;
            } else if map.next_value::<Option<IgnoredAny>>()?.is_some() {
                tool.others.push(key);
            }
        }
        Ok(tool)
    }
}

#[derive(Deserialize)]
pub(super) struct Declaration<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub description: Option<PromptText<'a>>,
    /// The OpenAPI subset.
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    #[serde(borrow, rename = "parametersJsonSchema", alias = "parameters_json_schema")]
    pub json_schema: Option<&'a RawValue>,
}

impl FromText<'_> for Declaration<'_> {}

#[derive(Deserialize)]
pub(super) struct ToolConfig<'a> {
    #[serde(borrow, rename = "functionCallingConfig", alias = "function_calling_config")]
    pub calling: Option<Calling<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Calling<'a> {
    #[serde(borrow)]
    pub mode: Option<Text<'a>>,
    #[serde(borrow, rename = "allowedFunctionNames", alias = "allowed_function_names")]
    pub allowed: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize, Default)]
pub(super) struct Config<'a> {
    #[serde(borrow)]
    pub temperature: Option<&'a RawValue>,
    #[serde(borrow, rename = "topP", alias = "top_p")]
    pub top_p: Option<&'a RawValue>,
    #[serde(borrow, rename = "topK", alias = "top_k")]
    pub top_k: Option<&'a RawValue>,
    #[serde(borrow)]
    pub seed: Option<&'a RawValue>,
    #[serde(borrow, rename = "presencePenalty", alias = "presence_penalty")]
    pub presence: Option<&'a RawValue>,
    #[serde(borrow, rename = "frequencyPenalty", alias = "frequency_penalty")]
    pub frequency: Option<&'a RawValue>,
    #[serde(borrow, rename = "maxOutputTokens", alias = "max_output_tokens")]
    pub max_tokens: Option<&'a RawValue>,
    #[serde(borrow, rename = "candidateCount", alias = "candidate_count")]
    pub candidates: Option<&'a RawValue>,
    #[serde(borrow, rename = "stopSequences", alias = "stop_sequences")]
    pub stop: Option<Vec<Text<'a>>>,
    #[serde(borrow, rename = "responseMimeType", alias = "response_mime_type")]
    pub mime: Option<Text<'a>>,
    #[serde(borrow, rename = "responseSchema", alias = "response_schema")]
    pub schema: Option<&'a RawValue>,
    #[serde(borrow, rename = "responseJsonSchema", alias = "response_json_schema")]
    pub json_schema: Option<&'a RawValue>,
    #[serde(borrow, rename = "thinkingConfig", alias = "thinking_config")]
    pub thinking: Option<Thinking<'a>>,
    #[serde(rename = "responseModalities", alias = "response_modalities")]
    pub modalities: Option<Vec<String>>,
    #[serde(rename = "responseLogprobs", alias = "response_logprobs")]
    pub logprobs: Option<bool>,
    #[serde(rename = "speechConfig", alias = "speech_config")]
    pub speech: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Thinking<'a> {
    #[serde(rename = "includeThoughts", alias = "include_thoughts")]
    pub show: Option<bool>,
    #[serde(borrow, rename = "thinkingBudget", alias = "thinking_budget")]
    pub budget: Option<&'a RawValue>,
    #[serde(borrow, rename = "thinkingLevel", alias = "thinking_level")]
    pub level: Option<Text<'a>>,
}
