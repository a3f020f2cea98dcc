//! Getting an engine onto this machine, without root and without a compiler, into llmup's own folder. What is fetched
//! is pinned in `profiles/engines/install.yaml`. A run that was cut off is taken up by the next one: the manifest is
//! written last, and a folder without it is unfinished. Called by `commands`; starting engines is not done here.

pub mod archive;
pub mod error;
pub mod facts;
mod inside;
pub mod manifest;
pub mod python;
pub mod release;
mod wheels;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

pub use error::InstallError;

use self::facts::Facts;
use self::manifest::Manifest;
use super::accelerator::Accelerator;
use super::find::{self, Found};
use super::id::EngineId;
use crate::error::Explain;
use crate::fs;
use crate::host::{Host, Os, RealHost};
use crate::paths::Paths;
use crate::progress::Progress;

/// One way to get an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As Python packages.
    Wheel(&'static str),
    /// As a release archive.
    Archive(&'static str),
    /// As Python packages in a distribution of WSL.
    Inside(&'static str),
}

/// How long to wait for another installation that may be about to end.
const LOCK_WAIT: Duration = Duration::from_secs(3);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// For this accelerator, or where that cannot be had, for the processor.
    Best(Accelerator),
    /// For this one and nothing else.
    Only(Accelerator),
}

/// How long the first look at the GPUs may take: a driver may have to wake.
const DEVICES_LIMIT: Duration = Duration::from_secs(20);

/// Installs `engine` and returns where it is. Installed already: returns at once.
pub fn install(
    engine: EngineId,
    aim: Aim,
    host: &dyn Host,
    paths: &Paths,
    progress: &Progress,
) -> Result<Found, InstallError> {
    let facts = facts::facts()?;
    let arch = std::env::consts::ARCH;
    let mut ways = ways(engine, aim, host.os());
    ways.retain(|way| way.pinned(&facts, engine, host.os(), arch));
    // Of a build that can be had in several ways any one will do; one for the processor does not stand in for a GPU's.
    let best = ways.first().map(|way| way.build());
    let done = |way: Way| {
        let (dir, manifest) = finished(&facts, engine, way, host, paths)?;
        Some(wheels::refresh(engine, &dir).map(|()| find::managed_in(&dir, &manifest)))
    };
    if let Some(found) = ways.iter().filter(|way| Some(way.build()) == best).find_map(|way| done(*way)) {
        return found;
    }
    let lock = lock(engine, paths)?;
    let mut last = None;
    for way in ways {
        if let Some(found) = done(way) {
            return found;
        }
        let done = match way {
            Way::Wheel(build) => {
                let Some(wheel) = facts.wheel(engine, build, host.os()) else { continue };
                // Python may be missing where a release archive is not.
                if engine == EngineId::LlamaCpp && !python::possible(host, wheel) {
                    progress.note("No Python here; taking llama.cpp's release archive instead.");
                    continue;
                }
                let dir = paths.engines().join(format!("{engine}-{}", wheel.version));
                room(engine, wheel.needs_mib, &dir)?;
                begin(&dir)?;
                wheels::install(wheel, build, host, &dir, &lock, progress).and_then(|manifest| {
                    manifest.write(&dir)?;
                    Ok((dir, manifest))
                })
            }
            Way::Inside(build) => {
                let Some(wheel) = facts.wheel(engine, build, Os::Linux) else { continue };
                let dir = paths.engines().join(format!("{engine}-{}-wsl", wheel.version));
                begin(&dir)?;
                inside::install(wheel, build, host, &lock, progress).and_then(|manifest| {
                    manifest.write(&dir)?;
                    Ok((dir, manifest))
                })
            }
            Way::Archive(build) => {
                let Some(name) = facts.release.asset(host.os(), arch, build) else { continue };
                let dir = paths.engines().join(format!("{engine}-{}-{build}", facts.release.tag));
                room(engine, facts.release.needs_mib, &dir)?;
                begin(&dir)?;
                release::install(&facts.release, build, &name, host, &dir, progress).and_then(|manifest| {
                    sees_gpu(aim, &manifest, host, &dir, progress)?;
                    manifest.write(&dir)?;
                    Ok((dir, manifest))
                })
            }
        };
        match done {
            Ok((dir, manifest)) => return Ok(find::managed_in(&dir, &manifest)),
            Err(error) if error.leaves_another_way() => {
                progress.note(&format!("{error}; trying another way."));
                if matches!(error, InstallError::NoDevice { .. }) {
                    error.hints().iter().for_each(|hint| progress.note(hint));
                }
                last.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let (Aim::Best(wanted) | Aim::Only(wanted)) = aim;
        let brings = |accelerator: &Accelerator| facts::brings(engine, *accelerator, host.os(), arch);
        InstallError::Unsupported {
            engine,
            build: wanted.name().to_owned(),
            platform: format!("{} {arch}", std::env::consts::OS),
            others: Accelerator::ALL.into_iter().filter(brings).collect(),
        }
    }))
}

/// Whether the build that was just unpacked sees a GPU: it needs a Vulkan driver, which a machine with a GPU may lack,
/// and without one it computes on the processor and says nothing. Who asked for it and nothing else gets it.
fn sees_gpu(
    aim: Aim,
    manifest: &Manifest,
    host: &dyn Host,
    dir: &Path,
    progress: &Progress,
) -> Result<(), InstallError> {
    if manifest.build != Accelerator::Vulkan.name() {
        return Ok(());
    }
    progress.step("Looking for GPUs");
    let said = match host.run(&manifest.program_in(dir), &["--list-devices"], DEVICES_LIMIT) {
        Ok(ran) if vulkan_devices(&ran.stdout) > 0 => return Ok(()),
        Ok(ran) => ran.stderr.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let error = InstallError::NoDevice { said };
    if matches!(aim, Aim::Only(_)) {
        progress.note(&format!("{error}."));
        error.hints().iter().for_each(|hint| progress.note(hint));
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(dir);
    Err(error)
}

/// The GPUs in what `llama-server --list-devices` prints: `  Vulkan0: NVIDIA … (24576 MiB, 23000 MiB free)`.
fn vulkan_devices(listed: &str) -> usize {
    let device = |line: &&str| {
        let number = line.trim_start().strip_prefix("Vulkan").and_then(|rest| rest.split_once(':'));
        number.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    listed.lines().filter(device).count()
}

/// Removes everything llmup installed of `engine`; how many folders that was.
pub fn remove(engine: EngineId, paths: &Paths) -> Result<usize, InstallError> {
    let _lock = lock(engine, paths)?;
    let prefix = format!("{engine}-");
    let mut gone = 0;
    for entry in std::fs::read_dir(paths.engines()).into_iter().flatten().flatten() {
        let dir = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(&prefix) || !dir.is_dir() {
            continue;
        }
        // What is inside WSL goes first: without the manifest nobody would know of it.
        if let Some(manifest) = Manifest::read(&RealHost, &dir).filter(|manifest| manifest.inside().is_some()) {
            inside::remove(&manifest, &RealHost)?;
        }
        let remove = || -> std::io::Result<()> {
            // The manifest goes first, so that a removal that is cut off leaves no engine that looks whole.
            match std::fs::remove_file(dir.join(manifest::FILE)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            std::fs::remove_dir_all(&dir)
        };
        remove().map_err(|e| fs::FileError::new("remove", &dir, e))?;
        gone += 1;
    }
    Ok(gone)
}

/// The ways to try, best first.
fn ways(engine: EngineId, aim: Aim, os: Os) -> Vec<Way> {
    let (Aim::Best(accelerator) | Aim::Only(accelerator)) = aim;
    let mut ways = match (engine, accelerator) {
        (EngineId::Ollama, _) => Vec::new(),
        (EngineId::Vllm, Accelerator::Cuda) if os == Os::Windows => vec![Way::Inside("cuda")],
        (EngineId::Vllm, Accelerator::Cpu) if os == Os::Windows => vec![Way::Inside("cpu")],
        (EngineId::Vllm, Accelerator::Cuda) => vec![Way::Wheel("cuda")],
        (EngineId::Vllm, Accelerator::Cpu) => vec![Way::Wheel("cpu")],
        (EngineId::Vllm, _) => Vec::new(),
        (EngineId::LlamaCpp, _) if os == Os::Macos => {
            vec![Way::Wheel("metal"), Way::Archive("metal"), Way::Archive("cpu")]
        }
        (EngineId::LlamaCpp, Accelerator::Cpu | Accelerator::Metal) => vec![Way::Wheel("cpu"), Way::Archive("cpu")],
        // No prebuilt CUDA or ROCm server exists for Linux; Vulkan runs on all of their cards.
        (EngineId::LlamaCpp, _) => vec![Way::Archive("vulkan"), Way::Wheel("cpu"), Way::Archive("cpu")],
    };
    if let Aim::Only(accelerator) = aim {
        ways.retain(|way| way.build() == accelerator.name());
    }
    ways
}

impl Way {
    /// What comes out computes on.
    fn build(self) -> &'static str {
        let (Way::Wheel(build) | Way::Archive(build) | Way::Inside(build)) = self;
        build
    }

    /// Whether there is something to fetch.
    fn pinned(self, facts: &Facts, engine: EngineId, os: Os, arch: &str) -> bool {
        match self {
            Way::Wheel(build) => facts.wheel(engine, build, os).is_some(),
            Way::Archive(build) => facts.release.asset(os, arch, build).is_some(),
            Way::Inside(build) => facts.wheel(engine, build, Os::Linux).is_some(),
        }
    }
}

/// The finished installation a way leads to.
fn finished(
    facts: &Facts,
    engine: EngineId,
    way: Way,
    host: &dyn Host,
    paths: &Paths,
) -> Option<(std::path::PathBuf, Manifest)> {
    let name = match way {
        Way::Wheel(build) => format!("{engine}-{}", facts.wheel(engine, build, host.os())?.version),
        Way::Archive(build) => format!("{engine}-{}-{build}", facts.release.tag),
        Way::Inside(build) => format!("{engine}-{}-wsl", facts.wheel(engine, build, Os::Linux)?.version),
    };
    let dir = paths.engines().join(name);
    let manifest = Manifest::read(host, &dir)?;
    Some((dir, manifest))
}

/// Makes the folder, and an unfinished one of it as long as the work lasts.
fn begin(dir: &Path) -> Result<(), InstallError> {
    fs::create_dir(dir)?;
    match std::fs::remove_file(dir.join(manifest::FILE)) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fs::FileError::new("remove", dir, e).into()),
        _ => Ok(()),
    }
}

fn room(engine: EngineId, needs_mib: u64, dir: &Path) -> Result<(), InstallError> {
    // What an unfinished installation holds already counts as room: it will not be needed twice.
    let need = (needs_mib << 20).saturating_sub(size(dir));
    match fs::free_bytes(dir) {
        Some(free) if free < need => Err(InstallError::Space { engine, need, free, path: dir.to_owned() }),
        _ => Ok(()),
    }
}

/// Bytes of the files in a folder.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |m| m.len()),
            _ => 0,
        })
        .sum()
}

fn lock(engine: EngineId, paths: &Paths) -> Result<File, InstallError> {
    let path = paths.engines().join(format!(".{engine}.lock"));
    let start = Instant::now();
    loop {
        if let Some(lock) = fs::try_lock(&path)? {
            return Ok(lock);
        }
        // The tools of a llmup that was killed hold the lock until they notice.
        if start.elapsed() > LOCK_WAIT {
            return Err(InstallError::Busy { engine, lock: path });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
#[cfg(unix)]
mod builds_tests;
#[cfg(test)]
mod tests;
