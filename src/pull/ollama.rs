//! Ollama pulls by itself; here it is asked to, and what it says becomes one bar.
//!
//! `POST /api/pull` answers with a JSON object a line: `status`, and for each layer `digest`, `total` and `completed` (absent
//! at the start). Errors come with status 200 in the last line; `success` is the last word of a pull that worked.
//! Source: Ollama `docs/api.md`, "Pull a Model" (v0.33).

use std::collections::BTreeMap;

use futures_util::StreamExt;
use serde::Deserialize;

use super::PullError;
use crate::fetch::chain;
use crate::progress::Progress;

/// How often a stream may break off: Ollama goes on where it was.
const TRIES: u32 = 4;
/// No line is longer.
const LINE_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    status: String,
    error: Option<String>,
    digest: Option<String>,
    total: Option<u64>,
    #[serde(default)]
    completed: u64,
}

/// Pulls a tag into the Ollama at `base` (`http://host:port`); how many bytes its layers have.
pub async fn pull(client: &reqwest::Client, base: &str, tag: &str, progress: &Progress) -> Result<u64, PullError> {
    let failed = |reason: String| PullError::Ollama { tag: tag.to_owned(), reason };
    let mut tries = 0;
    loop {
        tries += 1;
        match attempt(client, base, tag, progress).await {
            Ok(bytes) => return Ok(bytes),
            Err(Ended::Said(reason)) => return Err(failed(reason)),
            Err(Ended::Broke(reason)) if tries >= TRIES => return Err(failed(reason)),
            Err(Ended::Broke(_)) => tokio::time::sleep(std::time::Duration::from_millis(100 << tries)).await,
        }
    }
}

enum Ended {
    /// Its own refusal.
    Said(String),
    /// The stream ended early.
    Broke(String),
}

async fn attempt(client: &reqwest::Client, base: &str, tag: &str, progress: &Progress) -> Result<u64, Ended> {
    let broke = |e: reqwest::Error| Ended::Broke(chain(&e));
    let body = serde_json::json!({"model": tag, "stream": true}).to_string();
    let request = client.post(format!("{base}/api/pull")).header("content-type", "application/json").body(body);
    let answer = request.send().await.map_err(broke)?;
    let status = answer.status();
    let mut body = answer.bytes_stream();
    let mut rest: Vec<u8> = Vec::new();
    let mut layers = Layers::default();
    let mut success = false;
    while let Some(piece) = body.next().await {
        rest.extend_from_slice(&piece.map_err(broke)?);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            success |= layers.read(&line, progress)?;
        }
        if rest.len() > LINE_MAX {
            return Err(Ended::Said("its answer makes no sense".to_owned()));
        }
    }
    success |= layers.read(&rest, progress)?;
    match success {
        true => Ok(layers.sum().1),
        false if status.is_success() => Err(Ended::Broke("the download broke off".to_owned())),
        false => Err(Ended::Said(format!("it answered {status}"))),
    }
}

/// How far each layer is; the bar shows them together.
#[derive(Default)]
struct Layers {
    known: BTreeMap<String, (u64, u64)>,
    step: String,
}

impl Layers {
    /// Reads a line; whether it is the last of a pull that worked.
    fn read(&mut self, line: &[u8], progress: &Progress) -> Result<bool, Ended> {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return Ok(false) };
        if let Some(error) = line.error {
            return Err(Ended::Said(error));
        }
        if let (Some(digest), Some(total)) = (line.digest, line.total) {
            if self.known.is_empty() {
                progress.step("ollama: pulling");
            }
            self.known.insert(digest, (line.completed.min(total), total));
            let (done, total) = self.sum();
            progress.bytes(done, total);
        } else if line.status != self.step {
            progress.step(&format!("ollama: {}", line.status));
        }
        self.step.clone_from(&line.status);
        Ok(line.status == "success")
    }

    fn sum(&self) -> (u64, u64) {
        self.known.values().fold((0, 0), |sum, layer| (sum.0 + layer.0, sum.1.saturating_add(layer.1)))
    }
}
