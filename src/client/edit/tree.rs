//! What a settings file means, as a tree of values: where a path leads in it, and what a change makes of it.

use serde_json::{Map, Value};

use super::{EditError, Step, shown};

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a yes or no",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a group of settings",
    }
}

/// Whether it holds something that JSON has no word for; readers mark that by a zero character.
pub(super) fn peculiar(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with('\0'),
        Value::Array(items) => items.iter().any(peculiar),
        Value::Object(members) => members.iter().any(|(key, value)| key.starts_with('\0') || peculiar(value)),
        _ => false,
    }
}

/// What stands at `path`. An error where the way to it is blocked or has two ends.
pub(super) fn get<'v>(root: &'v Value, path: &[Step]) -> Result<Option<&'v Value>, EditError> {
    let mut at = root;
    for (passed, step) in path.iter().enumerate() {
        let blocked = || EditError::Blocked { path: shown(&path[..passed]), found: kind(at) };
        let next = match step {
            Step::Key(key) => at.as_object().ok_or_else(blocked)?.get(key),
            Step::Item { key, is } => {
                let mut items = at.as_array().ok_or_else(blocked)?.iter().filter(|item| is_item(item, key, is));
                let first = items.next();
                if items.next().is_some() {
                    return Err(EditError::Duplicate { path: shown(&path[..=passed]) });
                }
                first
            }
        };
        match next {
            Some(value) => at = value,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Whether it is the item whose member `key` is `is`.
pub(super) fn is_item(item: &Value, key: &str, is: &str) -> bool {
    item.get(key).and_then(Value::as_str) == Some(is)
}

/// How many steps of `path` are there.
pub(super) fn depth(root: &Value, path: &[Step]) -> usize {
    (1..=path.len()).take_while(|length| matches!(get(root, &path[..*length]), Ok(Some(_)))).count()
}

/// The value to put at the first of `steps`, so that `to` stands at the last of them.
pub(super) fn nested(steps: &[Step], to: &Value) -> Value {
    let value = match steps.get(1) {
        None => to.clone(),
        Some(Step::Key(key)) => Value::Object(Map::from_iter([(key.clone(), nested(&steps[1..], to))])),
        Some(Step::Item { .. }) => Value::Array(vec![nested(&steps[1..], to)]),
    };
    match (steps.first(), value) {
        // An item has the member it is found by.
        (Some(Step::Item { key, is }), Value::Object(mut members)) => {
            members.insert(key.clone(), Value::from(is.as_str()));
            Value::Object(members)
        }
        (_, value) => value,
    }
}

/// Puts `to` at `path`, and what is missing on the way.
pub(super) fn set(root: &mut Value, path: &[Step], to: &Value) -> Result<(), EditError> {
    get(root, path)?;
    let depth = depth(root, path);
    if depth == path.len() {
        if let Some(place) = get_mut(root, path) {
            *place = nested(&path[depth.saturating_sub(1)..], to);
        }
        return Ok(());
    }
    let value = nested(&path[depth..], to);
    match (get_mut(root, &path[..depth]), &path[depth]) {
        (Some(Value::Object(members)), Step::Key(key)) => {
            members.insert(key.clone(), value);
        }
        (Some(Value::Array(items)), Step::Item { .. }) => items.push(value),
        _ => return Err(EditError::Unsafe),
    }
    Ok(())
}

/// Takes away what stands at `path`.
pub(super) fn remove(root: &mut Value, path: &[Step]) {
    let Some((last, parents)) = path.split_last() else { return };
    match (get_mut(root, parents), last) {
        (Some(Value::Object(members)), Step::Key(key)) => {
            members.remove(key);
        }
        (Some(Value::Array(items)), Step::Item { key, is }) => items.retain(|item| !is_item(item, key, is)),
        _ => {}
    }
}

fn get_mut<'v>(root: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |at, step| match step {
        Step::Key(key) => at.get_mut(key),
        Step::Item { key, is } => at.as_array_mut()?.iter_mut().find(|item| is_item(item, key, is)),
    })
}
