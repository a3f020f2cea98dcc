//! Which shell the user sits in.

use super::Shell;
use crate::host::{Host, Os};

/// How far up the process tree a shell is looked for; launchers such as `cargo run` or `sudo` stand between.
const REACH: usize = 4;

/// The names of the processes above this one, nearest first.
pub fn ancestors() -> Vec<String> {
    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};
    let (Ok(mut system), Ok(mut pid)) = (System::new(), sysinfo::get_current_pid()) else { return Vec::new() };
    let mut names = Vec::new();
    for _ in 0..=REACH {
        // Only the processes on the way are read, not the whole table.
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
        let Some(process) = system.process(pid) else { break };
        names.push(process.name().to_string_lossy().into_owned());
        let Some(parent) = process.parent() else { break };
        pid = parent;
    }
    if !names.is_empty() {
        names.remove(0);
    }
    names
}

/// The shell, by the names of the processes above us, else by what shells leave in the environment.
pub fn detect(host: &dyn Host, ancestors: &[String]) -> Shell {
    if let Some(shell) = ancestors.iter().find_map(|name| Shell::of_program(name)) {
        // `sh` above us is mostly a launcher's; what the user types into is named by $SHELL.
        if shell != Shell::Posix {
            return shell;
        }
    }
    let set = |name: &str| host.env(name).filter(|value| !value.is_empty());
    if set("NU_VERSION").is_some() {
        return Shell::Nu;
    }
    if let Some(shell) = set("SHELL").and_then(|path| Shell::of_program(&path)) {
        return shell;
    }
    // Windows sets PSModulePath for every process; only PowerShell adds the user's own folder to it.
    let modules = set("PSModulePath").unwrap_or_default().to_ascii_lowercase();
    match host.os() {
        Os::Windows if modules.contains("documents") => Shell::Powershell,
        Os::Windows if set("ComSpec").is_some() => Shell::Cmd,
        Os::Windows => Shell::Powershell,
        Os::Linux | Os::Macos if !modules.is_empty() => Shell::Powershell,
        Os::Linux | Os::Macos => Shell::Posix,
    }
}
