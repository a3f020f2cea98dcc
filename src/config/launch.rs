//! A model that llmup launches itself (`model: llmup/NAME`), and `llmup_settings`: what holds for all of them that do
//! not say it themselves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Node;
use super::policy::{DURATION, Policy, duration};
use super::{ConfigError, Model, Reader};

/// What `model` begins with when llmup launches it.
pub(super) const PREFIX: &str = "llmup/";

/// How a model is launched: what the flags of `llmup start` say, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// A profile, a path to weights, or an Ollama tag. A path that begins with `.` or `~`, or ends in `.gguf`, is one
    /// from the file's folder or the user's.
    pub model: String,
    /// Where the weights are; likewise.
    pub model_dir: Option<PathBuf>,
    /// The engine; `None`: llmup chooses.
    pub engine: Option<Engine>,
    /// Context in tokens.
    pub context: Option<u64>,
    /// Flags for the engine.
    pub engine_args: Vec<String>,
    /// vLLM: share of each GPU's memory, above 0, at most 1.
    pub gpu_memory_utilization: Option<f64>,
    /// vLLM: GPUs one copy of the model is spread over, from 1.
    pub tensor_parallel_size: Option<u32>,
    /// When it is started and stopped.
    pub policy: Policy,
}

/// An engine, as far as a configuration knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    LlamaCpp,
    /// Ollama.
    Ollama,
}

/// Keys of `litellm_params` that are about launching.
pub(super) const KEYS: [&str; 11] = [
    "model_dir",
    "engine",
    "context",
    "engine_args",
    "gpu_memory_utilization",
    "tensor_parallel_size",
    "keep",
    "ttl",
    "preload",
    "group",
    "sleep",
];

/// What one section says.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// `Some(None)`: llmup shall choose.
    engine: Option<Option<Engine>>,
    context: Option<u64>,
    engine_args: Option<Vec<String>>,
    gpu_memory_utilization: Option<f64>,
    tensor_parallel_size: Option<u32>,
    keep: Option<bool>,
    /// 0 for never.
    ttl: Option<Duration>,
    preload: Option<bool>,
    group: Option<String>,
    sleep: Option<bool>,
}

impl Said {
    /// `llmup_settings`.
    pub(super) fn settings(reader: &mut Reader<'_>, section: &Node<'_>) -> Result<Said, ConfigError> {
        section.map()?;
        // One folder is not where all weights are.
        reader.unused(section, KEYS.split_first().map_or(&[], |(_, keys)| keys))?;
        Said::read(reader, section)
    }

    fn read(reader: &Reader<'_>, section: &Node<'_>) -> Result<Said, ConfigError> {
        let get = |key: &str| section.get(key).filter(|value| !value.is_null());
        let said = Said {
            engine: get("engine").map(|value| engine(&value)).transpose()?,
            context: get("context").map(|value| context(&value)).transpose()?,
            engine_args: get("engine_args").map(|value| words(reader, &value)).transpose()?,
            gpu_memory_utilization: get("gpu_memory_utilization").map(|value| share(&value)).transpose()?,
            tensor_parallel_size: get("tensor_parallel_size").map(|value| count(&value)).transpose()?,
            keep: get("keep").map(|value| value.boolean()).transpose()?,
            ttl: get("ttl").map(|value| time(&value)).transpose()?,
            preload: get("preload").map(|value| value.boolean()).transpose()?,
            group: get("group").map(|value| group(&value)).transpose()?,
            sleep: get("sleep").map(|value| value.boolean()).transpose()?,
        };
        if said.keep == Some(true) && said.ttl.is_some_and(|ttl| !ttl.is_zero()) {
            let why = "`keep: true` and a `ttl` contradict each other: one says never to stop it, the other when";
            return Err(section.against(section.get("ttl"), why));
        }
        Ok(said)
    }

