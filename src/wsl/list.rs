//! Which distribution of WSL can run a Linux program. `wsl.exe --list --verbose` tells all of them:
//!
//! ```text
//!   NAME              STATE           VERSION
//! * Ubuntu            Running         2
//!   docker-desktop    Stopped         2
//! ```
//!
//! The default has the star; names are padded to four more than the longest, states to 16 columns; the version is the
//! last character (microsoft/WSL, `ListDistributionsHelper` in `src/windows/common/WslClient.cpp`). Older releases say state
//! and header in the language of Windows, so neither is read for more than its place. Into a pipe it writes UTF-16LE
//! (microsoft/WSL#4607), which [`crate::host`] decodes.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::{Host, Os};

/// How long the list may take: the service behind it has to start first. Where WSL is not installed, `wsl.exe` offers to
/// install it and waits for a key.
const LIMIT: Duration = Duration::from_secs(5);

/// The variable that names the distribution to take.
pub const CHOSEN: &str = "LLMUP_WSL_DISTRO";

/// Distributions that programs make for themselves: they have no Python and are replaced at every update.
const NOT_FOR_USERS: [&str; 3] = ["docker-desktop", "rancher-desktop", "podman-"];

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Its name.
    pub name: String,
    /// The architecture of WSL it uses: 1 or 2.
    pub version: u8,
    /// The one that `wsl` alone runs.
    pub default: bool,
}

/// Whether Linux programs can run here, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// In this distribution, under WSL 2.
    Usable(String),
    /// There is no WSL, or it does not answer.
    NotInstalled,
    /// It has no distribution for users.
    NoDistribution,
    /// This one has no real kernel, and so no GPU.
    Version1(String),
    /// [`CHOSEN`] names one that is not there.
    Unknown(String),
}

impl Standing {
    /// The distribution to use.
    pub fn usable(&self) -> Option<&str> {
        match self {
            Standing::Usable(name) => Some(name),
            _ => None,
        }
    }

    /// Why there is none, and the command that changes it.
    pub fn missing(&self) -> Option<(String, String)> {
        let (why, cure) = match self {
            Standing::Usable(_) => return None,
            Standing::NotInstalled => (
                "WSL is not installed".to_owned(),
                "install it in a PowerShell as administrator, then restart Windows: `wsl --install`".to_owned(),
            ),
            Standing::NoDistribution => {
                ("WSL has no distribution".to_owned(), "install one: `wsl --install -d Ubuntu`".to_owned())
            }
            Standing::Version1(name) => (
                format!("the distribution {name} is one of WSL 1, which has no GPU"),
                format!("convert it, which takes minutes: `wsl --set-version {name} 2`"),
            ),
            Standing::Unknown(name) => (
                format!("{CHOSEN} names {name}, and WSL has no such distribution"),
                "see which there are: `wsl --list --verbose`".to_owned(),
            ),
        };
        Some((why, cure))
    }
}

/// Reads the list. Lines that are none of it (a header, a message) are left out.
pub fn parse(text: &str) -> Vec<Distribution> {
    text.lines().filter_map(distribution).collect()
}

fn distribution(line: &str) -> Option<Distribution> {
    let line = line.trim_start_matches('\u{feff}').trim_end();
    let rest = line.trim_start();
    let starred = rest.strip_prefix('*');
    let rest = starred.unwrap_or(rest).trim_start();
    // Four blanks follow the longest name; a name of one's own may hold single ones.
    let (name, columns) = rest.split_once("  ")?;
    // A long state runs into the version: `%-16s%s`.
    let (state, version) = match columns.trim() {
        columns if columns.ends_with('1') => (columns.strip_suffix('1')?, 1),
        columns => (columns.strip_suffix('2')?, 2),
    };
    let whole = !name.is_empty() && state.ends_with(|c: char| c.is_whitespace() || c.is_alphabetic());
    let whole = whole && !state.trim().is_empty();
    whole.then(|| Distribution { name: name.to_owned(), version, default: starred.is_some() })
}

/// The one to use: `chosen`, else the default, else the first; WSL 2 only, and none that a program made for itself.
pub fn choose(all: &[Distribution], chosen: Option<&str>) -> Standing {
    let of = |found: &Distribution| match found.version {
        2 => Standing::Usable(found.name.clone()),
        _ => Standing::Version1(found.name.clone()),
    };
    if let Some(chosen) = chosen {
        let found = all.iter().find(|d| d.name.eq_ignore_ascii_case(chosen));
        return found.map_or_else(|| Standing::Unknown(chosen.to_owned()), of);
    }
    let for_users = |d: &&Distribution| {
        let name = d.name.to_lowercase();
        !NOT_FOR_USERS.iter().any(|start| name.starts_with(start))
    };
    let candidates = || all.iter().filter(for_users);
    let best = candidates().max_by_key(|d| (d.version, d.default, std::cmp::Reverse(position(all, d))));
    best.map_or(Standing::NoDistribution, of)
}

fn position(all: &[Distribution], one: &Distribution) -> usize {
    all.iter().position(|d| d == one).unwrap_or(usize::MAX)
}

/// Where `wsl.exe` is.
pub fn program(host: &dyn Host) -> Option<PathBuf> {
    host.which("wsl.exe").or_else(|| {
        let usual = PathBuf::from(r"C:\Windows\System32\wsl.exe");
        host.exists(&usual).then_some(usual)
    })
}

/// Asks Windows; `None` on every other system. Starts no distribution.
pub fn standing(host: &dyn Host) -> Option<Standing> {
    if host.os() != Os::Windows {
        return None;
    }
    let Some(program) = program(host) else { return Some(Standing::NotInstalled) };
    // Without any distribution it ends with an error, and without WSL too; only the latter has no status either.
    let all = match host.run(&program, &["--list", "--verbose"], LIMIT) {
        Ok(ran) => parse(&ran.stdout),
        Err(_) => return Some(Standing::NotInstalled),
    };
    if all.is_empty() {
        let answers = host.run(&program, &["--status"], LIMIT).is_ok_and(|ran| ran.code == Some(0));
        return Some(if answers { Standing::NoDistribution } else { Standing::NotInstalled });
    }
    Some(choose(&all, host.env(CHOSEN).filter(|name| !name.is_empty()).as_deref()))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
