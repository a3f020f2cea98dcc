//! One piece of an answer as it stands on the wire: a chunk of a stream, or a whole answer, which has the same members
//! but for `message` instead of `delta`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{Count, Either, First, Text};
use crate::protocol::event::{Stop, Usage};
use crate::protocol::text::string;
use crate::protocol::{Problem, ProblemKind};

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    /// Empty in Azure's first chunk and in the one that tells the usage.
    #[serde(borrow, default)]
    pub choices: First<Choice<'a>>,
    pub usage: Option<Box<Tokens>>,
    /// llama.cpp's own figures.
    pub timings: Option<Timings>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow)]
    pub delta: Option<Box<Delta<'a>>>,
    #[serde(borrow)]
    pub message: Option<Box<Delta<'a>>>,
    #[serde(borrow)]
    pub finish_reason: Option<Text<'a>>,
    /// vLLM: the stop sequence as a string, or the id of an end token as a number.
    #[serde(borrow)]
    pub stop_reason: Option<&'a RawValue>,
    /// SGLang's name for the same.
    #[serde(borrow)]
    pub matched_stop: Option<&'a RawValue>,
    /// Moonshot puts it here.
    pub usage: Option<Box<Tokens>>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    /// A list of parts from Mistral's reasoning models.
    #[serde(borrow)]
    pub content: Option<Either<'a, Vec<Piece<'a>>>>,
    /// llama.cpp, SGLang, DeepSeek, older vLLM.
    #[serde(borrow)]
    pub reasoning_content: Option<&'a RawValue>,
    /// vLLM, Ollama, OpenRouter. Both may stand in one delta and then say the same.
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<Fragment<'a>>>,
    /// The form before `tool_calls`.
    #[serde(borrow)]
    pub function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Either<'a, Vec<Thought<'a>>>>,
}

#[derive(Deserialize)]
pub(super) struct Thought<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Fragment<'a> {
    pub index: Option<Count>,
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
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Custom<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub input: Option<Text<'a>>,
}

/// Where Google's chat endpoint puts what Chat has no place for.
#[derive(Deserialize)]
pub(super) struct Extra<'a> {
    #[serde(borrow)]
    pub google: Option<Google<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Google<'a> {
    #[serde(borrow)]
    pub thought_signature: Option<Text<'a>>,
}

#[derive(Debug, Deserialize, Default, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Tokens {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<OutputDetails>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Option<Count>,
    /// Moonshot.
    cached_tokens: Option<Count>,
}

#[derive(Debug, Deserialize, Default, PartialEq, Eq)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<Count>,
    /// OpenAI and OpenRouter.
    cache_write_tokens: Option<Count>,
    /// vLLM 0.32.
    created_cache_tokens: Option<Count>,
}

#[derive(Debug, Deserialize, Default, PartialEq, Eq)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<Count>,
}

#[derive(Deserialize)]
pub(super) struct Timings {
    cache_n: Option<Count>,
}

impl Tokens {
    /// What it says replaces what was said before: some servers repeat their counts in every chunk.
    pub(super) fn take(&self, usage: &mut Usage) {
        let prompt = self.prompt_tokens_details.as_ref();
        let cached = prompt.and_then(|details| details.cached_tokens);
        let written = prompt.and_then(|details| details.cache_write_tokens.or(details.created_cache_tokens));
        let reasoning = self.completion_tokens_details.as_ref().and_then(|details| details.reasoning_tokens);
        for (to, from) in [
            (&mut usage.prompt, self.prompt_tokens),
            (&mut usage.output, self.completion_tokens),
            (&mut usage.cached, cached.or(self.prompt_cache_hit_tokens).or(self.cached_tokens)),
            (&mut usage.cache_write, written),
            (&mut usage.reasoning, reasoning),
        ] {
            if let Some(Count(count)) = from {
                *to = count;
            }
        }
    }
}

impl Timings {
    /// llama.cpp repeats the cached part in `usage`, but not every build and server made of it does.
    pub(super) fn take(&self, usage: &mut Usage) {
        if let Some(Count(cached)) = self.cache_n.filter(|_| usage.cached == 0) {
            usage.cached = cached;
        }
    }
}

impl Choice<'_> {
    /// Why the answer ended, if this says so.
    pub(super) fn stop(&self) -> Option<Result<Stop, Problem>> {
        stop(self.finish_reason.as_deref()?, || self.sequence())
    }

    /// The stop sequence that ended the answer. End tokens come as numbers, or by name (`<|im_end|>`) where a template
    /// lists them as stop sequences of its own: nobody asked for those.
    fn sequence(&self) -> Option<Cow<'_, str>> {
        let raw = [self.stop_reason, self.matched_stop].into_iter().flatten().find(|raw| raw.get() != "null")?;
        let token = |text: &str| (text.starts_with("<|") && text.ends_with("|>")) || text == "</s>";
        string(raw).filter(|text| !text.is_empty() && !token(text))
    }
}

/// What an engine's reason to end means; `sequence` is the stop sequence it names.
pub(super) fn stop<'a>(reason: &str, sequence: impl FnOnce() -> Option<Cow<'a, str>>) -> Option<Result<Stop, Problem>> {
    let failed = |message: &str| Some(Err(Problem::new(ProblemKind::Upstream, message)));
    Some(Ok(match reason {
        "" => return None,
        "length" | "max_tokens" => Stop::MaxTokens,
        "content_filter" | "safety" | "refusal" => Stop::Refusal,
        "tool_calls" | "function_call" | "tool_use" => Stop::ToolUse,
        "model_length" | "model_context_window_exceeded" => Stop::ContextFull,
        // OpenRouter; vLLM and SGLang when a request was ended from outside.
        "error" | "abort" | "cancelled" => return failed("the engine gave up on its answer"),
        // DeepSeek.
        "insufficient_system_resource" => return failed("the engine ran out of resources"),
        _ => match sequence() {
            Some(text) => Stop::Sequence(text.into_owned()),
            None => Stop::EndTurn,
        },
    }))
}