    /// When it is started and stopped, where `all` says what this one does not. A word of its own beats one for all
    /// that contradicts it.
    fn policy(&self, all: &Said) -> Policy {
        let timed = self.ttl.is_some_and(|ttl| !ttl.is_zero());
        let keep = self.keep.or(all.keep.filter(|_| !timed)).unwrap_or(false);
        let ttl = self.ttl.or(all.ttl).filter(|ttl| !ttl.is_zero() && !keep);
        let preload = self.preload.or(all.preload).unwrap_or(false);
        let sleep = self.sleep.or(all.sleep).unwrap_or(false);
        Policy { keep, ttl, preload, group: self.group.clone().or_else(|| all.group.clone()), sleep }
    }
}

/// What is launched for an entry; `model` is its node, `name` what that says behind the prefix.
pub(super) fn read(
    reader: &mut Reader<'_>,
    params: &Node<'_>,
    model: &Node<'_>,
    name: &str,
) -> Result<Launch, ConfigError> {
    if name.trim().is_empty() || name.contains('*') {
        return Err(model.wrong("llmup/ and one model: a profile, a path to weights, or an Ollama tag"));
    }
    if let Some(base) = params.get("api_base").or(params.get("base_url")).filter(|base| !base.is_null()) {
        let why = "llmup launches this model here (llmup/), so nobody else's address is asked; leave out one of them";
        return Err(base.against(None, why));
    }
    let said = Said::read(reader, params)?;
    let folder = params.get("model_dir").filter(|dir| !dir.is_null());
    let folder = folder.map(|dir| reader.resolved(&dir)).transpose()?;
    let all = &reader.launched;
    obeyed(params, &said, all)?;
    let is_path = name.starts_with(['.', '~'])
        || Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    let model = if is_path { reader.path(name).to_string_lossy().into_owned() } else { name.to_owned() };
    Ok(Launch {
        model,
        model_dir: folder.map(|folder| reader.path(&folder)),
        engine: said.engine.or(all.engine).flatten(),
        context: said.context.or(all.context),
        engine_args: said.engine_args.clone().or_else(|| all.engine_args.clone()).unwrap_or_default(),
        gpu_memory_utilization: said.gpu_memory_utilization.or(all.gpu_memory_utilization),
        tensor_parallel_size: said.tensor_parallel_size.or(all.tensor_parallel_size),
        policy: said.policy(all),
    })
}

/// Refuses options that the named engine would not obey, as `start` does: who says one counts on it. What llmup chooses
/// an engine for is known only once it is planned.
fn obeyed(params: &Node<'_>, said: &Said, all: &Said) -> Result<(), ConfigError> {
    let Some(engine) = said.engine.or(all.engine).flatten() else { return Ok(()) };
    let name = match engine {
        Engine::Vllm => return Ok(()),
        Engine::LlamaCpp => "llama.cpp",
        Engine::Ollama => "Ollama",
    };
    let share = said.gpu_memory_utilization.or(all.gpu_memory_utilization).is_some();
    let spread = said.tensor_parallel_size.or(all.tensor_parallel_size).is_some();
    let words = said.engine_args.as_ref().or(all.engine_args.as_ref()).is_some_and(|words| !words.is_empty());
    let (key, whose) = match (share, spread) {
        (true, _) => ("gpu_memory_utilization", "vLLM"),
        (_, true) => ("tensor_parallel_size", "vLLM"),
        _ if words && engine == Engine::Ollama => ("engine_args", "engines with flags"),
        _ => return Ok(()),
    };
    let place = params.get(key).or_else(|| params.get("engine"));
    Err(params.against(place, &format!("`{key}` is for {whose}, and this model runs on {name}; leave out one of them")))
}

