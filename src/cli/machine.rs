//! What is about this machine: `doctor`, `hardware`, `engine`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::{accelerator, recording};
use crate::engine::{Accelerator, EngineId};

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  llmup doctor                        look at the whole chain; sends no request
  llmup doctor --deep                 also ask the running model, as clients do
  llmup doctor --fix                  put in order what is safe to, after asking
  llmup doctor --json                 the same with codes, for programs
  llmup explain LLMUP-G001            what a code means, and the cure
  llmup doctor --record machine       what detection reads here, for a report
  llmup hardware --from machine       what it makes of that, here or elsewhere";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  llmup explain LLMUP-E012            or E012, or e12
  llmup explain                       every code
  llmup explain No available memory for the cache blocks
                                      the nearest to an error's own words

The language is that of LLMUP_LANG, LC_ALL, LC_MESSAGES or LANG: English or
Chinese.";

pub(super) const HARDWARE_EXAMPLES: &str = "\
Examples:
  llmup hardware
  llmup hardware --json
  llmup hardware --from nvidia-smi-xml=gpus.xml
  llmup hardware --from kfd-tree=nodes --from meminfo=meminfo.txt
  llmup hardware --from machine

gpus.xml: from `nvidia-smi -q -x > gpus.xml`, on any machine.
machine: a folder that `llmup doctor --record machine` wrote.";

pub(super) const ENGINE_EXAMPLES: &str = "\
Examples:
  llmup engine list
  llmup engine install llama-cpp
  llmup engine install llama-cpp --accelerator vulkan
  llmup engine remove vllm";

/// `llmup doctor`.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Check nothing; write what detection reads on this machine into a new folder, to look at or to send with a
    /// report. Names, ids and serial numbers are taken out.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Also send requests through the running gateway: tool calls in every protocol, the context, the cache, the speed.
    #[arg(long, conflicts_with = "record")]
    pub deep: bool,
    /// Put in order what is safe to, after asking for each: what crashed ones left, a missing engine.
    #[arg(long, conflicts_with = "record")]
    pub fix: bool,
    /// Do not ask.
    #[arg(long, short = 'y', requires = "fix")]
    pub yes: bool,
    /// Only show what --fix would do.
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
    /// Of several running models the one to look at.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
}

/// `llmup explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// A code, or the words of an error; without it every code is listed.
    #[arg(value_name = "CODE|WORDS", allow_hyphen_values = true)]
    pub what: Vec<String>,
    /// As JSON, in both languages.
    #[arg(long)]
    pub json: bool,
    /// The whole catalogue as Markdown: what docs/troubleshooting.md is made of.
    #[arg(long, hide = true, conflicts_with_all = ["what", "json"])]
    pub markdown: bool,
}

/// `llmup hardware`.
#[derive(Debug, Clone, Args)]
pub struct HardwareArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Read a recording instead of the machine, once or more: recording=DIR, nvidia-smi-xml=FILE, kfd-tree=DIR, … (an
    /// unknown kind is answered with all of them).
    #[arg(long, value_name = "KIND=PATH", value_parser = recording)]
    pub from: Vec<(String, PathBuf)>,
}

/// `llmup engine …`.
#[derive(Debug, Subcommand)]
pub enum EngineCommand {
    /// Install an engine into llmup's own folder.
    #[command(after_help = ENGINE_EXAMPLES)]
    Install {
        /// llama-cpp or vllm.
        engine: EngineId,
        /// Build for the processor even when there is a GPU.
        #[arg(long)]
        cpu: bool,
        /// Build for this (`vulkan`, `cuda`, …) and for nothing else, whatever the machine has.
        #[arg(long, value_name = "NAME", value_parser = accelerator, conflicts_with = "cpu")]
        accelerator: Option<Accelerator>,
    },
    /// Which engines are there, their versions and where.
    #[command(after_help = ENGINE_EXAMPLES)]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an engine llmup installed.
    #[command(after_help = ENGINE_EXAMPLES)]
    Remove {
        /// llama-cpp or vllm.
        engine: EngineId,
    },
}
