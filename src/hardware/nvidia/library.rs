//! Asking the driver's library, NVML. It is loaded at run time; a machine without it is an ordinary machine.

use std::ffi::OsStr;
use std::sync::mpsc;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use super::failure::{lost, mismatch, no_permission, not_loaded, overrun, unreachable};
use super::{Amount, Failure, Gpu, Instance, Process, Reading, TIME_LIMIT};
use crate::host::Os;

/// Where the library is; a bare name is looked for where the system keeps libraries. WSL2 keeps it outside of those.
pub(super) fn places(os: Os) -> &'static [&'static str] {
    match os {
        Os::Linux => &["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"],
        Os::Windows => {
            &["nvml.dll", r"C:\Windows\System32\nvml.dll", r"C:\Program Files\NVIDIA Corporation\NVSMI\nvml.dll"]
        }
        Os::Macos => &[],
    }
}

/// What the library says. A wedged driver can hold a call for ever, so it is made on a thread that is given up.
pub(super) fn read(os: Os) -> Result<Reading, Failure> {
    let (answer, question) = mpsc::sync_channel(1);
    let asking = move || {
        let _ = answer.send(read_now(os));
    };
    if let Err(error) = std::thread::Builder::new().name("nvml".to_owned()).spawn(asking) {
        return Err(Failure::Unsuitable(error.to_string()));
    }
    question.recv_timeout(TIME_LIMIT).unwrap_or_else(|_| Err(Failure::Broken(overrun())))
}

fn read_now(os: Os) -> Result<Reading, Failure> {
    let mut failure = Failure::Absent;
    for place in places(os) {
        match Nvml::builder().lib_path(OsStr::new(place)).init() {
            Ok(nvml) => return reading(&nvml),
            Err(NvmlError::LibloadingError(_)) => {}
            Err(error) => {
                failure = explain(&error);
                break;
            }
        }
    }
    Err(failure)
}

fn explain(error: &NvmlError) -> Failure {
    match error {
        NvmlError::LibRmVersionMismatch => Failure::Broken(mismatch()),
        NvmlError::DriverNotLoaded => Failure::Broken(not_loaded()),
        NvmlError::NoPermission => Failure::Broken(no_permission()),
        NvmlError::Unknown => Failure::Broken(unreachable()),
        NvmlError::GpuLost => Failure::Broken(lost()),
        error => Failure::Unsuitable(error.to_string()),
    }
}

fn reading(nvml: &Nvml) -> Result<Reading, Failure> {
    let count = nvml.device_count().map_err(|error| explain(&error))?;
    let mut gpus = Vec::new();
    for index in 0..count {
        gpus.push(match nvml.device_by_index(index) {
            Ok(device) => gpu(nvml, index, &device)?,
            Err(error) => Gpu { index, memory: Amount::Unreadable(error.to_string()), ..Gpu::default() },
        });
    }
    // 13000 is 13.0, 12040 is 12.4.
    let version = nvml.sys_cuda_driver_version().ok();
    let cuda = version.filter(|v| *v > 0).map(|v| format!("{}.{}", v / 1000, v % 1000 / 10));
    let driver = nvml.sys_driver_version().ok();
    Ok(Reading { driver, cuda, without_cuda: version == Some(0), gpus, links: Vec::new() })
}

fn gpu(nvml: &Nvml, index: u32, device: &Device<'_>) -> Result<Gpu, Failure> {
    let in_mig_mode = device.mig_mode().is_ok_and(|mode| mode.current == 1);
    Ok(Gpu {
        index,
        name: device.name().ok(),
        uuid: device.uuid().ok(),
        memory: memory(device)?,
        capability: device.cuda_compute_capability().ok().map(|c| format!("{}.{}", c.major, c.minor)),
        mig: if in_mig_mode { Some(instances(device)?) } else { None },
        processes: processes(nvml, device),
    })
}

/// Programs that compute on it; a system that does not tell them has none.
fn processes(nvml: &Nvml, device: &Device<'_>) -> Vec<Process> {
    let running = device.running_compute_processes().unwrap_or_default();
    let process = |info: ProcessInfo| Process {
        pid: info.pid,
        name: nvml.sys_process_name(info.pid, NAME_BYTES).ok().filter(|name| !name.is_empty()),
        bytes: match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
    };
    running.into_iter().map(process).collect()
}

/// Enough for a path; longer names come cut.
const NAME_BYTES: usize = 256;

fn instances(device: &Device<'_>) -> Result<Vec<Instance>, Failure> {
    let mut found = Vec::new();
    // The count is how many there could be; the places of those that are not there answer NotFound.
    for index in 0..device.mig_device_count().unwrap_or(0) {
        if let Ok(instance) = device.mig_device_by_index(index)
            && let Ok(uuid) = instance.uuid()
        {
            // "NVIDIA A100-SXM4-80GB MIG 1g.10gb"
            let name = instance.name().unwrap_or_default();
            let profile = name.split_once(" MIG ").map(|(_, profile)| profile.to_owned());
            found.push(Instance { profile, uuid: Some(uuid), memory: memory(&instance)? });
        }
    }
    Ok(found)
}

fn memory(device: &Device<'_>) -> Result<Amount, Failure> {
    match device.memory_info() {
        Ok(info) if info.total > 0 => Ok(Amount::Known { total: info.total, free: Some(info.free) }),
        Ok(_) | Err(NvmlError::NotSupported) => Ok(Amount::NotSupported),
        // Drivers before 510 do not have this call; nvidia-smi of the same driver knows the answer.
        Err(NvmlError::FailedToLoadSymbol(name)) => Err(Failure::Unsuitable(format!("it has no {name}"))),
        Err(error) => Ok(Amount::Unreadable(error.to_string())),
    }
}
