use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};
use crate::plan::{Bill, Verdict};

const GIB_BYTES: u64 = 1 << 30;

fn args(line: &str) -> StartArgs {
    match Cli::parse_from(words(line)).command {
        Command::Start(args) => args,
        other => panic!("{other:?}"),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// For other tests too: a 24 GiB GPU at 0.92: 12 GiB of weights, 7 GiB of cache of which 6 are one conversation of 49,152 tokens.
pub(crate) fn plan() -> LaunchPlan {
    let bill = Bill {
        place: "GPU 0".into(),
        weights_bytes: 12 * GIB_BYTES,
        kv_bytes_needed: 6 * GIB_BYTES,
        kv_bytes_available: 7 * GIB_BYTES,
        kv_tokens: Some(57_344),
        activation_bytes: GIB_BYTES,
        graph_bytes: GIB_BYTES,
        overhead_bytes: 3 * GIB_BYTES,
        budget_bytes: 22 * GIB_BYTES,
        total_bytes: 24 * GIB_BYTES,
    };
    LaunchPlan {
        verdict: Verdict::Fits,
        engine: EngineId::Vllm,
        to_install: false,
        needs: None,
        accelerator: Accelerator::Cuda,
        devices: vec![0],
        visible: Vec::new(),
        tensor_parallel: 1,
        utilization: 0.92,
        max_model_len: 49_152,
        kv_bytes_per_token: Some(128 << 10),
        kv_cache_gib: 0,
        offload: None,
        per_gpu: vec![bill],
        prompt_cache_bytes: None,
        recipe: Default::default(),
        reasons: Vec::new(),
        warnings: Vec::new(),
        alternatives: Vec::new(),
        wsl: None,
    }
}

#[test]
fn the_engines_number_is_taken_where_the_user_left_it_open() {
    let again = |line: &str, remedy| again(&args(line), &plan(), remedy);
    let smaller = again("llmup start m", Remedy::Context(20_000)).unwrap();
    assert_eq!((smaller.plan.max_model_len, smaller.plan.utilization), (20_000, 0.92));
    assert!(smaller.said.contains("only 20000 of 49152 tokens fit"), "{}", smaller.said);
    for line in ["llmup start m --context 49152", "llmup start m -- --max_model_len=49152"] {
        assert!(again(line, Remedy::Context(20_000)).is_none(), "{line}");
    }
    // Less than any coding client needs, or more than failed: no start is worth it.
    assert!(again("llmup start m", Remedy::Context(1024)).is_none());
    assert!(again("llmup start m", Remedy::Context(49_152)).is_none());
}

#[test]
fn a_smaller_share_takes_the_context_it_leaves_room_for() {
    let again = |line: &str, remedy| again(&args(line), &plan(), remedy);
    // 0.9 - 0.01 of 24 GiB: 0.72 GiB less, the conversation still has its 6 GiB.
    let little = again("llmup start m", Remedy::FreeShare(0.9)).unwrap();
    assert_eq!((little.plan.utilization, little.plan.max_model_len), (0.89, 49_152));
    // 0.8: 2.88 GiB less leave 4.12 of 6 GiB.
    let less = again("llmup start m", Remedy::FreeShare(0.81)).unwrap();
    assert_eq!((less.plan.utilization, less.plan.max_model_len), (0.8, 32 * 1024));
    assert!(again("llmup start m --context 49152", Remedy::FreeShare(0.81)).is_none(), "the context was asked for");
    assert!(again("llmup start m --context 49152", Remedy::FreeShare(0.9)).is_some());
    for line in ["llmup start m --gpu-memory-utilization 0.92", "llmup start m -- --kv-cache-memory-bytes 1"] {
        assert!(again(line, Remedy::FreeShare(0.9)).is_none(), "{line}");
    }
    assert!(again("llmup start m", Remedy::FreeShare(0.3)).is_none(), "not even the weights");
}

#[test]
fn a_cache_without_room_gets_a_larger_share_while_there_is_one() {
    let mut plan = plan();
    plan.utilization = 0.6;
    // 0.5 GiB missing and 6 needed, of 24.
    let more = again(&args("llmup start m"), &plan, Remedy::MoreShare(0.5)).unwrap();
    assert_eq!(more.plan.utilization, 0.88);
    assert!(again(&args("llmup start m"), &plan, Remedy::MoreShare(5.0)).is_none());
}

#[test]
fn graphs_are_given_up_unless_the_user_chose() {
    let again = |line: &str| again(&args(line), &plan(), Remedy::NoGraphs);
    assert_eq!(again("llmup start m").unwrap().plan.recipe.args, ["--enforce-eager"]);
    for line in ["llmup start m -- --no-enforce-eager", "llmup start m -- -O3", "llmup start m -- -cc.mode=none"] {
        assert_eq!(again(line).unwrap().plan.utilization, 0.87, "{line}");
    }
}

#[test]
fn other_engines_and_the_processor_have_no_share() {
    let mut other = plan();
    other.engine = EngineId::LlamaCpp;
    assert!(again(&args("llmup start m"), &other, Remedy::Context(20_000)).is_none());
    let mut cpu = plan();
    cpu.accelerator = Accelerator::Cpu;
    assert!(again(&args("llmup start m"), &cpu, Remedy::FreeShare(0.9)).is_none());
    assert!(again(&args("llmup start m"), &cpu, Remedy::Context(20_000)).is_some());
}

#[test]
fn the_advice_is_the_typed_command_with_the_number_that_works() {
    let advice = |line: &str, remedy| advice(&words(line), &args(line), &plan(), remedy).unwrap();
    assert_eq!(
        advice("/x/llmup start m --context 49152 --api-key secret -- --enforce-eager", Remedy::Context(20_000)),
        "try `llmup start m --api-key=KEY --context 20000 -- --enforce-eager`"
    );
    assert_eq!(
        advice("llmup start m --context=49152 -- --max-model-len 49152 --seed 1", Remedy::Context(20_000)),
        "try `llmup start m --context 20000 -- --seed 1`"
    );
    assert_eq!(
        advice("llmup start m --gpu-memory-utilization 0.92", Remedy::FreeShare(0.81)),
        "try `llmup start m --gpu-memory-utilization 0.80 --context 32768`"
    );
    assert_eq!(advice("llmup start m", Remedy::NoGraphs), "try `llmup start m -- --enforce-eager`");
}
