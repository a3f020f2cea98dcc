//! TOML. Values are put in and taken out at their place in the text; the parser only tells where that is.

use std::ops::Range;

use serde_json::{Map, Value};
use toml_edit::{Document, InlineTable, Item, Table, TableLike, Value as Toml};

use super::splice::{blank, line_end, line_start, newline, next_line, splice};
use super::{EditError, Place, Step, shown};

fn parse(text: &str) -> Result<Document<&str>, EditError> {
    Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        EditError::Syntax {
            line: text[..at].matches('\n').count() + 1,
            column: text[line_start(text, at)..at].chars().count() + 1,
            reason: error.message().lines().next().unwrap_or("not TOML").to_owned(),
        }
    })
}

/// What the text means. Dates, and numbers JSON does not have, are told apart from all that is text.
pub(super) fn read(text: &str) -> Result<Value, EditError> {
    Ok(table_value(parse(text)?.as_table()))
}

fn table_value(table: &dyn TableLike) -> Value {
    table.iter().map(|(key, item)| (key.to_owned(), item_value(item))).collect::<Map<_, _>>().into()
}

fn item_value(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Table(table) => table_value(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table_value(table)).collect(),
        Item::Value(Toml::String(text)) => Value::from(text.value().as_str()),
        Item::Value(Toml::Integer(number)) => Value::from(*number.value()),
        Item::Value(Toml::Boolean(value)) => Value::from(*value.value()),
        Item::Value(Toml::Float(number)) if number.value().is_finite() => Value::from(*number.value()),
        Item::Value(Toml::Float(number)) => Value::from(format!("\0{}", number.value())),
        Item::Value(Toml::Datetime(time)) => Value::from(format!("\0{}", time.value())),
        Item::Value(Toml::Array(items)) => items.iter().map(|value| item_value(&Item::Value(value.clone()))).collect(),
        Item::Value(Toml::InlineTable(table)) => table_value(table),
    }
}

fn keys(path: &[Step]) -> Result<Vec<&str>, EditError> {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => Ok(key.as_str()),
            Step::Item { .. } => Err(unsupported(path, "items of lists")),
        })
        .collect()
}

fn unsupported(path: &[Step], reason: &'static str) -> EditError {
    EditError::Unsupported { path: shown(path), reason }
}

fn find<'d>(document: &'d Document<&str>, keys: &[&str]) -> Option<&'d Item> {
    keys.iter().try_fold(document.as_item(), |item, key| item.as_table_like()?.get(key))
}

/// The value as it is written.
pub(super) fn raw(text: &str, path: &[Step]) -> Option<String> {
    let document = parse(text).ok()?;
    let item = find(&document, &keys(path).ok()?)?;
    let span = item.as_value()?.span()?;
    text.get(span).filter(|raw| !raw.is_empty()).map(str::to_owned)
}

/// Sets a value.
pub(super) fn put(text: &str, place: &Place<'_>) -> Result<String, EditError> {
    let document = parse(text)?;
    match place {
        Place::Replace { path, to, raw } => {
            let item = find(&document, &keys(path)?).ok_or(EditError::Unsafe)?;
            let span = item.as_value().and_then(span_of);
            let span = span.ok_or_else(|| unsupported(path, "a table of its own"))?;
            Ok(splice(text, vec![(span, written(to, *raw))]))
        }
        Place::Insert { path, parent, value, raw, .. } => {
            let names = keys(path)?;
            let (above, rest) = names.split_at(parent.len());
            let value = written(value, *raw);
            match find(&document, above).ok_or(EditError::Unsafe)? {
                Item::Value(Toml::InlineTable(table)) => {
                    insert_inline(text, table, rest, &value).ok_or_else(|| unsupported(path, "dotted names"))
                }
                Item::Table(table) => Ok(insert_line(text, &document, table, above, rest, &value)),
                _ => Err(unsupported(path, "a list of tables")),
            }
        }
    }
}

/// Where a value stands; `None` for a table of dotted names, which stands nowhere in one piece.
fn span_of(value: &Toml) -> Option<Range<usize>> {
    value.span().filter(|span| !span.is_empty())
}

