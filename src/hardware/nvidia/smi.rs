//! Asking `nvidia-smi`, where the library cannot be loaded but the tool is there (a static build, an odd container).
//! Its csv knows the compute capability, its XML knows MIG instances and programs; both are asked.

use std::io;
use std::path::{Path, PathBuf};

use super::failure::{explain, overrun};
use super::{Failure, Reading, TIME_LIMIT, csv, listing, topology, xml};
use crate::host::{Host, Os, Ran};

/// What the tool says.
pub(super) fn read(host: &dyn Host) -> Result<Reading, Failure> {
    let program = find(host).ok_or(Failure::Absent)?;
    let mut fields = csv::FIELDS;
    let mut ran = query(host, &program, fields)?;
    if ran.code != Some(0) && format!("{}{}", ran.stdout, ran.stderr).contains("not a valid field") {
        fields = csv::OLD_FIELDS;
        ran = query(host, &program, fields)?;
    }
    if ran.code != Some(0) {
        return Err(explain(&ran));
    }
    let mut reading = csv::parse(&ran.stdout, fields);
    let also = |args: &[&str]| {
        let ran = host.run(&program, args, TIME_LIMIT).ok()?;
        (ran.code == Some(0)).then_some(ran.stdout)
    };
    if let Some(more) = also(&["-q", "-x"]).map(|text| xml::parse(&text)) {
        complete(&mut reading, more);
    }
    if reading.gpus.iter().any(|gpu| gpu.mig.is_some())
        && let Some(listed) = also(&["-L"]).map(|text| listing::parse(&text))
    {
        complete(&mut reading, listed);
    }
    if reading.gpus.len() > 1 {
        reading.links = topology_of(host, &program);
    }
    Ok(reading)
}

/// How the cards reach each other: the library has no single call for it, so the tool is asked for it anyway.
pub(super) fn links(host: &dyn Host) -> Vec<(u32, u32, String)> {
    find(host).map(|program| topology_of(host, &program)).unwrap_or_default()
}

fn topology_of(host: &dyn Host, program: &Path) -> Vec<(u32, u32, String)> {
    match host.run(program, &["topo", "-m"], TIME_LIMIT) {
        Ok(ran) if ran.code == Some(0) => topology::parse(&ran.stdout).unwrap_or_default().links,
        _ => Vec::new(),
    }
}

/// Puts what `more` knows besides into `reading`; cards are matched by uuid, else by index.
fn complete(reading: &mut Reading, more: Reading) {
    reading.driver = reading.driver.take().or(more.driver);
    reading.cuda = reading.cuda.take().or(more.cuda);
    reading.without_cuda |= more.without_cuda;
    for other in more.gpus {
        let same = reading.gpus.iter_mut().find(|gpu| {
            if gpu.uuid.is_some() && other.uuid.is_some() { gpu.uuid == other.uuid } else { gpu.index == other.index }
        });
        let Some(gpu) = same else { continue };
        if !other.processes.is_empty() {
            gpu.processes = other.processes;
        }
        let (Some(known), Some(instances)) = (&mut gpu.mig, other.mig) else { continue };
        if known.is_empty() {
            *known = instances;
        } else {
            for (instance, listed) in known.iter_mut().zip(instances) {
                instance.uuid = instance.uuid.take().or(listed.uuid);
                instance.profile = instance.profile.take().or(listed.profile);
            }
        }
    }
}

/// The tool.
pub(super) fn find(host: &dyn Host) -> Option<PathBuf> {
    // WSL2 keeps the tool where PATH often does not look.
    let elsewhere: &[&str] = match host.os() {
        Os::Linux => &["/usr/lib/wsl/lib/nvidia-smi"],
        Os::Windows => {
            &[r"C:\Windows\System32\nvidia-smi.exe", r"C:\Program Files\NVIDIA Corporation\NVSMI\nvidia-smi.exe"]
        }
        Os::Macos => &[],
    };
    host.which("nvidia-smi").or_else(|| elsewhere.iter().map(PathBuf::from).find(|path| host.exists(path)))
}

fn query(host: &dyn Host, program: &Path, fields: &[&str]) -> Result<Ran, Failure> {
    let query = format!("--query-gpu={}", fields.join(","));
    host.run(program, &[&query, "--format=csv,noheader,nounits"], TIME_LIMIT).map_err(|error| {
        if error.kind() == io::ErrorKind::TimedOut {
            Failure::Broken(overrun())
        } else {
            Failure::Unsuitable(format!("cannot run {}: {error}", program.display()))
        }
    })
}
