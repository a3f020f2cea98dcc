//! Reading the tables that vendors' tools draw: cells between bars, "used / total" pairs, PCI addresses. Widths differ
//! between versions of a tool, so nothing here counts columns of characters.

const MIB: u64 = 1024 * 1024;

/// The cells of `| a | b |`, trimmed; `None` for a line that is no row. What stands before the first bar (a quote mark,
/// an indent) is dropped when it has no letters or digits.
pub(super) fn cells(line: &str) -> Option<Vec<&str>> {
    let (before, row) = line.split_once('|')?;
    if before.contains(char::is_alphanumeric) {
        return None;
    }
    let row = row.trim_end();
    Some(row.strip_suffix('|').unwrap_or(row).split('|').map(str::trim).collect())
}

/// Every `used / total` in a text, as bytes (the tools count MiB, whether they call it MB or MiB). One side may be
/// missing (`-`, `NA`), not both.
pub(super) fn pairs(text: &str) -> Vec<(Option<u64>, Option<u64>)> {
    let mut found = Vec::new();
    let mut parts = text.split('/').peekable();
    while let Some(left) = parts.next() {
        let Some(right) = parts.peek() else { break };
        let used = first_amount(left.split_whitespace().rev());
        let total = first_amount(right.split_whitespace());
        if used.is_some() || total.is_some() {
            found.push((used, total));
        }
    }
    found
}

/// The first word that is no unit.
fn first_amount<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<u64> {
    amount(words.find(|word| !matches!(*word, "MiB" | "MB"))?)
}

/// `662MiB`, `662` as bytes; what has no number is unknown.
pub(super) fn amount(word: &str) -> Option<u64> {
    let word = word.trim();
    let number = word.strip_suffix("MiB").or_else(|| word.strip_suffix("MB")).unwrap_or(word);
    number.trim().parse::<u64>().ok()?.checked_mul(MIB)
}

/// `0000:C1:00.0`, also with hidden digits (`0000:xx:00.0`).
pub(super) fn is_bus(cell: &str) -> bool {
    cell.matches(':').count() == 2 && cell.contains('.') && !cell.contains(char::is_whitespace)
}

/// A number and the words after it: `3   MTT S80`.
pub(super) fn numbered(cell: &str) -> Option<(u32, &str)> {
    let (number, rest) = cell.split_once(char::is_whitespace).unwrap_or((cell, ""));
    Some((number.parse().ok()?, rest.trim()))
}

/// What a cell says, unless it says that it says nothing.
pub(super) fn said(cell: &str) -> Option<String> {
    let cell = cell.trim();
    let nothing = ["", "-", "--", "/", "na", "n/a", "none", "unknown"];
    (!nothing.contains(&cell.to_ascii_lowercase().as_str())).then(|| cell.to_owned())
}

/// The word after a label: `Driver Version:3.0.0` and `Driver Version: 3.0.0`.
pub(super) fn after<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let at = text.find(label)?;
    let rest = text.get(at + label.len()..)?.trim_start_matches([' ', ':']);
    let end = rest.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(rest.len());
    rest.get(..end).filter(|word| !word.is_empty())
}

/// The program's name, of a path with arguments behind it.
pub(super) fn program_name(command: &str) -> &str {
    let first = command.split_whitespace().next().unwrap_or_default();
    first.rsplit(['/', '\\']).next().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_what_stands_between_bars() {
        assert_eq!(cells("| 0  a | b/c |  "), Some(vec!["0  a", "b/c"]));
        assert_eq!(cells(">  | 0 | b"), Some(vec!["0", "b"]));
        assert_eq!(cells("root# npu-smi info | cat"), None);
        assert_eq!(cells("+----+"), None);
    }

    #[test]
    fn pairs_of_every_spelling() {
        let mib = |n: u64| Some(n << 20);
        assert_eq!(pairs("0           0    / 0          3197 / 65536"), [(mib(0), mib(0)), (mib(3197), mib(65536))]);
        assert_eq!(pairs("61825/ 65536"), [(mib(61825), mib(65536))]);
        assert_eq!(pairs("0 MiB/ 23374 MiB"), [(mib(0), mib(23374))]);
        assert_eq!(pairs("60982/65536 MiB"), [(mib(60982), mib(65536))]);
        assert_eq!(pairs("- / 65536"), [(None, mib(65536))]);
        assert_eq!(pairs("N/A"), []);
        assert_eq!(pairs("1/99999999999999999999"), [(mib(1), None)]);
        assert_eq!(pairs("1/18446744073709551615"), [(mib(1), None)], "it does not wrap around");
    }
}
