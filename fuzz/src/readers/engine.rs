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

pub use accelerator::Accelerator;
pub use command_line::CommandLine;
pub use id::EngineId;

/// An engine that was found.
pub mod find {
    /// As far as plans look at it.
    pub struct Found {
        pub engine: super::EngineId,
        pub version: Option<String>,
        pub build: Option<String>,
    }
}
