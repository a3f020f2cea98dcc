//! `start --engine-url URL`: somebody else's engine behind our gateway. Nothing is launched, nothing is ended.

use std::time::Duration;

use serde_json::Value;

use super::backend::Backend;
use super::serve::{Session, bind, runtime};
use crate::cli::StartArgs;
use crate::engine::EngineId;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::gateway::Ready;
use crate::output;
use crate::paths::Paths;

/// Context of an engine that does not tell its own, tokens.
const ASSUMED_CONTEXT: u64 = 32 * 1024;

/// How long the engine may take to list its models.
const LIMIT: Duration = Duration::from_secs(5);

/// Serves the engine at `url` until something ends it.
pub fn run(args: &StartArgs, url: &str, paths: &Paths) -> Result<u8> {
    let base = base_url(url)?;
    if args.dry_run {
        output::line(&format!("plan for {}\n  use the engine at {base} as it is; launch nothing", args.model));
        return Ok(Exit::Ok.code());
    }
    let listener = bind(args.host, args.port, paths)?;
    runtime()?.block_on(async {
        let mut session = Session::open(args, paths, listener, &args.model)?;
        let launched = session.or_interrupt(attach(args, &base)).await;
        session.serve_until_end(launched, &args.model, args, paths).await
    })
}

/// `http://host:port`, without the `/v1` people paste.
fn base_url(url: &str) -> Result<String> {
    let trimmed = url.trim_end_matches('/');
    let root = trimmed.strip_suffix("/v1").unwrap_or(trimmed);
    let plain = root.strip_prefix("http://").filter(|rest| !rest.is_empty());
    match plain.and_then(|rest| rest.parse::<http::uri::Authority>().ok()) {
        Some(_) => Ok(root.to_owned()),
        None => Err(Plain::new(
            Exit::Usage,
            format!("{url:?} is not the URL of an engine"),
            "give it as `--engine-url http://127.0.0.1:8000/v1`",
        )
        .into()),
    }
}

async fn attach(args: &StartArgs, base: &str) -> Result<Backend> {
    let missing = |why: String| {
        Plain::new(Exit::Missing, format!("no engine answers at {base}: {why}"), format!("try `curl {base}/v1/models`"))
    };
    let mut request = super::ollama::client()?.get(format!("{base}/v1/models")).timeout(LIMIT);
    if let Some(key) = &args.engine_key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.map_err(|e| missing(e.without_url().to_string()))?;
    if matches!(answer.status().as_u16(), 401 | 403) {
        let message = format!("the engine at {base} wants a key");
        return Err(Plain::new(Exit::Missing, message, "give it as `--engine-key KEY`, or in LLMUP_ENGINE_KEY").into());
    }
    let body = answer.bytes().await.map_err(|e| missing(e.to_string()))?;
    let list: Value = serde_json::from_slice(&body).map_err(|_| missing("/v1/models is not JSON".into()))?;
    let models = list.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let id = |m: &Value| m.get("id").and_then(Value::as_str).map(str::to_owned);
    // The one of that name, else the only thing there is.
    let model = models.iter().find(|m| id(m).as_deref() == Some(args.model.as_str())).or(models.first());
    let Some(model) = model else { return Err(missing("it serves no model".into()).into()) };
    let told = ["max_model_len", "context_length", "context_window"].iter().find_map(|k| model.get(k)?.as_u64());
    let told = told.or_else(|| model.pointer("/meta/n_ctx").and_then(Value::as_u64));
    let context = args.context.or(told).unwrap_or(ASSUMED_CONTEXT);
    if args.context.is_none() && told.is_none() {
        output::note(&format!(
            "the engine does not tell its context; assuming {ASSUMED_CONTEXT} tokens, say better with --context"
        ));
    }
    let port = base.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or(80);
    Ok(Backend {
        child: None,
        // Unknown engines are spoken to as plain OpenAI servers.
        engine: EngineId::Vllm,
        port,
        log: None,
        ready: Ready {
            context,
            api_key: args.engine_key.clone(),
            ..Ready::chat(base, id(model).unwrap_or_else(|| args.model.clone()))
        },
        confirmed: told.is_some(),
        derived: None,
    })
}
