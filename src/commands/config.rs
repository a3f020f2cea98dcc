//! `llmup config check`: reads a configuration as `serve` and `start` do, shows what would be served, and starts
//! nothing. No key is ever shown, and no value of an engine's arguments, which may be one.

use std::path::Path;

use serde_json::{Value, json};

use super::serve::target::{self, Target};
use crate::cli::ConfigCommand;
use crate::config::{self, Backend, Config, Engine, Launch, Model, Policy, Remote};
use crate::error::Result;
use crate::exit::Exit;
use crate::output;

/// Runs the subcommand; gives the exit code.
pub fn run(command: &ConfigCommand) -> Result<u8> {
    let ConfigCommand::Check { file, json } = command;
    let config = config::read(file, &config::variable)?;
    let targets = targets(&config)?;
    for warning in &config.warnings {
        output::warning(warning);
    }
    if *json {
        output::json(&as_json(file, &config, &targets));
    } else {
        output::data(&text(file, &config, &targets));
    }
    Ok(Exit::Ok.code())
}

/// What the gateway would use for each model; `None` for one that is launched.
fn targets(config: &Config) -> Result<Vec<Option<Target>>> {
    let target = |model: &Model| match &model.backend {
        Backend::Remote(remote) => target::of_remote(model, remote).map(Some),
        Backend::Launched(_) => target::options(model).map(|_| None),
    };
    config.models.iter().map(target).collect()
}

fn text(file: &Path, config: &Config, targets: &[Option<Target>]) -> String {
    let launched = targets.iter().filter(|target| target.is_none()).count();
    let count = |n: usize| if n == 1 { "1 model".to_owned() } else { format!("{n} models") };
    let mut out = format!("{}: {}, {launched} of them launched here\n", file.display(), count(config.models.len()));
    let mut entry = |name: &str, sentences: &[Vec<String>]| {
        out.push_str(&format!("\n{name}\n"));
        sentences.iter().for_each(|parts| out.push_str(&wrapped(parts)));
    };
    for (model, target) in config.models.iter().zip(targets) {
        match (&model.backend, target) {
            (Backend::Launched(launch), _) => entry(&model.name, &[launched_as(launch), when(&launch.policy)]),
            (Backend::Remote(remote), target) => entry(&model.name, &[vec![reached_at(remote, target.as_ref())]]),
        }
    }
    for (alias, name) in &config.aliases {
        entry(alias, &[vec![format!("another name of {name}")]]);
    }
    let key = if config.master_key.is_some() { "the file's" } else { "--api-key, or one that is made and kept" };
    out.push_str(&format!("\nkey: {key}\n"));
    out
}

/// The parts of a sentence in lines that fit a terminal, where the parts allow it.
fn wrapped(parts: &[String]) -> String {
    const WIDTH: usize = 78;
    let (mut out, mut column) = (String::new(), 0);
    for part in parts {
        let long = part.chars().count();
        if column == 0 {
            out.push_str(&format!("  {part}"));
            column = 2 + long;
        } else if column + 2 + long <= WIDTH {
            out.push_str(&format!(", {part}"));
            column += 2 + long;
        } else {
            out.push_str(&format!(",\n    {part}"));
            column = 4 + long;
        }
    }
    out + "\n"
}

fn launched_as(launch: &Launch) -> Vec<String> {
    let mut said = vec![format!("launched here: {}", launch.model)];
    said.extend(launch.model_dir.as_ref().map(|dir| format!("weights in {}", dir.display())));
    said.extend(launch.engine.map(|engine| engine_name(engine).to_owned()));
    said.extend(launch.context.map(|tokens| format!("context {tokens}")));
    said.extend(launch.tensor_parallel_size.map(|gpus| format!("over {gpus} GPUs")));
    said.extend(launch.gpu_memory_utilization.map(|share| format!("{share} of each GPU's memory")));
    let options = options(&launch.engine_args);
    if !launch.engine_args.is_empty() {
        said.push(format!("engine arguments {}", options.join(" ")).trim_end().to_owned());
    }
    said
}

/// The options of an engine's arguments, without values.
fn options(args: &[String]) -> Vec<&str> {
    args.iter().filter(|arg| arg.starts_with('-')).filter_map(|arg| arg.split('=').next()).collect()
}

fn engine_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Vllm => "vllm",
        Engine::LlamaCpp => "llama.cpp",
        Engine::Ollama => "ollama",
    }
}

