//! What is shown, as plain data: whoever draws it asks nothing, whoever makes it draws nothing. Unknown is `None`.

use std::path::PathBuf;

use crate::control::Endpoint;

/// Everything at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Accelerators.
    pub devices: Vec<DeviceRow>,
    /// Processor and main memory.
    pub machine: Machine,
    /// Models, the newest instance first.
    pub models: Vec<ModelRow>,
    /// Requests that are over, the newest first.
    pub requests: Vec<RequestRow>,
    /// Why something is not shown.
    pub problem: Option<String>,
}

/// One accelerator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceRow {
    /// `GPU 0`.
    pub label: String,
    /// Its name.
    pub name: String,
    /// How much of the time it computed, percent.
    pub busy: Option<u8>,
    /// Bytes.
    pub used: Option<u64>,
    /// Bytes.
    pub total: Option<u64>,
    /// Degrees Celsius.
    pub celsius: Option<u32>,
    /// Watts.
    pub watts: Option<u32>,
}

/// Processor and main memory, as far as containers let us have them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Machine {
    /// How much of the processor's time is used, percent.
    pub busy: Option<u8>,
    /// Processors we may use.
    pub threads: Option<u32>,
    /// Bytes.
    pub used: Option<u64>,
    /// Bytes.
    pub total: Option<u64>,
}

/// Which row: the llmup that runs it, and its name there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// The pid of that llmup.
    pub llmup: u32,
    /// The model.
    pub model: String,
}

/// One model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelRow {
    /// Who it is.
    pub which: Which,
    /// `asleep`, `waiting`, `loading`, `ready`, `gone`; or `silent` when its llmup does not answer.
    pub state: String,
    /// What it waits for, or why it is gone.
    pub because: Option<String>,
    /// The engine's name; empty where there is none.
    pub engine: String,
    /// The engine's process.
    pub pid: Option<u32>,
    /// The engine's port.
    pub port: Option<u16>,
    /// Tokens.
    pub context: Option<u64>,
    /// Requests being answered.
    pub in_flight: Option<u64>,
    /// All requests.
    pub requests: Option<u64>,
    /// Those that failed.
    pub errors: Option<u64>,
    /// Tokens a second, over the last seconds.
    pub rates: Option<Rates>,
    /// How much of all prompts came from the cache, 0..=1.
    pub cached: Option<f64>,
    /// How often the engine was started anew.
    pub restarts: Option<u32>,
    /// Why, the last time.
    pub last_crash: Option<String>,
    /// Main memory of the engine's processes, bytes.
    pub memory: Option<u64>,
    /// Memory of its processes on accelerators: label, bytes. Empty: none, or not told.
    pub on_devices: Vec<(String, u64)>,
    /// Seconds since the last request.
    pub idle: Option<u64>,
    /// The engine's log.
    pub log: Option<PathBuf>,
    /// Where its llmup takes orders.
    pub control: Option<Endpoint>,
}

impl ModelRow {
    /// Bytes on all accelerators.
    pub fn device_bytes(&self) -> Option<u64> {
        (!self.on_devices.is_empty()).then(|| self.on_devices.iter().map(|(_, bytes)| bytes).sum())
    }
}

/// Tokens a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Of prompts, cached ones included.
    pub prompt: f64,
    /// Of answers.
    pub output: f64,
}

/// One request that is over.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RequestRow {
    /// When it came, seconds since 1970.
    pub at: u64,
    /// Seconds since then.
    pub age: u64,
    /// The protocol it came in.
    pub dialect: String,
    /// The answer's status, or `left`.
    pub status: String,
    /// The model it got; asked and served where they differ.
    pub model: String,
    /// Tokens of the prompt.
    pub prompt: Option<u64>,
    /// Those of them that came from a cache.
    pub cached: Option<u64>,
    /// Tokens of the answer.
    pub output: Option<u64>,
    /// Seconds until the first byte of the answer.
    pub first: Option<f64>,
    /// Seconds until its end.
    pub total: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl RequestRow {
    /// Tokens a second while the answer came.
    pub fn speed(&self) -> Option<f64> {
        let seconds = self.total? - self.first?;
        (seconds >= 0.02).then_some(self.output? as f64 / seconds)
    }
}