fn insert_inline(text: &str, table: &InlineTable, rest: &[&str], value: &str) -> Option<String> {
    let span = table.span().filter(|span| text.get(span.clone()).is_some_and(|text| text.starts_with('{')))?;
    // Braces and not dots: the next value can go between them.
    let (last, around) = rest.split_last()?;
    let inner = format!("{} = {value}", dotted(&[last]));
    let new = around.iter().rev().fold(inner, |inner, name| format!("{} = {{ {inner} }}", dotted(&[name])));
    match table.iter().filter_map(|(_, value)| last_end(&Item::Value(value.clone()))).max() {
        Some(end) => Some(splice(text, vec![(end..end, format!(", {new}"))])),
        None => Some(splice(text, vec![(span, format!("{{ {new} }}"))])),
    }
}

/// A line in the table, or a table of its own at the end of the file.
fn insert_line(
    text: &str,
    document: &Document<&str>,
    table: &Table,
    above: &[&str],
    rest: &[&str],
    value: &str,
) -> String {
    let nl = newline(text, text.len());
    if rest.len() > 1 || (table.is_implicit() && !table.is_dotted()) {
        let (last, sections) = rest.split_last().map_or(("", &[][..]), |(last, rest)| (*last, rest));
        let section = dotted(&[above, sections].concat());
        let gap = match text {
            "" => "",
            _ if text.ends_with("\n\n") || text.ends_with("\n\r\n") => "",
            _ if text.ends_with('\n') => nl,
            _ => &nl.repeat(2),
        };
        return format!("{text}{gap}[{section}]{nl}{} = {value}{nl}", dotted(&[last]));
    }
    // Names that belong together by their dots are written from the next header on.
    let from = (0..above.len())
        .rev()
        .find(|length| {
            let item = find(document, &above[..*length]).and_then(Item::as_table);
            item.is_some_and(|table| !table.is_dotted())
        })
        .filter(|_| table.is_dotted());
    let name = dotted(&[&above[from.unwrap_or(above.len())..], rest].concat());
    let inside = own_end(table).map(|end| (end, indent_of_last(text, end)));
    match inside.or_else(|| table.span().filter(|span| !span.is_empty()).map(|span| (span.end, ""))) {
        Some((end, indent)) => {
            let at = line_end(text, end);
            splice(text, vec![(at..at, format!("{}{indent}{name} = {value}", newline(text, at)))])
        }
        // The file begins with a header, or has nothing.
        None => {
            let first = first_header(document).map_or(text.len(), |at| above_header(text, at));
            let before = if first > 0 && !text[..first].ends_with('\n') { nl } else { "" };
            let gap = if first < text.len() && !text[first..].starts_with(['\r', '\n']) { nl } else { "" };
            splice(text, vec![(first..first, format!("{before}{name} = {value}{nl}{gap}"))])
        }
    }
}

/// Where the last value of the table itself ends: not of those with headers of their own.
fn own_end(table: &Table) -> Option<usize> {
    table.iter().filter_map(|(_, item)| last_end(item)).max()
}

fn last_end(item: &Item) -> Option<usize> {
    match item {
        Item::Value(Toml::InlineTable(table)) if span_of_inline(table).is_none() => {
            table.iter().filter_map(|(_, value)| last_end(&Item::Value(value.clone()))).max()
        }
        Item::Value(value) => value.span().map(|span| span.end),
        Item::Table(table) if table.is_dotted() => own_end(table),
        _ => None,
    }
}

fn span_of_inline(table: &InlineTable) -> Option<Range<usize>> {
    table.span().filter(|span| !span.is_empty() && !table.is_dotted())
}

/// How far in the line of that value stands. The value may begin lines above.
fn indent_of_last(text: &str, end: usize) -> &str {
    let line = &text[line_start(text, end)..end];
    if line.contains('=') { super::splice::indent(line) } else { "" }
}

/// Where the first header of the file stands.
fn first_header(document: &Document<&str>) -> Option<usize> {
    fn headers(item: &Item) -> Option<usize> {
        let below = |table: &Table| table.iter().filter_map(|(_, item)| headers(item)).min();
        match item {
            Item::Table(table) => {
                let own = table.span().filter(|span| !span.is_empty()).map(|span| span.start);
                own.into_iter().chain(below(table)).min()
            }
            Item::ArrayOfTables(tables) => tables.iter().filter_map(|table| table.span().map(|span| span.start)).min(),
            _ => None,
        }
    }
    document.iter().filter_map(|(_, item)| headers(item)).min()
}

/// Above the comments that stand directly over a header.
fn above_header(text: &str, header: usize) -> usize {
    let mut at = line_start(text, header);
    while at > 0 {
        let before = line_start(text, at - 1);
        if !text[before..at].trim_start().starts_with('#') {
            break;
        }
        at = before;
    }
    at
}

