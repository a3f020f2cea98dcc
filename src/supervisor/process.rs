//! Looks at processes without touching them: is it still the same one, who descends from whom. Linux answers from
//! `/proc`; elsewhere only [`birth`], [`alive`], [`name`], [`memory`], [`trees`] and [`processor_time`] know something, the
//! other lists are empty.

use std::path::PathBuf;

use proc::{all, boot, children, field, pids, resident, small, spent, stat};

#[cfg(unix)]
#[path = "process/unix.rs"]
mod elsewhere;
#[cfg(windows)]
#[path = "process/windows.rs"]
mod elsewhere;
mod proc;

/// When a living process was born, in a form that no other process of this machine shares, also not after a reboot:
/// `boot id:ticks` on Linux, the time of its start elsewhere. `None`: there is no such process (a zombie is none).
pub fn birth(pid: u32) -> Option<String> {
    if let Some(boot) = boot() {
        let stat = stat(pid).filter(|s| !s.dead())?;
        return Some(format!("{boot}:{}", stat.start));
    }
    elsewhere::birth(pid)
}

/// Whether `pid` lives and is the process whose [`birth`] was recorded, not a later one under the same number.
pub fn alive(pid: u32, recorded: &str) -> bool {
    birth(pid).as_deref() == Some(recorded)
}

/// Resident memory of these processes together, bytes; `None` when none of them can be looked at.
pub fn memory(pids: &[u32]) -> Option<u64> {
    if cfg!(target_os = "linux") {
        let found: Vec<u64> = pids.iter().filter_map(|pid| resident(&small(*pid, "status")?)).collect();
        return (!found.is_empty()).then(|| found.iter().sum());
    }
    let ids: Vec<sysinfo::Pid> = pids.iter().map(|pid| sysinfo::Pid::from_u32(*pid)).collect();
    let mut system = sysinfo::System::new().ok()?;
    let what = sysinfo::ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(sysinfo::ProcessesToUpdate::Some(&ids), true, what);
    let found: Vec<u64> = ids.iter().filter_map(|id| Some(system.process(*id)?.memory())).collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

/// Each of these processes with all its descendants. Where the kernel tells a process's children only they are looked
/// at; elsewhere one look at all processes of the machine serves all.
pub fn trees(roots: &[u32]) -> Vec<Vec<u32>> {
    if roots.is_empty() {
        return Vec::new();
    }
    // Only with CONFIG_PROC_CHILDREN, which the usual distributions have.
    if std::fs::exists("/proc/thread-self/children").is_ok_and(|told| told) {
        return roots.iter().map(|root| walk(*root, children)).collect();
    }
    let parents: Vec<(u32, u32)> = match cfg!(target_os = "linux") {
        true => all().into_iter().map(|s| (s.pid, s.ppid)).collect(),
        false => by_system(),
    };
    let of = |parent: u32| parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid).collect();
    roots.iter().map(|root| walk(*root, of)).collect()
}

/// `root` and everything below it.
fn walk(root: u32, children: impl Fn(u32) -> Vec<u32>) -> Vec<u32> {
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        // This is no snapshot: a number that was reused while it was read must not make a circle.
        for child in children(parent) {
            if !tree.contains(&child) {
                tree.push(child);
            }
        }
        at += 1;
    }
    tree
}

/// All processes with their parents, where there is no `/proc`.
fn by_system() -> Vec<(u32, u32)> {
    let Ok(mut system) = sysinfo::System::new() else { return Vec::new() };
    let what = sysinfo::ProcessRefreshKind::nothing();
    system.refresh_processes_specifics(sysinfo::ProcessesToUpdate::All, true, what);
    let all = system.processes().iter();
    all.filter_map(|(pid, process)| Some((pid.as_u32(), process.parent()?.as_u32()))).collect()
}

/// Processor time that a process and its living descendants have spent. `None`: no such process.
pub fn processor_time(pid: u32) -> Option<std::time::Duration> {
    if !cfg!(target_os = "linux") {
        return listed_time(pid);
    }
    activity(pid).map(|activity| activity.spent)
}

