//! The processor: its name and how many threads this process may keep busy.

use std::path::Path;

use super::{Cpu, cgroup};
use crate::host::{Host, Os};

/// The processor as this process may use it.
pub(super) fn read(host: &dyn Host) -> Cpu {
    // The standard library respects affinity; it rounds a quota down, where a share of one more thread is worth having.
    let available = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    Cpu {
        name: name(host),
        threads: threads(available, cgroup::read(host).cpus),
        architecture: std::env::consts::ARCH.to_owned(),
    }
}

/// Threads under a quota of `cpus` processors' time.
pub(super) fn threads(available: u32, cpus: Option<f64>) -> u32 {
    // A quota is a small positive number; the cast saturates.
    let allowed = cpus.map_or(u32::MAX, |cpus| cpus.ceil() as u32);
    available.min(allowed).max(1)
}

fn name(host: &dyn Host) -> String {
    if host.os() == Os::Linux
        && let Ok(bytes) = host.read(Path::new("/proc/cpuinfo"))
        && let Some(name) = parse_cpuinfo(&String::from_utf8_lossy(&bytes))
    {
        return name;
    }
    // ARM's cpuinfo has numbers only; sysinfo knows what they mean.
    let Ok(mut system) = sysinfo::System::new() else { return String::new() };
    system.refresh_cpu_list(sysinfo::CpuRefreshKind::nothing());
    system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default()
}

/// The first `model name` of `/proc/cpuinfo`.
pub(super) fn parse_cpuinfo(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    let name = line.split_once(':')?.1.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
