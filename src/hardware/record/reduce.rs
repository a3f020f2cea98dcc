//! Answers of which detection needs a part and the rest is nobody's business: command lines of programs, the displays
//! of a Mac, the registry of Windows.

use serde_json::Value;

use crate::hardware::rows::program_name;

/// What is kept of a program's output.
pub(super) fn reduce(program: &str, text: &str) -> String {
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    match name.strip_suffix(".exe").unwrap_or(name) {
        "nvidia-smi" | "ixsmi" => table_rows(&process_names(text)),
        "npu-smi" => holder_rows(text),
        "mthreads-gmi" | "mx-smi" | "cnmon" | "hy-smi" => before_processes(text),
        "ioreg" => lines(text, &["gpu-core-count", "\"model\""]),
        "reg" => lines(text, &["HKEY_", "DriverDesc", "MatchingDeviceId", "HardwareInformation.qwMemorySize"]),
        "system_profiler" => displays(text),
        _ => text.to_owned(),
    }
}

fn lines(text: &str, with: &[&str]) -> String {
    text.split_inclusive('\n').filter(|line| with.iter().any(|word| line.contains(word))).collect()
}

/// `<process_name>/home/me/venv/bin/python serve.py --key …</process_name>`.
fn process_names(text: &str) -> String {
    const OPEN: &str = "<process_name>";
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        left.push_str(before);
        left.push_str(OPEN);
        let end = after.find('<').unwrap_or(after.len());
        let (command, tail) = after.split_at(end);
        left.push_str(program_name(command));
        rest = tail;
    }
    left.push_str(rest);
    left
}

/// Rows of `nvidia-smi`'s table of processes: what stands between the kind (`C`, `G`, `C+G`) and the memory.
fn table_rows(text: &str) -> String {
    let mut in_processes = false;
    let mut left = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        in_processes |= line.trim_start_matches(['|', ' ']).starts_with("Processes:");
        match table_row(line).filter(|_| in_processes) {
            Some(row) => left.push_str(&row),
            None => left.push_str(line),
        }
    }
    left
}

fn table_row(line: &str) -> Option<String> {
    let kind = [" C ", " G ", " C+G ", " M+C "].iter().find_map(|kind| Some(line.find(kind)? + kind.len()))?;
    let (before, rest) = line.split_at_checked(kind)?;
    let inner = rest.trim_end().strip_suffix('|')?.trim();
    let (command, memory) = inner.rsplit_once(char::is_whitespace)?;
    Some(format!("{before}{}  {memory} |\n", program_name(command)))
}

/// Rows of `npu-smi info`'s last table: `| 0  0 | pid | name | memory |`.
fn holder_rows(text: &str) -> String {
    let mut in_processes = false;
    let mut left = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        in_processes |= line.contains("Process id") || line.contains("Process name");
        let cells: Vec<&str> = line.split('|').collect();
        let row = in_processes && cells.len() > 4 && cells.get(2).is_some_and(|pid| pid.trim().parse::<u32>().is_ok());
        if row {
            let renamed = cells.iter().enumerate().map(|(at, cell)| match at {
                3 => format!(" {:<width$}", program_name(cell), width = cell.len().saturating_sub(1)),
                _ => (*cell).to_owned(),
            });
            left.push_str(&renamed.collect::<Vec<_>>().join("|"));
        } else {
            left.push_str(line);
        }
    }
    left
}

/// Up to the list of processes, whose names run into their memory there.
fn before_processes(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        left.push_str(line);
        if line.trim_start_matches(['|', ' ']).starts_with("Process") {
            left.push_str("(the rest is left out)\n");
            break;
        }
    }
    left
}

/// Without the displays that are connected, which have names and numbers of their own.
fn displays(text: &str) -> String {
    let Ok(mut report) = serde_json::from_str::<Value>(text) else { return String::new() };
    let cards = report.get_mut("SPDisplaysDataType").and_then(Value::as_array_mut);
    for card in cards.into_iter().flatten().filter_map(Value::as_object_mut) {
        card.retain(|name, _| name != "spdisplays_ndrvs");
    }
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_become_names() {
        let xml = "<process_name>/home/ida/venv/bin/python3 serve.py --key abc</process_name><pid>1</pid>";
        assert_eq!(reduce("/usr/bin/nvidia-smi", xml), "<process_name>python3</process_name><pid>1</pid>");
        let table = "| Processes:     |\n|    0   N/A  N/A    77      C   /opt/ida/python serve.py    45388MiB |\n";
        let left = reduce("nvidia-smi", table);
        assert!(left.ends_with("|    0   N/A  N/A    77      C python  45388MiB |\n"), "{left}");
        let npu =
            "| NPU Chip | Process id | Process name | Process memory(MB) |\n| 0  0 | 77 | /opt/ida/python | 400 |\n";
        let left = reduce("npu-smi", npu);
        let row = left.lines().last().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(row, "| 0 0 | 77 | python | 400 |");
        let left = reduce("cnmon", "| 0 / MLU |\n| Processes: |\n| 0 77 python --key abc |\n");
        assert!(left.starts_with("| 0 / MLU |") && !left.contains("abc"), "{left}");
    }

    #[test]
    fn of_a_mac_and_of_windows_only_what_is_read_stays() {
        let text =
            "{\"SPDisplaysDataType\":[{\"sppci_model\":\"Apple M9\",\"spdisplays_ndrvs\":[{\"_name\":\"Ida's\"}]}]}";
        let left = reduce("/usr/sbin/system_profiler", text);
        assert!(left.contains("Apple M9") && !left.contains("Ida"), "{left}");
        assert_eq!(reduce("system_profiler", "no JSON of Ida's"), "");
        let left = reduce("reg", "HKEY_X\\0000\n    DriverDesc    REG_SZ    Card\n    Owner    REG_SZ    Ida\n");
        assert_eq!(left, "HKEY_X\\0000\n    DriverDesc    REG_SZ    Card\n");
    }
}
