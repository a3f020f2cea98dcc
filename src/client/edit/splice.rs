//! Places in a text, and putting other text there.

use std::ops::Range;

/// Where the line of `at` begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |n| n + 1)
}

/// Where the line of `at` ends: at its line break, or at the end of the text.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    if end < text.len() && end > at && text.as_bytes()[end - 1] == b'\r' { end - 1 } else { end }
}

/// Behind the line break that stands at `end`; `end` itself at the end of the text.
pub(super) fn next_line(text: &str, end: usize) -> usize {
    match &text.as_bytes()[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [b'\n', ..] => end + 1,
        _ => end,
    }
}

/// The line break to write at `at`: that of its line, else of the line before, else `\n`.
pub(super) fn newline(text: &str, at: usize) -> &'static str {
    let end = line_end(text, at);
    match (&text[end..next_line(text, end)], text[..end].rfind('\n')) {
        ("\r\n", _) => "\r\n",
        ("", Some(n)) if text[..n].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Whether only blanks and tabs stand there.
pub(super) fn blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// The blanks a text begins with.
pub(super) fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The text with others in these places, which do not overlap.
pub(super) fn splice(text: &str, mut places: Vec<(Range<usize>, String)>) -> String {
    places.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for (range, new) in places {
        out.push_str(&text[at..range.start]);
        out.push_str(&new);
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}
