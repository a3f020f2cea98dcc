//! An alternative as data, and as the command that gets it.

use serde::Serialize;

use super::{Request, Verdict};
use crate::engine::CommandLine;

/// What an alternative changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The context.
    Context,
    /// The type of the KV cache.
    KvDtype,
    /// Another quantisation of the model.
    Quantization,
    /// Part of the weights stays in main memory.
    Offload,
    /// Another model of the same family.
    Sibling,
    /// A model of another family.
    OtherModel,
    /// More memory.
    MoreMemory,
    /// A second machine like this one.
    TwoMachines,
}

/// Something else that would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alternative {
    /// What it changes.
    pub change: Change,
    /// In words.
    pub what: String,
    /// The command, when one is enough.
    pub command: Option<String>,
    /// The context it would have.
    pub max_model_len: Option<u64>,
    /// Its weights, bytes.
    pub weights_bytes: Option<u64>,
    /// How well it fits; `None` where nothing was planned.
    pub verdict: Option<Verdict>,
}

impl Alternative {
    /// A line for people.
    pub fn said(&self) -> String {
        match &self.command {
            Some(command) => format!("{}: `{command}`", self.what),
            None => self.what.clone(),
        }
    }
}

/// The user's command as far as it does not depend on the request, so that an alternative can be given as one.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// `plan` or `start`.
    pub verb: &'static str,
    /// MODEL.
    pub model: String,
    /// `--model-dir DIR`, when it was given.
    pub weights: Vec<String>,
    /// `--on` or `--machine`, when it was given.
    pub machine: Vec<String>,
}

impl Words {
    pub(super) fn command(&self, model: Option<&str>, request: &Request) -> Option<String> {
        let mut args: Vec<String> = vec![self.verb.to_owned(), model.unwrap_or(&self.model).to_owned()];
        if model.is_none() {
            args.extend(self.weights.iter().cloned());
        }
        args.extend(self.machine.iter().cloned());
        let mut flag = |name: &str, value: Option<String>| {
            args.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        flag("--engine", request.engine.map(|engine| engine.name().to_owned()));
        flag("--context", request.context.map(|n| n.to_string()));
        flag("--gpu-memory-utilization", request.utilization.map(|share| share.to_string()));
        flag("--tensor-parallel-size", request.tensor_parallel.map(|n| n.to_string()));
        if !request.engine_args.is_empty() {
            args.push("--".to_owned());
            args.extend(request.engine_args.iter().cloned());
        }
        let args = args.into_iter().map(Into::into).collect();
        Some(CommandLine { program: "llmup".into(), args, env: Vec::new() }.shown())
    }
}
