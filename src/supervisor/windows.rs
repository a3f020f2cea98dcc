//! A child's tree on Windows: a job object around the child. The system kills everything in the job when the last
//! handle to it closes, and llmup holds the only one, so llmup's death needs no guard.
//! `unsafe` because job objects and console events exist only as raw system calls.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};
use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};
use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent, GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicAccountingInformation,
    JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_SUSPENDED, DETACHED_PROCESS, OpenProcess, OpenThread, PROCESS_TERMINATE,
    ResumeThread, THREAD_SUSPEND_RESUME, TerminateProcess,
};

use super::owner::Event;
use super::{ExitStatus, MARK, Spec, SupervisorError, guard, inside};

/// How long descendants may outlive a child that ended by itself.
const SETTLE: Duration = Duration::from_millis(250);

/// How long what runs in WSL may take to be killed, before `wsl.exe` is. Milliseconds are enough for a machine at rest.
const INSIDE: Duration = Duration::from_secs(2);

/// The child and the job that holds it with everything it started.
pub(super) struct Tree {
    child: tokio::process::Child,
    job: OwnedHandle,
    pid: u32,
    exited: Option<Instant>,
    /// To the guard of what runs in WSL.
    orders: Option<ChildStdin>,
}

impl Tree {
    pub(super) async fn start(spec: &Spec, mark: &str, log: File) -> Result<(Tree, u32), SupervisorError> {
        let refused = |source| SupervisorError::Start { program: spec.program.clone(), source };
        let job = new_job().map_err(refused)?;
        let mut command = Command::new(&spec.program);
        let guarded = inside::guarded(spec);
        command.args(guarded.as_ref().unwrap_or(&spec.args));
        for name in &spec.env_remove {
            command.env_remove(name);
        }
        command.envs(spec.env.iter().map(|(name, value)| (name, value))).env(MARK, mark);
        if let Some(dir) = &spec.dir {
            command.current_dir(dir);
        }
        let also = log.try_clone().map_err(refused)?;
        // A group of its own: the console's Ctrl-C is for llmup, and Ctrl-Break can be sent to this group alone.
        // It runs only once it is in the job: what it starts is born there, and nothing gets away.
        command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_SUSPENDED);
        let orders = if guarded.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(orders).stdout(also).stderr(log);
        command.kill_on_drop(true);
        let mut child = command.spawn().map_err(refused)?;
        let orders = child.stdin.take();
        let handle = child.raw_handle().ok_or_else(|| refused(io::Error::other("it ended at once")))?;
        // SAFETY: both handles are open: the job is owned here, the process by `child`.
        if unsafe { AssignProcessToJobObject(job.as_raw_handle(), handle) } == 0 {
            return Err(refused(io::Error::last_os_error()));
        }
        let pid = child.id().ok_or_else(|| refused(io::Error::other("it ended at once")))?;
        resume(pid).map_err(refused)?;
        Ok((Tree { child, job, pid, exited: None, orders }, pid))
    }

    /// What happens next; cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        if self.exited.is_none() {
            let status = self.child.wait().await;
            self.exited = Some(Instant::now());
            let code = status.ok().and_then(|status| status.code());
            return Event::Exited(code.map_or(ExitStatus::Unknown, ExitStatus::Code));
        }
        while self.living() > 0 {
            if self.exited.is_some_and(|at| at.elapsed() > SETTLE) {
                self.kill().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Event::Gone
    }

    pub(super) async fn terminate(&mut self) {
        if let Some(orders) = &mut self.orders {
            // A break would end `wsl.exe`, and with it the time that the engine is given.
            let _ = orders.write_all(&[guard::TERMINATE]).await;
            let _ = orders.flush().await;
        } else if self.exited.is_none() {
            // SAFETY: takes two numbers.
            let asked = unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, self.pid) };
            if asked == 0 {
                // Without a console nobody can be asked, and waiting for an answer would be in vain.
                self.kill().await;
            }
        }
    }

    pub(super) async fn kill(&mut self) {
        if self.orders.take().is_some() && self.exited.is_none() {
            // The end of the orders is the order to kill; `wsl.exe` ends when nothing is left inside.
            let _ = tokio::time::timeout(INSIDE, self.child.wait()).await;
        }
        // SAFETY: the job handle is open.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
    }

    /// How many processes of the job live.
    fn living(&self) -> u32 {
        let mut info = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        let size = size_of::<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION>() as u32;
        // SAFETY: the pointer and the size describe `info`, which outlives the call; the job handle is open.
        let done = unsafe {
            QueryInformationJobObject(
                self.job.as_raw_handle(),
                JobObjectBasicAccountingInformation,
                (&raw mut info).cast(),
                size,
                std::ptr::null_mut(),
            )
        };
        if done == 0 { 0 } else { info.ActiveProcesses }
    }
}

