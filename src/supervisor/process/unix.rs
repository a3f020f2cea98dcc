//! What a Unix without `/proc` (macOS) says of a process.

fn ask<T>(pid: u32, tell: impl FnOnce(&sysinfo::Process) -> T) -> Option<T> {
    let id = sysinfo::Pid::from_u32(pid);
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_processes_specifics(
        sysinfo::ProcessesToUpdate::Some(&[id]),
        true,
        sysinfo::ProcessRefreshKind::nothing(),
    );
    system.process(id).map(tell)
}

/// Seconds between 1970 and its start.
pub(super) fn birth(pid: u32) -> Option<String> {
    ask(pid, |process| process.start_time().to_string())
}

pub(super) fn name(pid: u32) -> Option<String> {
    ask(pid, |process| process.name().to_string_lossy().into_owned())
}
