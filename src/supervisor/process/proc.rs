//! What Linux says of processes below `/proc`. Elsewhere there is no such folder, and all of this is empty.

use std::io::Read;
use std::time::Duration;

/// What `/proc/<pid>/stat` says that we need. Field numbers as in proc_pid_stat(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    /// Field 3; `Z` is a zombie: dead, but not yet fetched by its parent.
    pub(super) state: char,
    /// Field 4.
    pub(super) ppid: u32,
    /// Field 5.
    pub(super) pgrp: u32,
    /// Field 6.
    pub(super) session: u32,
    /// Field 22: clock ticks between the system's boot and the process's start.
    pub(super) start: u64,
}

impl Stat {
    pub(super) fn dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold blanks and parentheses itself: count from the last one.
    let rest = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        state: fields.first()?.chars().next()?,
        ppid: fields.get(1)?.parse().ok()?,
        pgrp: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

/// A small file below `/proc`, with one read: whoever asks all processes feels each call more.
pub(super) fn small(pid: u32, name: &str) -> Option<String> {
    let mut file = std::fs::File::open(format!("/proc/{pid}/{name}")).ok()?;
    let mut buffer = [0_u8; 4096];
    let length = file.read(&mut buffer).ok()?;
    // Bytes, not text: the name in it can be cut inside a character.
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &small(pid, "stat")?)
}

pub(super) fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

pub(super) fn all() -> Vec<Stat> {
    pids().into_iter().filter_map(stat).collect()
}

pub(super) fn boot() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// `VmRSS:     1234 kB`; a zombie has no such line.
pub(super) fn resident(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The children of a process, by each of its threads.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).ok();
    let told: Vec<String> = threads.flatten().filter_map(of).collect();
    told.iter().flat_map(|pids| pids.split_ascii_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// From `/proc/<pid>/stat`: fields 14 and 15, ticks in user and kernel mode, of which Linux tells 100 a second everywhere.
pub(super) fn spent(stat: &str) -> Option<Duration> {
    let rest = &stat[stat.rfind(')')? + 1..];
    let ticks = rest.split_ascii_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
    Some(Duration::from_millis(ticks.fold(0, u64::saturating_add).saturating_mul(10)))
}

/// The number behind `name:` in a file of `/proc`; 0 when it is not there.
pub(super) fn field(text: &[u8], name: &str) -> u64 {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let text = "77 (a) b (c)) S 5 6 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200";
        let stat = parse_stat(77, text).unwrap();
        assert_eq!(stat, Stat { pid: 77, state: 'S', ppid: 5, pgrp: 6, session: 7, start: 987_654 });
        assert_eq!(parse_stat(1, "1 (cut off) S 1"), None);
        assert_eq!(parse_stat(1, ""), None);
    }

    #[test]
    fn what_proc_says_is_read_and_what_it_does_not_say_is_nothing() {
        let io = b"rchar: 10\nwchar: 20\nsyscr: 1\nread_bytes: 4096\n";
        assert_eq!(["rchar", "read_bytes", "write_bytes"].map(|name| field(io, name)), [10, 4096, 0]);
        assert_eq!(field(b"VmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n", "VmRSS"), 1234);
        let ms = Duration::from_millis;
        assert_eq!(spent("1 (a b) c) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20"), Some(ms(110)));
        assert_eq!(spent(""), None);
    }

    #[test]
    fn a_zombie_has_no_memory() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   12 kB\nThreads:\t1\n"), Some(12 * 1024));
        assert_eq!(resident("Name:\tx\nState:\tZ (zombie)\n"), None);
    }
}
