//! `nvidia-smi --query-gpu=… --format=csv`, one card a line, with or without header and units.

use super::{Amount, Gpu, MIB, Reading};

/// Everything we ask for.
pub(super) const FIELDS: &[&str] =
    &["index", "uuid", "name", "memory.total", "memory.free", "driver_version", "compute_cap", "mig.mode.current"];
/// What every version knows; one unknown field fails the whole query.
pub(super) const OLD_FIELDS: &[&str] = &["index", "uuid", "name", "memory.total", "memory.free", "driver_version"];

/// Reads the cards; `fields` says which columns were asked for when there is no header.
pub(super) fn parse(text: &str, fields: &[&str]) -> Reading {
    let mut fields: Vec<&str> = fields.to_vec();
    let mut reading = Reading::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if let Some(header) = header(&cells) {
            fields = header;
        } else if cells.len() == fields.len() {
            row(&fields, &cells, &mut reading);
        }
    }
    reading
}

/// Like [`parse`], for a text of which nobody says what was asked: each column shows by its first row what it is.
pub(super) fn parse_unknown(text: &str) -> Reading {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let cells: Vec<&str> = first.split(',').map(str::trim).collect();
    if header(&cells).is_some() { parse(text, &[]) } else { parse(text, &guess(&cells)) }
}

/// The names of a header, `memory.total [MiB]` without its unit.
fn header<'a>(cells: &[&'a str]) -> Option<Vec<&'a str>> {
    const NAMES: &[&str] = &["index", "name", "gpu_name", "uuid", "gpu_uuid", "memory.total", "driver_version"];
    let names: Vec<&str> = cells.iter().map(|cell| cell.split(' ').next().unwrap_or(cell)).collect();
    names.iter().any(|name| NAMES.contains(name)).then_some(names)
}

fn guess(cells: &[&str]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let amount = |cell: &str| absent(cell) || mebibytes(cell).is_some();
    let amounts = cells.iter().skip(1).filter(|cell| amount(cell) && !cell.contains('.')).count();
    let mut seen = 0;
    for (at, cell) in cells.iter().enumerate() {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let dotted = cell.split('.').all(digits).then(|| cell.split('.').count());
        names.push(if at == 0 && digits(cell) && cells.len() > 1 {
            "index"
        } else if cell.starts_with("GPU-") {
            "uuid"
        } else if dotted == Some(2) && cell.len() < 6 {
            "compute_cap"
        } else if dotted >= Some(2) {
            "driver_version"
        } else if ["Enabled", "Disabled"].contains(cell) {
            "mig.mode.current"
        } else if amount(cell) {
            seen += 1;
            // Of two it cannot be told whether the second is what is used or what is free.
            match (seen, amounts) {
                (1, _) => "memory.total",
                (2, 3..) => "memory.used",
                (3, _) => "memory.free",
                _ => "",
            }
        } else if cell.contains(':') {
            "pci.bus_id"
        } else if !names.contains(&"name") {
            "name"
        } else {
            ""
        });
    }
    names
}

fn row(fields: &[&str], cells: &[&str], reading: &mut Reading) {
    let cell = |names: &[&str]| fields.iter().position(|field| names.contains(field)).map(|at| cells[at]);
    let known = |names: &[&str]| cell(names).filter(|cell| !absent(cell)).map(str::to_owned);
    let row = u32::try_from(reading.gpus.len()).unwrap_or(u32::MAX);
    reading.driver = reading.driver.take().or_else(|| known(&["driver_version"]));
    reading.gpus.push(Gpu {
        index: known(&["index"]).and_then(|index| index.parse().ok()).unwrap_or(row),
        name: known(&["name", "gpu_name"]),
        uuid: known(&["uuid", "gpu_uuid"]),
        memory: match cell(&["memory.total"]) {
            Some(total) if !absent(total) => match mebibytes(total) {
                Some(total) => Amount::Known { total, free: cell(&["memory.free"]).and_then(mebibytes) },
                None => Amount::Unreadable(total.to_owned()),
            },
            Some(_) => Amount::NotSupported,
            None => Amount::Unknown,
        },
        capability: known(&["compute_cap"]),
        mig: (cell(&["mig.mode.current"]) == Some("Enabled")).then(Vec::new),
        processes: Vec::new(),
    });
}

/// `[N/A]`, `[Not Supported]` and their bare forms.
pub(super) fn absent(cell: &str) -> bool {
    let bare = cell.trim().trim_start_matches('[').trim_end_matches(']');
    bare.is_empty() || bare.eq_ignore_ascii_case("n/a") || bare.eq_ignore_ascii_case("not supported")
}

/// `46068`, `46068 MiB` or `46068MiB`.
pub(super) fn mebibytes(cell: &str) -> Option<u64> {
    let number = cell.trim();
    let number = number.strip_suffix("MiB").unwrap_or(number);
    number.trim().parse::<u64>().ok()?.checked_mul(MIB)
}
