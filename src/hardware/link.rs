//! How devices reach each other: tensor parallelism wants a direct link, over PCIe a pipeline is often better.

use serde::{Deserialize, Serialize};

use super::{Hardware, VendorId};

/// What lies between two devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    /// NVIDIA's direct link.
    Nvlink,
    /// AMD's direct link, Infinity Fabric.
    Xgmi,
    /// The PCI bus, and perhaps the processor.
    Pcie,
}

/// One pair of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Who made both.
    pub vendor: VendorId,
    /// Their indices, the smaller first.
    pub devices: (u32, u32),
    /// What lies between.
    pub kind: LinkKind,
    /// The tool's own word: `NV12`, `PIX`, `NODE`, `XGMI`.
    pub name: String,
}

impl Hardware {
    /// Whether every pair of these devices has a direct link; `None` where a pair is not known.
    pub fn directly_linked(&self, vendor: VendorId, indices: &[u32]) -> Option<bool> {
        let mut all = true;
        for (at, &a) in indices.iter().enumerate() {
            for &b in &indices[at + 1..] {
                let pair = (a.min(b), a.max(b));
                let link = self.links.iter().find(|link| link.vendor == vendor && link.devices == pair)?;
                all &= link.kind != LinkKind::Pcie;
            }
        }
        Some(all)
    }
}
