//! Installs a client in the version whose behaviour was measured: by npm, or from PyPI by uv or pipx. Programs and
//! arguments, no shell.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::installed::how_to;
use crate::client::{Client, Install};
use crate::error::{Explain, Result};
use crate::exit::Exit;
use crate::fs;
use crate::host::{Host, Os};
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;

/// Longest wait for an installer to say where it puts things.
const LIMIT: Duration = Duration::from_secs(20);

/// Why a client cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// What installs it is not there.
    #[error("{title} is installed by {installer}, which is not on PATH")]
    NoInstaller {
        /// The client.
        title: &'static str,
        /// `npm`, `uv or pipx`.
        installer: &'static str,
        /// How to get the installer on this system.
        how: Vec<String>,
    },
    /// It could not be started.
    #[error("cannot start {}", program.display())]
    NotStarted {
        /// The installer.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It failed, and has said why.
    #[error("{} could not install {title}", program.display())]
    Failed {
        /// The installer.
        program: PathBuf,
        /// The client.
        title: &'static str,
        /// The command by hand.
        how: String,
    },
    /// It is installed, but nobody finds it.
    #[error("{title} was installed, but its program is in no folder of PATH")]
    NotFound {
        /// The client.
        title: &'static str,
        /// What shows the folder.
        hint: &'static str,
    },
}

impl Explain for InstallError {
    fn exit(&self) -> Exit {
        Exit::Missing
    }

    fn hints(&self) -> Vec<String> {
        match self {
            InstallError::NoInstaller { how, .. } => how.clone(),
            InstallError::NotStarted { .. } => Vec::new(),
            InstallError::Failed { how, .. } => vec![format!("by hand: {how}")],
            InstallError::NotFound { hint, .. } => vec![(*hint).to_owned()],
        }
    }
}

/// Folders in which a client that was installed here may lie without being on PATH.
pub fn folders(client: &dyn Client, paths: &Paths) -> Vec<PathBuf> {
    match client.install() {
        Install::Npm(_) if cfg!(windows) => vec![own(paths)],
        Install::Npm(_) => vec![own(paths).join("bin")],
        // Where uv and pipx put programs when nothing else is said.
        Install::Python(_) => {
            directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".local").join("bin")).into_iter().collect()
        }
        Install::Described(_) => Vec::new(),
    }
}

/// llmup's own prefix for npm, where the machine's cannot be written.
fn own(paths: &Paths) -> PathBuf {
    paths.data.join("clients").join("npm")
}

/// Installs it.
pub fn client(client: &dyn Client, paths: &Paths, host: &dyn Host) -> Result {
    let (program, arguments) = match client.install() {
        Install::Npm(package) => npm(client, package, paths, host)?,
        Install::Python(package) => python(client, package, host)?,
        Install::Described(_) => return Ok(()),
    };
    let shown: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    output::note(&format!("{} {name} {}", on_stderr(Style::Strong, "install"), shown.join(" ")));
    // What it says is for the human; standard output stays the client's.
    let status = Command::new(&program).args(&arguments).stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.map_err(|source| InstallError::NotStarted { program: program.clone(), source })?;
    if !status.success() {
        return Err(InstallError::Failed { program, title: client.title(), how: how_to(client) }.into());
    }
    Ok(())
}

/// The error for what was installed and is nowhere to be found.
pub fn not_found(client: &dyn Client, host: &dyn Host) -> InstallError {
    let hint = match client.install() {
        Install::Npm(_) => "put npm's folder of programs on PATH: the folder `bin` in `npm prefix -g`",
        _ if host.which("uv").is_some() => "put it on PATH: `uv tool update-shell`, then a new terminal",
        _ => "put it on PATH: `pipx ensurepath`, then a new terminal",
    };
    InstallError::NotFound { title: client.title(), hint }
}

type Line = (PathBuf, Vec<OsString>);

fn npm(client: &dyn Client, package: &str, paths: &Paths, host: &dyn Host) -> Result<Line> {
    // On Windows the file without an ending is a script for POSIX shells.
    let name = if host.os() == Os::Windows { "npm.cmd" } else { "npm" };
    let Some(npm) = host.which(name) else {
        let how = match host.os() {
            Os::Windows => "`winget install --id OpenJS.NodeJS.LTS -e`, then a new terminal",
            Os::Macos => "`brew install node`",
            Os::Linux => "install Node.js 22 or newer with npm: see nodejs.org/en/download",
        };
        let how = vec![how.to_owned()];
        return Err(InstallError::NoInstaller { title: client.title(), installer: "npm", how }.into());
    };
    let mut arguments: Vec<OsString> = vec!["install".into(), "-g".into()];
    let prefix = host.run(&npm, &["prefix", "-g"], LIMIT).ok().filter(|ran| ran.code == Some(0));
    let prefix = prefix.map(|ran| PathBuf::from(ran.stdout.trim())).filter(|prefix| prefix.is_absolute());
    if !prefix.is_some_and(|prefix| ["bin", "lib/node_modules"].iter().all(|part| writable(&prefix.join(part)))) {
        let own = own(paths);
        fs::create_dir(&own)?;
        output::note(&format!("npm's own folder cannot be written: it goes to {}", own.display()));
        arguments.extend(["--prefix".into(), own.into()]);
    }
    arguments.extend(["--no-fund".into(), "--no-audit".into()]);
    arguments.push(format!("{package}@{}", client.minimum()).into());
    Ok((npm, arguments))
}

fn python(client: &dyn Client, package: &str, host: &dyn Host) -> Result<Line> {
    let what: OsString = format!("{package}=={}", client.minimum()).into();
    if let Some(uv) = host.which("uv") {
        return Ok((uv, vec!["tool".into(), "install".into(), what]));
    }
    if let Some(pipx) = host.which("pipx") {
        return Ok((pipx, vec!["install".into(), what]));
    }
    let how = match host.os() {
        Os::Windows => "`winget install --id astral-sh.uv -e`, then a new terminal",
        Os::Macos => "`brew install uv`",
        Os::Linux => "install uv: see docs.astral.sh/uv",
    };
    let how = vec![how.to_owned()];
    Err(InstallError::NoInstaller { title: client.title(), installer: "uv or pipx", how }.into())
}

/// Whether something can be made in `dir`, or in its nearest parent that is there.
fn writable(dir: &Path) -> bool {
    let there = dir.ancestors().find(|at| at.is_dir());
    there.is_some_and(|at| tempfile::Builder::new().prefix(".llmup-").tempfile_in(at).is_ok())
}
