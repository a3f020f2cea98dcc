//! The table that `nvidia-smi` prints for people: what users have at hand and paste. Columns are found by their
//! shapes, not by their widths, which change with every driver.

use super::csv::{absent, mebibytes};
use super::{Amount, Gpu, Process, Reading};

/// Reads cards and programs. A card is a row that starts with its number and has a bus id, and the row below with
/// `used / total`.
pub(super) fn parse(text: &str) -> Reading {
    let mut reading = Reading::default();
    let mut in_processes = false;
    for line in text.lines().map(str::trim) {
        if let Some(version) = after(line, "Driver Version:") {
            reading.driver = Some(version.to_owned());
        }
        if let Some(version) = after(line, "CUDA Version:") {
            reading.cuda = (!absent(version)).then(|| version.to_owned());
            reading.without_cuda = reading.cuda.is_none();
        }
        let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else { continue };
        in_processes |= row.trim_start().starts_with("Processes:");
        if in_processes {
            process(row, &mut reading);
            continue;
        }
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [left, middle, ..] = cells[..] else { continue };
        let (first, rest) = left.split_once(char::is_whitespace).unwrap_or((left, ""));
        if let (Ok(index), true) = (first.parse(), middle.contains(':')) {
            reading.gpus.push(Gpu { index, name: name(rest), memory: Amount::Unknown, ..Gpu::default() });
        } else if let (Some(gpu), Some((used, total))) = (reading.gpus.last_mut(), middle.split_once('/')) {
            gpu.memory = match (mebibytes(used), mebibytes(total)) {
                (used, Some(total)) => Amount::Known { total, free: used.map(|used| total.saturating_sub(used)) },
                _ if absent(total) || total.trim() == "Not Supported" => Amount::NotSupported,
                _ => Amount::Unreadable(middle.to_owned()),
            };
        }
    }
    reading
}

/// The name, without the persistence mode (or the driver's kind, on Windows) that stands behind it.
fn name(cell: &str) -> Option<String> {
    let cell = cell.trim();
    let name = match cell.rsplit_once(char::is_whitespace) {
        Some((name, "On" | "Off" | "WDDM" | "TCC" | "MCDM")) => name.trim_end(),
        _ => cell,
    };
    (!absent(name)).then(|| name.to_owned())
}

fn after<'a>(line: &'a str, label: &str) -> Option<&'a str> {
    line.split_once(label)?.1.split_whitespace().next()
}

/// `0   N/A  N/A      2078      C   python                        45388MiB`, older tables without the two `N/A`.
fn process(row: &str, reading: &mut Reading) {
    let words: Vec<&str> = row.split_whitespace().collect();
    let Some(Ok(index)) = words.first().map(|word| word.parse::<u32>()) else { return };
    let Some(kind) = words.iter().position(|word| ["C", "G", "C+G", "M+C"].contains(word)) else { return };
    let (Some(pid), Some((last, name))) = (words.get(kind.wrapping_sub(1)), words[kind + 1..].split_last()) else {
        return;
    };
    let Ok(pid) = pid.parse() else { return };
    if let Some(gpu) = reading.gpus.iter_mut().find(|gpu| gpu.index == index) {
        gpu.processes.push(Process { pid, name: Some(name.join(" ")), bytes: mebibytes(last) });
    }
}
