//! Things that are somebody's own and can be told by their shape: unique ids, hardware addresses, network addresses,
//! ids of containers, keys.

use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// 32 hexadecimal digits or more: a container, a commit, a hash.
    LongHex,
    /// Six pairs of hexadecimal digits.
    Mac,
    /// A network address where it can be nothing else; versions look the same.
    Address,
    /// The beginning of a well-known kind of key.
    Secret,
}

/// All of them, in order, none over another.
pub(super) fn find(text: &str) -> Vec<(Range<usize>, Shape)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let starts = bytes[at].is_ascii_alphanumeric() && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
        if !starts {
            at += 1;
            continue;
        }
        // Kubernetes writes `pod` and the id as one word.
        let from = if bytes[at..].starts_with(b"pod") { at + 3 } else { at };
        let shape = uuid(bytes, from)
            .map(|end| (from..end, Shape::Uuid))
            .or_else(|| mac(bytes, at).map(|end| (at..end, Shape::Mac)))
            .or_else(|| long_hex(bytes, at).map(|end| (at..end, Shape::LongHex)))
            .or_else(|| secret(bytes, at).map(|end| (at..end, Shape::Secret)))
            .or_else(|| address(bytes, at).map(|end| (at..end, Shape::Address)));
        match shape {
            Some((range, shape)) => {
                at = range.end;
                found.push((range, shape));
            }
            None => at += 1,
        }
    }
    found
}

/// How many hexadecimal digits stand at `at`.
fn digits(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_hexdigit()).count()
}

fn ends(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

fn uuid(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut between = None;
    for (nth, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if nth > 0 {
            let mark = *bytes.get(at)?;
            if !matches!(mark, b'-' | b'_') || between.is_some_and(|before| before != mark) {
                return None;
            }
            between = Some(mark);
            at += 1;
        }
        if digits(bytes, at) != length {
            return None;
        }
        at += length;
    }
    ends(bytes, at).then_some(at)
}

fn mac(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mark = *bytes.get(start + 2)?;
    for nth in 0..6 {
        if nth > 0 {
            if !matches!(mark, b':' | b'-') || bytes.get(at) != Some(&mark) {
                return None;
            }
            at += 1;
        }
        if digits(bytes, at) != 2 {
            return None;
        }
        at += 2;
    }
    let goes_on = bytes.get(at) == Some(&mark) && digits(bytes, at + 1) > 0;
    (ends(bytes, at) && !goes_on).then_some(at)
}

fn long_hex(bytes: &[u8], start: usize) -> Option<usize> {
    let length = digits(bytes, start);
    (length >= 32 && ends(bytes, start + length)).then_some(start + length)
}

fn secret(bytes: &[u8], start: usize) -> Option<usize> {
    const STARTS: &[&str] = &["sk-", "hf_", "ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "AKIA", "AIza", "eyJ"];
    let rest = bytes.get(start..)?;
    let prefix = STARTS.iter().find(|prefix| rest.starts_with(prefix.as_bytes()))?;
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)).count();
    (length >= prefix.len() + 12).then_some(start + length)
}

/// Four numbers with dots. Versions have that form too, so it must stand where only an address does: after `//`, `@`,
/// `=` or before a port or a length.
fn address(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    for nth in 0..4 {
        if nth > 0 {
            if bytes.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let length = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number: u32 = std::str::from_utf8(bytes.get(at..at + length)?).ok()?.parse().ok()?;
        if number > 255 {
            return None;
        }
        at += length;
    }
    if !ends(bytes, at) || bytes.get(at) == Some(&b'.') {
        return None;
    }
    let before = bytes.get(..start).unwrap_or_default();
    let after_mark = [&b"//"[..], b"@", b"="].iter().any(|mark| before.ends_with(mark));
    let before_port = matches!(bytes.get(at), Some(b':' | b'/')) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
    (after_mark || before_port).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes(text: &str) -> Vec<(&str, Shape)> {
        find(text).into_iter().map(|(range, shape)| (&text[range], shape)).collect()
    }

    #[test]
    fn ids_are_told_by_their_shape() {
        let uuid = "0fe1d2c3-1111-2222-3333-44445555aaaa";
        assert_eq!(shapes(&format!("(UUID: GPU-{uuid})")), [(uuid, Shape::Uuid)]);
        let pod = "0fe1d2c3_1111_2222_3333_44445555aaaa";
        assert_eq!(shapes(&format!("/kubepods-pod{pod}.slice")), [(pod, Shape::Uuid)]);
        let container = "ab".repeat(32);
        assert_eq!(shapes(&format!("0::/docker/{container}\n")), [(container.as_str(), Shape::LongHex)]);
        assert_eq!(shapes("mac 3c:fd:fe:00:11:22 end"), [("3c:fd:fe:00:11:22", Shape::Mac)]);
        assert_eq!(shapes("http://10.1.2.3:8000/v1"), [("10.1.2.3", Shape::Address)]);
        assert_eq!(shapes("--token hf_abcdefghijklmnop x"), [("hf_abcdefghijklmnop", Shape::Secret)]);
    }

    #[test]
    fn what_only_looks_alike_stays() {
        for text in [
            "BIOS Version: 1.27.5.0",
            "MACA Version: 3.2.1.4 |",
            "00000000:41:00.0",
            "0000:C1:00.0",
            "driver 31.0.101.5522",
            "0x744c",
            "sk-short",
            "VBIOS 96.00.74.00.01",
            "é",
            "",
        ] {
            assert_eq!(shapes(text), [], "{text}");
        }
    }
}
