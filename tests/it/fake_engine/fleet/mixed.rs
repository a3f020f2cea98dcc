//! Engines of every kind behind one gateway and on one card.

use super::*;

/// The card of [`super::on_a_gpu`] where only vLLM takes twenty; the other engines take two.
fn small_ones_beside(bench: &Bench) {
    let script = "#!/bin/sh\nfree=24276\nwhile read role pid; do\n  [ \"$role\" = engine ] && kill -0 $pid 2>/dev/null \
                  || continue\n  case \"$(ps -o args= -p $pid)\" in\n    *vllm*) free=$((free - 20480)) ;;\n    \
                  *) free=$((free - 2048)) ;;\n  esac\ndone < \"$FAKE_PIDS\"\n[ $free -lt 0 ] && free=0\n\
                  case \"$1\" in\n  --query-gpu=*) echo \"0, GPU-0a, Fake Card, 24576, $free, 580.10, 8.9, [N/A]\" ;;\n  \
                  *) exit 1 ;;\nesac\n";
    bench.card(script);
}

/// vLLM, llama.cpp and Ollama are launched, a fourth is only reached: each answers for its own model, and memory alone
/// says who makes room for whom.
#[test]
fn engines_of_every_kind_share_one_gateway_and_one_card() {
    let far = Bench::new("llama-cpp");
    let (mut elsewhere, _) = up(&far, far.command(&[]));
    let bench = Bench::new("vllm");
    small_ones_beside(&bench);
    let ours = |name: &str, engine: &str, more: &str| {
        format!("  - {{model_name: {name}, litellm_params: {{model: llmup/demo, engine: {engine}{more}}}}}\n")
    };
    let text = format!(
        "model_list:\n{}{}{}{}  - {{model_name: far, litellm_params: {{model: openai/demo, api_base: '{}/v1', api_key: {KEY}}}}}\n",
        ours("v", "vllm", ", preload: true, gpu_memory_utilization: 0.85"),
        ours("w", "vllm", ", gpu_memory_utilization: 0.85"),
        ours("l", "llama-cpp", ""),
        ours("o", "ollama", ""),
        far.url
    );
    let file = bench.home.path().join("models.yaml");
    std::fs::write(&file, text).unwrap();
    let (file, port) = (file.display().to_string(), bench.port.to_string());
    let args = ["start", "--config", &file, "--json", "--port", &port, "--api-key", KEY];
    let mut command = bench.home.faked(&["vllm", "llama-server", "ollama"], &args);
    // Nothing listens there, so that no Ollama of this machine is used.
    command.env("OLLAMA_HOST", "127.0.0.1:9");
    let mut llmup = up(&bench, command).0;
    bench.until(&[("v", "ready"), ("w", "asleep"), ("l", "asleep"), ("o", "asleep"), ("far", "ready")]);
    // The small ones have room beside the large one, in the order in which they are asked for.
    for model in ["v", "l", "o"] {
        bench.answers(model);
    }
    bench.until(&[("v", "ready"), ("w", "asleep"), ("l", "ready"), ("o", "ready"), ("far", "ready")]);
    let (status, said) = bench.ask("far");
    assert_eq!(status, 200, "{said}");
    assert_eq!(bench.living(), 3);
    // A second large one needs more than the first one's room: who was unused for longest goes with it.
    bench.answers("w");
    bench.until(&[("v", "asleep"), ("w", "ready"), ("l", "asleep"), ("o", "ready"), ("far", "ready")]);
    let (status, said) = bench.ask("far");
    assert_eq!(status, 200, "{said}");
    // It comes back beside the new one.
    bench.answers("l");
    bench.answers("o");
    bench.until(&[("v", "asleep"), ("w", "ready"), ("l", "ready"), ("o", "ready"), ("far", "ready")]);
    bench.end(&mut llmup);
    far.end(&mut elsewhere);
    far.clean(Duration::ZERO);
    bench.clean(Duration::from_secs(5));
}