fn when(policy: &Policy) -> Vec<String> {
    let mut said = vec![if policy.preload { "started at once" } else { "started at the first request" }.to_owned()];
    if policy.keep {
        said.push("never stopped to make room".to_owned());
    }
    said.extend(policy.ttl.map(|ttl| format!("stopped after {} without a request", config::shown(ttl))));
    if policy.sleep {
        said.push("asleep in main memory where vLLM can".to_owned());
    }
    said.extend(policy.group.as_ref().map(|group| format!("only one of the group {group} at a time")));
    said
}

fn reached_at(remote: &Remote, target: Option<&Target>) -> String {
    let key = if remote.api_key.is_some() { ", with a key" } else { "" };
    let context = remote.context.map(|tokens| format!(", context {tokens}")).unwrap_or_default();
    format!("{}/{} at {}{key}{context}", remote.provider.prefix, remote.model, address(target))
}

/// Where requests go, without a password that may be in it.
fn address(target: Option<&Target>) -> String {
    let Some(target) = target else { return String::new() };
    let base = &target.ready.base_url;
    let bare = match base.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
        None => base.clone(),
    };
    bare + target.ready.prefix.as_deref().unwrap_or_default()
}

fn as_json(file: &Path, config: &Config, targets: &[Option<Target>]) -> Value {
    let model = |(model, target): (&Model, &Option<Target>)| match &model.backend {
        Backend::Launched(launch) => json!({
            "name": model.name,
            "launched": true,
            "model": launch.model,
            "model_dir": launch.model_dir,
            "engine": launch.engine.map_or("auto", engine_name),
            "context": launch.context,
            "options": options(&launch.engine_args),
            "gpu_memory_utilization": launch.gpu_memory_utilization,
            "tensor_parallel_size": launch.tensor_parallel_size,
            "keep": launch.policy.keep,
            "ttl_seconds": launch.policy.ttl.map(|ttl| ttl.as_secs()),
            "preload": launch.policy.preload,
            "group": launch.policy.group,
            "sleep": launch.policy.sleep,
        }),
        Backend::Remote(remote) => json!({
            "name": model.name,
            "launched": false,
            "provider": remote.provider.prefix,
            "model": remote.model,
            "url": address(target.as_ref()),
            "key": remote.api_key.is_some(),
            "context": remote.context,
        }),
    };
    let alias = |(alias, name): &(String, String)| json!({"name": alias, "model": name});
    json!({
        "file": file,
        "models": config.models.iter().zip(targets).map(model).collect::<Vec<_>>(),
        "aliases": config.aliases.iter().map(alias).collect::<Vec<_>>(),
        "key": config.master_key.is_some(),
        "warnings": config.warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
model_list:
- model_name: coder
  litellm_params:
    model: llmup/qwen3-coder-30b-a3b
    model_dir: /w/coder
    engine: llama.cpp
    context: 65536
    engine_args: [--flash-attn, 'on', '--api-key=sesame']
    keep: true
    preload: true
- {model_name: small, litellm_params: {model: llmup/llama3.1:8b, ttl: 5400, group: side, sleep: true}}
- {model_name: other, litellm_params: {model: llmup/qwen3-8b, group: side}}
- {model_name: far, litellm_params: {model: openai/x, api_base: 'http://ann:sesame@h:1/v1', api_key: sesame}}
- {model_name: '*', litellm_params: {model: 'hosted_vllm/*', api_base: 'http://h:2/v1'}}
router_settings: {model_group_alias: {claude: coder}}
general_settings: {master_key: sesame}
";

    #[test]
    fn what_would_be_served_is_shown_without_a_secret() {
        let config = config::parse("models.yaml", FILE, &|_| None).unwrap();
        let targets = targets(&config).unwrap();
        let expected = "\
models.yaml: 5 models, 3 of them launched here

coder
  launched here: qwen3-coder-30b-a3b, weights in /w/coder, llama.cpp,
    context 65536, engine arguments --flash-attn --api-key
  started at once, never stopped to make room

small
  launched here: llama3.1:8b
  started at the first request, stopped after 1h30m without a request,
    asleep in main memory where vLLM can, only one of the group side at a time

other
  launched here: qwen3-8b
  started at the first request, only one of the group side at a time

far
  openai/x at http://h:1, with a key

*
  hosted_vllm/* at http://h:2

claude
  another name of coder

key: the file's
";
        if cfg!(unix) {
            assert_eq!(text(Path::new("models.yaml"), &config, &targets), expected);
        }
        let json = as_json(Path::new("models.yaml"), &config, &targets);
        assert_eq!(json["models"][1]["ttl_seconds"], 5400);
        assert_eq!(json["models"][3]["url"], "http://h:1");
        assert_eq!((&json["key"], &json["aliases"][0]["model"]), (&json!(true), &json!("coder")));
        assert!(!json.to_string().contains("sesame"));
    }
}
