//! A command as it is run, and as one would type it.

use std::ffi::OsString;
use std::path::PathBuf;

/// A program with everything it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables set for it.
    pub env: Vec<(String, OsString)>,
}

impl CommandLine {
    /// The command as one would type it in a POSIX shell; keys are not shown.
    pub fn shown(&self) -> String {
        let env = self.env.iter().filter(|(name, _)| !name.ends_with("API_KEY"));
        let env = env.map(|(name, value)| format!("{name}={}", quote(&value.to_string_lossy())));
        let program = std::iter::once(quote(&self.program.to_string_lossy()));
        let args = self.args.iter().map(|arg| quote(&arg.to_string_lossy()));
        env.chain(program).chain(args).collect::<Vec<_>>().join(" ")
    }
}

/// A word as one would type it in a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+\\".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
