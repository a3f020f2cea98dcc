//! How busy AMD's cards are, by the kernel's files: `gpu_busy_percent` and `mem_info_*` of the card, its `hwmon` (thousandths
//! of a degree, millionths of a watt), and what each process holds in KFD's `proc/PID/vram_GPUID` (bytes). Sources: the
//! kernel's documentation of amdgpu (`gpu/amdgpu/thermal`) and of hwmon (`hwmon/sysfs-interface`).

use std::path::{Path, PathBuf};

use super::{Card, drm, kfd, line, number};
use crate::hardware::VendorId;
use crate::hardware::load::{Gauge, Held, Load};
use crate::host::Host;

const KFD: &str = "sys/class/kfd/kfd";
const DRM: &str = "sys/class/drm";

/// Of all cards below `root`, which is `/` except in tests.
pub(super) fn read(host: &dyn Host, root: &Path) -> Vec<Load> {
    let (kfd, drm) = (root.join(KFD), root.join(DRM));
    let cards = kfd::cards(host, &kfd.join("topology"), Some(&drm));
    if cards.is_empty() {
        return drm::folders(host, &drm)
            .into_iter()
            .map(|(card, device)| load(host, &card, &device, Vec::new()))
            .collect();
    }
    let processes = host.entries(&kfd.join("proc")).unwrap_or_default();
    let of = |card: &Card| {
        let device = drm.join(format!("renderD{}/device", card.render?));
        Some(load(host, card, &device, holders(host, &processes, card.gpu_id)))
    };
    cards.iter().filter_map(of).collect()
}

fn load(host: &dyn Host, card: &Card, device: &Path, holders: Vec<Held>) -> Load {
    let sensors = host.entries(&device.join("hwmon")).unwrap_or_default();
    let sensor = |names: &[&str]| {
        let paths = sensors.iter().flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        paths.filter_map(|path| number(host, &path)).next()
    };
    // A part of a processor has what the firmware cut off and what it may map.
    let (total, used) = if card.integrated {
        (sum(card.vram, card.gtt), sum(card.vram_used, card.gtt_used))
    } else {
        (card.vram, card.vram_used)
    };
    Load {
        vendor: VendorId::Amd,
        index: card.index,
        uuid: card.uuid.clone(),
        total_bytes: total,
        used_bytes: used,
        gauge: Gauge {
            busy_percent: line(host, &device.join("gpu_busy_percent")).as_deref().and_then(Gauge::percent),
            celsius: sensor(&["temp1_input"]).and_then(|n| u32::try_from((n + 500) / 1000).ok()),
            watts: sensor(&["power1_average", "power1_input"])
                .and_then(|n| u32::try_from((n + 500_000) / 1_000_000).ok()),
            holders,
        },
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
    }
}

fn holders(host: &dyn Host, processes: &[PathBuf], gpu_id: Option<u64>) -> Vec<Held> {
    let Some(gpu_id) = gpu_id else { return Vec::new() };
    let held = |dir: &PathBuf| {
        let pid = dir.file_name()?.to_str()?.parse().ok()?;
        let bytes = number(host, &dir.join(format!("vram_{gpu_id}"))).filter(|bytes| *bytes > 0)?;
        Some(Held { pid, bytes: Some(bytes) })
    };
    processes.iter().filter_map(held).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RealHost;

    #[test]
    fn the_kernel_s_files_tell_all_of_it() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 8\nsimd_count 0\n");
        write(
            "sys/class/kfd/kfd/topology/nodes/1/properties",
            "simd_count 384\nvendor_id 4098\ngfx_target_version 110000\ndrm_render_minor 129\nlocation_id 768\ndomain 0\n",
        );
        write("sys/class/kfd/kfd/topology/nodes/1/gpu_id", "4711\n");
        write("sys/class/kfd/kfd/proc/321/vram_4711", "5000000\n");
        write("sys/class/kfd/kfd/proc/322/vram_99", "7\n");
        let device = "sys/class/drm/renderD129/device";
        for (name, text) in [
            ("vendor", "0x1002"),
            ("device", "0x744c"),
            ("mem_info_vram_total", "25753026560"),
            ("mem_info_vram_used", "6000000"),
            ("gpu_busy_percent", "73"),
            ("hwmon/hwmon3/temp1_input", "61400"),
            ("hwmon/hwmon3/power1_average", "212600000"),
        ] {
            write(&format!("{device}/{name}"), text);
        }
        let loads = read(&RealHost, root.path());
        assert_eq!(loads.len(), 1, "{loads:?}");
        let load = &loads[0];
        assert_eq!((load.used_bytes, load.total_bytes), (Some(6_000_000), Some(25_753_026_560)));
        assert_eq!((load.gauge.busy_percent, load.gauge.celsius, load.gauge.watts), (Some(73), Some(61), Some(213)));
        assert_eq!((load.held_by(&[320, 321]), load.held_by(&[322])), (Some(5_000_000), None));
    }
}
