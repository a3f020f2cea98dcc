//! vLLM into a distribution of WSL, from Windows: the same pinned wheels as on Linux, in a virtual environment in the home
//! of the distribution's user. Every step is one command through `wsl.exe --exec`, without a shell; files are written
//! through the standard input of `tee`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::InstallError;
use super::facts::{PythonVersion, Wheel};
use super::manifest::Manifest;
use super::python;
use super::wheels;
use crate::host::{Host, Ran};
use crate::progress::Progress;
use crate::wsl::path::Kind;
use crate::wsl::{self, command, list};

/// How long the distribution may take to start: the first one starts the machine it runs in.
const BOOT: Duration = Duration::from_secs(60);
/// How long a small question may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Where engines lie below the home: the same place as llmup's own on Linux.
const ENGINES: &str = ".local/share/llmup/engines";
/// Programs that may be a fitting Python.
const PYTHONS: [&str; 5] = ["python3", "python3.13", "python3.12", "python3.11", "python3.14"];
/// Prints the version, as in `3.12`.
const VERSION: &str = "import sys; print('%d.%d' % sys.version_info[:2])";
/// Removes packages whose installation was cut off (pip and uv write INSTALLER after the last file), prints where packages
/// lie.
const SITE: &str = "import os, shutil, sysconfig\n\
                    site = sysconfig.get_path('purelib')\n\
                    for name in os.listdir(site):\n    \
                        info = os.path.join(site, name)\n    \
                        if name.endswith('.dist-info') and not os.path.exists(os.path.join(info, 'INSTALLER')):\n        \
                            shutil.rmtree(info)\n\
                    print(site)";
/// What pip and uv are told by the environment. Values that are paths of Windows cross over as paths of Linux.
const TOLD: [&str; 11] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_NO_INDEX",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "UV_DEFAULT_INDEX",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
];

/// A distribution, reached through `wsl.exe`.
struct Inside<'a> {
    host: &'a dyn Host,
    program: PathBuf,
    distribution: String,
    lock: &'a File,
    progress: &'a Progress,
}

/// Installs `wheel`; the manifest is the caller's to write, on the side of Windows.
pub(super) fn install(
    wheel: &Wheel,
    build: &str,
    host: &dyn Host,
    lock: &File,
    progress: &Progress,
) -> Result<Manifest, InstallError> {
    let engine = wheel.engine;
    let standing = wsl::standing(host).unwrap_or(wsl::Standing::NotInstalled);
    let (Some(distribution), Some(program)) = (standing.usable(), list::program(host)) else {
        let (why, cure) = standing.missing().unwrap_or_default();
        return Err(InstallError::NoWsl { engine, why, cure });
    };
    let inside = Inside { host, program, distribution: distribution.to_owned(), lock, progress };
    progress.step(&format!("Starting {distribution} in WSL"));
    let home = inside.home()?;
    let root = format!("{home}/{ENGINES}/{engine}-{}", wheel.version);
    inside.room(wheel, &home)?;
    inside.must(&["mkdir", "-p", &root], "Making a folder in WSL")?;
    let tools = inside.environment(wheel, &home, &root)?;
    inside.packages(wheel, &root, &tools)?;
    let mut prefix_args = command::prefix(distribution).to_vec();
    prefix_args.push(format!("{root}/venv/bin/vllm"));
    Ok(Manifest {
        engine,
        version: wheel.version.clone(),
        build: build.to_owned(),
        program: inside.program.to_string_lossy().into_owned(),
        prefix_args,
    })
}

/// Removes what [`install`] put into the distribution. One that is gone has taken it with it.
pub(super) fn remove(manifest: &Manifest, host: &dyn Host) -> Result<(), InstallError> {
    let Some((distribution, program)) = manifest.inside() else { return Ok(()) };
    let root = program.strip_suffix("/venv/bin/vllm").filter(|root| root.contains(&format!("/{ENGINES}/")));
    let Some(root) = root else { return Ok(()) };
    let prefix = command::prefix(distribution);
    let mut args: Vec<&str> = prefix.iter().map(String::as_str).collect();
    args.extend(["rm", "-rf", root]);
    let failed = |status: String, lines: Vec<String>| InstallError::Tool {
        step: format!("Removing {} from WSL", manifest.engine),
        tool: "rm".to_owned(),
        status,
        lines,
    };
    match host.run(Path::new(&manifest.program), &args, Duration::from_secs(600)) {
        // `wsl.exe` itself failed: there is no such distribution any more.
        Ok(ran) if ran.code == Some(0) || !ran.code.is_some_and(|code| (1..255).contains(&code)) => Ok(()),
        Ok(ran) => Err(failed(format!("{:?}", ran.code), lines(&ran))),
        Err(error) => Err(failed(error.to_string(), Vec::new())),
    }
}

