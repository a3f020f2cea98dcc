//! A device as a vendor's tool describes it, before it becomes a [`Device`]: what the tool does not say stays unknown,
//! and the device stays listed.

use super::holders::setting;
use super::load::{Gauge, Load};
use super::{Device, Probe, VendorId};

/// One device; `None` is what nobody said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Card {
    /// Its number in its runtime's order.
    pub(super) index: u32,
    pub(super) name: Option<String>,
    pub(super) uuid: Option<String>,
    /// Its PCI address, as the tool prints it.
    pub(super) bus: Option<String>,
    /// Bytes.
    pub(super) total: Option<u64>,
    /// Bytes.
    pub(super) used: Option<u64>,
    /// Bytes; where the tool says only what is used, it follows from that.
    pub(super) free: Option<u64>,
    pub(super) architecture: Option<String>,
    /// Shares the system's memory.
    pub(super) unified: bool,
    /// Why it cannot be used now, with the cure.
    pub(super) problem: Option<String>,
    /// What disturbs although it can be used: programs that hold its memory, a warning about its health.
    pub(super) disturbance: Option<String>,
    /// What it does just now.
    pub(super) gauge: Gauge,
}

/// Everything one tool said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) cards: Vec<Card>,
    pub(super) versions: Vec<(String, String)>,
    pub(super) problems: Vec<String>,
}

impl Card {
    fn device(self, vendor: VendorId, called: &str, cure: &str) -> Device {
        let free = self.free.or_else(|| Some(self.total?.saturating_sub(self.used?)));
        let problem = self.problem.or_else(|| {
            self.total
                .is_none()
                .then(|| format!("how much memory it has is unknown, so nothing can be planned; {cure}"))
        });
        Device {
            vendor,
            index: self.index,
            name: self.name.unwrap_or_else(|| called.to_owned()),
            uuid: self.uuid,
            memory_total_bytes: self.total.unwrap_or(0),
            memory_free_bytes: free,
            architecture: self.architecture,
            unified: self.unified,
            usable: problem.is_none(),
            problem: problem.or(self.disturbance),
        }
    }
}

impl Reading {
    /// How busy they are.
    pub(super) fn loads(self, vendor: VendorId) -> Vec<Load> {
        let load = |card: Card| Load {
            vendor,
            index: card.index,
            uuid: card.uuid,
            used_bytes: card.used.or_else(|| Some(card.total?.saturating_sub(card.free?))),
            total_bytes: card.total,
            gauge: card.gauge,
        };
        self.cards.into_iter().map(load).collect()
    }

    /// Makes devices. `called` names what has no name; `cure` is how to learn the memory of what does not say it.
    pub(super) fn probe(self, vendor: VendorId, called: &str, cure: &str) -> Probe {
        let devices = self.cards.into_iter().map(|card| card.device(vendor, called, cure)).collect();
        let mut probe = Probe { devices, ..Probe::default() };
        probe.versions = self.versions;
        probe.problems = self.problems;
        probe
    }

    /// Notes a version that was found.
    pub(super) fn version(&mut self, name: &str, version: Option<impl Into<String>>) {
        self.versions.extend(version.map(|version| (name.to_owned(), version.into())));
    }

    /// Hides what a variable such as `MLU_VISIBLE_DEVICES` hides: a list of numbers, ranges (`0-3`) or unique ids; what
    /// is not understood ends the list, and an empty list shows nothing.
    pub(super) fn hide(&mut self, variable: &str, spec: Option<&str>) {
        let Some(spec) = spec else { return };
        let mut shown = vec![false; self.cards.len()];
        for token in spec.split(',').map(str::trim) {
            let mut found = false;
            for (card, shown) in self.cards.iter().zip(&mut shown) {
                if names(token, card) {
                    *shown = true;
                    found = true;
                }
            }
            if !found {
                if !token.is_empty() && token != "-1" {
                    self.problems.push(format!(
                        "{variable}={spec} names {token}, which is no device here; it and what follows are hidden: \
                         `unset {variable}`"
                    ));
                }
                break;
            }
        }
        for (card, shown) in self.cards.iter_mut().zip(shown) {
            if !shown {
                card.problem = Some(format!("hidden by {}; to use it: `unset {variable}`", setting(variable, spec)));
            }
        }
    }
}

