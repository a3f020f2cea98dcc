//! The demo model: a model so small that llmup writes it itself in about a second, whose answers are a script chosen
//! by the request. Real engines load it unmodified, so a machine without a download can still prove the whole way
//! from a coding tool to an engine and back.
//!
//! How it works: the projections that end attention and MLP are zero, so the hidden state at a position is the
//! embedding of that token alone; the output matrix maps each embedding to one successor. The chat template ends the
//! prompt with a "mode" token, and the chain of successors from there is the script. Only `plan` and `commands` call
//! this; tests stage whole agent turns with their own [`Scripts`].

mod gguf;
mod safetensors;
mod scripts;
mod template;
mod tensors;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

pub use scripts::Scripts;

use super::{Format, ModelError};
use crate::fs::{FileError, create_dir};

/// Part of the folder's name: raised whenever what is written changes, so that an older copy is not used again.
pub const DEMO_VERSION: u32 = 3;

/// What it is called.
pub const NAME: &str = "demo";

/// The context the demo model claims, tokens.
pub const CONTEXT: u64 = 131_072;

/// Writes the demo model as one GGUF file (`llama`, f32), replacing `path` in one step.
pub fn write_gguf(path: &Path) -> Result<(), ModelError> {
    write_gguf_with(path, &Scripts::default())
}

/// Like [`write_gguf`], with other answers.
pub fn write_gguf_with(path: &Path, scripts: &Scripts) -> Result<(), ModelError> {
    let machine = Machine::build(scripts)?;
    replace(path, &gguf::encode(&machine))
}

/// Writes the demo model as a directory (`Qwen3ForCausalLM`, bf16). The weights come last, so that a directory that
/// was cut short does not look whole.
pub fn write_safetensors(dir: &Path) -> Result<(), ModelError> {
    write_safetensors_with(dir, &Scripts::default())
}

/// Like [`write_safetensors`], with other answers.
pub fn write_safetensors_with(dir: &Path, scripts: &Scripts) -> Result<(), ModelError> {
    let machine = Machine::build(scripts)?;
    for (name, bytes) in safetensors::files(&machine) {
        replace(&dir.join(name), &bytes)?;
    }
    Ok(())
}

/// Where the demo model of this version is below `models_dir`: what an engine is given, the .gguf file or the
/// directory. Ollama creates its copy from the .gguf.
pub fn path(models_dir: &Path, kind: Format) -> PathBuf {
    let dir = models_dir.join(format!("demo-v{DEMO_VERSION}"));
    match kind {
        Format::Gguf | Format::OllamaTag => dir.join("llmup-demo.gguf"),
        Format::Safetensors => dir.join("llmup-demo"),
    }
}

/// Makes sure the demo model is at its [`path`] and returns that. Nothing is written when it is there already.
pub fn ensure(models_dir: &Path, kind: Format) -> Result<PathBuf, ModelError> {
    let path = path(models_dir, kind);
    match kind {
        Format::Gguf | Format::OllamaTag if !path.is_file() => write_gguf(&path)?,
        Format::Safetensors if !path.join(safetensors::WEIGHTS).is_file() => write_safetensors(&path)?,
        _ => {}
    }
    Ok(path)
}

/// Everything both file formats are made from.
struct Machine {
    words: vocabulary::Vocabulary,
    template: String,
    weights: Vec<tensors::Tensor>,
}

impl Machine {
    fn build(scripts: &Scripts) -> Result<Machine, ModelError> {
        let words = vocabulary::Vocabulary::build(scripts)?;
        let weights = tensors::build(words.tokens.len(), &words.successors);
        Ok(Machine { template: template::render(scripts), words, weights })
    }
}

/// Replaces a file in one step; readable by others like any model file, since engines may run as another user.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(dir)?;
    // Two that write at once must not share the unfinished file.
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let temporary = dir.join(format!(".llmup-demo-{}-{turn}.part", std::process::id()));
    std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path)).map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        ModelError::from(FileError::new("write", path, e))
    })
}

#[cfg(test)]
mod tests;
