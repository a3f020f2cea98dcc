//! Asking `nvidia-smi`, where the library cannot be loaded but the tool is there (a static build, an odd container).

use std::io;
use std::path::{Path, PathBuf};

use super::{Amount, Failure, Gpu, Reading, TIME_LIMIT, mismatch, not_loaded, overrun};
use crate::host::{Host, Os, Ran};

/// Everything we want to know.
const FIELDS: &[&str] =
    &["index", "uuid", "name", "memory.total", "memory.free", "driver_version", "compute_cap", "mig.mode.current"];
/// What every version knows; one unknown field fails the whole query.
const OLD_FIELDS: &[&str] = &["index", "uuid", "name", "memory.total", "memory.free", "driver_version"];

const MIB: u64 = 1024 * 1024;

/// What the tool says.
pub(super) fn read(host: &dyn Host) -> Result<Reading, Failure> {
    let program = find(host).ok_or(Failure::Absent)?;
    let mut ran = query(host, &program, FIELDS)?;
    let mut fields = FIELDS;
    if ran.code != Some(0) && format!("{}{}", ran.stdout, ran.stderr).contains("not a valid field") {
        fields = OLD_FIELDS;
        ran = query(host, &program, fields)?;
    }
    if ran.code != Some(0) {
        return Err(explain(&ran));
    }
    Ok(parse(&ran.stdout, fields))
}

fn find(host: &dyn Host) -> Option<PathBuf> {
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

/// What a run that failed means.
pub(super) fn explain(ran: &Ran) -> Failure {
    let said = format!("{}\n{}", ran.stdout, ran.stderr);
    if said.contains("version mismatch") {
        Failure::Broken(mismatch())
    } else if said.contains("couldn't communicate with the NVIDIA driver") {
        Failure::Broken(not_loaded())
    } else {
        let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
        let code = ran.code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        Failure::Broken(format!("`nvidia-smi` failed with {code}: {line}"))
    }
}

/// Reads `--format=csv`, one card a line, with or without header and units; `fields` says which columns were asked
/// for when there is no header.
pub(super) fn parse(text: &str, fields: &[&str]) -> Reading {
    let mut fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    let mut reading = Reading::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.iter().any(|cell| cell.starts_with("memory.total")) {
            // `memory.total [MiB]`
            fields = cells.iter().map(|cell| cell.split(' ').next().unwrap_or(cell).to_owned()).collect();
            continue;
        }
        if cells.len() != fields.len() {
            continue;
        }
        let cell = |name: &str| fields.iter().position(|field| field == name).map(|at| cells[at]);
        let known = |name: &str| cell(name).filter(|cell| !not_there(cell)).map(str::to_owned);
        let row = u32::try_from(reading.gpus.len()).unwrap_or(u32::MAX);
        reading.driver = reading.driver.or_else(|| known("driver_version"));
        reading.gpus.push(Gpu {
            index: known("index").and_then(|index| index.parse().ok()).unwrap_or(row),
            name: known("name"),
            uuid: known("uuid"),
            memory: match cell("memory.total") {
                Some(total) if !not_there(total) => match mebibytes(total) {
                    Some(total) => Amount::Known { total, free: cell("memory.free").and_then(mebibytes) },
                    None => Amount::Unreadable(total.to_owned()),
                },
                _ => Amount::NotSupported,
            },
            capability: known("compute_cap"),
            mig: (cell("mig.mode.current") == Some("Enabled")).then(Vec::new),
        });
    }
    reading
}

/// `[N/A]`, `[Not Supported]` and their bare forms.
fn not_there(cell: &str) -> bool {
    let bare = cell.trim_start_matches('[').trim_end_matches(']');
    bare.is_empty() || bare.eq_ignore_ascii_case("n/a") || bare.eq_ignore_ascii_case("not supported")
}

fn mebibytes(cell: &str) -> Option<u64> {
    cell.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(MIB)
}
