//! Starts that fail: what is said, what is tried once more, and which flags are refused before anything starts.

use std::time::Duration;

use super::{Bench, LONG};
use crate::support::finish;

/// In the shape of vLLM's own: the cause is in the middle, the end only points up.
const NO_ROOM: &str = "\
(APIServer pid=7) INFO 11-20 10:00:00 [model.py:1] Resolved architecture: Qwen3ForCausalLM
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] EngineCore failed to start.
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] Traceback (most recent call last):
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2]     raise ValueError(
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] ValueError: To serve at least one request with the model's max \
seq len (131072), 14.00 GiB KV cache is needed, which is larger than the available KV cache memory (2.06 GiB). Based \
on the available memory, the estimated maximum model length is 19328. Try increasing `gpu_memory_utilization`.
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.
";

const BAD_PARSER: &str = "\
(APIServer pid=7) Traceback (most recent call last):
(APIServer pid=7)     raise KeyError(
(APIServer pid=7) KeyError: 'invalid tool call parser: glm99 (chose from { hermes,qwen3_coder })'
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.
";

#[test]
fn a_crash_at_the_start_shows_the_telling_line_a_hint_and_the_log() {
    let bench = Bench::new("vllm");
    let log = bench.path("crash.txt");
    std::fs::write(&log, BAD_PARSER).unwrap();
    let ran = finish(bench.command(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1")]));
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
    assert!(ran.err.contains("error: vllm ended before it was ready"), "{}", ran.err);
    assert!(ran.err.contains("says: KeyError: 'invalid tool call parser: glm99"), "{}", ran.err);
    assert!(!ran.err.contains("See root cause above"), "{}", ran.err);
    assert!(ran.err.contains("`llmup engine install vllm`"), "{}", ran.err);
    let place = bench.home.data.join("logs/demo.log");
    assert!(ran.err.contains(&place.display().to_string()), "{}", ran.err);
    assert!(std::fs::read_to_string(place).unwrap().contains("See root cause above"));
    bench.clean(Duration::from_secs(5));
}

#[test]
fn vllm_is_started_again_once_with_the_context_it_says_would_fit() {
    let bench = Bench::new("vllm");
    let log = bench.path("crash.txt");
    std::fs::write(&log, NO_ROOM).unwrap();
    let once = bench.path("failed-once");
    let mut llmup = bench.start(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1"), ("FAKE_FAIL_ONCE", &once)]);
    let ready = llmup.ready(LONG);
    assert_eq!(ready["context"], 19_328);
    let err = llmup.err();
    assert!(err.contains("only 19328 of") && err.contains("starting again"), "{err}");
    assert_eq!(bench.pids(2).len(), 2, "two starts");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);

    // It fails again: no third start.
    let bench = Bench::new("vllm");
    let ran = finish(bench.command(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1")]));
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert!(ran.err.contains("estimated maximum model length is 19328"), "{}", ran.err);
    assert_eq!(bench.pids(2).len(), 2, "{}", ran.err);

    // An asked context is obeyed or refused, not changed.
    let bench = Bench::new("vllm");
    let mut command = bench.command(&[("FAKE_LOG", &log), ("FAKE_EXIT", "1")]);
    command.args(["--context", "65536"]);
    let ran = finish(command);
    assert_eq!(ran.code, Some(6), "{}", ran.err);
    assert_eq!(bench.pids(1).len(), 1, "{}", ran.err);
    let port = bench.port;
    let paste =
        format!("hint: try `llmup start demo --json --engine vllm --port {port} --api-key=KEY --context 19328`");
    assert!(ran.err.contains(&paste), "{}", ran.err);
}

/// A card that only `nvidia-smi` tells of, and a vLLM built for it.
fn with_gpu(bench: &Bench) {
    let script = "#!/bin/sh\ncase \"$1\" in\n  --query-gpu=*) echo '0, GPU-0a, Fake Card, 24576, 24276, 580.10, 8.9, \
                  [N/A]' ;;\n  *) exit 1 ;;\nesac\n";
    bench.card(script);
}

const GPU_IN_USE: &str = "\
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] ValueError: Free memory on device cuda:0 (18.0/24.0 GiB) on startup \
is less than desired GPU memory utilization (0.92, 22.08 GiB). Decrease GPU memory utilization or reduce GPU memory \
used by other processes.
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.
";

const NO_ROOM_FOR_GRAPHS: &str = "\
\rCapturing CUDA graphs (mixed prefill-decode, PIECEWISE):  20%|██        | 7/35 [00:01<00:05,  5.00it/s]
(EngineCore pid=8) ERROR 11-20 10:00:01 [core.py:2] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 96.00 MiB.
(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above.
";

#[test]
fn on_a_gpu_vllm_is_started_again_with_the_share_that_is_free_or_without_graphs() {
    for (text, said, flag) in [
        (GPU_IN_USE, "starting again with 0.74", "--gpu-memory-utilization 0.74 "),
        (NO_ROOM_FOR_GRAPHS, "starting again without them", " --enforce-eager"),
    ] {
        let bench = Bench::new("vllm");
        with_gpu(&bench);
        let (log, once, args) = (bench.path("crash.txt"), bench.path("failed-once"), bench.path("args"));
        std::fs::write(&log, text).unwrap();
        let env = [("FAKE_LOG", &*log), ("FAKE_EXIT", "1"), ("FAKE_FAIL_ONCE", &once), ("FAKE_ARGS", &args)];
        let mut llmup = bench.start(&env);
        llmup.ready(LONG);
        assert!(llmup.err().contains(said), "{}", llmup.err());
        let starts = std::fs::read_to_string(&args).unwrap();
        let starts: Vec<&str> = starts.lines().collect();
        assert_eq!(starts.len(), 2, "{starts:?}");
        assert!(!starts[0].contains(flag) && starts[1].contains(flag), "{starts:?}");
        bench.end(&mut llmup);
        bench.clean(Duration::ZERO);
    }
}

/// A help text in llama-server's form, with enough flags to be believed.
fn help() -> String {
    let own = ["-m,    --model FNAME", "--host HOST", "--port PORT", "-a,    --alias STRING", "-c,    --ctx-size N"];
    let more = ["-np,   --parallel N", "-ngl,  --gpu-layers N", "--jinja, --no-jinja", "-s,    --seed SEED"];
    let filler = (0..40).map(|n| format!("--made-up-{n} N"));
    let names = own.iter().chain(&more).map(|name| (*name).to_owned()).chain(filler);
    names.map(|name| format!("{name}    what it does\n")).collect()
}

#[test]
fn flags_the_installed_version_does_not_know_are_refused_or_left_out() {
    let bench = Bench::new("llama-cpp");
    let (text, args) = (bench.path("help.txt"), bench.path("args"));
    std::fs::write(&text, help()).unwrap();
    let env = [("FAKE_HELP", &*text), ("FAKE_ARGS", &args)];
    let mut command = bench.command(&env);
    command.args(["--", "--sed", "7"]);
    let mut llmup = bench.home.start(command);
    assert_eq!(llmup.wait(LONG).code(), Some(2), "{}", llmup.err());
    let err = llmup.err();
    assert!(err.contains("error: llama-cpp b11669 does not know --sed"), "{err}");
    assert!(err.contains("hint: --sed: did you mean `--seed`?"), "{err}");
    assert!(bench.home.pids().is_empty(), "nothing was started");

    // Of llmup's own flags this version lacks two: said and left out.
    let mut command = bench.command(&env);
    command.args(["--", "--seed", "7"]);
    let mut llmup = bench.home.start(command);
    llmup.ready(LONG);
    assert!(llmup.err().contains("llama-cpp b11669 does not know --metrics, --cache-ram; left out"), "{}", llmup.err());
    let started = std::fs::read_to_string(&args).unwrap();
    assert!(!started.contains("--metrics") && !started.contains("--cache-ram"), "{started}");
    assert!(started.trim_end().ends_with("--jinja --seed 7"), "{started}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}
