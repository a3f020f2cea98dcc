//! Python's tools: finding an interpreter, making a private environment, installing packages with `uv` when it is
//! there, else `pip`, and showing what they say while they work.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::error::InstallError;
use super::facts::{PythonVersion, Wheel};
use crate::engine::find;
use crate::fs;
use crate::host::{Host, Os};
use crate::progress::Progress;

/// How many of a tool's last lines are kept as evidence.
const KEPT: usize = 200;
/// How many of them are shown.
const SHOWN: usize = 6;

/// A private environment on its way.
pub struct Venv<'a> {
    host: &'a dyn Host,
    dir: PathBuf,
    uv: Option<PathBuf>,
    lock: &'a File,
    progress: &'a Progress,
}

impl<'a> Venv<'a> {
    /// Makes the environment in `dir`, or takes up one that was left half done.
    pub fn ready(
        host: &'a dyn Host,
        dir: PathBuf,
        wheel: &Wheel,
        lock: &'a File,
        progress: &'a Progress,
    ) -> Result<Venv<'a>, InstallError> {
        let venv = Venv { host, dir, uv: host.which("uv"), lock, progress };
        if venv.works(wheel) {
            venv.drop_half_packages();
            return Ok(venv);
        }
        if venv.dir.exists() {
            std::fs::remove_dir_all(&venv.dir).map_err(|e| fs::FileError::new("remove", &venv.dir, e))?;
        }
        venv.create(wheel)?;
        Ok(venv)
    }

    /// The interpreter inside.
    pub fn python(&self) -> PathBuf {
        match self.host.os() {
            Os::Windows => self.dir.join("Scripts").join("python.exe"),
            _ => self.dir.join("bin").join("python"),
        }
    }

    /// Where its packages lie.
    pub fn site(&self) -> PathBuf {
        let sites = find::site_packages(self.host, &self.dir);
        sites.iter().find(|site| site.is_dir()).cloned().unwrap_or_else(|| self.dir.join("site-packages"))
    }

    fn works(&self, wheel: &Wheel) -> bool {
        self.dir.join("pyvenv.cfg").is_file()
            && version_of(self.host, &self.python(), &[])
                .is_some_and(|v| (wheel.python[0]..=wheel.python[1]).contains(&v))
            && (self.uv.is_some() || find::distribution_version(self.host, &self.site(), "pip").is_some())
    }

    fn create(&self, wheel: &Wheel) -> Result<(), InstallError> {
        let found = interpreter(self.host, wheel);
        let dir = self.dir.to_string_lossy().into_owned();
        let step = format!("Making a private Python environment for {}", wheel.engine);
        if let Some(uv) = &self.uv {
            let mut command = Command::new(uv);
            command.arg("venv").arg("--python");
            match &found {
                Ok((program, prefix)) if prefix.is_empty() => command.arg(program),
                // uv fetches an interpreter of its own.
                _ => command.arg(newest_common(wheel)),
            };
            return self.run(command.arg(dir), &step, "uv");
        }
        let (program, prefix) = found?;
        self.run(Command::new(program).args(prefix).args(["-m", "venv"]).arg(dir), &step, "python -m venv")
    }

    /// Installs what a requirements file or the arguments name; only wheels, nothing is built here.
    pub fn install(&self, args: &[&str], step: &str) -> Result<(), InstallError> {
        let python = self.python();
        if let Some(uv) = &self.uv {
            let mut command = Command::new(uv);
            command.args(["pip", "install", "--python"]).arg(&python).args(["--only-binary", ":all:"]).args(args);
            // uv does not read pip's variables; one name for the mirror is enough for the user.
            for (pip, own) in [("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_FIND_LINKS", "UV_FIND_LINKS")] {
                if let (Some(value), None) = (self.host.env(pip), self.host.env(own)) {
                    command.env(own, value);
                }
            }
            return self.run(&mut command, step, "uv");
        }
        let mut command = Command::new(python);
        command.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:"]);
        let raw = find::distribution_version(self.host, &self.site(), "pip")
            .and_then(|v| {
                let mut parts = v.split('.');
                PythonVersion::parse(&format!("{}.{}", parts.next()?, parts.next()?))
            })
            // The bar for machines came with pip 24.1.
            .is_some_and(|v| v >= PythonVersion(24, 1));
        command.args(["--progress-bar", if raw { "raw" } else { "off" }]).args(args);
        self.run(&mut command, step, "pip")
    }

    /// Runs the interpreter inside.
    pub fn python_run(&self, args: &[&str], step: &str) -> Result<(), InstallError> {
        self.run(Command::new(self.python()).args(args), step, "python")
    }

    /// Removes packages whose installation was cut off: both tools write `INSTALLER` after the last file.
    fn drop_half_packages(&self) {
        for entry in self.host.entries(&self.site()).unwrap_or_default() {
            if entry.extension().is_some_and(|e| e == "dist-info") && !entry.join("INSTALLER").is_file() {
                // What stays behind is overwritten by the installation that follows.
                let _ = std::fs::remove_dir_all(&entry);
            }
        }
    }

    fn run(&self, command: &mut Command, step: &str, tool: &str) -> Result<(), InstallError> {
        run(command, step, tool, self.lock, self.progress)
    }
}

