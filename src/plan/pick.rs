//! Which of several devices: the emptiest, and of equally empty ones those that have direct links.

use std::cmp::Reverse;

use crate::hardware::{Device, Hardware};

fn free(device: &Device) -> u64 {
    device.memory_free_bytes.unwrap_or(device.memory_total_bytes)
}

/// The emptiest first, so that a busy one is the last choice; equal ones in their runtime's order.
pub(super) fn emptiest_first<'a>(devices: &[&'a Device]) -> Vec<&'a Device> {
    let mut devices = devices.to_vec();
    devices.sort_by_key(|d| (Reverse(free(d)), d.index));
    devices
}

/// `count` of the devices, which are the emptiest first. Where the first ones are not linked and others that are just
/// as empty are, those.
pub(super) fn of<'a>(hardware: &Hardware, devices: &[&'a Device], count: usize) -> Option<Vec<&'a Device>> {
    let first = devices.get(..count)?;
    let least = free(first.last()?);
    let linked = |a: &Device, b: &Device| {
        a.vendor == b.vendor && hardware.directly_linked(a.vendor, &[a.index, b.index]) == Some(true)
    };
    let all_linked =
        |group: &[&Device]| group.iter().enumerate().all(|(at, a)| group[..at].iter().all(|b| linked(a, b)));
    if count < 2 || hardware.links.is_empty() || all_linked(first) {
        return Some(first.to_vec());
    }
    // Free memory differs by megabytes between idle devices; a sixteenth is no difference.
    let as_empty: Vec<&Device> = devices.iter().copied().filter(|d| free(d) >= least - least / 16).collect();
    let grown = |start: &&'a Device| {
        let mut group = vec![*start];
        for device in &as_empty {
            if group.len() < count && group.iter().all(|other| linked(device, other)) {
                group.push(device);
            }
        }
        (group.len() == count).then_some(group)
    };
    Some(as_empty.iter().find_map(grown).unwrap_or_else(|| first.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Cpu, Link, LinkKind, Memory, VendorId};
    use crate::host::Os;

    fn machine(free_gib: &[u64], direct: &[(u32, u32)]) -> Hardware {
        let device = |(index, gib): (u32, &u64)| Device {
            vendor: VendorId::Nvidia,
            index,
            name: "Test GPU".into(),
            uuid: None,
            memory_total_bytes: 80 << 30,
            memory_free_bytes: Some(gib << 30),
            architecture: None,
            unified: false,
            usable: true,
            problem: None,
        };
        let count = free_gib.len() as u32;
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        let link = |devices: (u32, u32)| {
            let kind = if direct.contains(&devices) { LinkKind::Nvlink } else { LinkKind::Pcie };
            Link { vendor: VendorId::Nvidia, devices, kind, name: "X".into() }
        };
        Hardware {
            os: Os::Linux,
            cpu: Cpu::default(),
            memory: Memory::default(),
            devices: (0..).zip(free_gib).map(device).collect(),
            links: if direct.is_empty() { Vec::new() } else { pairs.map(link).collect() },
            versions: Default::default(),
            problems: Vec::new(),
            wsl: None,
            wsl_memory_bytes: None,
        }
    }

    fn picked(hardware: &Hardware, count: usize) -> Vec<u32> {
        let all: Vec<&Device> = hardware.devices.iter().collect();
        of(hardware, &emptiest_first(&all), count).unwrap().iter().map(|d| d.index).collect()
    }

    #[test]
    fn the_emptiest_come_first_and_of_equals_those_with_links() {
        assert_eq!(picked(&machine(&[79, 79, 79, 79], &[]), 2), [0, 1]);
        assert_eq!(picked(&machine(&[20, 79, 79, 79], &[]), 2), [1, 2], "a busy one is the last choice");
        // Two bridges: 0 with 1 and 2 with 3.
        let bridged = [(0, 1), (2, 3)];
        assert_eq!(picked(&machine(&[79, 79, 79, 79], &bridged), 2), [0, 1]);
        assert_eq!(picked(&machine(&[20, 79, 79, 79], &bridged), 2), [2, 3]);
        // A link is not worth half the memory.
        assert_eq!(picked(&machine(&[40, 79, 79, 40], &bridged), 2), [1, 2]);
        assert_eq!(picked(&machine(&[79, 79, 79, 79], &bridged), 3), [0, 1, 2], "there are no three");
        let all: Vec<&Device> = Vec::new();
        assert_eq!(of(&machine(&[], &[]), &all, 1), None);
    }
}
