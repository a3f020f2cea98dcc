//! Gemini's embeddings, asked of the engine's `/embeddings`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::backend::Ready;
use super::reply::{self, Body};
use super::{Shared, upstream};
use crate::protocol::{Problem, ProblemKind};

/// Largest answer.
const LIMIT: usize = 64 << 20;

#[derive(Deserialize)]
struct Batch {
    requests: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    content: Content,
    #[serde(rename = "outputDimensionality", alias = "output_dimensionality")]
    dimensions: Option<u64>,
}

#[derive(Deserialize)]
struct Content {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Embedding<'a>>,
}

#[derive(Deserialize)]
struct Embedding<'a> {
    index: Option<usize>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

pub(super) async fn embed(
    shared: &Arc<Shared>,
    backend: &Ready,
    batch: bool,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response<Body>, Problem> {
    let unreadable =
        |e: serde_json::Error| Problem::new(ProblemKind::Invalid, format!("the request does not parse: {e}"));
    let requests = match batch {
        true => serde_json::from_slice::<Batch>(body).map_err(unreadable)?.requests,
        false => vec![serde_json::from_slice::<One>(body).map_err(unreadable)?],
    };
    let mut texts = Vec::with_capacity(requests.len());
    for request in &requests {
        let words: Option<Vec<&str>> = request.content.parts.iter().map(|part| part.text.as_deref()).collect();
        let words = words.ok_or_else(|| Problem::new(ProblemKind::Invalid, "only texts can be embedded here"))?;
        texts.push(words.join("\n"));
    }
    let mut asked: Value = json!({"model": backend.model, "input": texts, "encoding_format": "float"});
    if let Some(dimensions) = requests.iter().find_map(|request| request.dimensions) {
        asked["dimensions"] = dimensions.into();
    }
    let response = shared.upstream.post(backend, "/embeddings", headers, asked.to_string().into()).await?;
    if !response.status().is_success() {
        return Err(upstream::failure(response).await.0);
    }
    let strange = |why: String| Problem::new(ProblemKind::Upstream, format!("the engine's embeddings: {why}"));
    let answer = Limited::new(response.into_body(), LIMIT).collect().await.map_err(|e| strange(e.to_string()))?;
    let answer = answer.to_bytes();
    let mut answer: Answer<'_> = serde_json::from_slice(&answer).map_err(|e| strange(e.to_string()))?;
    if answer.data.len() != texts.len() {
        return Err(strange(format!("{} for {} texts", answer.data.len(), texts.len())));
    }
    answer.data.sort_by_key(|one| one.index);
    let each: Vec<String> = answer.data.iter().map(|one| format!("{{\"values\":{}}}", one.embedding.get())).collect();
    let body = match batch {
        true => format!("{{\"embeddings\":[{}]}}", each.join(",")),
        false => format!("{{\"embedding\":{}}}", each.concat()),
    };
    Ok(reply::json(200, body))
}
