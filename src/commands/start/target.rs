//! What `start MODEL` means: a profile, weights on disk, an Ollama tag, or the demo model llmup writes itself.

use std::path::Path;

use crate::cli::StartArgs;
use crate::engine::{EngineId, ask_ollama};
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::host::RealHost;
use crate::model::{self, Format, Shape, Weights, demo};
use crate::output;
use crate::paths::Paths;
use crate::plan::variant;
use crate::profile::{self, ModelProfile, Variant};
use crate::wsl;

/// A model to start.
#[derive(Debug)]
pub struct Target {
    /// The public name.
    pub name: String,
    /// The weights, or for a profile without weights those of the variant that was picked.
    pub weights: Weights,
    /// Its profile.
    pub profile: Option<ModelProfile>,
    /// All profiles, for what else would fit.
    pub profiles: Vec<ModelProfile>,
    /// The demo model, to be written before the launch.
    pub demo: Option<Format>,
    /// The weights are not on this machine: this variant of the profile would have to be downloaded.
    pub missing: Option<Variant>,
}

/// Why MODEL means nothing.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither a profile, nor a path, nor a tag.
    #[error("there is no model named {name:?}: no profile of that name, no file or folder, no Ollama tag")]
    Unknown {
        /// What was typed.
        name: String,
        /// Profiles with a similar name.
        nearest: Vec<String>,
    },
    /// The profile lists nothing that this engine loads.
    #[error("the profile {name} lists no download{for_engine}", for_engine = engine.map(|e| format!(" for {e}")).unwrap_or_default())]
    NoVariant {
        /// The profile.
        name: String,
        /// The engine that was asked for.
        engine: Option<EngineId>,
    },
    /// The profile is known, but its weights are not here.
    #[error("the weights of {name} are not on this machine")]
    NoWeights {
        /// The profile.
        name: String,
        /// What fits this machine best.
        variant: Box<Variant>,
    },
}

impl Explain for TargetError {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        match self {
            TargetError::Unknown { name, nearest } => {
                let mut hints = Vec::new();
                if !nearest.is_empty() {
                    hints.push(format!("did you mean {}?", nearest.join(", ")));
                }
                hints.push("see the models llmup knows: `llmup models`".to_owned());
                hints.push(format!("for weights of your own: `llmup start {name} --model-dir DIR`"));
                hints
            }
            TargetError::NoVariant { name, engine } => {
                let mut hints = vec![format!("pass weights of your own: `llmup start {name} --model-dir DIR`")];
                if engine.is_some() {
                    hints.push("or leave the engine to llmup: without `--engine`".to_owned());
                }
                hints
            }
            TargetError::NoWeights { name, variant } => {
                let mut hints = vec![
                    format!("download them: `llmup pull {name}`, or let start do it: add `--yes`"),
                    format!("if you have them: `llmup start {name} --model-dir DIR`"),
                ];
                if let Some(tag) = &variant.ollama {
                    hints.push(format!("or through Ollama: `llmup start {tag} --engine ollama`"));
                }
                hints
            }
        }
    }
}

