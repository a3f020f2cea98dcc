//! llmup running in a distribution of WSL: paths as Windows writes them are taken for what they mean here.

use std::path::{Path, PathBuf};

use super::error::PathError;
use super::mounts::Mounts;
use super::path::{self, Kind, WindowsPath};
use crate::host::{Host, Os};

/// The WSL that this Linux runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// Its architecture: 1 or 2.
    pub version: u8,
    /// What the distribution is called in Windows; `None` where it does not say (in a service of systemd).
    pub distribution: Option<String>,
}

impl std::fmt::Display for Here {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.distribution {
            Some(name) => write!(f, "{} ({name})", self.version),
            None => write!(f, "{}", self.version),
        }
    }
}

/// Which WSL this is, and which distribution of it; `None`: none.
pub fn here(host: &dyn Host) -> Option<Here> {
    if !is_wsl(host) {
        return None;
    }
    // WSL 1 has no kernel but says one, and a capital letter is all it differs by; every other kernel is one of WSL 2.
    let release = host.read(Path::new(RELEASE)).unwrap_or_default();
    let version = if String::from_utf8_lossy(&release).trim_end().ends_with("-Microsoft") { 1 } else { 2 };
    Some(Here { version, distribution: name(host) })
}

const RELEASE: &str = "/proc/sys/kernel/osrelease";

/// Whether this Linux is one of WSL: its kernels say `microsoft` in their release (`5.15.153.1-microsoft-standard-WSL2`,
/// WSL 1 `4.4.0-19041-Microsoft`); with a kernel of the user's own, WSL still sets the distribution's name.
pub fn is_wsl(host: &dyn Host) -> bool {
    if host.os() != Os::Linux {
        return false;
    }
    let release = host.read(Path::new(RELEASE)).unwrap_or_default();
    String::from_utf8_lossy(&release).to_lowercase().contains("microsoft") || name(host).is_some()
}

fn name(host: &dyn Host) -> Option<String> {
    host.env("WSL_DISTRO_NAME").filter(|name| !name.is_empty())
}

/// What a path that a user gave means in this Linux; `None`: what it says. `surely` is for what can be nothing but a
/// path; else a text without a backslash after the drive (`d:latest`) is left to others.
///
/// # Errors
/// [`PathError`] when only Windows can open it.
pub fn local(host: &dyn Host, given: &Path, surely: bool) -> Result<Option<PathBuf>, PathError> {
    let Some(text) = given.to_str() else { return Ok(None) };
    let relative = [r".\", r"..\"].iter().any(|start| text.starts_with(start));
    let kind = path::kind(text);
    if (kind == Kind::None && !relative) || (kind == Kind::DriveRelative && !surely) || !is_wsl(host) {
        return Ok(None);
    }
    // Linux takes nearly every character in a name: what is there is what is meant.
    if host.exists(given) {
        return Ok(None);
    }
    if relative {
        return Ok(Some(PathBuf::from(text.replace('\\', "/"))));
    }
    let read = |path: &str| String::from_utf8_lossy(&host.read(Path::new(path)).unwrap_or_default()).into_owned();
    let mounts = Mounts::read(&read("/proc/mounts"), &read("/etc/wsl.conf"));
    let linux = path::to_linux(text, &mounts, name(host).as_deref())?;
    if let Kind::Whole(WindowsPath::Drive { drive, .. }) = kind
        && !host.exists(Path::new(&linux))
        && !mounts.has(drive)
        && !host.exists(Path::new(&mounts.automatic(drive)))
    {
        return Err(PathError::NotMounted { path: text.to_owned(), drive });
    }
    Ok(Some(PathBuf::from(linux)))
}

#[cfg(test)]
#[path = "inside_tests.rs"]
mod tests;
