//! `start --engine-url URL`: somebody else's engine behind our gateway. Nothing is launched, nothing is ended.

use std::sync::Arc;

use super::backend::{Backend, Source};
use super::entry::Entry;
use super::post::Post;
use super::room::Bytes;
use super::serve::{bind, runtime};
use super::session::{Offer, Session};
use crate::cli::StartArgs;
use crate::commands::serve::probe::{self, Silent};
use crate::commands::serve::{self, ASSUMED_CONTEXT, target};
use crate::config::Policy;
use crate::engine::{EngineId, Measured};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::gateway::Ready;
use crate::output;
use crate::paths::Paths;
use crate::protocol::Id;
use crate::words;

/// Serves the engine at `url` until something ends it.
pub fn run(args: &StartArgs, url: &str, paths: &Paths, entry: Option<&Arc<Entry>>) -> Result<u8> {
    let (base, prefix) = address(url)?;
    let Some(entry) = entry else {
        let told = format!("plan for {}\n  use the engine at {base} as it is; launch nothing", args.model);
        output::line(&words::say(&told));
        return Ok(Exit::Ok.code());
    };
    let listener = bind(args.host, args.port, paths)?;
    let attaching = Box::pin(attach(args.clone(), base, prefix));
    let post = Post {
        nap: None,
        name: args.model.clone(),
        translate: args.translate,
        source: Box::new(|_| Source::Attached(Some(attaching))),
        policy: Policy { preload: true, ..Policy::default() },
        needs: Bytes::new(),
        planner: None,
        context: 0,
    };
    let offer = Offer { posts: vec![post], reached: Vec::new(), aliases: Vec::new(), recruiter: None };
    runtime()?.block_on(async { Session::open(args, paths, entry, listener, offer).await?.run().await })
}

fn address(url: &str) -> Result<(String, Option<String>)> {
    target::address(url, Id::Chat).ok_or_else(|| {
        Plain::new(
            Exit::Usage,
            format!("{url:?} is not the URL of an engine"),
            "give it as `--engine-url http://127.0.0.1:8000/v1`",
        )
        .into()
    })
}

async fn attach(args: StartArgs, base: String, prefix: Option<String>) -> Result<Backend> {
    let mut ready = Ready { prefix, api_key: args.engine_key.clone(), ..Ready::chat(&base, &args.model) };
    let missing = |why: String| {
        Plain::new(Exit::Missing, format!("no engine answers at {base}: {why}"), format!("try `curl {base}/v1/models`"))
    };
    let offers = match probe::offers(&ready).await {
        Ok(offers) => offers,
        Err(Silent::Key) => {
            let message = format!("the engine at {base} wants a key");
            let hint = "give it as `--engine-key KEY`, or in LLMUP_ENGINE_KEY";
            return Err(Plain::new(Exit::Missing, message, hint).into());
        }
        Err(silent) => return Err(missing(silent.at("it")).into()),
    };
    // The one of that name, else the only thing there is.
    let offer = offers.iter().find(|offer| offer.name == args.model).or(offers.first());
    let Some(offer) = offer else { return Err(missing("it serves no model".into()).into()) };
    let told = Some(offer.context).filter(|context| *context > 0);
    ready.context = args.context.or(told).unwrap_or(ASSUMED_CONTEXT);
    ready.model.clone_from(&offer.name);
    ready.accepts = offer.accepts;
    if args.context.is_none() && told.is_none() {
        output::note(&format!(
            "the engine does not tell its context; assuming {ASSUMED_CONTEXT} tokens, say better with --context"
        ));
    }
    Ok(Backend {
        child: None,
        // Unknown engines are spoken to as plain OpenAI servers.
        engine: EngineId::Vllm,
        port: serve::port(&base),
        log: None,
        ready,
        measured: Measured { context: told, ..Measured::default() },
        derived: None,
    })
}
