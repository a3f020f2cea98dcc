//! Whether this process can reach the cards that the kernel shows, and who holds their memory. The kernel's files are
//! to be seen in every container, the device files only in those that were given them.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Card, line, number};
use crate::hardware::holders::{Holder, busy, is_absent, is_denied};
use crate::host::Host;

/// Notes on each card what is in the way, or what disturbs.
pub(super) fn check(host: &dyn Host, cards: &mut [Card]) {
    let kfd = blocked(host, "/dev/kfd");
    let held = held(host);
    for card in cards {
        let render = || blocked(host, &format!("/dev/dri/renderD{}", card.render?));
        card.problem = card.problem.take().or_else(|| kfd.clone()).or_else(render);
        let holders = card.gpu_id.and_then(|id| held.get(&id));
        card.disturbance = holders.and_then(|list| {
            let mut holding = Vec::with_capacity(list.len());
            for (pid, name, bytes) in list {
                holding.push(Holder { pid: *pid, name: name.as_deref(), bytes: Some(*bytes) });
            }
            busy(&holding)
        });
    }
}

fn blocked(host: &dyn Host, path: &str) -> Option<String> {
    if is_denied(host, Path::new(path)) {
        Some(format!(
            "you may not open {path}; join its group: `sudo usermod -aG render,video $USER`, then log in again"
        ))
    } else if is_absent(host, Path::new(path)) {
        Some(format!(
            "{path} is not here; in a container start it with `docker run --device /dev/kfd --device /dev/dri`, \
             elsewhere load the driver: `sudo modprobe amdgpu`"
        ))
    } else {
        None
    }
}

/// By KFD's number of the card: process, name, bytes. Each process has a folder with a file `vram_<card>`.
fn held(host: &dyn Host) -> BTreeMap<u64, Vec<(u32, Option<String>, u64)>> {
    let mut held: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    let processes = host.entries(Path::new("/sys/class/kfd/kfd/proc")).unwrap_or_default();
    for dir in processes {
        let Some(pid) = dir.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else { continue };
        for file in host.entries(&dir).unwrap_or_default() {
            let card = file.file_name().and_then(|name| name.to_str()?.strip_prefix("vram_")?.parse::<u64>().ok());
            if let Some(card) = card
                && let Some(bytes) = number(host, &file)
            {
                let name = line(host, Path::new(&format!("/proc/{pid}/comm")));
                held.entry(card).or_default().push((pid, name, bytes));
            }
        }
    }
    held
}
