//! What an engine computes on, and how each runtime is told which devices it may use.

use serde::Serialize;

use crate::hardware::VendorId;

/// What the engine shall compute on: a vendor's runtime, or the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// NVIDIA.
    Cuda,
    /// AMD.
    Rocm,
    /// Apple.
    Metal,
    /// Any GPU with a Vulkan driver.
    Vulkan,
    /// Huawei Ascend (CANN).
    Ascend,
    /// Intel (Level Zero; llama.cpp calls its build SYCL).
    Xpu,
    /// Moore Threads.
    Musa,
    /// MetaX.
    Maca,
    /// Cambricon.
    Mlu,
    /// Hygon.
    Dcu,
    /// The processor.
    Cpu,
}

impl Accelerator {
    /// All of them.
    pub const ALL: [Accelerator; 11] = [
        Accelerator::Cuda,
        Accelerator::Rocm,
        Accelerator::Metal,
        Accelerator::Vulkan,
        Accelerator::Ascend,
        Accelerator::Xpu,
        Accelerator::Musa,
        Accelerator::Maca,
        Accelerator::Mlu,
        Accelerator::Dcu,
        Accelerator::Cpu,
    ];

    /// The name in builds, profiles and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Accelerator::Cuda => "cuda",
            Accelerator::Rocm => "rocm",
            Accelerator::Metal => "metal",
            Accelerator::Vulkan => "vulkan",
            Accelerator::Ascend => "ascend",
            Accelerator::Xpu => "xpu",
            Accelerator::Musa => "musa",
            Accelerator::Maca => "maca",
            Accelerator::Mlu => "mlu",
            Accelerator::Dcu => "dcu",
            Accelerator::Cpu => "cpu",
        }
    }

    /// What an engine's build of that name computes on; llama.cpp has names of its own for some.
    pub fn of_build(build: &str) -> Option<Accelerator> {
        match build {
            "sycl" => Some(Accelerator::Xpu),
            "cann" => Some(Accelerator::Ascend),
            "hip" => Some(Accelerator::Rocm),
            _ => Accelerator::ALL.into_iter().find(|a| a.name() == build),
        }
    }

    /// The vendor's own runtime.
    pub const fn of(vendor: VendorId) -> Accelerator {
        match vendor {
            VendorId::Nvidia => Accelerator::Cuda,
            VendorId::Amd => Accelerator::Rocm,
            VendorId::Ascend => Accelerator::Ascend,
            VendorId::Apple => Accelerator::Metal,
            VendorId::Intel => Accelerator::Xpu,
            VendorId::MooreThreads => Accelerator::Musa,
            VendorId::MetaX => Accelerator::Maca,
            VendorId::Cambricon => Accelerator::Mlu,
            VendorId::Hygon => Accelerator::Dcu,
        }
    }

    /// Whose devices it is for; `None` where it is not one vendor's.
    pub const fn vendor(self) -> Option<VendorId> {
        match self {
            Accelerator::Cuda => Some(VendorId::Nvidia),
            Accelerator::Rocm => Some(VendorId::Amd),
            Accelerator::Metal => Some(VendorId::Apple),
            Accelerator::Ascend => Some(VendorId::Ascend),
            Accelerator::Xpu => Some(VendorId::Intel),
            Accelerator::Musa => Some(VendorId::MooreThreads),
            Accelerator::Maca => Some(VendorId::MetaX),
            Accelerator::Mlu => Some(VendorId::Cambricon),
            Accelerator::Dcu => Some(VendorId::Hygon),
            Accelerator::Vulkan | Accelerator::Cpu => None,
        }
    }

    /// What its devices are called: `NVIDIA GPU`, `Ascend NPU`.
    pub const fn device(self) -> &'static str {
        match self {
            Accelerator::Cuda => "NVIDIA GPU",
            Accelerator::Rocm => "AMD GPU",
            Accelerator::Metal => "Apple GPU",
            Accelerator::Vulkan => "GPU",
            Accelerator::Ascend => "Ascend NPU",
            Accelerator::Xpu => "Intel GPU",
            Accelerator::Musa => "Moore Threads GPU",
            Accelerator::Maca => "MetaX GPU",
            Accelerator::Mlu => "Cambricon MLU",
            Accelerator::Dcu => "Hygon DCU",
            Accelerator::Cpu => "processor",
        }
    }

    /// The variables that show the runtime these devices and no others, as the runtime reads them whatever was set
    /// before. `devices` are numbers in the runtime's own order, or unique ids; none: nothing is set.
    ///
    /// Two orders would be wrong if left alone: CUDA counts the fastest card first, while NVML and the plan count in
    /// PCI order; and ROCm's lower runtime hides first and HIP then counts what is left anew. vLLM's ROCm build wants
    /// HIP_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES to be equal.
    pub fn visible(self, devices: &[String]) -> Vec<(&'static str, String)> {
        if devices.is_empty() {
            return Vec::new();
        }
        let list = devices.join(",");
        match self {
            Accelerator::Cuda => vec![("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()), ("CUDA_VISIBLE_DEVICES", list)],
            Accelerator::Rocm => {
                let anew = (0..devices.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
                vec![
                    ("ROCR_VISIBLE_DEVICES", list),
                    ("HIP_VISIBLE_DEVICES", anew.clone()),
                    ("CUDA_VISIBLE_DEVICES", anew),
                ]
            }
            Accelerator::Ascend => vec![("ASCEND_RT_VISIBLE_DEVICES", list)],
            Accelerator::Xpu => vec![("ZE_AFFINITY_MASK", list)],
            Accelerator::Musa => vec![("MUSA_VISIBLE_DEVICES", list)],
            // MetaX shows its devices through CUDA's names, Hygon through HIP's.
            Accelerator::Maca => vec![("CUDA_VISIBLE_DEVICES", list)],
            Accelerator::Dcu => vec![("HIP_VISIBLE_DEVICES", list)],
            Accelerator::Mlu => vec![("MLU_VISIBLE_DEVICES", list)],
            // One GPU; Vulkan counts in an order of its own that nobody here knows.
            Accelerator::Metal | Accelerator::Vulkan | Accelerator::Cpu => Vec::new(),
        }
    }
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_serde_writes_and_vendors_lead_there_and_back() {
        for accelerator in Accelerator::ALL {
            assert_eq!(serde_json::to_string(&accelerator).unwrap(), format!("\"{accelerator}\""));
            assert_eq!(Accelerator::of_build(accelerator.name()), Some(accelerator));
            if let Some(vendor) = accelerator.vendor() {
                assert_eq!(Accelerator::of(vendor), accelerator);
            }
        }
        assert_eq!(Accelerator::of_build("sycl"), Some(Accelerator::Xpu));
        assert_eq!(Accelerator::of_build("abacus"), None);
    }

    #[test]
    fn each_runtime_is_told_its_devices_whatever_was_set_before() {
        let two = ["2".to_owned(), "5".to_owned()];
        let said = |a: Accelerator| a.visible(&two).iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        assert_eq!(said(Accelerator::Cuda), ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=2,5"]);
        // HIP counts anew what ROCR leaves.
        assert_eq!(
            said(Accelerator::Rocm),
            ["ROCR_VISIBLE_DEVICES=2,5", "HIP_VISIBLE_DEVICES=0,1", "CUDA_VISIBLE_DEVICES=0,1"]
        );
        assert_eq!(said(Accelerator::Ascend), ["ASCEND_RT_VISIBLE_DEVICES=2,5"]);
        assert_eq!(said(Accelerator::Xpu), ["ZE_AFFINITY_MASK=2,5"]);
        for none in [Accelerator::Cpu, Accelerator::Metal, Accelerator::Vulkan] {
            assert!(none.visible(&two).is_empty());
        }
        // An empty list would hide every device.
        assert!(Accelerator::Cuda.visible(&[]).is_empty());
    }
}
