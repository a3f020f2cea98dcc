//! Asking a backend that llmup did not launch what it has: its models and their contexts.

use std::time::Duration;

use serde_json::Value;

use crate::gateway::{Offer, Ready, nearby};
use crate::protocol::accepts::Accepts;
use crate::protocol::{Auth, Id, protocol};

/// How long the backend may take.
pub const LIMIT: Duration = Duration::from_secs(3);

/// Why a backend did not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Silent {
    /// It cannot be reached.
    Unreachable(String),
    /// It wants a key, or another one.
    Key,
    /// It has no such list; it may work all the same.
    NoList(String),
}

impl Silent {
    /// What became of asking `place`, as a sentence.
    pub fn at(&self, place: &str) -> String {
        match self {
            Silent::Unreachable(why) => format!("{place} cannot be reached: {why}"),
            Silent::Key => format!("{place} refuses the key"),
            Silent::NoList(why) => format!("{place} does not list its models: {why}"),
        }
    }
}

/// The models a backend lists.
pub async fn offers(ready: &Ready) -> Result<Vec<Offer>, Silent> {
    let prefix = ready.prefix.as_deref().unwrap_or(protocol(ready.speaks).prefix());
    let url = match ready.speaks {
        Id::Ollama => format!("{}{prefix}/api/tags", ready.base_url),
        _ => format!("{}{prefix}/models", ready.base_url),
    };
    let list = get(ready, &url).await?;
    let mut offers = read(ready.speaks, &list);
    if ready.speaks == Id::Ollama {
        // Its list tells what a model could have; what is loaded tells what it has.
        let loaded = get(ready, &format!("{}{prefix}/api/ps", ready.base_url)).await.unwrap_or_default();
        for model in loaded["models"].as_array().into_iter().flatten() {
            let of = |offer: &&mut Offer| Some(offer.name.as_str()) == model["name"].as_str();
            if let Some(offer) = offers.iter_mut().find(of) {
                offer.context = model["context_length"].as_u64().unwrap_or(0);
            }
        }
    }
    Ok(offers)
}

async fn get(ready: &Ready, url: &str) -> Result<Value, Silent> {
    let unreachable = |error: reqwest::Error| {
        let mut innermost: &dyn std::error::Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        Silent::Unreachable(if error.is_timeout() { "no answer in time".to_owned() } else { innermost.to_string() })
    };
    // Already installed by an earlier call: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The way the gateway itself goes to its backends.
    let near = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(nearby)).unwrap_or(true);
    let builder = reqwest::Client::builder().timeout(LIMIT);
    let builder = if near || url.starts_with("http:") { builder.no_proxy() } else { builder };
    let client = builder.build().map_err(unreachable)?;
    let mut request = client.get(url);
    if let Some(key) = &ready.api_key {
        request = match protocol(ready.speaks).auth() {
            Auth::Bearer => request.bearer_auth(key),
            Auth::XApiKey => request.header("x-api-key", key),
            Auth::XGoogApiKey => request.header("x-goog-api-key", key),
        };
    }
    for (name, value) in protocol(ready.speaks).headers() {
        request = request.header(*name, *value);
    }
    for (name, value) in &ready.options.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(unreachable)?;
    match answer.status().as_u16() {
        200..=299 => {}
        401 | 403 => return Err(Silent::Key),
        status => return Err(Silent::NoList(format!("it answers {status}"))),
    }
    let body = answer.bytes().await.map_err(unreachable)?;
    serde_json::from_slice(&body).map_err(|_| Silent::NoList("its answer is not JSON".to_owned()))
}

/// The list in the words of its protocol.
fn read(speaks: Id, list: &Value) -> Vec<Offer> {
    let (models, name) = match speaks {
        Id::Ollama => ("models", "name"),
        Id::Gemini => ("models", "name"),
        _ => ("data", "id"),
    };
    let offer = |model: &Value| {
        let name = model.get(name)?.as_str()?;
        let keys = [
            "max_model_len",
            "context_length",
            "context_window",
            "max_context_length",
            "max_input_tokens",
            "inputTokenLimit",
        ];
        let told = keys.iter().find_map(|key| model.get(key)?.as_u64());
        let told = told.or_else(|| model.pointer("/meta/n_ctx").and_then(Value::as_u64));
        let modalities = model.pointer("/architecture/input_modalities").and_then(Value::as_array);
        let modalities: Vec<&str> = modalities.into_iter().flatten().filter_map(Value::as_str).collect();
        Some(Offer {
            name: name.strip_prefix("models/").unwrap_or(name).to_owned(),
            context: told.unwrap_or(0),
            accepts: Accepts::of_modalities(&modalities),
        })
    };
    list.get(models).and_then(Value::as_array).into_iter().flatten().filter_map(offer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contexts_are_read_in_every_servers_words() {
        let is = |speaks: Id, list: Value, name: &str, context: u64| {
            assert_eq!(read(speaks, &list), [Offer { name: name.to_owned(), context, ..Offer::default() }], "{list}");
        };
        is(Id::Chat, json!({"data": [{"id": "a", "max_model_len": 32768}]}), "a", 32768);
        is(Id::Chat, json!({"data": [{"id": "a", "context_length": 8192}]}), "a", 8192);
        is(Id::Chat, json!({"data": [{"id": "a", "meta": {"n_ctx": 4096, "n_ctx_train": 9}}]}), "a", 4096);
        is(Id::Chat, json!({"data": [{"id": "a"}, {"name": "no id"}]}), "a", 0);
        is(Id::Messages, json!({"data": [{"id": "a", "max_input_tokens": 200000}]}), "a", 200_000);
        is(Id::Gemini, json!({"models": [{"name": "models/g", "inputTokenLimit": 5}]}), "g", 5);
        is(Id::Ollama, json!({"models": [{"name": "q:7b", "details": {"context_length": 9}}]}), "q:7b", 0);
        assert_eq!(read(Id::Chat, &json!([])), []);
    }
}