/// What a process and its living descendants have done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Who they are, in order.
    pub pids: Vec<u32>,
    /// Processor time.
    pub spent: std::time::Duration,
    /// Bytes read and written, from and to files and devices; of what is mapped, only what came from a disk.
    pub moved: u64,
    /// Resident memory, bytes; what several of them share counts once for each.
    pub resident: u64,
}

/// What a process and its living descendants have done. `None`: no such process, or a system that is not asked (only
/// Linux is).
pub fn activity(pid: u32) -> Option<Activity> {
    stat(pid)?;
    let mut pids: Vec<u32> = std::iter::once(pid).chain(descendants(pid)).collect();
    pids.sort_unstable();
    let mut all = Activity::default();
    for pid in &pids {
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let (stat, io, status) = (read("stat"), read("io"), read("status"));
        all.spent += spent(&String::from_utf8_lossy(&stat)).unwrap_or_default();
        let moved = ["rchar", "wchar", "read_bytes", "write_bytes"].map(|name| field(&io, name));
        all.moved = moved.iter().fold(all.moved, |sum, n| sum.saturating_add(*n));
        // In KiB.
        all.resident = all.resident.saturating_add(field(&status, "VmRSS").saturating_mul(1024));
    }
    Some(Activity { pids, ..all })
}

/// The same from the system's list of all processes. On Windows, too, an engine can be the child of a launcher (Python's
/// virtual environments), so one process alone is not enough.
fn listed_time(pid: u32) -> Option<std::time::Duration> {
    let mut system = sysinfo::System::new().ok()?;
    let what = sysinfo::ProcessRefreshKind::nothing().with_cpu();
    system.refresh_processes_specifics(sysinfo::ProcessesToUpdate::All, true, what);
    let all = system.processes();
    let first = all.get(&sysinfo::Pid::from_u32(pid))?;
    let descends = |process: &sysinfo::Process| {
        let mut process = process;
        // The list is no snapshot: numbers that were reused meanwhile must not make a circle.
        for _ in 0..64 {
            if process.pid() == first.pid() {
                return true;
            }
            // Who is younger than its child only has the number of its parent.
            let parent = process.parent().and_then(|parent| all.get(&parent));
            match parent.filter(|parent| parent.start_time() <= process.start_time()) {
                Some(parent) => process = parent,
                None => return false,
            }
        }
        false
    };
    let spent = all.values().filter(|process| descends(process)).map(sysinfo::Process::accumulated_cpu_time);
    Some(std::time::Duration::from_millis(spent.fold(0, u64::saturating_add)))
}

/// The living members of a process group.
pub fn group(pgid: u32) -> Vec<u32> {
    all().into_iter().filter(|s| s.pgrp == pgid && !s.dead()).map(|s| s.pid).collect()
}

/// The living members of the session that a process born at `recorded` once led, when it was led by such a process
/// and nobody else has its number now.
pub(super) fn orphans_of_session(leader: u32, recorded: &str) -> Vec<u32> {
    let Some((boot_then, ticks)) = recorded.split_once(':') else { return Vec::new() };
    let Ok(ticks) = ticks.parse::<u64>() else { return Vec::new() };
    if boot().as_deref() != Some(boot_then) {
        return Vec::new();
    }
    let all = all();
    // The number lives on as that of a newer process: its session is not ours to judge.
    if all.iter().any(|s| s.pid == leader && s.start != ticks) {
        return Vec::new();
    }
    all.iter().filter(|s| s.session == leader && s.start >= ticks && !s.dead()).map(|s| s.pid).collect()
}

/// All living descendants of a process, nearest first.
pub fn descendants(pid: u32) -> Vec<u32> {
    let all = all();
    let mut found: Vec<u32> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in all.iter().filter(|s| s.ppid == parent) {
            // The table is no snapshot: a number that was reused while it was read must not make a circle.
            if !found.contains(&child.pid) {
                parents.push(child.pid);
                found.push(child.pid);
            }
        }
    }
    found.retain(|pid| all.iter().any(|s| s.pid == *pid && !s.dead()));
    found
}

