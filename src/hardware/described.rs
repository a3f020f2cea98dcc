//! A machine as a file describes it, for plans of machines that are not this one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Cpu, Device, Hardware, Memory, VendorId};
use crate::host::Os;

/// Memory of a machine of which only the devices are named. A plan that needs some of it says that it counts on it.
const ASSUMED_MEMORY: u64 = 64 << 30;

/// No machine has more memory in one place, or more accelerators; a file may say anything.
const MOST_MEMORY: u64 = 1 << 50;
const MOST_DEVICES: usize = 1024;

/// What has to be said.
pub const FORM: &str = "{\"os\", \"memory_bytes\", \"devices\": [{\"vendor\", \"name\", \"memory_total_bytes\", \
                        \"memory_free_bytes\", \"architecture\", \"unified\"}]}";

/// A machine.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Machine {
    /// Linux unless said.
    pub os: Option<Os>,
    /// Main memory; without it some is assumed.
    pub memory_bytes: Option<u64>,
    /// The same as `llmup hardware --json` says it.
    pub memory: Option<Memory>,
    /// Its accelerators.
    #[serde(default)]
    pub devices: Vec<Described>,
}

/// One accelerator.
#[derive(Debug, Clone, Deserialize)]
pub struct Described {
    /// Who made it.
    pub vendor: VendorId,
    /// Its name.
    pub name: String,
    /// All of its memory, bytes.
    pub memory_total_bytes: u64,
    /// All unless said.
    pub memory_free_bytes: Option<u64>,
    /// Compute capability, gfx name or chip.
    pub architecture: Option<String>,
    /// It shares the system's memory.
    #[serde(default)]
    pub unified: bool,
    /// It is, unless said.
    pub usable: Option<bool>,
}

impl Machine {
    /// Reads the JSON of [`FORM`].
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(text: &[u8]) -> Result<Machine, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The machine as if it had been looked at.
    pub fn hardware(self) -> Hardware {
        // Memory that is shared is there, and the rest of the system has some beside it.
        let shared = self.devices.iter().filter(|d| d.unified).map(|d| d.memory_total_bytes).max().unwrap_or(0);
        let assumed = ASSUMED_MEMORY.max(shared.saturating_add(shared / 3));
        let told = self.memory.filter(|memory| memory.total_bytes > 0);
        let memory = self.memory_bytes.or(told.map(|m| m.total_bytes)).unwrap_or(assumed).min(MOST_MEMORY);
        let available = told.map_or(memory, |m| m.available_bytes.min(memory));
        let device = |(index, d): (u32, Described)| Device {
            vendor: d.vendor,
            index,
            name: d.name,
            uuid: None,
            memory_total_bytes: d.memory_total_bytes.min(MOST_MEMORY),
            memory_free_bytes: d.memory_free_bytes.map(|free| free.min(MOST_MEMORY)),
            architecture: d.architecture,
            unified: d.unified,
            usable: d.usable.unwrap_or(true),
            problem: None,
        };
        Hardware {
            os: self.os.unwrap_or(Os::Linux),
            cpu: Cpu::default(),
            memory: Memory { total_bytes: memory, available_bytes: available },
            devices: numbered(self.devices).map(device).collect(),
            versions: BTreeMap::default(),
            links: Vec::new(),
            problems: Vec::new(),
            wsl: None,
            wsl_memory_bytes: None,
        }
    }
}

/// Each vendor's runtime counts its own devices.
fn numbered(devices: Vec<Described>) -> impl Iterator<Item = (u32, Described)> {
    let mut counts: Vec<(VendorId, u32)> = Vec::new();
    devices.into_iter().take(MOST_DEVICES).map(move |d| {
        let index = match counts.iter_mut().find(|(vendor, _)| *vendor == d.vendor) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                counts.push((d.vendor, 0));
                0
            }
        };
        (index, d)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_assumed_and_what_cannot_be_is_bounded() {
        let read = |text: &str| Machine::read(text.as_bytes()).map(Machine::hardware);
        let bare = read("{}").unwrap();
        assert_eq!((bare.os, bare.memory.total_bytes, bare.devices.len()), (Os::Linux, ASSUMED_MEMORY, 0));
        let shared =
            r#"{"devices": [{"vendor": "amd", "name": "X", "memory_total_bytes": 103079215104, "unified": true}]}"#;
        assert_eq!(read(shared).unwrap().memory.total_bytes, 128 << 30);
        let huge = r#"{"memory_bytes": 18446744073709551615, "devices": [
            {"vendor": "nvidia", "name": "X", "memory_total_bytes": 18446744073709551615}]}"#;
        let huge = read(huge).unwrap();
        assert_eq!((huge.memory.total_bytes, huge.devices[0].memory_total_bytes), (MOST_MEMORY, MOST_MEMORY));
        let many = format!(
            r#"{{"devices": [{}]}}"#,
            vec![r#"{"vendor":"amd","name":"","memory_total_bytes":1}"#; 2000].join(",")
        );
        assert_eq!(read(&many).unwrap().devices.len(), MOST_DEVICES);
        assert!(read(r#"{"devices": [{"vendor": "acme", "name": "X", "memory_total_bytes": 1}]}"#).is_err());
    }
}
