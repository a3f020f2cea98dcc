//! Exit codes: the contract with scripts. The same table stands in the README; `tests/it/bad_input.rs` compares them.

/// Why the process ended. The discriminant is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for happened.
    Ok = 0,
    /// A bug in llmup.
    Bug = 1,
    /// The command line makes no sense (clap uses the same number).
    Usage = 2,
    /// A file, a model path or a setting is wrong.
    Config = 3,
    /// An engine, a driver or a running instance is missing.
    Missing = 4,
    /// Nothing that was asked for fits this machine.
    DoesNotFit = 5,
    /// The engine was started and failed.
    EngineFailed = 6,
    /// A port or a lock is taken.
    Taken = 7,
    /// A client's own settings beat what llmup sets, or cannot be edited.
    ClientConflict = 8,
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit code for ending on a signal: 128 + its number.
    pub fn signal(number: i32) -> u8 {
        u8::try_from(128 + number).unwrap_or(255)
    }

    /// All codes with the words the README uses for them.
    pub const TABLE: &[(Exit, &str)] = &[
        (Exit::Ok, "ok"),
        (Exit::Bug, "a bug in llmup, or `doctor` found a problem"),
        (Exit::Usage, "usage: the command line makes no sense"),
        (Exit::Config, "configuration: a model path, a file or a setting is wrong"),
        (Exit::Missing, "an engine, a driver or a running gateway is missing"),
        (Exit::DoesNotFit, "nothing that was asked for fits this machine"),
        (Exit::EngineFailed, "the engine was started and failed"),
        (Exit::Taken, "a port or a lock is taken"),
        (Exit::ClientConflict, "a client's own settings beat what llmup sets, or cannot be edited"),
    ];
}
