//! vLLM, driven as `vllm serve DIR …`. Facts: vLLM 0.32.0 on CPU and the 0.33.0 wheel; log lines as those versions
//! print them.

use std::ffi::OsString;

use super::{Accelerator, CommandLine, Diagnosis, Engine, EngineId, Launch, Phase, diagnose};

pub(super) struct Vllm;

impl Engine for Vllm {
    fn id(&self) -> EngineId {
        EngineId::Vllm
    }

    fn command(&self, launch: &Launch<'_>) -> CommandLine {
        let mut args: Vec<OsString> = launch.prefix_args.iter().map(OsString::from).collect();
        args.push("serve".into());
        if let Some(path) = &launch.weights.path {
            args.push(path.into());
        }
        let mut flag = |name: &str, value: String| {
            args.push(name.into());
            args.push(value.into());
        };
        flag("--served-model-name", launch.served_name.to_owned());
        flag("--host", "127.0.0.1".to_owned());
        flag("--port", launch.port.to_string());
        flag("--max-model-len", launch.context.to_string());
        if !launch.recipe.args.iter().any(|arg| arg == "--dtype") {
            flag("--dtype", "auto".to_owned());
        }
        if launch.accelerator != Accelerator::Cpu {
            // Its default moved from 0.9 to 0.92; passing it keeps plan and engine at one number.
            flag("--gpu-memory-utilization", format!("{:.2}", launch.utilization));
        }
        if launch.tensor_parallel > 1 {
            flag("--tensor-parallel-size", launch.tensor_parallel.to_string());
        }
        if let Some(parser) = &launch.recipe.reasoning_parser {
            flag("--reasoning-parser", parser.clone());
        }
        if let Some(parser) = &launch.recipe.tool_parser {
            flag("--tool-call-parser", parser.clone());
            args.push("--enable-auto-tool-choice".into());
        }
        // Without it cached_tokens stays null and nobody can see the prefix cache work.
        args.push("--enable-prompt-tokens-details".into());
        args.extend(launch.recipe.args.iter().map(OsString::from));
        args.extend(launch.extra.iter().map(OsString::from));

        let mut env: Vec<(String, OsString)> = vec![
            // The weights are on disk: it must not look for them, or report, elsewhere.
            ("HF_HUB_OFFLINE".into(), "1".into()),
            ("TRANSFORMERS_OFFLINE".into(), "1".into()),
            ("VLLM_NO_USAGE_STATS".into(), "1".into()),
            ("DO_NOT_TRACK".into(), "1".into()),
            ("VLLM_CACHE_ROOT".into(), launch.cache_dir.join("vllm").into()),
        ];
        if launch.accelerator == Accelerator::Cpu {
            env.push(("VLLM_CPU_KVCACHE_SPACE".into(), launch.kv_cache_gib.to_string().into()));
        }
        let visible = launch.accelerator.visible(launch.visible);
        env.extend(visible.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        if let Some(key) = launch.key {
            env.push(("VLLM_API_KEY".into(), key.into()));
        }
        env.extend(launch.recipe.env.iter().map(|(name, value)| (name.clone(), value.into())));
        CommandLine { program: launch.program.clone(), args, env }
    }

    fn health_path(&self) -> &'static str {
        "/health"
    }

    fn phase(&self, line: &str) -> Option<Phase> {
        if let Some(rest) = line.split("checkpoint shards:").nth(1) {
            // "  50% Completed | 1/2 [00:01<00:01, …]"
            let percent: f64 = rest.trim_start().split('%').next()?.trim().parse().ok()?;
            let shards = rest.split('|').nth(1).and_then(|s| s.split_whitespace().next()).unwrap_or("");
            return Some(Phase { text: format!("loading weights, shard {shards}"), fraction: Some(percent / 100.0) });
        }
        const STEPS: &[(&str, &str)] = &[
            ("Resolved architecture:", "reading the model's configuration"),
            ("Initializing a V1 LLM engine", "starting the engine's processes"),
            ("Starting to load model", "loading weights"),
            ("Loading weights took", "weights are loaded"),
            ("Model loading took", "weights are loaded"),
            // Not "torch.compile" alone: --enforce-eager names it to say that it is off.
            ("vLLM's torch.compile", "compiling kernels"),
            ("Dynamo bytecode transform", "compiling kernels"),
            ("torch.compile takes", "compiling kernels"),
            ("Available KV cache memory", "reserving the KV cache"),
            ("KV cache size:", "reserving the KV cache"),
            ("Capturing CUDA graph", "capturing CUDA graphs"),
            ("Graph capturing finished", "CUDA graphs are captured"),
            ("init engine", "warming up"),
            ("Starting vLLM server", "opening the port"),
        ];
        STEPS.iter().find(|(mark, _)| line.contains(mark)).and_then(|(_, text)| Phase::new(*text))
    }

    fn diagnose(&self, log: &str) -> Option<Diagnosis> {
        diagnose::vllm(log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Option<String> {
        Vllm.phase(line).map(|p| p.text)
    }

    #[test]
    fn a_compilation_that_is_switched_off_is_no_phase() {
        assert_eq!(text("WARNING [vllm.py:1] Enforce eager set, disabling torch.compile, CUDAGraphs, and more"), None);
        let compiling = text("INFO [backends.py:1] Using cache directory: /c/a for vLLM's torch.compile");
        assert_eq!(compiling.as_deref(), Some("compiling kernels"));
    }

    #[test]
    fn shards_are_counted() {
        let phase = Vllm.phase("Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01]").unwrap();
        assert_eq!((phase.text.as_str(), phase.fraction), ("loading weights, shard 1/2", Some(0.5)));
    }
}
