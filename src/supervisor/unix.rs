//! A child's tree on Unix: llmup talks to the guard over two pipes. Orders go in as single bytes, reports come out as
//! lines; see [`super::guard`] for both. The end of the order pipe is the order to kill. `unsafe` for one question: what
//! the system does with a signal today.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::owner::Event;
use super::{ExitStatus, MARK, Spec, SupervisorError, guard, process};

/// How long the guard may take to start the program. It needs milliseconds; a machine that swaps needs more.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A session of its own needs a call after the fork, which the process makes itself: [`leave_terminal`]. A group of its
/// own can be had before.
pub(super) fn without_terminal(_command: &mut std::process::Command) {}

/// Nothing but what a child is given is inherited.
pub(super) fn keep_streams() {}

/// Fails only for who leads a group already, and then there is no session to leave.
pub(super) fn leave_terminal() {
    let _ = nix::unistd::setsid();
}

/// The guard and, below it, the child with everything it started.
pub(super) struct Tree {
    guard: tokio::process::Child,
    orders: Option<ChildStdin>,
    reports: Lines<BufReader<ChildStdout>>,
    pid: u32,
    mark: String,
    /// The child itself has ended: its number may belong to somebody else by now.
    exited: bool,
    /// The guard said that nothing is left.
    clean: bool,
}

impl Tree {
    /// Starts the guard and waits for its word on the child; gives the child's pid.
    pub(super) async fn start(spec: &Spec, mark: &str, log: File) -> Result<(Tree, u32), SupervisorError> {
        let lost = |source| SupervisorError::Guard { program: spec.program.clone(), source };
        let own = match &spec.guard {
            Some(path) => path.clone(),
            // Still this very file after an upgrade replaced the one on disk.
            None if cfg!(target_os = "linux") => "/proc/self/exe".into(),
            None => std::env::current_exe().map_err(lost)?,
        };
        let mut command = Command::new(own);
        command.arg0("llmup-guard").arg(guard::ARGUMENT).arg(&spec.program).args(&spec.args);
        for name in &spec.env_remove {
            command.env_remove(name);
        }
        command.envs(spec.env.iter().map(|(name, value)| (name, value))).env(MARK, mark);
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        // A group of its own: the terminal's Ctrl-C is for llmup, which then decides.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut guard = command.spawn().map_err(lost)?;
        let gone = || lost(io::Error::other("its pipes are missing"));
        let orders = guard.stdin.take().ok_or_else(gone)?;
        let mut reports = BufReader::new(guard.stdout.take().ok_or_else(gone)?).lines();
        let first = tokio::time::timeout(START_LIMIT, reports.next_line())
            .await
            .map_err(|_| lost(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")))?
            .map_err(lost)?;
        match first.as_deref().map(guard::Report::parse) {
            Some(Some(guard::Report::Started(pid))) => {
                let mark = mark.to_owned();
                let orders = Some(orders);
                Ok((Tree { guard, orders, reports, pid, mark, exited: false, clean: false }, pid))
            }
            Some(Some(guard::Report::Failed(errno))) => Err(SupervisorError::Start {
                program: spec.program.clone(),
                source: io::Error::from_raw_os_error(errno),
            }),
            _ => Err(lost(io::Error::other("it ended without a word; is this the right program?"))),
        }
    }

    /// What happens next; cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        while let Ok(Some(line)) = self.reports.next_line().await {
            match guard::Report::parse(&line) {
                Some(guard::Report::Exited(status)) => {
                    self.exited = true;
                    return Event::Exited(status);
                }
                Some(guard::Report::Gone) => self.clean = true,
                _ => {}
            }
        }
        let _ = self.guard.wait().await;
        if !self.clean {
            self.sweep().await;
        }
        Event::Gone
    }

    pub(super) async fn terminate(&mut self) {
        self.order(guard::TERMINATE).await;
    }

    pub(super) async fn kill(&mut self) {
        self.order(guard::KILL).await;
        // Closing says the same again, and a stopped or wedged guard does not keep the group alive.
        self.orders = None;
        if !self.exited {
            let _ = killpg(raw(self.pid), Signal::SIGKILL);
        }
    }

    async fn order(&mut self, byte: u8) {
        if let Some(pipe) = &mut self.orders {
            let _ = pipe.write_all(&[byte]).await;
            let _ = pipe.flush().await;
        }
    }

    /// The guard itself was killed: the child died with it (or should have), the rest is found by group and mark.
    async fn sweep(&mut self) {
        loop {
            let mut left = process::marked(MARK, &self.mark);
            if !self.exited {
                let _ = killpg(raw(self.pid), Signal::SIGKILL);
                left.extend(process::group(self.pid));
            }
            if left.is_empty() {
                return;
            }
            for pid in left {
                kill_process(pid);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Kills one process, if it is there and ours.
pub(super) fn kill_process(pid: u32) {
    let _ = kill(raw(pid), Signal::SIGKILL);
}

/// Never 0 or negative, which would mean groups: a number that is no pid becomes one that nobody has.
fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).ok().filter(|pid| *pid > 1).unwrap_or(i32::MAX))
}

/// The words for a status that `waitpid` gave.
pub(super) fn status_of(code: Option<i32>, signal: Option<i32>) -> ExitStatus {
    match (code, signal) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    }
}

/// The signals that ask llmup to end.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` under `nohup`: who starts llmup that way wants it to outlive the terminal, and a handler would undo that.
    hangup: Option<tokio::signal::unix::Signal>,
    /// There was a terminal when it began to listen.
    terminal: bool,
}

fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether whoever started llmup had this signal ignored.
fn ignored(signal: Signal) -> bool {
    use nix::libc;
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action `sigaction` changes nothing; it fills `now`, which outlives the call.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: filled, since the call succeeded.
    asked == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

async fn hangup(listening: Option<&mut tokio::signal::unix::Signal>) -> Option<()> {
    match listening {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    }
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if ignored(Signal::SIGHUP) { None } else { Some(signal(SignalKind::hangup())?) },
            terminal: has_terminal(),
        })
    }

    /// Whether the signal asks to read a configuration again. The same one tells that the terminal was closed: the
    /// system takes it from all its processes then, and there is none to open any more.
    pub(super) fn asks_for_reload(&self, signal: i32) -> bool {
        signal == SignalKind::hangup().as_raw_value() && (!self.terminal || has_terminal())
    }

    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            Some(()) = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            Some(()) = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            Some(()) = hangup(self.hangup.as_mut()) => SignalKind::hangup().as_raw_value(),
            else => std::future::pending().await,
        }
    }
}
