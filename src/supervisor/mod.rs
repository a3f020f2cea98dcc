//! Owns child processes, and everything those start in turn. Knows nothing about LLMs: commands tell it what to run
//! and how to see that it is ready.
//!
//! * [`spawn`] starts a [`Spec`] and gives a [`Child`]; one task owns the process, the handle sends it messages.
//! * On Unix a [`guard`] process stands between llmup and the engine. It notices llmup's death, however it comes,
//!   and leaves no process behind; on Windows a job object does the same.
//! * [`health`] waits until a child answers, [`tail`] follows its log, [`signal`] hears Ctrl-C, [`port`] finds ports,
//!   [`process`] tells whether a recorded process is still the same one, [`reap`] ends what a dead llmup left.

pub mod guard;
pub mod health;
pub mod port;
pub mod process;
pub mod signal;
pub mod tail;

mod inside;
mod owner;
mod reap;

#[cfg(unix)]
#[path = "unix.rs"]
mod os;
#[cfg(windows)]
#[path = "windows.rs"]
mod os;

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::error::{Explain, paste};
use crate::exit::Exit;
use crate::fs::FileError;
use crate::host::Os;

pub use owner::{Child, Stopped};
pub use reap::{Remains, orphan, reap};

/// Makes a command start without this terminal: it lives on when the terminal closes, and hears none of its keys. Whoever
/// reads what llmup says does not wait for it: see [`keep_streams`].
pub fn without_terminal(command: &mut std::process::Command) {
    os::without_terminal(command);
}

/// From now on a child gets llmup's own streams only when it is given them. To be called before something is started that
/// lives on, also when another process starts it: on Windows whoever reads a stream waits for all who have inherited it.
pub fn keep_streams() {
    os::keep_streams();
}

/// Leaves the terminal's session, for a process that was started by [`without_terminal`].
pub fn leave_terminal() {
    os::leave_terminal();
}

/// The environment variable that marks every process of one child; see [`Child::mark`].
pub const MARK: &str = "LLMUP_CHILD";

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// The program: an absolute path, or a name on PATH.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables to set on top of llmup's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// Variables the child must not inherit.
    pub env_remove: Vec<OsString>,
    /// Where standard output and error go; private to the user (0600) and emptied at the start.
    pub log: PathBuf,
    /// The folder it runs in; llmup's own when `None`.
    pub dir: Option<PathBuf>,
    /// The program that acts as guard when called with `__guard` first; `None`: llmup itself. Not used on Windows.
    pub guard: Option<PathBuf>,
}

impl Spec {
    /// A program with its log file, without arguments.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Spec {
        Spec { program: program.into(), log: log.into(), ..Spec::default() }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It is gone, and whoever could have told how is gone too.
    Unknown,
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Code(0)
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal(9) => {
                write!(f, "killed by signal 9 (SIGKILL; the system does this when memory runs out)")
            }
            ExitStatus::Signal(signal) => write!(f, "killed by signal {signal}"),
            ExitStatus::Unknown => write!(f, "gone without a trace"),
        }
    }
}

/// What can go wrong with starting a child.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The system refused to start the program.
    #[error("cannot start {program}", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The guard process did not start or did not answer.
    #[error("cannot start the process that guards {program}", program = program.display())]
    Guard {
        /// The program it would have guarded.
        program: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The log file cannot be written.
    #[error(transparent)]
    Log(#[from] FileError),
}

impl Explain for SupervisorError {
    fn exit(&self) -> Exit {
        match self {
            SupervisorError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::Missing,
            SupervisorError::Start { .. } => Exit::EngineFailed,
            SupervisorError::Guard { .. } => Exit::Bug,
            SupervisorError::Log(error) => error.exit(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            SupervisorError::Start { program, source } => match source.kind() {
                io::ErrorKind::NotFound => {
                    vec!["see which engines are there: `llmup doctor`".to_owned()]
                }
                io::ErrorKind::PermissionDenied => {
                    let program = paste::path(program);
                    vec![match Os::current() {
                        Os::Windows => {
                            format!("if it came from the internet, Windows blocks it: `Unblock-File {program}`")
                        }
                        _ => format!("make it executable: `chmod +x {program}`"),
                    }]
                }
                _ => vec!["look at what is installed: `llmup doctor`".to_owned()],
            },
            SupervisorError::Guard { .. } => {
                vec!["see whether this machine can start processes: `ulimit -u`".to_owned()]
            }
            SupervisorError::Log(error) => error.hints(),
        }
    }
}

/// Starts a child and the task that owns it. Returns when the program has been executed (not: when it is ready).
///
/// The child and all its descendants are ended when the handle is dropped, when the runtime goes away, and when llmup
/// dies, by whatever signal.
pub async fn spawn(spec: Spec) -> Result<Child, SupervisorError> {
    // An empty new file, so that a reader of the old log keeps what it had and nothing of it is taken for news.
    crate::fs::write_private(&spec.log, b"")?;
    let log =
        std::fs::File::options().append(true).open(&spec.log).map_err(|e| FileError::new("open", &spec.log, e))?;
    let mark = new_mark();
    let (tree, pid) = os::Tree::start(&spec, &mark, log).await?;
    Ok(owner::own(tree, pid, mark))
}

/// A name no other child has: the time and llmup's pid, plus a counter.
fn new_mark() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}-{n}", now.as_nanos(), std::process::id())
}
