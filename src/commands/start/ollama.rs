//! A model in a running Ollama: pulled when missing, loaded, its context checked. An Ollama that ran before llmup is
//! never ended and keeps its own models; a variant with more context is added beside them and removed in the end.

use std::net::SocketAddr;

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::backend::Backend;
use super::measure;
use super::target::Target;
use crate::engine::{EngineId, Measured, driver, find, readback};
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::fs::FileError;
use crate::gateway::Ready;
use crate::plan::LaunchPlan;
use crate::progress::Progress;

/// An Ollama that answers.
#[derive(Debug, Clone)]
pub struct Server {
    /// `http://host:port`.
    base: String,
}

/// A model llmup made in somebody's Ollama.
#[derive(Debug)]
pub struct Derived {
    server: Server,
    name: String,
}

/// The Ollama that runs already, at `OLLAMA_HOST` or its usual place.
pub fn running() -> Option<Server> {
    find::running_ollama("")?;
    Some(Server { base: format!("http://{}", find::ollama_address(&std::env::var("OLLAMA_HOST").unwrap_or_default())) })
}

impl Server {
    /// The one llmup has just started.
    pub fn at(address: SocketAddr) -> Server {
        Server { base: format!("http://{address}") }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response> {
        let request = client()?.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        request.body(body.to_string()).send().await.map_err(|e| failed(&format!("{path}: {e}")))
    }

    async fn json(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self.post(path, body).await?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|e| failed(&e.to_string()))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        match value.get("error").and_then(Value::as_str) {
            Some(error) => Err(failed(error)),
            None if !status.is_success() => Err(failed(&format!("{path} answered {status}"))),
            None => Ok(value),
        }
    }

    /// The context a loaded model has in force, and where it lies.
    async fn measured(&self, tag: &str) -> Measured {
        measure::get(&format!("{}/api/ps", self.base), None)
            .await
            .map(|body| readback::ollama_ps(&body, tag))
            .unwrap_or_default()
    }

    /// Pulls a tag; how many bytes its layers have.
    pub async fn pull(&self, tag: &str, progress: &Progress) -> Result<u64> {
        Ok(crate::pull::ollama::pull(&client()?, &self.base, tag, progress).await?)
    }

    /// Whether it has a tag.
    pub async fn has(&self, tag: &str) -> Result<bool> {
        Ok(self.post("/api/show", &json!({"model": tag})).await?.status().is_success())
    }
}

impl Server {
    /// Makes a model of a GGUF file: its bytes go up as a blob named by their SHA-256, then a model refers to it.
    /// Source: Ollama's API documentation, "Create a Model" and "Push a Blob".
    async fn create_from_file(&self, name: &str, file: &Path, context: u64) -> Result<()> {
        let bytes = std::fs::read(file).map_err(|e| FileError::new("read", file, e))?;
        let digest =
            Sha256::digest(&bytes).iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"));
        let request = client()?.post(format!("{}/api/blobs/{digest}", self.base)).body(bytes);
        let answer = request.send().await.map_err(|e| failed(&e.to_string()))?;
        if !answer.status().is_success() {
            return Err(failed(&format!("it did not take the model file: {}", answer.status())));
        }
        let file_name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let body = json!({
            "model": name, "files": {file_name: digest}, "parameters": {"num_ctx": context}, "stream": false,
        });
        self.json("/api/create", &body).await.map(drop)
    }
}

impl Derived {
    /// Removes the model; the layers belong to the original and stay.
    pub async fn remove(&self) {
        let _ = self.server.post("/api/generate", &json!({"model": self.name, "keep_alive": 0})).await;
        if let Ok(client) = client() {
            let body = json!({"model": self.name}).to_string();
            let _ = client.delete(format!("{}/api/delete", self.server.base)).body(body).send().await;
        }
    }
}

/// Makes the model ready on a server.
pub(super) async fn attach(server: Server, target: &Target, plan: &LaunchPlan, progress: &Progress) -> Result<Backend> {
    let tag = target.weights.tag.clone().unwrap_or_else(|| target.name.clone());
    let mut derived = None;
    if let (Some(_), Some(file)) = (target.demo, &target.weights.path) {
        progress.step("ollama: creating the demo model");
        server.create_from_file(&tag, file, plan.max_model_len).await?;
        derived = Some(Derived { server: server.clone(), name: tag.clone() });
    } else if !server.has(&tag).await? {
        server.pull(&tag, progress).await?;
    }
    progress.step(&format!("ollama: loading {tag}"));
    server.json("/api/generate", &json!({"model": tag, "keep_alive": -1, "stream": false})).await?;
    let mut measured = server.measured(&tag).await;
    let mut model = tag.clone();
    if derived.is_none() && measured.context.is_some_and(|have| have < plan.max_model_len) {
        // num_ctx in a request is lost with the next one; a model of its own keeps it.
        model = format!("llmup-{}", tag.replace([':', '/'], "-"));
        let parameters = json!({"num_ctx": plan.max_model_len});
        server
            .json("/api/create", &json!({"model": model, "from": tag, "parameters": parameters, "stream": false}))
            .await?;
        derived = Some(Derived { server: server.clone(), name: model.clone() });
        server.json("/api/generate", &json!({"model": model, "keep_alive": -1, "stream": false})).await?;
        measured = server.measured(&model).await;
    }
    progress.finish();
    let serves = driver(EngineId::Ollama).serves(None);
    let port = server.base.rsplit(':').next().and_then(|p| p.parse().ok()).unwrap_or_default();
    Ok(Backend {
        child: None,
        engine: EngineId::Ollama,
        port,
        log: None,
        ready: Ready {
            context: measured.context.unwrap_or(plan.max_model_len),
            native: super::backend::native(serves),
            vendor: super::backend::vendor(EngineId::Ollama),
            ..Ready::chat(server.base, model)
        },
        measured,
        derived,
    })
}

pub(super) fn client() -> Result<reqwest::Client> {
    // Already installed by an earlier call: fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Loopback must not go through a proxy from the environment.
    let built = reqwest::Client::builder().no_proxy().build();
    built.map_err(|e| Plain::new(Exit::Bug, format!("no HTTP client: {e}"), "see `llmup doctor`").into())
}

fn failed(what: &str) -> crate::error::Error {
    Plain::new(Exit::EngineFailed, format!("Ollama: {what}"), "see which models it has: `ollama list`").into()
}