/// Runs a tool to its end and shows what it says; what it said is the evidence when it fails.
pub(super) fn run(
    command: &mut Command,
    step: &str,
    tool: &str,
    lock: &File,
    progress: &Progress,
) -> Result<(), InstallError> {
    progress.step(step);
    let failed = |status: String, lines: Vec<String>| InstallError::Tool {
        step: step.to_owned(),
        tool: tool.to_owned(),
        status,
        lines,
    };
    // The tool holds the lock too: should llmup be killed, a second installation does not start beside it.
    let lock = lock.try_clone().map_err(|e| failed(e.to_string(), Vec::new()))?;
    let mut child = command
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONIOENCODING", "utf-8")
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONPATH")
        .stdin(Stdio::from(lock))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| failed(e.to_string(), Vec::new()))?;
    let (sender, lines) = mpsc::channel();
    let pipes = [
        child.stdout.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
        child.stderr.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
    ];
    for pipe in pipes.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || forward(pipe, &sender));
    }
    drop(sender);
    let mut kept = VecDeque::new();
    for line in lines {
        if let Some((done, total)) = raw_progress(&line) {
            progress.bytes(done, total);
            continue;
        }
        if let Some(now) = speaking(&line) {
            progress.detail(&format!("{step}: {now}"));
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    let status = child.wait().map_err(|e| failed(e.to_string(), Vec::new()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string(), relevant(&kept))) }
}

/// Sends every line; `\r` ends one too, as bars do.
fn forward(pipe: impl Read, to: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
        for line in String::from_utf8_lossy(&bytes).split(['\r', '\n']).filter(|l| !l.trim().is_empty()) {
            if to.send(line.trim_end().to_owned()).is_err() {
                return;
            }
        }
        bytes.clear();
    }
}

/// `Progress 1024 of 2048` of pip's raw bar.
fn raw_progress(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.trim().strip_prefix("Progress ")?.split_once(" of ")?;
    Some((done.trim().parse().ok()?, total.trim().parse().ok().filter(|t| *t > 0)?))
}

/// What of a tool's line tells a human where it is.
fn speaking(line: &str) -> Option<String> {
    let line = line.trim();
    let starts =
        ["Downloading ", "Collecting ", "Installing ", "Using cached ", "Resolved ", "Prepared ", "Installed "];
    if !starts.iter().any(|start| line.starts_with(start)) {
        return None;
    }
    // pip lists every package it installs in one line.
    Some(line.chars().take(72).collect())
}

/// The lines that say why, else the last ones.
fn relevant(lines: &VecDeque<String>) -> Vec<String> {
    let telling = |line: &&String| {
        let lower = line.to_lowercase();
        ["error", "hash", "×", "╰", "caused by", "expected", "got  ", "no space", "apt install"]
            .iter()
            .any(|w| lower.contains(w))
            && !lower.contains("notice")
    };
    let mut chosen: Vec<&String> = lines.iter().filter(telling).collect();
    if chosen.is_empty() {
        chosen = lines.iter().collect();
    }
    let from = chosen.len().saturating_sub(SHOWN);
    chosen[from..].iter().map(|line| line.trim().chars().take(400).collect()).collect()
}

/// An interpreter of a fitting version, and the arguments that choose it (`py -3`).
fn interpreter(host: &dyn Host, wheel: &Wheel) -> Result<(PathBuf, Vec<&'static str>), InstallError> {
    let [from, to] = wheel.python;
    let mut seen = Vec::new();
    let candidates: [(&str, &[&'static str]); 8] = [
        ("python3", &[]),
        ("python", &[]),
        ("python3.13", &[]),
        ("python3.12", &[]),
        ("python3.11", &[]),
        ("python3.14", &[]),
        ("python3.10", &[]),
        ("py", &["-3"]),
    ];
    for (name, prefix) in candidates {
        let Some(program) = host.which(name) else { continue };
        let Some(version) = version_of(host, &program, prefix) else { continue };
        if (from..=to).contains(&version) {
            return Ok((program, prefix.to_vec()));
        }
        seen.push(version.to_string());
    }
    seen.dedup();
    Err(InstallError::NoPython { engine: wheel.engine, from: from.to_string(), to: to.to_string(), seen })
}

/// Whether there is a way to make an environment at all.
pub fn possible(host: &dyn Host, wheel: &Wheel) -> bool {
    host.which("uv").is_some() || interpreter(host, wheel).is_ok()
}

fn version_of(host: &dyn Host, program: &Path, prefix: &[&str]) -> Option<PythonVersion> {
    let mut args = prefix.to_vec();
    args.extend(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    // On Windows `python` may be a stub that opens a shop; it prints nothing.
    let ran = host.run(program, &args, Duration::from_secs(10)).ok()?;
    PythonVersion::parse(&ran.stdout)
}

fn newest_common(wheel: &Wheel) -> String {
    // 3.12 has wheels of everything; the range is the fallback for a package that does not know it.
    let usual = PythonVersion(3, 12);
    if (wheel.python[0]..=wheel.python[1]).contains(&usual) { usual } else { wheel.python[0] }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> VecDeque<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_evidence_is_why_and_not_the_chatter_after_it() {
        let said = lines(
            "Collecting xllamacpp==1\nERROR: Could not find a version that satisfies the requirement xllamacpp==1\n\
             ERROR: No matching distribution found for xllamacpp==1\n[notice] to update, run: pip install --upgrade pip",
        );
        let shown = relevant(&said);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[1], "ERROR: No matching distribution found for xllamacpp==1");
        assert_eq!(relevant(&lines("one\ntwo")), ["one", "two"]);
    }

    #[test]
    fn bars_and_steps_are_told_apart() {
        assert_eq!(raw_progress("Progress 1024 of 2048"), Some((1024, 2048)));
        assert_eq!(raw_progress("Progress 1024 of 0"), None);
        assert_eq!(speaking("  Downloading a.whl (3 MB)").as_deref(), Some("Downloading a.whl (3 MB)"));
        assert_eq!(speaking("WARNING: something"), None);
    }

    #[test]
    fn carriage_returns_end_lines_too() {
        let (sender, receiver) = mpsc::channel();
        forward(&b"a\rb\r\n\nc"[..], &sender);
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
