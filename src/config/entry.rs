//! One item of `model_list`.

use std::time::Duration;

use super::document::Node;
use super::provider::{self, PROVIDERS};
use super::{ConfigError, Model, Reader};

/// Numbers that are handed on as they are.
const NUMBERS: [&str; 7] =
    ["temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"];

/// What else is read of `litellm_params`.
const KNOWN: [&str; 12] = [
    "model",
    "api_base",
    "base_url",
    "api_key",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "extra_headers",
    "headers",
    "timeout",
    "request_timeout",
    "num_retries",
];

fn need<'d>(node: &Node<'d>, key: &str) -> Result<Node<'d>, ConfigError> {
    node.get(key).ok_or_else(|| node.wrong(&format!("`{key}` in it; it is not there")))
}

/// Reads it; `None`, with a warning, when its provider is one llmup cannot speak to.
pub(super) fn read(
    reader: &mut Reader<'_>,
    item: &Node<'_>,
    (timeout, retries): (Option<Duration>, u32),
) -> Result<Option<Model>, ConfigError> {
    item.map()?;
    reader.unused(item, &["model_name", "litellm_params", "model_info"])?;
    let named = need(item, "model_name")?;
    let name = named.text()?;
    if name.is_empty() || name.matches('*').count() > 1 {
        return Err(named.wrong("a name with at most one *"));
    }
    let params = need(item, "litellm_params")?;
    params.map()?;
    let known: Vec<&str> = KNOWN.into_iter().chain(NUMBERS).collect();
    reader.unused(&params, &known)?;

    let api_base = match params.get("api_base").or(params.get("base_url")).filter(|base| !base.is_null()) {
        Some(node) => {
            let base = reader.resolved(&node)?;
            let rest = base.strip_prefix("http://").or(base.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) {
                return Err(node.wrong("a URL, as in http://127.0.0.1:8000/v1"));
            }
            Some(base.trim_end_matches('/').to_owned())
        }
        None => None,
    };
    let model_node = need(&params, "model")?;
    let full = reader.resolved(&model_node)?;
    let Some((provider, model)) = provider::find(&full, api_base.is_some()) else {
        let known: Vec<String> = PROVIDERS.iter().map(|p| format!("{}/", p.prefix)).collect();
        reader.warnings.push(format!(
            "{}: {name} is left out: {full:?} begins with no provider llmup knows ({}) and has no api_base",
            model_node.place(),
            known.join(" ")
        ));
        return Ok(None);
    };
    if provider.base.is_none() && api_base.is_none() {
        return Err(params.wrong(&format!("an `api_base`: {}/ has no address of its own", provider.prefix)));
    }
    if model.is_empty() || model.matches('*').count() > 1 || (model.contains('*') && !name.contains('*')) {
        return Err(model_node.wrong("the provider's name of a model, with a * only where model_name has one"));
    }

    let mut api_key =
        params.get("api_key").filter(|key| !key.is_null()).map(|key| reader.resolved(&key)).transpose()?;
    if api_key.is_none() && api_base.is_none() {
        api_key = provider.key_variable.and_then(|variable| (reader.env)(variable));
        if let (None, Some(variable)) = (&api_key, provider.key_variable) {
            reader.warnings.push(format!("{}: {name} has no api_key, and {variable} is not set", params.place()));
        }
    }

    let mut defaults = Vec::new();
    for key in NUMBERS {
        if let Some(value) = params.get(key).filter(|value| !value.is_null()) {
            value.number()?;
            defaults.push((key.to_owned(), value.json()?));
        }
    }
    if let Some(value) = params.get("seed") {
        defaults.push(("seed".to_owned(), value.whole_number()?.into()));
    }
    if let Some(value) = params.get("max_tokens").or(params.get("max_completion_tokens")).filter(|v| !v.is_null()) {
        defaults.push(("max_tokens".to_owned(), value.whole_number()?.into()));
    }
    let mut headers = Vec::new();
    for key in ["headers", "extra_headers"] {
        let Some(section) = params.get(key).filter(|section| !section.is_null()) else { continue };
        for (name, value) in section.map()? {
            headers.push((name, reader.resolved(&value)?));
        }
    }
    let own_timeout = params.get("timeout").or(params.get("request_timeout")).filter(|value| !value.is_null());
    let own_retries = params.get("num_retries").filter(|value| !value.is_null());
    let info = |key: &str| item.get("model_info").and_then(|info| info.get(key)).filter(|value| !value.is_null());
    let reads = |key: &str| info(key).map(|value| value.boolean()).transpose();
    Ok(Some(Model {
        name,
        provider,
        model: model.to_owned(),
        api_base,
        api_key: api_key.filter(|key| !key.is_empty()),
        defaults,
        headers,
        context: info("max_input_tokens").map(|value| value.whole_number()).transpose()?,
        images: reads("supports_vision")?,
        documents: reads("supports_pdf_input")?,
        audio: reads("supports_audio_input")?,
        refuses_media: false,
        timeout: own_timeout.map(|value| value.seconds()).transpose()?.or(timeout),
        retries: own_retries.map(|value| value.small_number()).transpose()?.unwrap_or(retries),
    }))
}
