//! YAML, by an editor that keeps comments, anchors and style; what it made is read by the parser the rest of llmup uses.

use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;
use yaml_edit::{Document, Mapping, Sequence, YamlNode};

use super::{EditError, Place, Step, shown};

/// What the text means. Names that are no text, and tags, are told apart from all that is text.
pub(super) fn read(text: &str) -> Result<Value, EditError> {
    let syntax = |error: &serde_yaml::Error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let message = error.to_string();
        let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
        EditError::Syntax { line, column, reason }
    };
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let first = match documents.next() {
        Some(document) => Yaml::deserialize(document).map_err(|error| syntax(&error))?,
        None => Yaml::Null,
    };
    if documents.next().is_some() {
        return Err(EditError::NotAnObject { found: "several documents" });
    }
    // Nothing yet, or comments only.
    if first.is_null() {
        return Ok(Value::Object(Map::new()));
    }
    Ok(plain(&first))
}

fn plain(value: &Yaml) -> Value {
    match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => Value::from(*value),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, Some(number)) if number.is_finite() => Value::from(number),
            _ => Value::from(format!("\0{number}")),
        },
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(members) => members
            .iter()
            .map(|(key, value)| {
                let key = key.as_str().map_or_else(|| format!("\0{}", plain(key)), str::to_owned);
                (key, plain(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        Yaml::Tagged(tagged) => Map::from_iter([(format!("\0{}", tagged.tag), plain(&tagged.value))]).into(),
    }
}

fn open(text: &str) -> Result<Document, EditError> {
    Document::from_str(text).map_err(|_| EditError::Unsupported {
        path: "the file".into(),
        reason: "its YAML is more than one plain document",
    })
}

fn unsupported(path: &[Step]) -> EditError {
    EditError::Unsupported { path: shown(path), reason: "an alias, a tag or a form that only YAML has" }
}

/// A group or a list of the document.
enum Parent {
    Group(Mapping),
    List(Sequence),
}

fn parent(document: &Document, path: &[Step]) -> Result<Parent, EditError> {
    let mut at = Parent::Group(document.as_mapping().ok_or_else(|| unsupported(path))?);
    for (passed, step) in path.iter().enumerate() {
        let node = member(&at, step).ok_or_else(|| unsupported(&path[..=passed]))?;
        at = match node {
            YamlNode::Mapping(group) => Parent::Group(group),
            YamlNode::Sequence(list) => Parent::List(list),
            _ => return Err(unsupported(&path[..=passed])),
        };
    }
    Ok(at)
}

fn member(parent: &Parent, step: &Step) -> Option<YamlNode> {
    match (parent, step) {
        (Parent::Group(group), Step::Key(key)) => group.get(key.as_str()),
        (Parent::List(list), Step::Item { key, is }) => list.get(position(list, key, is)?),
        _ => None,
    }
}

fn position(list: &Sequence, key: &str, is: &str) -> Option<usize> {
    list.values().position(|item| match item {
        YamlNode::Mapping(group) => match group.get(key) {
            Some(YamlNode::Scalar(scalar)) => scalar.as_string() == is,
            _ => false,
        },
        _ => false,
    })
}

/// The value as it is written, where that is one line.
pub(super) fn raw(text: &str, path: &[Step]) -> Option<String> {
    let (last, parents) = path.split_last()?;
    let document = open(text).ok()?;
    match member(&parent(&document, parents).ok()?, last)? {
        YamlNode::Scalar(scalar) => {
            let range = scalar.byte_range();
            let raw = text.get(range.start as usize..range.end as usize)?;
            (!raw.contains('\n')).then(|| raw.to_owned())
        }
        _ => None,
    }
}

/// Sets a value.
pub(super) fn put(text: &str, place: &Place<'_>) -> Result<String, EditError> {
    let (parents, step, to, raw) = match place {
        Place::Replace { path, to, raw } => {
            let (last, parents) = path.split_last().ok_or(EditError::Unsafe)?;
            (parents, last, *to, *raw)
        }
        Place::Insert { parent, step, to, raw, .. } => (*parent, *step, to, *raw),
    };
    if read(text)?.as_object().is_some_and(Map::is_empty) && !text.contains('{') {
        return from_nothing(text, step, to);
    }
    let document = open(text)?;
    let value = document_of(to, raw)?;
    match (parent(&document, parents)?, step) {
        (Parent::Group(group), Step::Key(key)) => group.set(key.as_str(), value),
        (Parent::List(list), Step::Item { key, is }) => match position(&list, key, is) {
            Some(at) => {
                list.set(at, value);
            }
            None => list.push(value),
        },
        _ => return Err(unsupported(parents)),
    }
    Ok(document.to_string())
}

/// A value as the editor takes it.
fn document_of(to: &Value, raw: Option<&str>) -> Result<Document, EditError> {
    let text = match raw {
        Some(raw) => raw.to_owned(),
        None => written(to, 0),
    };
    Document::from_str(&text).map_err(|_| EditError::Unsafe)
}

/// Behind comments, or instead of nothing.
fn from_nothing(text: &str, step: &Step, to: &Value) -> Result<String, EditError> {
    let Step::Key(key) = step else { return Err(EditError::Unsafe) };
    let nl = super::splice::newline(text, text.len());
    let value = Map::from_iter([(key.clone(), to.clone())]);
    let before = if text.is_empty() || text.ends_with('\n') { "" } else { nl };
    Ok(format!("{text}{before}{}", written(&Value::Object(value), 0).replace('\n', nl)))
}

/// Block style, a line per value.
fn written(value: &Value, depth: usize) -> String {
    let inside = " ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => members
            .iter()
            .map(|(key, value)| match nothing_or_scalar(value) {
                true => format!("{inside}{}: {}\n", text(key), written(value, 0).trim_end()),
                false => format!("{inside}{}:\n{}", text(key), written(value, depth + 2)),
            })
            .collect(),
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| match nothing_or_scalar(item) {
                true => format!("{inside}- {}\n", written(item, 0).trim_end()),
                false => format!("{inside}- {}", written(item, depth + 2).trim_start_matches(' ')),
            })
            .collect(),
        Value::String(value) => text(value) + "\n",
        _ => format!("{value}\n"),
    }
}

fn nothing_or_scalar(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// Text that no reader of YAML, old or new, takes for something else: JSON's quotes are YAML's.
fn text(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let begins = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let taken = word.iter().any(|word| value.eq_ignore_ascii_case(word));
    if begins && !taken && value.chars().all(plain) { value.to_owned() } else { Value::from(value).to_string() }
}

/// Takes a value away.
pub(super) fn remove(text: &str, path: &[Step]) -> Result<String, EditError> {
    let (last, parents) = path.split_last().ok_or(EditError::Unsafe)?;
    let document = open(text)?;
    let braces = document.as_mapping().is_some_and(|root| root.is_flow_style());
    match (parent(&document, parents)?, last) {
        (Parent::Group(group), Step::Key(key)) => {
            group.remove(key.as_str());
        }
        (Parent::List(list), Step::Item { key, is }) => {
            let at = position(&list, key, is).ok_or(EditError::Unsafe)?;
            list.remove(at);
        }
        _ => return Err(unsupported(path)),
    }
    let new = document.to_string();
    // The editor says "nothing" as `{}`; who never wrote that need not have it.
    if !braces && read(&new)?.as_object().is_some_and(Map::is_empty) {
        return Ok(new.split_inclusive('\n').filter(|line| line.trim() != "{}").collect());
    }
    Ok(new)
}
