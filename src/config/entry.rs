//! One item of `model_list`.

use std::time::Duration;

use super::document::Node;
use super::provider::{self, PROVIDERS};
use super::{Backend, ConfigError, Model, Reader, Remote, launch};

/// Numbers that are handed on as they are.
const NUMBERS: [&str; 7] =
    ["temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty"];

/// What else is read of `litellm_params`, whoever serves the model.
const KNOWN: [&str; 7] =
    ["model", "max_tokens", "max_completion_tokens", "seed", "timeout", "request_timeout", "num_retries"];

/// What is read of it for a server that runs already.
const REMOTE: [&str; 5] = ["api_base", "base_url", "api_key", "extra_headers", "headers"];

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
    let model = need(&params, "model")?;
    let full = reader.resolved(&model)?;
    let (backend, place) = match full.strip_prefix(launch::PREFIX) {
        Some(launched) => {
            let ours = |name: &str| format!("{name} is not used: llmup launches this model itself");
            reader.unused_here(&params, &known(&launch::KEYS), (&REMOTE, &ours))?;
            if name.contains('*') {
                return Err(named.wrong("a name without *: llmup launches one model for it"));
            }
            if let Some(info) = item.get("model_info").filter(|info| info.get("max_input_tokens").is_some()) {
                reader.warnings.push(format!(
                    "{}: model_info.max_input_tokens is not used: a launched model has litellm_params.context",
                    info.place_of("max_input_tokens")
                ));
            }
            (Backend::Launched(launch::read(reader, &params, &model, launched)?), Some(model.place()))
        }
        None => {
            let ours = |name: &str| format!("{name} is only for models that llmup launches (model: llmup/NAME)");
            reader.unused_here(&params, &known(&REMOTE), (&launch::KEYS, &ours))?;
            match remote(reader, item, &name, &full)? {
                Some(remote) => (Backend::Remote(remote), None),
                None => return Ok(None),
            }
        }
    };
    let own_timeout = params.get("timeout").or(params.get("request_timeout")).filter(|value| !value.is_null());
    let own_retries = params.get("num_retries").filter(|value| !value.is_null());
    let reads = |key: &str| info(item, key).map(|value| value.boolean()).transpose();
    Ok(Some(Model {
        name,
        backend,
        defaults: defaults(&params)?,
        images: reads("supports_vision")?,
        documents: reads("supports_pdf_input")?,
        audio: reads("supports_audio_input")?,
        refuses_media: false,
        timeout: own_timeout.map(|value| value.seconds()).transpose()?.or(timeout),
        retries: own_retries.map(|value| value.small_number()).transpose()?.unwrap_or(retries),
        place,
    }))
}

fn known(more: &[&'static str]) -> Vec<&'static str> {
    KNOWN.iter().chain(&NUMBERS).chain(more).copied().collect()
}

fn info<'d>(item: &Node<'d>, key: &str) -> Option<Node<'d>> {
    item.get("model_info").and_then(|info| info.get(key)).filter(|value| !value.is_null())
}

/// The model at somebody's server; `full` is what `model` says.
fn remote(reader: &mut Reader<'_>, item: &Node<'_>, name: &str, full: &str) -> Result<Option<Remote>, ConfigError> {
    let params = need(item, "litellm_params")?;
    let model_node = need(&params, "model")?;
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
    let Some((provider, model)) = provider::find(full, api_base.is_some()) else {
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
    let mut headers = Vec::new();
    for key in ["headers", "extra_headers"] {
        let Some(section) = params.get(key).filter(|section| !section.is_null()) else { continue };
        for (name, value) in section.map()? {
            headers.push((name, reader.resolved(&value)?));
        }
    }
    Ok(Some(Remote {
        provider,
        model: model.to_owned(),
        api_base,
        api_key: api_key.filter(|key| !key.is_empty()),
        headers,
        context: info(item, "max_input_tokens").map(|value| value.whole_number()).transpose()?,
    }))
}

/// Members of requests for callers that leave them out.
fn defaults(params: &Node<'_>) -> Result<Vec<(String, serde_json::Value)>, ConfigError> {
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
    Ok(defaults)
}
