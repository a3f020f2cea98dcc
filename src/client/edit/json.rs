//! JSON as its owners read it: with comments, trailing commas and any way of setting it out. Values are put in and taken
//! out at their place in the text, in the style of what stands around them.

use std::ops::Range;

use jsonc_parser::ast::{Object, Value as Ast};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::Serialize;
use serde_json::Value;

use super::splice::{blank, indent, line_end, line_start, newline, next_line, splice};
use super::{EditError, Place, Step, shown};
use crate::client::jsonc;

/// What the text means. Duplicates are an error only where they are met.
pub(super) fn read(text: &str) -> Result<Value, EditError> {
    jsonc::read(text).map_err(|broken| EditError::Syntax {
        line: broken.line,
        column: broken.column,
        reason: broken.reason,
    })
}

/// What the text of a file means that is a list as a whole; nothing at all is an empty one.
pub(super) fn read_list(text: &str) -> Result<Value, EditError> {
    let value = read(text)?;
    // Nothing at all is no group of settings either.
    let nothing = value.as_object().is_some_and(serde_json::Map::is_empty) && parse(text)?.is_none();
    Ok(if nothing { Value::Array(Vec::new()) } else { value })
}

fn parse(text: &str) -> Result<Option<Ast<'_>>, EditError> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        ..ParseOptions::default()
    };
    parse_to_ast(text, &CollectOptions::default(), &options).map(|parsed| parsed.value).map_err(|error| {
        EditError::Syntax {
            line: error.line_display(),
            column: error.column_display(),
            reason: error.kind().to_string(),
        }
    })
}