/// Finds out what MODEL means. Only headers are read, nothing is written.
pub fn resolve(args: &StartArgs, paths: &Paths) -> Result<Target> {
    let user = paths.user_profiles();
    let engine = args.engine.id();
    let found = |name: &str| match profile::find(name, &user) {
        Ok(found) => Ok(Some(found.profile)),
        Err(profile::ProfileError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    if let Some(dir) = &args.model_dir {
        let meant = wsl::inside::local(&RealHost, dir, true)?;
        let weights = model::read_path(meant.as_deref().unwrap_or(dir))?;
        let profile = found(&args.model)?.map(|profile| without_generation_config(profile, &weights));
        // Other profiles matter only for weights that have none, and for what would fit instead.
        let profiles = profile::all(&user)?;
        return Ok(Target { name: args.model.clone(), weights, profile, profiles, demo: None, missing: None });
    }
    if let Some(profile) = found(&args.model)? {
        // Only for what would fit instead: another model's broken file must not stand in this one's way.
        let others = profile::all(&user).unwrap_or_else(|error| {
            output::warning(error);
            Vec::new()
        });
        return Ok(from_profile(profile, engine, paths, others)?);
    }
    let meant = wsl::inside::local(&RealHost, Path::new(&args.model), false)?;
    let path = meant.as_deref().unwrap_or(Path::new(&args.model));
    if meant.is_some() || path.exists() || has_form_of_path(&args.model) {
        let weights = model::read_path(path)?;
        let profiles = profile::all(&user)?;
        return Ok(Target { name: public_name(path), weights, profile: None, profiles, demo: None, missing: None });
    }
    if args.model.contains(':') || engine == Some(EngineId::Ollama) {
        let known = ask_ollama::described(&args.model, "");
        let weights = known.unwrap_or_else(|| model::ollama_tag(&args.model));
        let profiles = Vec::new();
        return Ok(Target { name: args.model.clone(), weights, profile: None, profiles, demo: None, missing: None });
    }
    let nearest = profile::nearest(&args.model, &user);
    Err(TargetError::Unknown { name: args.model.clone(), nearest }.into())
}

/// vLLM takes sampling defaults from `generation_config.json` beside the weights by itself, so what that file says is
/// no longer the profile's to say.
fn without_generation_config(mut profile: ModelProfile, weights: &Weights) -> ModelProfile {
    const MOST: u64 = 1 << 20;
    let dir = weights.path.as_deref().filter(|_| weights.format == Format::Safetensors);
    let (Some(dir), Some(sampling)) = (dir, profile.sampling.as_mut()) else { return profile };
    let mut text = Vec::new();
    let read = std::fs::File::open(dir.join("generation_config.json"))
        .and_then(|file| std::io::Read::read_to_end(&mut std::io::Read::take(file, MOST), &mut text));
    let said: serde_json::Value = read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let has = |name: &str| said.get(name).is_some_and(|value| !value.is_null());
    sampling.temperature = sampling.temperature.filter(|_| !has("temperature"));
    sampling.top_p = sampling.top_p.filter(|_| !has("top_p"));
    sampling.top_k = sampling.top_k.filter(|_| !has("top_k"));
    profile
}

pub(super) fn from_profile(
    profile: ModelProfile,
    engine: Option<EngineId>,
    paths: &Paths,
    profiles: Vec<ModelProfile>,
) -> Result<Target, TargetError> {
    let name = profile.name.clone();
    if profile.scripted {
        let kind = match engine {
            Some(EngineId::Vllm) => Format::Safetensors,
            Some(EngineId::Ollama) => Format::OllamaTag,
            _ => Format::Gguf,
        };
        let weights = demo_weights(kind, &demo::path(&paths.models(), kind));
        return Ok(Target { name, weights, profile: Some(profile), profiles, demo: Some(kind), missing: None });
    }
    // The caller plans the variants one by one; this is the first.
    let Some(variant) = profile.variants.iter().find(|v| variant::loaded_by(v, engine)).cloned() else {
        return Err(TargetError::NoVariant { name, engine });
    };
    Ok(Target {
        name,
        weights: variant::weights(&profile, &variant),
        profile: Some(profile),
        profiles,
        demo: None,
        missing: Some(variant),
    })
}

/// The demo model's headers, known without writing it.
fn demo_weights(kind: Format, path: &Path) -> Weights {
    let (format, bytes, architecture) = match kind {
        Format::Safetensors => (Format::Safetensors, 1_500_000, "Qwen3ForCausalLM"),
        Format::Gguf => (Format::Gguf, 3_000_000, "llama"),
        // Created in Ollama from the GGUF; the name is one nobody else has.
        Format::OllamaTag => (Format::OllamaTag, 3_000_000, "llama"),
    };
    Weights {
        format,
        path: Some(path.to_owned()),
        tag: (kind == Format::OllamaTag).then(|| "llmup-demo".to_owned()),
        bytes: Some(bytes),
        architecture: Some(architecture.into()),
        quantization: None,
        context_max: Some(131_072),
        shape: Some(Shape {
            layers: 2,
            hidden: 128,
            heads: 4,
            kv_heads: 2,
            head_dim: 32,
            vocab: 2048,
            ..Shape::default()
        }),
        chat_template: true,
    }
}

/// What MODEL will be called, as far as its form tells: nothing is read.
pub fn name_of(args: &StartArgs) -> String {
    let by_form = has_form_of_path(&args.model) && args.model_dir.is_none();
    if by_form { public_name(Path::new(&args.model)) } else { args.model.clone() }
}

fn has_form_of_path(model: &str) -> bool {
    model.contains(std::path::MAIN_SEPARATOR)
        || model.starts_with(['.', '~'])
        || Path::new(model).extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

/// `./models/qwen-q4.gguf` → `qwen-q4`.
fn public_name(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let gguf = full.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let name = if gguf { full.file_stem() } else { full.file_name() };
    name.map_or_else(|| "model".to_owned(), |n| n.to_string_lossy().into_owned())
}
