//! Hostile input against everything llmup reads about models and machines: headers of weights, config.json, what
//! vendors' tools print, profiles, configurations, described machines and the plans for them. A recording that a vendor adds to its
//! kinds is covered without a change here.
//!
//! Each input of n bytes may hold at most 64 n + 320 KiB of the heap at once, YAML 512 n (heap.rs); more ends
//! the run like a panic.
#![no_main]

#[path = "../chosen.rs"]
mod chosen;
mod configurations;
pub mod engine;
mod heap;
mod machines;
mod models;
mod plans;
mod profiles;
mod scratch;

/// The very source files of llmup, as in the other program: nothing else has to be built with counters.
#[path = "../../../src/config/mod.rs"]
#[allow(dead_code)]
pub mod config;
#[path = "../../../src/error.rs"]
#[allow(dead_code)]
pub mod error;
#[path = "../../../src/exit.rs"]
#[allow(dead_code)]
pub mod exit;
#[path = "../../../src/fs.rs"]
#[allow(dead_code)]
pub mod fs;
#[path = "../../../src/hardware/mod.rs"]
#[allow(dead_code)]
pub mod hardware;
#[path = "../../../src/host.rs"]
#[allow(dead_code)]
pub mod host;
#[path = "../../../src/model/mod.rs"]
#[allow(dead_code)]
pub mod model;
#[path = "../../../src/output.rs"]
#[allow(dead_code)]
pub mod output;
#[path = "../../../src/plan/mod.rs"]
#[allow(dead_code)]
pub mod plan;
#[path = "../../../src/profile/mod.rs"]
#[allow(dead_code)]
pub mod profile;
#[path = "../../../src/words/mod.rs"]
#[allow(dead_code)]
pub mod words;
#[path = "../../../src/wrapped.rs"]
#[allow(dead_code)]
pub mod wrapped;
#[path = "../../../src/wsl/mod.rs"]
#[allow(dead_code)]
pub mod wsl;

use chosen::Run;

#[global_allocator]
static HEAP: heap::Counted = heap::Counted;

fn targets() -> Vec<(String, Run)> {
    vec![
        ("gguf".into(), Box::new(models::gguf)),
        ("safetensors".into(), Box::new(models::safetensors)),
        ("config".into(), Box::new(models::config)),
        ("show".into(), Box::new(models::show)),
        ("tools".into(), Box::new(machines::tools)),
        ("profile".into(), Box::new(profiles::profile)),
        ("configuration".into(), Box::new(configurations::configuration)),
        ("plan".into(), Box::new(plans::machine)),
    ]
}

libfuzzer_sys::fuzz_target!(
    init: chosen::choose(targets()),
    |data: &[u8]| chosen::run(data)
);
