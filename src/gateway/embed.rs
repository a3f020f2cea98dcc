//! Gemini's embeddings, asked of the engine's `/embeddings`.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::exchange::Exchange;
use super::reply::{self, Body};
use super::upstream;
use crate::protocol::{Id, Problem, ProblemKind};

/// Largest answer.
const LIMIT: usize = 64 << 20;

/// The forms the same question comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `embedContent`.
    One,
    /// `batchEmbedContents`.
    Batch,
    /// `predict` of Vertex.
    Predict,
}

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
struct Predict {
    instances: Vec<Instance>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Instance {
    content: String,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(rename = "outputDimensionality", alias = "output_dimensionality")]
    dimensions: Option<u64>,
}

/// The texts to embed, and how many numbers each shall have.
fn read(form: Form, body: &[u8]) -> Result<(Vec<String>, Option<u64>), Problem> {
    let invalid = |message: String| Problem::new(ProblemKind::Invalid, message);
    let unreadable = |e: serde_json::Error| invalid(format!("the request does not parse: {e}"));
    let requests = match form {
        Form::One => vec![serde_json::from_slice::<One>(body).map_err(unreadable)?],
        Form::Batch => serde_json::from_slice::<Batch>(body).map_err(unreadable)?.requests,
        Form::Predict => {
            let asked: Predict = serde_json::from_slice(body).map_err(unreadable)?;
            let texts = asked.instances.into_iter().map(|instance| instance.content).collect();
            return Ok((texts, asked.parameters.and_then(|parameters| parameters.dimensions)));
        }
    };
    let mut texts = Vec::with_capacity(requests.len());
    for request in &requests {
        let words: Option<Vec<&str>> = request.content.parts.iter().map(|part| part.text.as_deref()).collect();
        let words = words.ok_or_else(|| invalid("only texts can be embedded here".to_owned()))?;
        texts.push(words.join("\n"));
    }
    Ok((texts, requests.iter().find_map(|request| request.dimensions)))
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

pub(super) async fn embed(exchange: &Exchange<'_>, form: Form, body: &Bytes) -> Result<Response<Body>, Problem> {
    let backend = exchange.backend;
    if backend.speaks != Id::Chat {
        return Err(Problem::new(ProblemKind::Unsupported, "the backend of this model serves no embeddings"));
    }
    let (texts, dimensions) = read(form, body)?;
    let mut asked: Value = json!({"model": backend.model, "input": texts, "encoding_format": "float"});
    if let Some(dimensions) = dimensions {
        asked["dimensions"] = dimensions.into();
    }
    let response = exchange.send("/embeddings", asked.to_string().into()).await?;
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
    let body = match form {
        Form::One => format!("{{\"embedding\":{}}}", each.concat()),
        Form::Batch => format!("{{\"embeddings\":[{}]}}", each.join(",")),
        Form::Predict => {
            let each: Vec<String> = each.iter().map(|one| format!("{{\"embeddings\":{one}}}")).collect();
            format!("{{\"predictions\":[{}]}}", each.join(","))
        }
    };
    Ok(reply::json(200, body))
}
