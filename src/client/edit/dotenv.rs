//! `NAME=value` lines, with `export `, quotes and comments.

use std::ops::Range;

use serde_json::{Map, Value};

use super::splice::{line_end, line_start, newline, next_line, splice};
use super::{EditError, Place, Step, shown};

/// One assignment and where it stands.
struct Line {
    name: String,
    value: String,
    /// Of the value, quotes included.
    span: Range<usize>,
}

fn lines(text: &str) -> Result<Vec<Line>, EditError> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = line_end(text, at);
        let mut next = next_line(text, end);
        if let Some(line) = line(text, at, end) {
            let (value, span) = value(text, line.1, end)?;
            // A value in quotes may go on over lines.
            next = next.max(next_line(text, line_end(text, span.end)));
            found.push(Line { name: line.0.to_owned(), value, span });
        }
        at = next;
    }
    Ok(found)
}

/// The name, and where its value begins.
fn line(text: &str, start: usize, end: usize) -> Option<(&str, usize)> {
    let line = &text[start..end];
    let rest = line.trim_start();
    let rest = rest.strip_prefix("export ").unwrap_or(rest).trim_start();
    let (name, after) = rest.split_once('=')?;
    let name = name.trim_end();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| {
        let after = after.trim_start_matches([' ', '\t']);
        (name, end - after.len())
    })
}

fn value(text: &str, start: usize, end: usize) -> Result<(String, Range<usize>), EditError> {
    let rest = &text[start..];
    let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')) else {
        let line = &text[start..end];
        let line = line.find(" #").or_else(|| line.starts_with('#').then_some(0)).map_or(line, |at| &line[..at]);
        let line = line.trim_end();
        return Ok((line.to_owned(), start..start + line.len()));
    };
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote == '"' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c)) => value.push(c),
                None => break,
            },
            c if c == quote => return Ok((value, start..start + at + 1)),
            c => value.push(c),
        }
    }
    let line = text[..start].matches('\n').count() + 1;
    let column = start - line_start(text, start) + 1;
    Err(EditError::Syntax { line, column, reason: "a quote that never ends".into() })
}

/// What the lines mean; the last of a name counts.
pub(super) fn read(text: &str) -> Result<Value, EditError> {
    let members = lines(text)?.into_iter().map(|line| (line.name, Value::from(line.value)));
    Ok(Value::Object(members.collect::<Map<_, _>>()))
}

/// The value as it is written.
pub(super) fn raw(text: &str, path: &[Step]) -> Option<String> {
    find(text, path).ok().flatten().map(|line| text[line.span].to_owned())
}

/// Sets a value.
pub(super) fn put(text: &str, place: &Place<'_>) -> Result<String, EditError> {
    match place {
        Place::Replace { path, to, raw } => {
            let line = find(text, path)?.ok_or(EditError::Unsafe)?;
            Ok(splice(text, vec![(line.span, written(path, to, *raw)?)]))
        }
        Place::Insert { path, value, raw, .. } => {
            let name = name(path)?;
            let nl = newline(text, text.len());
            let before = if text.is_empty() || text.ends_with('\n') { "" } else { nl };
            Ok(format!("{text}{before}{name}={}{nl}", written(path, value, *raw)?))
        }
    }
}

/// Takes a line away.
pub(super) fn remove(text: &str, path: &[Step]) -> Result<String, EditError> {
    let line = find(text, path)?.ok_or(EditError::Unsafe)?;
    let start = line_start(text, line.span.start);
    let end = line_end(text, line.span.end);
    let comment = text[line.span.end..end].trim();
    // What the user wrote beside it stays.
    let kept = if comment.is_empty() { String::new() } else { format!("{comment}{}", newline(text, end)) };
    Ok(splice(text, vec![(start..next_line(text, end), kept)]))
}

fn find(text: &str, path: &[Step]) -> Result<Option<Line>, EditError> {
    let name = name(path)?;
    let mut found: Vec<Line> = lines(text)?.into_iter().filter(|line| line.name == name).collect();
    if found.len() > 1 {
        return Err(EditError::Duplicate { path: name.to_owned() });
    }
    Ok(found.pop())
}

fn name(path: &[Step]) -> Result<&str, EditError> {
    match path {
        [Step::Key(name)] => Ok(name),
        _ => Err(EditError::Unsupported { path: shown(path), reason: "such files have names and values only" }),
    }
}

fn written(path: &[Step], to: &Value, raw: Option<&str>) -> Result<String, EditError> {
    if let Some(raw) = raw {
        return Ok(raw.to_owned());
    }
    let unsupported = |reason| EditError::Unsupported { path: shown(path), reason };
    let text = to.as_str().ok_or_else(|| unsupported("such files hold text only"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    // Readers differ in what a backslash means between double quotes; between single ones nothing is special.
    match text.contains(['\'', '\n', '\r', '\\']) {
        false => Ok(format!("'{text}'")),
        true => Err(unsupported("no quotes are safe around the value")),
    }
}
