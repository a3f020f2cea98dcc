//! The limits a container or a service puts on this process: control groups, version 1 and 2. Every group from ours
//! up to the root counts, the tightest wins.

use std::path::{Path, PathBuf};

use crate::host::{Host, Os};

/// What may be used; `None` = no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Limits {
    /// Bytes of memory in all.
    pub(super) memory_bytes: Option<u64>,
    /// Bytes still free below the limit, with the file cache that can be dropped counted as free.
    pub(super) memory_free_bytes: Option<u64>,
    /// Processors' worth of time.
    pub(super) cpus: Option<f64>,
}

/// The limits of this process.
pub(super) fn read(host: &dyn Host) -> Limits {
    let mut limits = Limits::default();
    if host.os() != Os::Linux {
        return limits;
    }
    let Some(groups) = text(host, Path::new("/proc/self/cgroup")) else { return limits };
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let has = |name: &str| controllers.split(',').any(|controller| controller == name);
        if controllers.is_empty() {
            for dir in groups_upwards(Path::new("/sys/fs/cgroup"), group) {
                memory(host, &dir, &V2, &mut limits);
                let max = text(host, &dir.join("cpu.max"));
                if let Some((quota, period)) = max.as_deref().and_then(|max| max.trim().split_once(' ')) {
                    cpus(quota, period, &mut limits);
                }
            }
        }
        if has("memory") {
            for dir in groups_upwards(Path::new("/sys/fs/cgroup/memory"), group) {
                memory(host, &dir, &V1, &mut limits);
            }
        }
        if has("cpu") {
            for dir in groups_upwards(Path::new("/sys/fs/cgroup/cpu"), group) {
                let quota = text(host, &dir.join("cpu.cfs_quota_us"));
                let period = text(host, &dir.join("cpu.cfs_period_us"));
                if let (Some(quota), Some(period)) = (quota, period) {
                    cpus(&quota, &period, &mut limits);
                }
            }
        }
    }
    limits
}

struct Names {
    limit: &'static str,
    used: &'static str,
    cache: &'static str,
}

const V1: Names = Names { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file" };
const V2: Names = Names { limit: "memory.max", used: "memory.current", cache: "inactive_file" };

fn memory(host: &dyn Host, dir: &Path, names: &Names, limits: &mut Limits) {
    // Version 2 says `max`, version 1 a number near 2^63, for "no limit".
    let Some(limit) = number(host, &dir.join(names.limit)).filter(|limit| *limit < 1 << 60) else { return };
    limits.memory_bytes = Some(limits.memory_bytes.map_or(limit, |known| known.min(limit)));
    let Some(used) = number(host, &dir.join(names.used)) else { return };
    let cache = text(host, &dir.join("memory.stat")).and_then(|stat| {
        stat.lines().find_map(|line| line.strip_prefix(names.cache)?.strip_prefix(' ')?.trim().parse::<u64>().ok())
    });
    let free = limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0)));
    limits.memory_free_bytes = Some(limits.memory_free_bytes.map_or(free, |known| known.min(free)));
}

fn cpus(quota: &str, period: &str, limits: &mut Limits) {
    // `max` and -1 mean no quota.
    let (Ok(quota), Ok(period)) = (quota.trim().parse::<f64>(), period.trim().parse::<f64>()) else { return };
    if quota > 0.0 && period > 0.0 {
        let share = quota / period;
        limits.cpus = Some(limits.cpus.map_or(share, |known| known.min(share)));
    }
}

/// The folder of `group` below `root` and all above it, `root` last. In a container the group's own folder is often
/// not there, and the root is the container's.
fn groups_upwards(root: &Path, group: &str) -> Vec<PathBuf> {
    let group = group.trim().trim_start_matches('/');
    Path::new(group).ancestors().map(|part| root.join(part)).collect()
}

fn text(host: &dyn Host, path: &Path) -> Option<String> {
    host.read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn number(host: &dyn Host, path: &Path) -> Option<u64> {
    text(host, path)?.trim().parse().ok()
}