fn lines(ran: &Ran) -> Vec<String> {
    let said = ran.stderr.lines().chain(ran.stdout.lines()).map(str::trim).filter(|line| !line.is_empty());
    said.take(4).map(|line| line.chars().take(300).collect()).collect()
}

impl Inside<'_> {
    fn args<'b>(&'b self, words: &[&'b str]) -> Vec<&'b str> {
        ["-d", &self.distribution, "--exec"].into_iter().chain(words.iter().copied()).collect()
    }

    /// What a short command prints when it succeeds, without blanks around it.
    fn ask(&self, words: &[&str]) -> Option<String> {
        let ran = self.host.run(&self.program, &self.args(words), ANSWER).ok()?;
        (ran.code == Some(0)).then(|| ran.stdout.trim().to_owned())
    }

    /// A short command that must succeed.
    fn must(&self, words: &[&str], step: &str) -> Result<(), InstallError> {
        self.run(words, step, words.first().copied().unwrap_or("wsl.exe"))
    }

    /// A long command, with what it says on the screen.
    fn run(&self, words: &[&str], step: &str, tool: &str) -> Result<(), InstallError> {
        let mut command = Command::new(&self.program);
        command.args(self.args(words));
        let entries = TOLD.iter().filter_map(|name| {
            let path = wsl::path::kind(&self.host.env(name)?) != Kind::None;
            Some(format!("{name}/{}", if path { "up" } else { "u" }))
        });
        let ours = ["PYTHONUNBUFFERED/u".to_owned(), "PYTHONIOENCODING/u".to_owned()];
        let now = self.host.env(command::WSLENV).filter(|now| !now.is_empty());
        let all: Vec<String> = now.into_iter().chain(ours).chain(entries).collect();
        command.env(command::WSLENV, all.join(":")).env(command::UTF8.0, command::UTF8.1);
        python::run(&mut command, step, tool, self.lock, self.progress)
    }

    /// Writes a file, replacing one that is there.
    fn write(&self, path: &str, text: &str) -> Result<(), InstallError> {
        let failed = |status: String| InstallError::Tool {
            step: format!("Writing {path} in WSL"),
            tool: "tee".to_owned(),
            status,
            lines: Vec::new(),
        };
        let mut child = Command::new(&self.program)
            .args(self.args(&["tee", path]))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let written = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(text.as_bytes()));
        let status = child.wait().map_err(|e| failed(e.to_string()))?;
        match written {
            Ok(()) if status.success() => Ok(()),
            Ok(()) => Err(failed(status.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn home(&self) -> Result<String, InstallError> {
        let silent = |said| InstallError::Silent { distribution: self.distribution.clone(), said };
        let ran = self.host.run(&self.program, &self.args(&["printenv", "HOME"]), BOOT);
        match ran {
            Ok(ran) if ran.code == Some(0) && ran.stdout.trim().starts_with('/') => {
                Ok(ran.stdout.trim().trim_end_matches('/').to_owned())
            }
            Ok(ran) => Err(silent(lines(&ran))),
            Err(error) => Err(silent(vec![error.to_string()])),
        }
    }

    fn room(&self, wheel: &Wheel, home: &str) -> Result<(), InstallError> {
        let told = self.ask(&["df", "--output=avail", "-B1", home]).unwrap_or_default();
        let free: Option<u64> = told.lines().last().and_then(|line| line.trim().parse().ok());
        let need = wheel.needs_mib << 20;
        match free {
            Some(free) if free < need => {
                Err(InstallError::Space { engine: wheel.engine, need, free, path: home.into() })
            }
            _ => Ok(()),
        }
    }

    /// Makes the environment, or takes up one that is there; gives the command that installs into it.
    fn environment(&self, wheel: &Wheel, home: &str, root: &str) -> Result<Vec<String>, InstallError> {
        let [from, to] = wheel.python;
        let fits =
            |told: Option<String>| told.as_deref().and_then(PythonVersion::parse).filter(|v| (from..=to).contains(v));
        let own = format!("{home}/.local/bin/uv");
        let uv = ["uv", own.as_str()].into_iter().find(|uv| self.ask(&[uv, "--version"]).is_some());
        let venv = format!("{root}/venv");
        let python = format!("{venv}/bin/python");
        let tools = |with: &[&str]| with.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let by_pip = tools(&[&python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
        let by_uv = |uv: &str| tools(&[uv, "pip", "install", "--python", &python]);
        let there = fits(self.ask(&[&python, "-c", VERSION])).is_some();
        if there && let Some(uv) = uv {
            return Ok(by_uv(uv));
        }
        if there && self.ask(&[&python, "-m", "pip", "--version"]).is_some() {
            return Ok(by_pip);
        }
        self.must(&["rm", "-rf", &venv], "Making room in WSL")?;
        let step = format!("Making a private Python environment for {} in WSL", wheel.engine);
        let mut seen = Vec::new();
        let mut found = None;
        for name in PYTHONS {
            let Some(told) = self.ask(&[name, "-c", VERSION]) else { continue };
            if fits(Some(told.clone())).is_some() {
                found = Some(name);
                break;
            }
            seen.push(told);
        }
        seen.dedup();
        match (found, uv) {
            (Some(name), Some(uv)) => self.run(&[uv, "venv", "--python", name, &venv], &step, "uv").map(|()| by_uv(uv)),
            // uv fetches an interpreter of its own; 3.12 has wheels of everything.
            (None, Some(uv)) => self.run(&[uv, "venv", "--python", "3.12", &venv], &step, "uv").map(|()| by_uv(uv)),
            (Some(name), None) => self.venv(wheel, name, &venv, &step).map(|()| by_pip),
            (None, None) => Err(InstallError::NoPythonInside {
                engine: wheel.engine,
                distribution: self.distribution.clone(),
                from: from.to_string(),
                to: to.to_string(),
                seen,
            }),
        }
    }

    /// `python3 -m venv`, which Debian and Ubuntu put into a package of its own.
    fn venv(&self, wheel: &Wheel, name: &str, venv: &str, step: &str) -> Result<(), InstallError> {
        let made = self.run(&[name, "-m", "venv", venv], step, "python -m venv");
        match made {
            Err(InstallError::Tool { lines, .. }) if lines.iter().any(|line| line.contains("ensurepip")) => {
                Err(InstallError::NoPythonInside {
                    engine: wheel.engine,
                    distribution: self.distribution.clone(),
                    from: wheel.python[0].to_string(),
                    to: wheel.python[1].to_string(),
                    seen: Vec::new(),
                })
            }
            other => other,
        }
    }

    /// The package by its hash, alone; then what it asks for.
    fn packages(&self, wheel: &Wheel, root: &str, tools: &[String]) -> Result<(), InstallError> {
        let python = format!("{root}/venv/bin/python");
        let tool = if tools.first() == Some(&python) { "pip" } else { "uv" };
        let install = |args: &[&str], step: &str| {
            let words: Vec<&str> = tools.iter().map(String::as_str).chain(["--only-binary", ":all:"]).collect();
            self.run(&[words.as_slice(), args].concat(), step, tool)
        };
        let broken = |step: &str| InstallError::Tool {
            step: step.to_owned(),
            tool: "python".to_owned(),
            status: "no answer".to_owned(),
            lines: Vec::new(),
        };
        let find_site = "Looking into the environment";
        let site = self.ask(&[&python, "-c", SITE]).ok_or_else(|| broken(find_site))?;
        let top = format!("{root}/package.txt");
        let hashes: String = wheel.hashes.iter().map(|hash| format!(" --hash={hash}")).collect();
        self.write(&top, &format!("{}=={}{hashes}\n", wheel.package, wheel.version))?;
        let what = format!("Installing {} {} in WSL", wheel.package, wheel.version);
        install(&["--no-deps", "--require-hashes", "-r", &top], &what)?;

        let info = format!("{site}/{}-{}.dist-info", wheel.package.replace('-', "_"), wheel.version);
        let metadata =
            self.ask(&["cat", &format!("{info}/METADATA")]).ok_or_else(|| broken("Reading what it needs"))?;
        let wanted = wheels::requirements(&metadata, wheel);
        if !wanted.is_empty() {
            let rest = format!("{root}/requirements.txt");
            self.write(&rest, &(wanted.join("\n") + "\n"))?;
            install(&["-r", &rest], &format!("Installing what {} needs in WSL", wheel.package))?;
        }
        if let Some(shim) = &wheel.shim {
            let dir = format!("{site}/{}-{}.dist-info", shim.name, shim.version);
            self.must(&["mkdir", "-p", &dir], "Making a folder in WSL")?;
            let text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", shim.name, shim.version);
            self.write(&format!("{dir}/METADATA"), &text)?;
            self.write(&format!("{dir}/RECORD"), "")?;
            if let Some(points) = self.ask(&["cat", &format!("{info}/entry_points.txt")]) {
                self.write(&format!("{dir}/entry_points.txt"), &(points + "\n"))?;
            }
            self.write(&format!("{dir}/INSTALLER"), "llmup\n")?;
        }
        if !wheel.compile.is_empty() {
            let folders: Vec<String> = wheel.compile.iter().map(|name| format!("{site}/{name}")).collect();
            let mut words = vec![python.as_str(), "-m", "compileall", "-q", "-j", "0"];
            words.extend(folders.iter().map(String::as_str));
            // A file that does not compile (templates, other Python versions) is no failure.
            match self.run(&words, "Compiling Python modules, so that the first start is fast", "python") {
                Err(InstallError::Tool { .. }) | Ok(()) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "inside_tests.rs"]
mod tests;
