//! Jetson boards: a GPU in the chip. Recent systems have NVML for it, which knows its name; older ones have nothing but
//! the board's own files.

use std::path::Path;

use super::{Amount, Gpu, Reading};
use crate::host::{Host, Os};

/// The board's GPU, where the system for these boards (L4T) is installed.
pub(super) fn read(host: &dyn Host) -> Option<Reading> {
    if host.os() != Os::Linux {
        return None;
    }
    let text = |path: &str| {
        let bytes = host.read(Path::new(path)).ok()?;
        // The device tree ends its texts with a nought.
        Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\0', '\n']).trim().to_owned())
    };
    let release = text("/etc/nv_tegra_release")?;
    let model = text("/proc/device-tree/model").filter(|model| !model.is_empty());
    let name = model.unwrap_or_else(|| "NVIDIA Tegra".to_owned());
    let gpu = Gpu { name: Some(name), memory: Amount::NotSupported, ..Gpu::default() };
    Some(Reading { driver: l4t(&release), gpus: vec![gpu], ..Reading::default() })
}

/// `# R36 (release), REVISION: 4.3, GCID: …` is L4T 36.4.3.
fn l4t(release: &str) -> Option<String> {
    let line = release.lines().next()?.trim_start_matches(['#', ' ']);
    let major = line.strip_prefix('R')?.split_whitespace().next()?;
    let minor = line.split_once("REVISION:")?.1.split(',').next()?.trim();
    (!major.is_empty() && !minor.is_empty()).then(|| format!("L4T {major}.{minor}"))
}