/// The value at `path`, and an error where a name on the way stands twice.
fn find<'a, 't>(root: &'a Ast<'t>, path: &[Step]) -> Result<Option<&'a Ast<'t>>, EditError> {
    let mut at = root;
    for (passed, step) in path.iter().enumerate() {
        let next = match (at, step) {
            (Ast::Object(object), Step::Key(key)) => {
                member(object, key, &path[..=passed])?.map(|at| &object.properties[at].value)
            }
            (Ast::Array(array), Step::Item { key, is }) => array.elements.iter().find(|item| is_item(item, key, is)),
            _ => None,
        };
        match next {
            Some(value) => at = value,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn member(object: &Object<'_>, key: &str, path: &[Step]) -> Result<Option<usize>, EditError> {
    let mut named = object.properties.iter().enumerate().filter(|(_, prop)| prop.name.as_str() == key);
    let first = named.next().map(|(at, _)| at);
    match named.next() {
        Some(_) => Err(EditError::Duplicate { path: shown(path) }),
        None => Ok(first),
    }
}

fn is_item(item: &Ast<'_>, key: &str, is: &str) -> bool {
    let Ast::Object(object) = item else { return false };
    // As an ordinary parser has it: the last of that name.
    object.properties.iter().rev().find(|prop| prop.name.as_str() == key).is_some_and(|prop| match &prop.value {
        Ast::StringLit(text) => text.value == is,
        _ => false,
    })
}

/// The value as it is written.
pub(super) fn raw(text: &str, path: &[Step]) -> Option<String> {
    let root = parse(text).ok()??;
    let value = find(&root, path).ok()??;
    text.get(range(value)).map(str::to_owned)
}

fn range(node: &impl Ranged) -> Range<usize> {
    node.start()..node.end()
}

/// Sets a value.
pub(super) fn put(text: &str, place: &Place<'_>) -> Result<String, EditError> {
    let root = parse(text)?;
    match place {
        Place::Replace { path, to, raw } => {
            let root = root.ok_or(EditError::Unsafe)?;
            let value = find(&root, path)?.ok_or(EditError::Unsafe)?;
            let at = value.start();
            let inside = indent(&text[line_start(text, at)..at]);
            let new = match raw {
                Some(raw) => (*raw).to_owned(),
                None => Style::of(text, at).write(to, inside, text.contains('\n')),
            };
            Ok(splice(text, vec![(range(value), new)]))
        }
        Place::Insert { parent, step, to, raw, .. } => {
            let Some(root) = root else { return Ok(from_nothing(text, step, to)) };
            let new = |style: &Style, inside: &str, open: bool| {
                let value = match raw {
                    Some(raw) => (*raw).to_owned(),
                    None => style.write(to, inside, open),
                };
                match step {
                    Step::Key(key) => format!("{}:{}{value}", Value::from(key.as_str()), style.after_colon),
                    Step::Item { .. } => value,
                }
            };
            match (find(&root, parent)?.ok_or(EditError::Unsafe)?, step) {
                (Ast::Object(object), Step::Key(_)) => {
                    let members: Vec<Range<usize>> = object.properties.iter().map(range).collect();
                    Ok(insert(text, range(object), &members, new))
                }
                (Ast::Array(array), Step::Item { .. }) => {
                    let items: Vec<Range<usize>> = array.elements.iter().map(range).collect();
                    Ok(insert(text, range(array), &items, new))
                }
                _ => Err(EditError::Unsafe),
            }
        }
    }
}

/// A file of nothing, or of comments only.
fn from_nothing(text: &str, step: &Step, to: &Value) -> String {
    let nl = newline(text, text.len());
    let before = if text.trim().is_empty() {
        ""
    } else if text.ends_with('\n') {
        text
    } else {
        return from_nothing(&format!("{text}{nl}"), step, to);
    };
    let style = Style { unit: "  ".into(), nl, after_colon: " " };
    let (unit, value) = (&style.unit, style.write(to, &style.unit, true));
    match step {
        Step::Key(key) => format!("{before}{{{nl}{unit}{}: {value}{nl}}}{nl}", Value::from(key.as_str())),
        Step::Item { .. } => format!("{before}[{nl}{unit}{value}{nl}]{nl}"),
    }
}

/// Puts one more into an object or a list: behind the last, on a line of its own where the last has one.
fn insert(
    text: &str,
    whole: Range<usize>,
    members: &[Range<usize>],
    new: impl Fn(&Style, &str, bool) -> String,
) -> String {
    let close = whole.end - 1;
    let style = Style::of(text, whole.start);
    let nl = style.nl;
    let Some(last) = members.last() else {
        return insert_first(text, whole.start, close, &style, &new);
    };
    let before = &text[line_start(text, last.start)..last.start];
    let comma = comma_after(text, last.end, close);
    if !blank(before) {
        // Everything on one line.
        let gap = if members.len() > 1 && text[..last.start].ends_with(',') { "" } else { " " };
        let value = new(&style, indent(before), false);
        return match comma {
            Some(comma) => splice(text, vec![(comma + 1..comma + 1, format!("{gap}{value},"))]),
            None => splice(text, vec![(last.end..last.end, format!(",{gap}{value}"))]),
        };
    }
    let value = new(&style, before, true);
    let after = comma.map_or(last.end, |comma| comma + 1);
    let at = behind_comments(text, after, close);
    match comma {
        Some(_) => splice(text, vec![(at..at, format!("{nl}{before}{value},"))]),
        None if at == last.end => splice(text, vec![(at..at, format!(",{nl}{before}{value}"))]),
        None => splice(text, vec![(last.end..last.end, ",".into()), (at..at, format!("{nl}{before}{value}"))]),
    }
}

/// Into an object or list that has nothing, or comments only.
fn insert_first(
    text: &str,
    open: usize,
    close: usize,
    style: &Style,
    new: &impl Fn(&Style, &str, bool) -> String,
) -> String {
    let nl = style.nl;
    let outer = indent(&text[line_start(text, open)..]).to_owned();
    let inner = format!("{outer}{}", style.unit);
    let inside = &text[open + 1..close];
    if inside.trim().is_empty() {
        // A file on one line stays one, unless this is all it has.
        let one_line = !text.trim_end().contains('\n') && open > 0;
        let filling = if one_line {
            new(style, "", false)
        } else {
            format!("{nl}{inner}{}{nl}{outer}", new(style, &inner, true))
        };
        return splice(text, vec![(open + 1..close, filling)]);
    }
    let line = line_start(text, close);
    if line > open && blank(&text[line..close]) {
        return splice(text, vec![(line..line, format!("{inner}{}{nl}", new(style, &inner, true)))]);
    }
    splice(text, vec![(close..close, format!("{nl}{inner}{}{nl}{outer}", new(style, &inner, true)))])
}

/// Takes a value away, with its name and comma; comments stay.
pub(super) fn remove(text: &str, path: &[Step]) -> Result<String, EditError> {
    let (last, parents) = path.split_last().ok_or(EditError::Unsafe)?;
    let root = parse(text)?.ok_or(EditError::Unsafe)?;
    let parent = find(&root, parents)?.ok_or(EditError::Unsafe)?;
    let (at, members): (usize, Vec<Range<usize>>) = match (parent, last) {
        (Ast::Object(object), Step::Key(key)) => {
            let at = member(object, key, path)?.ok_or(EditError::Unsafe)?;
            (at, object.properties.iter().map(range).collect())
        }
        (Ast::Array(array), Step::Item { key, is }) => {
            let at = array.elements.iter().position(|item| is_item(item, key, is)).ok_or(EditError::Unsafe)?;
            (at, array.elements.iter().map(range).collect())
        }
        _ => return Err(EditError::Unsafe),
    };
    let (open, close) = (parent.start(), parent.end() - 1);
    let own = &members[at];
    let next = comma_after(text, own.end, members.get(at + 1).map_or(close, |next| next.start));
    let mut cuts = Vec::new();
    let mut end = own.end;
    match next {
        // Blanks before the comma go with it, comments stay.
        Some(comma) if blank(&text[own.end..comma]) => end = comma + 1,
        Some(comma) => cuts.push((comma..comma + 1, String::new())),
        None => {
            if let Some(before) = at.checked_sub(1).and_then(|before| members.get(before))
                && let Some(comma) = comma_after(text, before.end, own.start)
            {
                cuts.push((comma..comma + 1, String::new()));
            }
        }
    }
    let mut start = own.start;
    let line = line_start(text, start);
    let rest = line_end(text, end);
    if blank(&text[line..start]) && blank(&text[end..rest]) && line > open {
        // The whole line.
        (start, end) = (line, next_line(text, rest));
    } else if next.is_some() {
        end += text[end..rest].len() - text[end..rest].trim_start_matches([' ', '\t']).len();
    } else {
        start = line + text[line..start].trim_end_matches([' ', '\t']).len();
        // Not into the comma that is cut already.
        start = start.max(cuts.last().map_or(open + 1, |(comma, _)| comma.end));
    }
    cuts.push((start..end, String::new()));
    let text = splice(text, cuts);
    Ok(if members.len() == 1 { closed_up(&text, open) } else { text })
}

/// `{` and `}` together again where only blanks are left between them.
fn closed_up(text: &str, open: usize) -> String {
    let rest = text[open + 1..].trim_start();
    if rest.starts_with(['}', ']']) {
        return splice(text, vec![(open + 1..text.len() - rest.len(), String::new())]);
    }
    text.to_owned()
}

/// The comma behind a value, if there is one before `limit`.
fn comma_after(text: &str, from: usize, limit: usize) -> Option<usize> {
    let at = past_comments(text, from, limit);
    (at < limit && text.as_bytes()[at] == b',').then_some(at)
}

/// Past blanks, line breaks and comments.
fn past_comments(text: &str, mut at: usize, limit: usize) -> usize {
    loop {
        let rest = &text[at..limit];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            match rest.bytes().next() {
                Some(byte) if byte.is_ascii_whitespace() => 1,
                _ => return at,
            }
        };
        at += length;
    }
}

/// The end of the line, if only comments that end on it follow; else `from`.
fn behind_comments(text: &str, from: usize, close: usize) -> usize {
    let end = line_end(text, from).min(close);
    let past = past_comments(text, from, end);
    let open = text[from..end].rfind("/*").is_some_and(|at| !text[from + at..end].contains("*/"));
    if past == end && !open && end < close { end } else { from }
}

/// How a text sets its values out.
struct Style {
    unit: String,
    nl: &'static str,
    after_colon: &'static str,
}

impl Style {
    /// Around `at`.
    fn of(text: &str, at: usize) -> Style {
        // The first line that stands further in than the one before says how far a step is.
        let mut outer = "";
        let mut unit = "  ";
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let own = indent(line);
            if let Some(more) = own.strip_prefix(outer).filter(|more| !more.is_empty()) {
                if line.trim_start().starts_with('"') || line.trim_start().starts_with('{') {
                    unit = more;
                    break;
                }
            } else {
                outer = own;
            }
        }
        let minified = !text.trim().contains('\n') && text.contains("\":") && !text.contains("\": ");
        Style { unit: unit.to_owned(), nl: newline(text, at), after_colon: if minified { "" } else { " " } }
    }

    /// A value whose line stands at `inside`; on one line unless `open`.
    fn write(&self, value: &Value, inside: &str, open: bool) -> String {
        let nothing = value.as_object().is_some_and(serde_json::Map::is_empty);
        if !open || nothing || !(value.is_object() || value.is_array()) {
            let text = value.to_string();
            return if self.after_colon.is_empty() { text } else { spaced(value) };
        }
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(self.unit.as_bytes());
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        let written = value.serialize(&mut writer).ok().and_then(|()| String::from_utf8(bytes).ok());
        // Line breaks inside strings are escaped: each one here is the formatter's.
        written.map_or_else(|| value.to_string(), |text| text.replace('\n', &format!("{}{inside}", self.nl)))
    }
}

/// On one line, with a blank behind colons and commas.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), spaced(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        _ => value.to_string(),
    }
}
