//! Values that are somebody's own because of the name before them: `"serial_number": "…"`, `<serial>…</serial>`,
//! `Serial Number : …`. Tools' JSON is not always JSON, so all of it is read as text.

/// What stands instead.
const REMOVED: &str = "removed";

/// The text without such values.
pub(super) fn without(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (quotes, tags) = (line.contains('"'), line.contains('<'));
        // A tag may have quotes in it, and what is quoted may be a tag.
        match (quotes, tags) {
            (false, false) => labelled(line, &mut left),
            (false, true) => tagged(line, &mut left),
            (true, false) => quoted(line, &mut left),
            (true, true) => {
                let mut once = String::with_capacity(line.len());
                tagged(line, &mut once);
                quoted(&once, &mut left);
            }
        }
    }
    left
}

/// Whether what is called so identifies a machine. `asic_serial` is AMD's unique id, which is replaced, not removed:
/// it pairs cards with variables.
fn is_private(name: &str) -> bool {
    const NAMES: &[&str] =
        &["serial", "boardid", "partnumber", "macaddress", "hostname", "guid", "clusteruuid", "assettag", "username"];
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    name != "asicserial" && name.len() < 48 && NAMES.iter().any(|private| name.contains(private))
}

/// `"key": "value"` or `"key": 5`, any number of times.
fn quoted(line: &str, left: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('"') {
        left.push_str(before);
        left.push('"');
        let Some(end) = closing(after) else {
            left.push_str(after);
            return;
        };
        let (name, tail) = after.split_at(end);
        left.push_str(name);
        left.push('"');
        rest = tail.get(1..).unwrap_or_default();
        let value = rest.trim_start().strip_prefix(':').map(str::trim_start).filter(|_| is_private(name));
        let Some(value) = value else { continue };
        left.push_str(rest.get(..rest.len() - value.len()).unwrap_or_default());
        left.push('"');
        left.push_str(REMOVED);
        left.push('"');
        rest = match value.strip_prefix('"') {
            Some(text) => closing(text).and_then(|end| text.get(end + 1..)).unwrap_or("\n"),
            None => value.find([',', '}', ']', '\n']).and_then(|end| value.get(end..)).unwrap_or_default(),
        };
    }
    left.push_str(rest);
}

/// Where the text that began before `text` ends: the next quote mark without a backslash.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// `<serial>value</serial>`.
fn tagged(line: &str, left: &mut String) {
    let mut rest = line;
    while let Some(open) = rest.find('<') {
        let Some(close) = rest.get(open..).and_then(|tag| tag.find('>')).map(|at| open + at + 1) else { break };
        let name = rest.get(open + 1..close - 1).unwrap_or_default();
        let end = rest.get(close..).and_then(|value| value.find("</")).map(|at| close + at);
        left.push_str(rest.get(..close).unwrap_or_default());
        match end {
            Some(end) if !name.starts_with('/') && is_private(name) => {
                left.push_str(REMOVED);
                rest = rest.get(end..).unwrap_or_default();
            }
            _ => rest = rest.get(close..).unwrap_or_default(),
        }
    }
    left.push_str(rest);
}

/// `Serial Number : value`, also behind the name of the card.
fn labelled(line: &str, left: &mut String) {
    let named = line.trim_end().rsplit_once(':').filter(|(label, value)| {
        let name = label.rsplit(':').next().unwrap_or(label);
        !value.trim().is_empty() && is_private(name)
    });
    match named {
        Some((label, _)) => {
            left.push_str(label);
            left.push_str(": ");
            left.push_str(REMOVED);
            left.push('\n');
        }
        None => left.push_str(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_and_what_is_around_it_stays() {
        for (text, left) in [
            ("{\"serial_number\": \"A1\", \"x\": \"y\"}", "{\"serial_number\": \"removed\", \"x\": \"y\"}"),
            ("{\"Serial Number\":\"A\\\"1\",\"b\":2}", "{\"Serial Number\":\"removed\",\"b\":2}"),
            ("{\"board_id\": 77, \"b\": 2}", "{\"board_id\": \"removed\", \"b\": 2}"),
            ("\t\t<serial>132</serial>\n", "\t\t<serial>removed</serial>\n"),
            ("<a><board_id>0x1</board_id><b>2</b></a>", "<a><board_id>removed</board_id><b>2</b></a>"),
            ("<gpu id=\"0:1\"><serial>7</serial></gpu>\n", "<gpu id=\"0:1\"><serial>removed</serial></gpu>\n"),
            ("<serial id=\"1\">7</serial>", "<serial id=\"1\">removed</serial>"),
            ("GPU[0]\t: Serial Number:\t\t PCB1\n", "GPU[0]\t: Serial Number: removed\n"),
            ("Serial\t\t: 10000000abcd\nflags : a b\n", "Serial\t\t: removed\nflags : a b\n"),
            ("{\"asic_serial\": \"0x12\"}", "{\"asic_serial\": \"0x12\"}"),
            ("Serial Number:\n", "Serial Number:\n"),
            ("\"serial\": \"never closed", "\"serial\": \"removed\"\n"),
            ("< no tag", "< no tag"),
        ] {
            assert_eq!(without(text), left);
        }
    }
}