/// A variable in the environment that a process was started with, where the system shows it.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let all = std::fs::read(PathBuf::from(format!("/proc/{pid}/environ"))).ok()?;
    let found = all.split(|b| *b == 0).find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(found).into_owned())
}

/// The argument of a process at that place, 0 being what it calls itself, where the system shows it.
pub fn argument(pid: u32, at: usize) -> Option<String> {
    let all = std::fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).ok()?;
    Some(String::from_utf8_lossy(all.split(|b| *b == 0).nth(at)?).into_owned())
}

/// The living processes whose environment says `name=value`, as far as we may look. A program that overwrites its
/// environment to change its title is not found this way.
pub fn marked(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    pids()
        .into_iter()
        .filter(|pid| {
            std::fs::read(PathBuf::from(format!("/proc/{pid}/environ")))
                .is_ok_and(|env| env.split(|b| *b == 0).any(|var| var == wanted.as_bytes()))
        })
        .filter(|pid| stat(*pid).is_some_and(|s| !s.dead()))
        .collect()
}

/// The name of a process, as the system shows it.
pub fn name(pid: u32) -> Option<String> {
    match std::fs::read(format!("/proc/{pid}/comm")) {
        Ok(comm) => Some(String::from_utf8_lossy(&comm).trim().to_owned()),
        Err(_) => elsewhere::name(pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_everything_below_its_root_and_no_circle_is_walked_twice() {
        // 1 and 5 are each other's parent, as a table read while numbers are reused can say.
        let parents = [(2, 1), (3, 2), (4, 9), (5, 1), (1, 5)];
        let of = |parent: u32| parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid).collect();
        assert_eq!(walk(1, of), [1, 2, 5, 3]);
        assert_eq!(walk(9, of), [9, 4]);
        assert_eq!(walk(77, of), [77]);
        assert!(trees(&[]).is_empty());
    }

    #[test]
    fn memory_is_that_of_the_living() {
        let own = memory(&[std::process::id()]).unwrap();
        assert!(own > 1 << 20, "{own}");
        assert_eq!(memory(&[u32::MAX - 7]), None);
    }

    #[test]
    #[cfg(unix)]
    fn our_child_is_in_our_tree() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let tree = trees(&[std::process::id()]);
        assert!(tree[0].contains(&child.id()), "{tree:?} has no {}", child.id());
        // Both ways of asking Linux.
        let parents: Vec<(u32, u32)> = all().into_iter().map(|s| (s.pid, s.ppid)).collect();
        assert!(parents.is_empty() || parents.contains(&(child.id(), std::process::id())));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn we_are_alive_and_nobody_else_under_our_number_is() {
        let me = std::process::id();
        let born = birth(me).unwrap();
        assert!(alive(me, &born));
        assert!(!alive(me, &format!("{born}1")));
        assert_eq!(birth(u32::MAX - 7), None);
        let own = std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let name = name(me).unwrap();
        // Linux cuts it after 15 bytes.
        assert!(own.starts_with(&name) && name.len() >= 4, "{name} {own}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_process_does_shows() {
        let me = std::process::id();
        let before = activity(me).unwrap();
        assert!(before.pids.contains(&me) && before.resident > 1 << 20, "{before:?}");
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &[0; 1 << 20]).unwrap();
        assert!(activity(me).unwrap().moved >= before.moved + (1 << 20));
        assert_eq!(activity(u32::MAX - 7), None);
    }

    #[test]
    fn work_shows_in_the_processor_time_of_a_process() {
        let me = std::process::id();
        for time in [processor_time, listed_time] {
            let before = time(me).unwrap();
            let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
            while time(me).unwrap() < before + std::time::Duration::from_millis(100) {
                assert!(std::time::Instant::now() < end, "no time is counted: {before:?}");
                std::hint::black_box((0..1_000_000_u64).fold(0, u64::wrapping_add));
            }
            assert_eq!(time(u32::MAX - 7), None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_child_is_a_descendant_until_it_is_dead_even_as_a_zombie() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let me = std::process::id();
        assert!(descendants(me).contains(&child.id()));
        child.kill().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while descendants(me).contains(&child.id()) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(birth(child.id()), None, "a zombie has no birth");
        child.wait().unwrap();
    }
}