fn new_job() -> io::Result<OwnedHandle> {
    // SAFETY: no attributes, no name.
    let raw = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if raw.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just created, owned by nobody else.
    let job = unsafe { OwnedHandle::from_raw_handle(raw) };
    let mut info = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    info.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    let size = size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32;
    // SAFETY: the pointer and the size describe `info`, which outlives the call.
    let done = unsafe {
        SetInformationJobObject(job.as_raw_handle(), JobObjectExtendedLimitInformation, (&raw const info).cast(), size)
    };
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(job) }
}

/// Lets a process go that was started suspended: its one thread is found by its owner.
fn resume(pid: u32) -> io::Result<()> {
    // SAFETY: takes two numbers.
    let raw = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if raw == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just created, owned by nobody else.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(raw) };
    let mut entry = THREADENTRY32 { dwSize: size_of::<THREADENTRY32>() as u32, ..THREADENTRY32::default() };
    // SAFETY: the snapshot is open; `entry` says its own size and outlives the calls.
    let mut more = unsafe { Thread32First(snapshot.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == pid {
            // SAFETY: takes numbers.
            let raw = unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, entry.th32ThreadID) };
            if raw.is_null() {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: just opened, owned by nobody else.
            let thread = unsafe { OwnedHandle::from_raw_handle(raw) };
            // SAFETY: the handle is open and has the right it needs.
            let before = unsafe { ResumeThread(thread.as_raw_handle()) };
            return if before == u32::MAX { Err(io::Error::last_os_error()) } else { Ok(()) };
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(snapshot.as_raw_handle(), &raw mut entry) };
    }
    Err(io::Error::other("it has no thread to resume"))
}

/// Kills one process, if it is there and ours. Of an engine's tree nothing is left to be killed: a job dies with the llmup
/// that held it.
pub(super) fn kill_process(pid: u32) {
    // SAFETY: takes numbers.
    let raw = unsafe { OpenProcess(PROCESS_TERMINATE, 0, pid) };
    if raw.is_null() {
        return;
    }
    // SAFETY: just opened, owned by nobody else.
    let process = unsafe { OwnedHandle::from_raw_handle(raw) };
    // SAFETY: the handle is open and has the right it needs.
    unsafe { TerminateProcess(process.as_raw_handle(), 1) };
}

/// What asks llmup to end: Ctrl-C, Ctrl-Break, the console's closing.
#[derive(Debug)]
pub(super) struct Signals {
    c: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals { c: ctrl_c()?, pause: ctrl_break()?, close: ctrl_close()? })
    }

    /// Whether the signal asks to read a configuration again; here none does.
    #[allow(clippy::unused_self)] // the same words on every system
    pub(super) fn asks_for_reload(&self, _signal: i32) -> bool {
        false
    }

    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            Some(()) = self.c.recv() => 2,
            Some(()) = self.pause.recv() => 2,
            Some(()) = self.close.recv() => 1,
            else => std::future::pending().await,
        }
    }
}

/// Not of this console: neither its closing nor its Ctrl-C is for such a process.
pub(super) fn without_terminal(command: &mut std::process::Command) {
    use std::os::windows::process::CommandExt;
    keep_streams();
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

/// A child gets every handle that may be inherited, not only its three streams, and hands them on in turn.
pub(super) fn keep_streams() {
    for stream in [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
        // SAFETY: takes numbers; a stream that is not there has no handle, and then nothing changes.
        unsafe { SetHandleInformation(GetStdHandle(stream), HANDLE_FLAG_INHERIT, 0) };
    }
}

/// It was started without a console.
pub(super) fn leave_terminal() {}
