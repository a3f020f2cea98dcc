//! Ends what a dead llmup left behind: when both llmup and its guard were killed, parts of the engine's tree may live
//! on (vLLM's workers outlive their API server and keep the accelerator's memory).

use super::{MARK, guard, os, process};

/// What run state remembers of a child's tree.
#[derive(Debug, Clone, Copy)]
pub struct Remains<'a> {
    /// The child's pid, which is also its group's and its session's number.
    pub pid: u32,
    /// Its [`process::birth`].
    pub birth: &'a str,
    /// Its [`super::Child::mark`], when recorded.
    pub mark: Option<&'a str>,
}

/// The living processes that belong to such a tree; never one that merely got an old number.
pub fn remains(of: Remains<'_>) -> Vec<u32> {
    let mut left = process::orphans_of_session(of.pid, of.birth);
    if process::alive(of.pid, of.birth) {
        left.push(of.pid);
        left.extend(process::group(of.pid));
        left.extend(process::descendants(of.pid));
    }
    if let Some(mark) = of.mark.filter(|mark| !mark.is_empty()) {
        left.extend(process::marked(MARK, mark));
    }
    left.sort_unstable();
    left.dedup();
    left.retain(|pid| *pid != std::process::id());
    left
}

/// The mark of a process that belongs to an engine of llmup's and has no guard any more; `None` for every other one, and
/// where the system does not show environments.
pub fn orphan(pid: u32) -> Option<String> {
    let mark = process::variable(pid, MARK).filter(|mark| !mark.is_empty())?;
    let guards = |pid: u32| process::argument(pid, 1).as_deref() == Some(guard::ARGUMENT);
    (!process::marked(MARK, &mark).into_iter().any(guards)).then_some(mark)
}

/// Kills what is left of a tree and returns the pids it killed. Looks again until a look finds nothing, at most
/// 200 times (2 s): a process may start another while it is being killed.
pub fn reap(of: Remains<'_>) -> Vec<u32> {
    let mut killed = Vec::new();
    for _ in 0..200 {
        let left = remains(of);
        if left.is_empty() {
            break;
        }
        for pid in left {
            os::kill_process(pid);
            if !killed.contains(&pid) {
                killed.push(pid);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    killed
}