fn names(token: &str, card: &Card) -> bool {
    if let Ok(index) = token.parse::<u32>() {
        return index == card.index;
    }
    if let Some((first, last)) = token.split_once('-')
        && let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>())
    {
        return (first..=last).contains(&card.index);
    }
    // A unique id, or enough of its beginning.
    token.len() > "GPU-".len() && card.uuid.as_deref().is_some_and(|uuid| uuid.starts_with(token))
}

impl Device {
    /// Adds itself to what another recording of the same machine tells. Where one of the two does not know the memory
    /// (`npu-smi` with `npu-smi-mapping`, `sysctl` with `system-profiler-json`), vendor and number make them the same
    /// device, and each fills in what the other does not say.
    pub fn join(self, devices: &mut Vec<Device>) {
        let same = |mine: &&mut Device| {
            let unknown = (mine.memory_total_bytes == 0) != (self.memory_total_bytes == 0);
            let uuids = mine.uuid.as_ref().zip(self.uuid.as_ref()).is_none_or(|(mine, other)| mine == other);
            mine.vendor == self.vendor && mine.index == self.index && unknown && uuids
        };
        let Some(mine) = devices.iter_mut().find(same) else { return devices.push(self) };
        let (mut known, other) = if mine.memory_total_bytes > 0 { (mine.clone(), self) } else { (self, mine.clone()) };
        known.uuid = known.uuid.or(other.uuid);
        known.architecture = known.architecture.or(other.architecture);
        *mine = known;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Reading {
        let card = |index| Card { index, total: Some(100), used: Some(30), ..Card::default() };
        Reading { cards: vec![card(0), card(1), card(2)], ..Reading::default() }
    }

    #[test]
    fn a_variable_hides_as_its_runtime_does() {
        for (spec, left) in
            [("0,2", vec![0, 2]), ("1-2", vec![1, 2]), ("", vec![]), ("-1", vec![]), ("1,9,0", vec![1]), ("x", vec![])]
        {
            let mut reading = three();
            reading.hide("SOME_VISIBLE_DEVICES", Some(spec));
            let probe = reading.probe(VendorId::Ascend, "NPU", "do something");
            let usable: Vec<u32> = probe.devices.iter().filter(|d| d.usable).map(|d| d.index).collect();
            assert_eq!(usable, left, "{spec}");
            assert_eq!(probe.problems.len(), usize::from(spec.contains(['9', 'x'])), "{spec}: {:?}", probe.problems);
        }
    }

    #[test]
    fn what_is_unknown_is_no_zero_and_no_loss() {
        let cards = vec![Card { index: 4, used: Some(3), ..Card::default() }];
        let probe = Reading { cards, ..Reading::default() }.probe(VendorId::Intel, "Intel GPU", "run `x`");
        let device = &probe.devices[0];
        assert_eq!((device.index, device.memory_free_bytes, device.usable), (4, None, false));
        assert!(device.problem.as_deref().unwrap().contains("run `x`"));
    }

    #[test]
    fn two_recordings_of_one_device_are_one_device() {
        let known = || three().probe(VendorId::Ascend, "NPU", "").devices;
        let unknown = || {
            let card = Card { index: 1, architecture: Some("A2".to_owned()), ..Card::default() };
            Reading { cards: vec![card], ..Reading::default() }.probe(VendorId::Ascend, "NPU", "").devices
        };
        for (mut devices, more, at) in [(known(), unknown(), 1), (unknown(), known(), 0)] {
            for device in more {
                device.join(&mut devices);
            }
            let both = &devices[at];
            assert_eq!((devices.len(), both.index, both.memory_total_bytes), (3, 1, 100));
            assert_eq!((both.architecture.as_deref(), both.usable, &both.problem), (Some("A2"), true, &None));
        }
        // Two that both know their memory, such as two slices of one card, stay two.
        let mut devices = known();
        known().remove(0).join(&mut devices);
        assert_eq!(devices.len(), 4);
    }
}
