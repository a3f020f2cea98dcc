//! Whether a client is installed, where and in which version.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Client, Install};
use crate::host::Host;

/// Longest wait for a client to say its version.
const LIMIT: Duration = Duration::from_millis(2500);

/// A client found on PATH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The program or its shim.
    pub program: PathBuf,
    /// Its version; `None` when it would not say.
    pub version: Option<String>,
}

/// Looks for `client` on PATH. Its version is read from the `package.json` beside the shim, because starting a
/// JavaScript client only to ask takes seconds; a program that was installed otherwise is asked.
pub fn look(host: &dyn Host, client: &dyn Client) -> Option<Installed> {
    let program = client.programs().iter().find_map(|name| host.which(name))?;
    Some(at(host, client, program))
}

/// Like [`look`], of a program that was found otherwise.
pub fn at(host: &dyn Host, client: &dyn Client, program: PathBuf) -> Installed {
    let from_manifest = match client.install() {
        Install::Npm(package) => manifest_version(host, &program, package),
        Install::Python(_) | Install::Described(_) => None,
    };
    let version = from_manifest.or_else(|| {
        let ran = host.run(&program, &["--version"], LIMIT).ok()?;
        version_in(&ran.stdout)
    });
    Installed { program, version }
}

/// How to install `client`, in the version whose behaviour was measured: a command in backquotes, or where it is described.
pub fn how_to(client: &dyn Client) -> String {
    match client.install() {
        Install::Npm(package) => format!("`npm install -g {package}@{}`", client.minimum()),
        Install::Python(package) => format!("`uv tool install {package}=={}`", client.minimum()),
        Install::Described(place) => format!("see {place}"),
    }
}

/// Where the package of a shim may lie, by the layouts of npm (global and local, Unix and Windows), pnpm and Bun.
fn manifest_version(host: &dyn Host, program: &Path, package: &str) -> Option<String> {
    let dir = program.parent()?;
    let up = dir.parent().unwrap_or(dir);
    let name = program.file_stem()?.to_str()?;
    let mut roots = vec![up.join("lib/node_modules"), dir.join("node_modules"), up.join("install/global/node_modules")];
    if dir.file_name().is_some_and(|folder| folder == ".bin") {
        roots = vec![up.to_owned()];
    }
    if let Ok(versions) = host.entries(&dir.join("global")) {
        roots.extend(versions.into_iter().map(|version| version.join("node_modules")));
    }
    roots.iter().find_map(|root| {
        let bytes = host.read(&root.join(package).join("package.json")).ok()?;
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        // A package that does not make this program is not where the shim leads.
        let makes_it = manifest.get("bin").is_none_or(|bin| bin.is_string() || bin.get(name).is_some());
        makes_it.then(|| manifest.get("version")?.as_str().map(str::to_owned)).flatten()
    })
}

/// The first word of `text` that is a version: `2.1.329 (Claude Code)`, `codex-cli 0.169.0`, `GitHub Copilot CLI 1.0.102.`
pub fn version_in(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v').trim_end_matches(['.', ',', ';', ')']))
        .find(|word| numbers(word).len() >= 2 && word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
}

/// Whether `version` is older than `minimum`. A pre-release counts as its release.
pub fn older(version: &str, minimum: &str) -> bool {
    numbers(version) < numbers(minimum)
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['-', '+']).next().unwrap_or_default().split('.').map_while(|part| part.parse().ok()).collect()
}
