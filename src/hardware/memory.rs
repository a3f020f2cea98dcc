//! Main memory: what the system has, cut down to what this process may use.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Memory, cgroup};
use crate::host::{Host, Os, told};

/// Main memory now.
pub(super) fn read(host: &dyn Host) -> Memory {
    limited(of_system(host), &cgroup::read(host))
}

/// What the system has, without the limits of containers; a GPU that shares it is not held by those.
pub(super) fn of_system(host: &dyn Host) -> Memory {
    if host.os() == Os::Linux
        && let Ok(bytes) = host.read(Path::new("/proc/meminfo"))
        && let Some(memory) = parse_meminfo(&String::from_utf8_lossy(&bytes))
    {
        return memory;
    }
    told(host, "memory", by_system).unwrap_or_default()
}

fn by_system() -> Memory {
    // Vendors ask at once with us, and Wine 8 answers with zeros whoever asks while another is being answered (its
    // GlobalMemoryStatusEx notes the time of an answer before it has one).
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(mut system) = sysinfo::System::new() else { return Memory::default() };
    system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
    Memory { total_bytes: system.total_memory(), available_bytes: system.available_memory() }
}

fn limited(system: Memory, limits: &cgroup::Limits) -> Memory {
    let total = limits.memory_bytes.map_or(system.total_bytes, |limit| limit.min(system.total_bytes));
    let free = limits.memory_free_bytes.map_or(system.available_bytes, |free| free.min(system.available_bytes));
    Memory { total_bytes: total, available_bytes: free.min(total) }
}

/// `/proc/meminfo`: kibibytes, called kB.
pub(super) fn parse_meminfo(text: &str) -> Option<Memory> {
    let value = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let total_bytes = value("MemTotal")?;
    // Kernels before 3.14 do not have MemAvailable.
    let available_bytes = value("MemAvailable").or_else(|| value("MemFree"))?;
    Some(Memory { total_bytes, available_bytes })
}
