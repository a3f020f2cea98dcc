//! What is about this machine: `doctor`, `hardware`, `engine`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::recording;
use crate::engine::EngineId;

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  llmup doctor
  llmup doctor --record machine       what detection reads here, for a report
  llmup hardware --from machine       what it makes of that, here or elsewhere";

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
  llmup engine remove vllm";

/// `llmup doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Check nothing; write what detection reads on this machine into a new folder, to look at or to send with a
    /// report. Names, ids and serial numbers are taken out.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
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
    Install {
        /// llama-cpp or vllm.
        engine: EngineId,
        /// Build for the processor even when there is a GPU.
        #[arg(long)]
        cpu: bool,
    },
    /// Which engines are there, their versions and where.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove an engine llmup installed.
    Remove {
        /// llama-cpp or vllm.
        engine: EngineId,
    },
}
