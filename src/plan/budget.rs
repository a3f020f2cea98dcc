//! The memory of an engine that sees one pool: its devices' own, and main memory.

use super::choose::Choice;
use crate::hardware::Memory;

const GIB: u64 = 1 << 30;

/// Bytes the engine may fill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pool {
    /// In the devices' own memory; where devices share main memory, in what they may use of it.
    pub on_devices: u64,
    /// In main memory, beside that.
    pub in_memory: u64,
    /// All there is of both, each counted once.
    pub total: u64,
}

impl Pool {
    pub(super) fn of(choice: &Choice<'_>, memory: Memory) -> Pool {
        // 5 % stay for the rest of the system.
        let in_memory = memory.available_bytes / 20 * 19;
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        let devices = || choice.devices.iter();
        if devices().any(|d| d.unified) {
            // One memory under two names: what the device may use of it (Metal's limit, an APU's ceiling) is all that
            // counts, as far as it is free.
            let free = sum(&mut devices().map(|d| d.memory_free_bytes.unwrap_or(d.memory_total_bytes)));
            let on_devices = if memory.available_bytes == 0 { free } else { free.min(in_memory) };
            let total = sum(&mut devices().map(|d| d.memory_total_bytes)).max(on_devices);
            return Pool { on_devices, in_memory: 0, total };
        }
        let free = |free: u64| free.saturating_sub(GIB);
        let on_devices = sum(&mut devices().map(|d| free(d.memory_free_bytes.unwrap_or(d.memory_total_bytes))));
        let total = sum(&mut devices().map(|d| d.memory_total_bytes)).saturating_add(memory.total_bytes);
        Pool { on_devices, in_memory, total }
    }

    /// All of it.
    pub(super) fn bytes(self) -> u64 {
        self.on_devices.saturating_add(self.in_memory)
    }
}
