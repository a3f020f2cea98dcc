//! From what the user wrote to a backend the gateway can use.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use crate::config::{Backend, Model, Remote, Speaks};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::gateway::{Options, Ready};
use crate::protocol::accepts::{Accepts, Otherwise};
use crate::protocol::{Id, Vendor, protocol};

/// A model to serve.
#[derive(Debug)]
pub struct Target {
    /// What callers call it.
    pub name: String,
    /// Its backend, as far as it is known without asking.
    pub ready: Ready,
    /// Whether its context is the user's word, which beats the backend's.
    pub context_given: bool,
    /// Whether the backend may be asked what it has: not providers at their public addresses, which would be asked
    /// with the user's key at every start.
    pub ask: bool,
}

/// A backend's root and the path its protocol begins at, out of a URL as people paste it. `None`: no such URL.
pub fn address(url: &str, speaks: Id) -> Option<(String, Option<String>)> {
    let trimmed = url.trim().trim_end_matches('/');
    let (scheme, rest) = trimmed.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    authority.parse::<http::uri::Authority>().ok().filter(|authority| !authority.host().is_empty())?;
    let root = format!("{scheme}://{authority}");
    // The route itself is pasted as often as its beginning.
    let route = protocol(speaks).path("", crate::protocol::ir::Framing::Whole);
    let path = format!("/{path}");
    let path = path.strip_suffix(route.as_str()).unwrap_or(&path).trim_end_matches('/');
    let prefix = protocol(speaks).prefix();
    let known = ["/v1", "/v1beta", "/api"];
    let begins = match speaks {
        // These say where their API begins: `…/api/paas/v4`.
        Id::Chat | Id::Responses => path.to_owned(),
        // These leave out what all have.
        _ => {
            let outer = known.iter().find_map(|known| path.strip_suffix(known)).unwrap_or(path);
            format!("{outer}{prefix}")
        }
    };
    let own = path.is_empty() || begins == prefix;
    Some((root, (!own).then_some(begins)))
}

/// The backend of a model in a configuration that a server serves which runs already.
pub fn of_remote(model: &Model, remote: &Remote) -> Result<Target> {
    let speaks = match remote.provider.speaks {
        Speaks::Chat => Id::Chat,
        Speaks::Messages => Id::Messages,
        Speaks::Gemini => Id::Gemini,
        Speaks::Ollama => Id::Ollama,
    };
    let url = remote.api_base.as_deref().or(remote.provider.base).unwrap_or_default();
    let Some((base_url, prefix)) = address(url, speaks) else {
        let message = format!("{url:?}, the api_base of {}, is not a URL", model.name);
        return Err(Plain::new(Exit::Config, message, "as in `api_base: http://127.0.0.1:8000/v1`").into());
    };
    let ready = Ready {
        prefix,
        context: remote.context.unwrap_or(0),
        // Translated to unless it is the caller's own protocol.
        native: if speaks == Id::Ollama { Vec::new() } else { vec![speaks] },
        speaks,
        vendor: vendor(remote.provider.prefix, &base_url),
        api_key: remote.api_key.clone(),
        accepts: accepts(model),
        options: Arc::new(options(model)?),
        ..Ready::chat(base_url, &remote.model)
    };
    let ask = remote.api_base.is_some() || speaks == Id::Ollama;
    Ok(Target { name: model.name.clone(), context_given: remote.context.is_some(), ready, ask })
}

/// Whose server it is: by its host, else by what the user calls it.
fn vendor(prefix: &str, base_url: &str) -> Vendor {
    let host = base_url.split_once("://").map_or("", |(_, host)| host).to_ascii_lowercase();
    let by_host = [
        ("api.openai.com", Vendor::OpenAi),
        ("openrouter.ai", Vendor::OpenRouter),
        ("api.deepseek.com", Vendor::DeepSeek),
        ("api.anthropic.com", Vendor::Anthropic),
        ("generativelanguage.googleapis.com", Vendor::Google),
        ("ark.cn-beijing.volces.com", Vendor::Volcengine),
    ];
    if let Some((_, vendor)) = by_host.into_iter().find(|(known, _)| host == *known) {
        return vendor;
    }
    match prefix {
        "hosted_vllm" => Vendor::Vllm,
        "ollama" | "ollama_chat" => Vendor::Ollama,
        "openrouter" => Vendor::OpenRouter,
        "deepseek" => Vendor::DeepSeek,
        "anthropic" => Vendor::Anthropic,
        "gemini" => Vendor::Google,
        "volcengine" => Vendor::Volcengine,
        // `openai/` with an address of its own is any compatible server.
        _ => Vendor::Unknown,
    }
}

/// What a model can read, as far as the file says.
pub fn accepts(model: &Model) -> Accepts {
    Accepts {
        images: model.images,
        documents: model.documents,
        audio: model.audio,
        otherwise: if model.refuses_media { Otherwise::Refuse } else { Otherwise::Note },
    }
}