/// Looks at groups as a whole: what contradicts itself is refused, what cannot be as it says is told. `items` are the
/// entries of `models`.
pub(super) fn groups(reader: &mut Reader<'_>, items: &[Node<'_>], models: &mut [Model]) -> Result<(), ConfigError> {
    let mut names: Vec<String> = Vec::new();
    for policy in models.iter().filter_map(|model| Some(&model.launch()?.policy)) {
        names.extend(policy.group.clone().filter(|group| !names.contains(group)));
    }
    for group in names {
        let of = |model: &Model| model.launch().is_some_and(|launch| launch.policy.group.as_ref() == Some(&group));
        let members: Vec<usize> = models.iter().enumerate().filter(|(_, model)| of(model)).map(|(at, _)| at).collect();
        let name = |at: usize| models.get(at).map_or("", |model| model.name.as_str());
        let params = |at: usize| items.get(at).and_then(|item| item.get("litellm_params").or(Some(*item)));
        let has = |at: &usize, what: fn(&Policy) -> bool| {
            models.get(*at).and_then(Model::launch).is_some_and(|launch| what(&launch.policy))
        };
        if let &[only] = members.as_slice()
            && let Some(said) = params(only).and_then(|params| params.get("group"))
        {
            reader.warnings.push(format!("{}: {} is the only model in the group {group}", said.place(), name(only)));
        }
        let mut kept = members.iter().copied().filter(|at| has(at, |policy| policy.keep));
        match (kept.next(), kept.next()) {
            (Some(first), Some(second)) => {
                let why = format!(
                    "{} and {} are both kept, but of the group {group} only one runs at a time",
                    name(first),
                    name(second)
                );
                if let Some(params) = params(second) {
                    return Err(params.against(params.get("keep"), &why));
                }
            }
            (Some(kept), None) if members.len() > 1 => {
                let place = params(kept).map(|params| params.place_of("keep")).unwrap_or_default();
                reader.warnings.push(format!(
                    "{place}: {} is kept: once it runs, no other model of the group {group} can",
                    name(kept)
                ));
            }
            _ => {}
        }
        let mut preloaded = members.iter().copied().filter(|at| has(at, |policy| policy.preload));
        let first = preloaded.next();
        let later: Vec<usize> = preloaded.collect();
        if let (Some(first), Some(second)) = (first, later.first()) {
            let place = params(*second).map(|params| params.place_of("preload")).unwrap_or_default();
            reader.warnings.push(format!(
                "{place}: of the group {group} only {} is started at once: only one of it runs at a time",
                name(first)
            ));
        }
        for at in later {
            if let Some(launch) = models.get_mut(at).and_then(Model::launch_mut) {
                launch.policy.preload = false;
            }
        }
    }
    Ok(())
}

fn engine(node: &Node<'_>) -> Result<Option<Engine>, ConfigError> {
    match node.text()?.to_ascii_lowercase().as_str() {
        "auto" => Ok(None),
        "vllm" => Ok(Some(Engine::Vllm)),
        "llama.cpp" | "llama-cpp" | "llama_cpp" | "llamacpp" => Ok(Some(Engine::LlamaCpp)),
        "ollama" => Ok(Some(Engine::Ollama)),
        _ => Err(node.wrong("auto, vllm, llama.cpp or ollama")),
    }
}

/// As `start --context`.
fn context(node: &Node<'_>) -> Result<u64, ConfigError> {
    Some(node.whole_number()?).filter(|tokens| *tokens >= 256).ok_or_else(|| node.wrong("a number of tokens from 256"))
}

fn share(node: &Node<'_>) -> Result<f64, ConfigError> {
    let share = Some(node.number()?).filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| node.wrong("a share above 0 and at most 1, as in 0.9"))
}

fn count(node: &Node<'_>) -> Result<u32, ConfigError> {
    let count = u32::try_from(node.whole_number()?).ok().filter(|count| *count > 0);
    count.ok_or_else(|| node.wrong("a whole number from 1"))
}

fn time(node: &Node<'_>) -> Result<Duration, ConfigError> {
    node.text().ok().and_then(|text| duration(&text)).ok_or_else(|| node.wrong(DURATION))
}

fn group(node: &Node<'_>) -> Result<String, ConfigError> {
    Some(node.text()?).filter(|name| !name.trim().is_empty()).ok_or_else(|| node.wrong("a name"))
}

fn words(reader: &Reader<'_>, node: &Node<'_>) -> Result<Vec<String>, ConfigError> {
    let word = |item: &Node<'_>| {
        let word = reader.resolved(item)?;
        // No engine would take it: an option and its value are two arguments, or joined by `=`.
        let option = word.split('=').next().unwrap_or_default();
        if option.starts_with("--") && option.contains(char::is_whitespace) {
            return Err(item.wrong("an option and its value as two items, as in [--max-num-seqs, 8]"));
        }
        Ok(word)
    };
    node.list()?.iter().map(word).collect()
}
