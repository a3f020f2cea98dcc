//! What plans need of engines, which are otherwise about programs and downloads.

#[path = "../../../src/engine/accelerator.rs"]
#[allow(dead_code)]
mod accelerator;
#[path = "../../../src/engine/command_line.rs"]
#[allow(dead_code)]
mod command_line;
#[path = "../../../src/engine/id.rs"]
#[allow(dead_code)]
pub mod id;
#[path = "../../../src/engine/install/facts.rs"]
#[allow(dead_code)]
mod install_facts;
#[path = "../../../src/engine/prompt_cache.rs"]
mod prompt_cache;
#[path = "../../../src/engine/version.rs"]
#[allow(dead_code)]
mod version;

pub use accelerator::Accelerator;
pub use command_line::CommandLine;
pub use id::EngineId;
pub use install_facts::brings;
pub use prompt_cache::prompt_cache;

/// An engine that was found.
pub mod find {
    /// As far as plans look at it.
    pub struct Found {
        pub engine: super::EngineId,
        pub version: Option<String>,
        pub build: Option<String>,
    }
}