/// What requests to a model of a configuration carry and how they are sent, whoever serves it.
pub fn options(model: &Model) -> Result<Options> {
    let said = if let Backend::Remote(remote) = &model.backend { &remote.headers[..] } else { &[] };
    let mut headers = Vec::new();
    for (name, value) in said {
        match (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => {
                let message = format!("{name:?} of {} cannot be a header of a request", model.name);
                return Err(Plain::new(Exit::Config, message, "names and values must be plain ASCII").into());
            }
        }
    }
    let raw = |value: &serde_json::Value| RawValue::from_string(value.to_string()).ok();
    let defaults = model.defaults.iter().filter_map(|(name, value)| Some((name.clone(), raw(value)?))).collect();
    Ok(Options { headers, defaults, timeout: model.timeout, retries: model.retries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_paste_them() {
        let is = |url: &str, speaks: Id, root: &str, prefix: Option<&str>| {
            assert_eq!(address(url, speaks), Some((root.to_owned(), prefix.map(str::to_owned))), "{url}");
        };
        is("http://127.0.0.1:8000", Id::Chat, "http://127.0.0.1:8000", None);
        is("http://127.0.0.1:8000/v1/", Id::Chat, "http://127.0.0.1:8000", None);
        is("http://127.0.0.1:8000/v1/chat/completions", Id::Chat, "http://127.0.0.1:8000", None);
        is("https://open.bigmodel.cn/api/paas/v4/", Id::Chat, "https://open.bigmodel.cn", Some("/api/paas/v4"));
        is("https://openrouter.ai/api/v1", Id::Chat, "https://openrouter.ai", Some("/api/v1"));
        is("https://api.anthropic.com", Id::Messages, "https://api.anthropic.com", None);
        is("https://gate.example/anthropic/v1", Id::Messages, "https://gate.example", Some("/anthropic/v1"));
        is("https://gate.example/anthropic", Id::Messages, "https://gate.example", Some("/anthropic/v1"));
        is("https://g.example/v1beta", Id::Gemini, "https://g.example", None);
        is("http://localhost:11434/v1", Id::Ollama, "http://localhost:11434", None);
        is("http://h/ollama/api/", Id::Ollama, "http://h", Some("/ollama"));
        for url in ["localhost:8000", "ftp://h", "http://", "https:///v1", "", "http://a b/"] {
            assert_eq!(address(url, Id::Chat), None, "{url}");
        }
    }

    #[test]
    fn every_provider_of_the_configuration_becomes_a_backend() {
        let text = "
model_list:
  - {model_name: a, litellm_params: {model: openai/x, api_base: 'http://h:1/v1', api_key: k, temperature: 0.5}}
  - {model_name: b, litellm_params: {model: hosted_vllm/x, api_base: 'http://h:1/v1'}}
  - {model_name: c, litellm_params: {model: ollama/x}}
  - {model_name: d, litellm_params: {model: anthropic/x, api_key: k}}
  - {model_name: e, litellm_params: {model: gemini/x, api_key: k}}
  - {model_name: f, litellm_params: {model: openrouter/o/x, api_key: k}}
  - {model_name: g, litellm_params: {model: openai/x, api_base: 'https://openrouter.ai/api/v1', api_key: k}}
  - {model_name: h, litellm_params: {model: volcengine/x, api_key: k}}
  - {model_name: i, litellm_params: {model: deepseek/x, api_key: k}}
  - {model_name: j, litellm_params: {model: gpt-4o, api_key: k}}
";
        let config = crate::config::parse("c", text, &|_| None).unwrap();
        let targets = super::super::targets(&config.models, std::path::Path::new("c")).unwrap();
        let shown: Vec<_> = targets.iter().map(|t| (t.ready.speaks, t.ready.vendor, t.ask)).collect();
        assert_eq!(
            shown,
            [
                (Id::Chat, Vendor::Unknown, true),
                (Id::Chat, Vendor::Vllm, true),
                (Id::Ollama, Vendor::Ollama, true),
                (Id::Messages, Vendor::Anthropic, false),
                (Id::Gemini, Vendor::Google, false),
                (Id::Chat, Vendor::OpenRouter, false),
                (Id::Chat, Vendor::OpenRouter, true),
                (Id::Chat, Vendor::Volcengine, false),
                (Id::Chat, Vendor::DeepSeek, false),
                (Id::Chat, Vendor::OpenAi, false),
            ]
        );
        assert_eq!(targets[5].ready.prefix.as_deref(), Some("/api/v1"));
        assert_eq!(targets[7].ready.prefix.as_deref(), Some("/api/v3"));
        assert_eq!(targets[3].ready.native, [Id::Messages]);
        assert_eq!(targets[0].ready.options.defaults[0].1.get(), "0.5");
    }
}
