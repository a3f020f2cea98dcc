//! The guard's work. `unsafe` for one thing: `Command::pre_exec`, which runs between fork and exec, where the child
//! gets its own session and the order to die with the guard.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{KILL, Report, TERMINATE};
use crate::supervisor::{ExitStatus, os, process};

/// How long descendants may outlive a child that ended well, to tidy up after it. One that crashed has nothing to tidy
/// up, and the next start waits for its descendants' end.
const SETTLE: Duration = Duration::from_millis(100);
/// Between two looks at what is left, while it is being killed.
const PAUSE: Duration = Duration::from_millis(5);

/// Everything is to be killed, without waiting for anyone.
static KILLING: AtomicBool = AtomicBool::new(false);
/// The child was fetched: its number may belong to somebody else from now on.
static FETCHED: AtomicBool = AtomicBool::new(false);

pub(super) fn main(program: &Path, args: Vec<OsString>) -> i32 {
    // Signals are for llmup, which then orders; a guard that died of one would take the child's grace with it.
    let mut blocked = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE] {
        blocked.add(signal);
    }
    let _ = blocked.thread_block();
    #[cfg(target_os = "linux")]
    {
        // Who loses its parent below us becomes our child, also after setsid: nobody gets away.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        let _ = nix::sys::prctl::set_name(c"llmup-guard");
    }
    let child = match start(program, args) {
        Ok(child) => child,
        Err(error) => {
            report(Report::Failed(error.raw_os_error().unwrap_or(Errno::EIO as i32)));
            return 127;
        }
    };
    let id = child.id();
    let pid = Pid::from_raw(id as i32);
    report(Report::Started(id));
    std::thread::spawn(move || obey(pid));
    let status = fetch(pid);
    report(Report::Gone);
    match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(signal) => 128 + signal,
        ExitStatus::Unknown => 1,
    }
}

fn start(program: &Path, args: Vec<OsString>) -> std::io::Result<std::process::Child> {
    use std::os::fd::AsFd;
    // Our standard error is the log file.
    let log = std::io::stderr().as_fd().try_clone_to_owned()?;
    let guard = nix::unistd::getpid();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: the closure only makes system calls that are async-signal-safe (setsid, pthread_sigmask, prctl,
    // getppid); it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            nix::unistd::setsid()?;
            // The mask survives exec, and the child must hear SIGTERM.
            SigSet::empty().thread_set_mask()?;
            #[cfg(target_os = "linux")]
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            if nix::unistd::getppid() != guard {
                // The guard died before the order above could take effect.
                return Err(Errno::ESRCH.into());
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Tells llmup; when llmup is gone there is nobody to tell, and the order pipe says so.
fn report(report: Report) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(report.line().as_bytes()).and_then(|()| out.flush());
}

/// Reads orders until the pipe ends, then kills until the process ends.
fn obey(pid: Pid) {
    let mut orders = std::io::stdin().lock();
    let mut byte = [0];
    loop {
        match orders.read(&mut byte) {
            Ok(1) if byte[0] == TERMINATE => {
                if !FETCHED.load(Ordering::SeqCst) {
                    let _ = killpg(pid, Signal::SIGTERM);
                }
            }
            Ok(1) if byte[0] != KILL => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => break,
        }
    }
    KILLING.store(true, Ordering::SeqCst);
    loop {
        sweep(pid);
        std::thread::sleep(PAUSE);
    }
}

/// Kills the group and every descendant.
fn sweep(pid: Pid) {
    // Without a subreaper (macOS) the group is all there is to go by, so it is signalled there in any case.
    if !FETCHED.load(Ordering::SeqCst) || cfg!(not(target_os = "linux")) {
        let _ = killpg(pid, Signal::SIGKILL);
    }
    for descendant in process::descendants(std::process::id()) {
        os::kill_process(descendant);
    }
}

/// Fetches the child and every orphan that became ours, until none is left.
fn fetch(pid: Pid) -> ExitStatus {
    let mut status = ExitStatus::Unknown;
    let mut ended: Option<Instant> = None;
    loop {
        let flags = ended.map(|_| WaitPidFlag::WNOHANG);
        match waitpid(Pid::from_raw(-1), flags) {
            Ok(WaitStatus::Exited(who, code)) if who == pid => {
                status = ended_as(os::status_of(Some(code), None), &mut ended);
            }
            Ok(WaitStatus::Signaled(who, signal, _)) if who == pid => {
                status = ended_as(os::status_of(None, Some(signal as i32)), &mut ended);
            }
            Ok(WaitStatus::StillAlive) => {
                if KILLING.load(Ordering::SeqCst) || !status.success() || ended.is_some_and(|at| at.elapsed() > SETTLE)
                {
                    sweep(pid);
                }
                std::thread::sleep(PAUSE);
            }
            Err(Errno::ECHILD) => {
                if cfg!(not(target_os = "linux")) {
                    sweep(pid);
                }
                return status;
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn ended_as(status: ExitStatus, ended: &mut Option<Instant>) -> ExitStatus {
    FETCHED.store(true, Ordering::SeqCst);
    *ended = Some(Instant::now());
    report(Report::Exited(status));
    status
}
