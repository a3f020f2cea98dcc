//! llama.cpp's server, `llama-server` or llmup's launcher of the same command line. Facts: build b11669.

use std::ffi::OsString;

use super::{Accelerator, CommandLine, Diagnosis, Engine, EngineId, Launch, Phase, diagnose, number_after};
use crate::model::Format;

pub(super) struct LlamaCpp;

impl Engine for LlamaCpp {
    fn id(&self) -> EngineId {
        EngineId::LlamaCpp
    }

    fn formats(&self) -> &'static [Format] {
        &[Format::Gguf]
    }

    fn command(&self, launch: &Launch<'_>) -> CommandLine {
        let mut args: Vec<OsString> = launch.prefix_args.iter().map(OsString::from).collect();
        let mut flag = |name: &str, value: OsString| {
            args.push(name.into());
            args.push(value);
        };
        // The user's own flags, and the plan's, take the place of these; none is said twice.
        let given = |names: &[&str]| {
            let mut said = launch.recipe.args.iter().chain(launch.extra).skip_while(|a| !names.contains(&a.as_str()));
            said.next().map(|_| said.next().and_then(|value| value.parse::<u64>().ok()))
        };
        if let Some(path) = &launch.weights.path {
            flag("-m", path.into());
        }
        flag("--host", "127.0.0.1".into());
        flag("--port", launch.port.to_string().into());
        flag("--alias", launch.served_name.into());
        // `-c` is divided by `-np`, unless the slots share it: one slot gets all of it.
        let slots = given(&["-np", "--parallel"]);
        if given(&["-c", "--ctx-size"]).is_none() {
            let shared = given(&["-kvu", "--kv-unified"]).is_some();
            let parts = if shared { 1 } else { slots.flatten().unwrap_or(1).max(1) };
            flag("-c", launch.context.saturating_mul(parts).to_string().into());
        }
        if slots.is_none() {
            flag("-np", "1".into());
        }
        let layers = given(&["-ngl", "--gpu-layers", "--n-gpu-layers"]);
        if launch.accelerator != Accelerator::Cpu && !launch.cpu_build && layers.is_none() {
            flag("-ngl", "999".into());
        }
        args.push("--jinja".into());
        args.push("--metrics".into());
        args.extend(launch.recipe.args.iter().map(OsString::from));
        args.extend(launch.extra.iter().map(OsString::from));

        let mut env: Vec<(String, OsString)> = Vec::new();
        if !launch.cpu_build {
            let visible = launch.accelerator.visible(launch.visible);
            env.extend(visible.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        }
        if let Some(key) = launch.key {
            env.push(("LLAMA_API_KEY".into(), key.into()));
        }
        env.extend(launch.recipe.env.iter().map(|(name, value)| (name.clone(), value.into())));
        CommandLine { program: launch.program.clone(), args, env }
    }

    fn health_path(&self) -> &'static str {
        "/health"
    }

    fn phase(&self, line: &str) -> Option<Phase> {
        const STEPS: &[(&str, &str)] = &[
            ("loading model", "loading weights"),
            ("initializing, n_slots", "reserving the KV cache"),
            ("warming up", "warming up"),
            ("model loaded", "weights are loaded"),
            ("listening on", "opening the port"),
        ];
        STEPS.iter().find(|(mark, _)| line.contains(mark)).and_then(|(_, text)| Phase::new(*text))
    }

    fn diagnose(&self, log: &str) -> Option<Diagnosis> {
        diagnose::llama_cpp(log)
    }

    fn confirmed_context(&self, log: &str) -> Option<u64> {
        number_after(log, "n_ctx_slot = ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Weights, ollama_tag};
    use crate::profile::EngineRecipe;

    fn command(recipe: &[&str], extra: &[&str]) -> String {
        let owned = |args: &[&str]| args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        let (recipe, extra) = (EngineRecipe { args: owned(recipe), ..EngineRecipe::default() }, owned(extra));
        let weights = Weights { path: Some("m.gguf".into()), format: Format::Gguf, ..ollama_tag("") };
        let launch = Launch {
            program: "llama-server".into(),
            prefix_args: Vec::new(),
            cpu_build: false,
            weights: &weights,
            served_name: "m",
            context: 32_768,
            port: 1,
            accelerator: Accelerator::Cuda,
            visible: &["0".to_owned()],
            tensor_parallel: 1,
            utilization: 0.0,
            kv_cache_gib: 0,
            recipe: &recipe,
            extra: &extra,
            cache_dir: "c".into(),
            key: None,
        };
        let args = LlamaCpp.command(&launch).args;
        args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn no_flag_is_said_twice() {
        assert!(command(&[], &[]).contains("-c 32768 -np 1 -ngl 999"));
        assert!(command(&["-ngl", "20"], &[]).ends_with("-c 32768 -np 1 --jinja --metrics -ngl 20"));
        // Each slot gets what was planned for one.
        assert!(command(&[], &["-np", "4"]).contains("-c 131072 -ngl"));
        assert!(command(&[], &["-np", "4", "-kvu"]).contains("-c 32768 -ngl"));
        let own = command(&[], &["-c", "9000", "--n-gpu-layers", "7"]);
        assert!(own.ends_with("--alias m -np 1 --jinja --metrics -c 9000 --n-gpu-layers 7"), "{own}");
    }
}
