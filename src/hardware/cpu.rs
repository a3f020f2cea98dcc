//! The processor: its name, how many threads this process may keep busy, and which instructions engines can use.

use std::path::Path;

use super::{Cpu, cgroup};
use crate::host::{Host, Os, told};

/// The processor as this process may use it.
pub(super) fn read(host: &dyn Host) -> Cpu {
    // The standard library respects affinity; it rounds a quota down, where a share of one more thread is worth having.
    let available = || std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
    let available = told(host, "processor threads", available).unwrap_or(1);
    Cpu {
        name: name(host),
        threads: threads(available, cgroup::read(host).cpus),
        architecture: told(host, "processor architecture", || std::env::consts::ARCH.to_owned()).unwrap_or_default(),
        features: features(host),
        numa_nodes: numa_nodes(host),
    }
}

/// Of the hundred flags of a processor those that decide which kernels vLLM and llama.cpp use, with Linux's names.
const FEATURES: &[&str] = &[
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
];

fn features(host: &dyn Host) -> Vec<String> {
    if host.os() == Os::Linux
        && let Ok(bytes) = host.read(Path::new("/proc/cpuinfo"))
    {
        return parse_features(&String::from_utf8_lossy(&bytes));
    }
    let has = || asked().iter().filter(|(_, has)| *has).map(|(name, _)| (*name).to_owned()).collect();
    told::<Vec<String>>(host, "processor features", has).unwrap_or_default()
}

/// The processor itself, where no file says it.
#[cfg(target_arch = "x86_64")]
fn asked() -> Vec<(&'static str, bool)> {
    vec![
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512_vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
    ]
}

/// The processor itself, where no file says it.
#[cfg(target_arch = "aarch64")]
fn asked() -> Vec<(&'static str, bool)> {
    vec![
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("asimddp", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
    ]
}

/// Other processors are not asked.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn asked() -> Vec<(&'static str, bool)> {
    Vec::new()
}

/// The first `flags` (x86) or `Features` (ARM, where `asimd` is NEON) of `/proc/cpuinfo`.
pub(super) fn parse_features(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| {
        let (name, words) = line.split_once(':')?;
        ["flags", "Features"].contains(&name.trim()).then_some(words)
    });
    let has: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    let named = |name: &&&str| has.contains(*name) || (**name == "neon" && has.contains(&"asimd"));
    FEATURES.iter().filter(named).map(|name| (*name).to_owned()).collect()
}

fn numa_nodes(host: &dyn Host) -> Option<u32> {
    if host.os() != Os::Linux {
        return None;
    }
    let bytes = host.read(Path::new("/sys/devices/system/node/online")).ok()?;
    count(&String::from_utf8_lossy(&bytes))
}

/// How many numbers a kernel's list has: `0-1,4` has three.
pub(super) fn count(list: &str) -> Option<u32> {
    let mut sum = 0_u32;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        sum = sum.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(sum)
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
    told(host, "processor name", brand).unwrap_or_default()
}

fn brand() -> String {
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