/// Takes a value away, or a table that has nothing left.
pub(super) fn remove(text: &str, path: &[Step]) -> Result<String, EditError> {
    let keys = keys(path)?;
    let (last, above) = keys.split_last().ok_or(EditError::Unsafe)?;
    let document = parse(text)?;
    // A table that was only named by a header below it went with that.
    let Some(item) = find(&document, &keys) else { return Ok(text.to_owned()) };
    match item {
        Item::Value(value) => {
            let parent = find(&document, above).ok_or(EditError::Unsafe)?;
            let end = span_of(value).ok_or_else(|| unsupported(path, "dotted names"))?.end;
            if let Item::Value(Toml::InlineTable(table)) = parent {
                return remove_inline(text, table, last).ok_or_else(|| unsupported(path, "dotted names"));
            }
            let key = parent.as_table().and_then(|table| table.key(last)).and_then(|key| key.span());
            let start = line_start(text, key.ok_or(EditError::Unsafe)?.start);
            Ok(cut_line(text, start, end))
        }
        Item::Table(table) if table.is_empty() => match table.span().filter(|span| !span.is_empty()) {
            Some(span) => Ok(cut_section(text, line_start(text, span.start), span.end)),
            None => Ok(text.to_owned()),
        },
        _ => Err(unsupported(path, "a table of its own")),
    }
}

/// The line goes, a comment behind the value stays.
fn cut_line(text: &str, start: usize, end: usize) -> String {
    let rest = line_end(text, end);
    let comment = text[end..rest].trim();
    let next = next_line(text, rest);
    let kept = if comment.is_empty() { String::new() } else { format!("{comment}{}", &text[rest..next]) };
    // Of two gaps that meet one is enough.
    let gap = line_end(text, next);
    let above = text[line_start(text, start.saturating_sub(1))..start].trim().is_empty();
    let next = if above && kept.is_empty() && next < text.len() && blank(&text[next..gap]) {
        next_line(text, gap)
    } else {
        next
    };
    splice(text, vec![(start..next, kept)])
}

/// A header goes, with the empty line above it.
fn cut_section(text: &str, start: usize, end: usize) -> String {
    let cut = cut_line(text, start, end);
    if start == 0 || text[end..line_end(text, end)].contains('#') {
        return cut;
    }
    let above = line_start(text, start - 1);
    if above < start && text[above..start].trim().is_empty() {
        splice(&cut, vec![(above..start, String::new())])
    } else {
        cut
    }
}

fn remove_inline(text: &str, table: &InlineTable, key: &str) -> Option<String> {
    let span = span_of_inline(table)?;
    let members: Vec<Range<usize>> = table
        .iter()
        .map(|(name, value)| Some(table.key(name)?.span()?.start..last_end(&Item::Value(value.clone()))?))
        .collect::<Option<_>>()?;
    let at = table.iter().position(|(name, _)| name == key)?;
    let own = &members[at];
    let cut = match (at.checked_sub(1).map(|at| &members[at]), members.get(at + 1)) {
        (_, Some(next)) => own.start..next.start,
        (Some(before), None) => before.end..own.end,
        (None, None) => return Some(splice(text, vec![(span, "{}".into())])),
    };
    Some(splice(text, vec![(cut, String::new())]))
}

/// A name, or several with dots.
fn dotted(keys: &[&str]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = |key: &&str| match !key.is_empty() && key.chars().all(plain) {
        true => (*key).to_owned(),
        false => quoted(key),
    };
    keys.iter().map(name).collect::<Vec<_>>().join(".")
}

/// A TOML basic string: JSON's escapes are a subset of TOML's, but for one control character that JSON leaves as it is.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn written(value: &Value, raw: Option<&str>) -> String {
    match (raw, value) {
        (Some(raw), _) => raw.to_owned(),
        (None, Value::String(text)) => quoted(text),
        (None, Value::Array(items)) => {
            format!("[{}]", items.iter().map(|item| written(item, None)).collect::<Vec<_>>().join(", "))
        }
        (None, Value::Object(members)) if members.is_empty() => "{}".into(),
        (None, Value::Object(members)) => {
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("{} = {}", dotted(&[key]), written(value, None))).collect();
            format!("{{ {} }}", members.join(", "))
        }
        (None, other) => other.to_string(),
    }
}
