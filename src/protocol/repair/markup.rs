//! The markups models write calls in.
//!
//! | markup | models |
//! |---|---|
//! | `<tool_call>{"name":…,"arguments":{…}}</tool_call>` | Hermes, Qwen 2.5 and 3 |
//! | `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>` | Qwen3-Coder |
//! | `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>` | GLM 4.5 and later |
//! | `<\|python_tag\|>{"name":…,"parameters":{…}}` | Llama 3.1 and later |
//! | `[TOOL_CALLS][{"name":…,"arguments":{…}}]`, `[TOOL_CALLS]NAME[ARGS]{…}` | Mistral |
//! | the JSON of a call and nothing else | small models of every kind |

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::protocol::ir::Tool;

const TOOL_CALL: &str = "<tool_call>";
const FUNCTION: &str = "<function=";
const PYTHON_TAG: &str = "<|python_tag|>";
const TOOL_CALLS: &str = "[TOOL_CALLS]";

/// What a call may begin with.
pub(super) const MARKS: [&str; 4] = [TOOL_CALL, FUNCTION, PYTHON_TAG, TOOL_CALLS];

/// A call found in text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub name: String,
    /// JSON text of an object.
    pub arguments: String,
}

/// What a text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Calls, and how many bytes they took.
    Calls(Vec<Call>, usize),
    /// It may become one.
    More,
    /// No call.
    No,
}

/// The offered tools: only their names make a text a call.
#[derive(Debug)]
pub(super) struct Offered(Vec<(String, Option<Box<RawValue>>)>);

impl Offered {
    pub(super) fn new(tools: &[Tool<'_>]) -> Offered {
        let copy = |tool: &Tool<'_>| (tool.name.to_string(), tool.schema.as_deref().map(ToOwned::to_owned));
        Offered(tools.iter().map(copy).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn may_begin(&self, begin: &str) -> bool {
        self.0.iter().any(|(known, _)| known.starts_with(begin))
    }

    /// A parameter written without quotes, as the JSON value its schema wants.
    fn value(&self, tool: &str, key: &str, text: &str) -> Value {
        let schema = self.0.iter().find(|(known, _)| known == tool).and_then(|(_, schema)| schema.as_deref());
        let schema: Option<Value> = schema.and_then(|schema| serde_json::from_str(schema.get()).ok());
        let kind = schema.as_ref().and_then(|schema| schema.get("properties")?.get(key)?.get("type"));
        match kind.and_then(Value::as_str) {
            Some("string") => text.into(),
            _ => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    name: Option<String>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
}

/// A call written as JSON, if it is one of an offered tool.
fn json_call(text: &str, offered: &Offered) -> Option<Call> {
    let wire: Wire<'_> = serde_json::from_str(text).ok()?;
    if let Some(inner) = wire.function.filter(|inner| inner.get().starts_with('{')) {
        return json_call(inner.get(), offered);
    }
    let name = wire.name.filter(|name| offered.has(name))?;
    let arguments = match wire.arguments.or(wire.parameters)?.get() {
        text if text.starts_with('"') => serde_json::from_str::<String>(text).ok()?,
        text => text.to_owned(),
    };
    let object =
        arguments.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&arguments).is_ok();
    object.then_some(Call { name, arguments })
}

/// The first JSON value in the text and where it ends. `Err(true)`: it goes on.
fn json_value(text: &str) -> Result<(&str, usize), bool> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(value)) => Ok((value.get(), values.byte_offset())),
        Some(Err(error)) => Err(error.is_eof()),
        None => Err(true),
    }
}

fn blank_end(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// The call that begins at the mark `text` begins with. At the `end` of the text a missing closing mark is forgiven.
pub(super) fn parse(text: &str, offered: &Offered, end: bool) -> Parsed {
    if let Some(body) = text.strip_prefix(TOOL_CALL) {
        return tagged(body, offered, end).shifted(TOOL_CALL.len());
    }
    if text.starts_with(FUNCTION) {
        return function(text, offered, end);
    }
    if let Some(body) = text.strip_prefix(PYTHON_TAG) {
        return listed(body, offered, end).shifted(PYTHON_TAG.len());
    }
    if let Some(body) = text.strip_prefix(TOOL_CALLS) {
        return mistral(body, offered, end).shifted(TOOL_CALLS.len());
    }
    Parsed::No
}

impl Parsed {
    fn shifted(self, by: usize) -> Parsed {
        match self {
            Parsed::Calls(calls, used) => Parsed::Calls(calls, used + by),
            other => other,
        }
    }
}

const CLOSE: &str = "</tool_call>";

/// Behind `<tool_call>`.
fn tagged(body: &str, offered: &Offered, end: bool) -> Parsed {
    let start = blank_end(body);
    let inner = &body[start..];
    match inner.as_bytes().first() {
        None => Parsed::More,
        Some(b'{') => match json_value(inner) {
            Ok((value, length)) => match json_call(value, offered) {
                Some(call) => closed(body, start + length, vec![call], end),
                None => Parsed::No,
            },
            Err(true) => Parsed::More,
            Err(false) => Parsed::No,
        },
        Some(b'<') => match function(inner, offered, end) {
            Parsed::Calls(calls, used) => closed(body, start + used, calls, end),
            other => other,
        },
        Some(_) => glm(body, offered, end),
    }
}

/// With the closing mark, when it follows.
fn closed(body: &str, used: usize, calls: Vec<Call>, end: bool) -> Parsed {
    let rest = &body[used..];
    let blank = blank_end(rest);
    let rest = &rest[blank..];
    if rest.starts_with(CLOSE) {
        Parsed::Calls(calls, used + blank + CLOSE.len())
    } else if end || !CLOSE.starts_with(rest) {
        Parsed::Calls(calls, used)
    } else {
        Parsed::More
    }
}

/// `<function=NAME><parameter=KEY>VALUE</parameter></function>`
fn function(text: &str, offered: &Offered, end: bool) -> Parsed {
    const END: &str = "</function>";
    let Some(rest) = text.strip_prefix(FUNCTION) else {
        return if FUNCTION.starts_with(text) && !end { Parsed::More } else { Parsed::No };
    };
    let Some((name, _)) = rest.split_once('>') else {
        return if !end && offered.may_begin(rest) { Parsed::More } else { Parsed::No };
    };
    if !offered.has(name) {
        return Parsed::No;
    }
    let Some(stop) = text.find(END) else {
        return if end { Parsed::No } else { Parsed::More };
    };
    let mut arguments = Map::new();
    let mut inner = &text[FUNCTION.len() + name.len() + 1..stop];
    while let Some((_, rest)) = inner.split_once("<parameter=") {
        let Some((key, rest)) = rest.split_once('>') else { break };
        let (value, rest) = rest.split_once("</parameter>").unwrap_or((rest, ""));
        // One line end on each side belongs to the markup.
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        arguments.insert(key.to_owned(), offered.value(name, key, value));
        inner = rest;
    }
    let call = Call { name: name.to_owned(), arguments: Value::Object(arguments).to_string() };
    Parsed::Calls(vec![call], stop + END.len())
}

/// `NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`
fn glm(body: &str, offered: &Offered, end: bool) -> Parsed {
    let name_end = body[blank_end(body)..].find(['\n', '<']).map(|at| at + blank_end(body));
    let name = body[..name_end.unwrap_or(body.len())].trim();
    let Some(name_end) = name_end else {
        return if !end && offered.may_begin(name) { Parsed::More } else { Parsed::No };
    };
    if !offered.has(name) {
        return Parsed::No;
    }
    let (stop, used) = match body.find(CLOSE) {
        Some(stop) => (stop, stop + CLOSE.len()),
        None if end => (body.len(), body.len()),
        None => return Parsed::More,
    };
    let mut arguments = Map::new();
    let mut inner = &body[name_end.min(stop)..stop];
    while let Some((_, rest)) = inner.split_once("<arg_key>") {
        let Some((key, rest)) = rest.split_once("</arg_key>") else { break };
        let Some((_, rest)) = rest.split_once("<arg_value>") else { break };
        let Some((value, rest)) = rest.split_once("</arg_value>") else { return Parsed::No };
        arguments.insert(key.trim().to_owned(), offered.value(name, key.trim(), value));
        inner = rest;
    }
    if !inner.trim().is_empty() {
        return Parsed::No;
    }
    Parsed::Calls(vec![Call { name: name.to_owned(), arguments: Value::Object(arguments).to_string() }], used)
}

/// Calls as JSON objects, one or several divided by `;` or blanks.
fn listed(body: &str, offered: &Offered, end: bool) -> Parsed {
    let (mut calls, mut at) = (Vec::new(), 0);
    loop {
        let next = at + body[at..].len() - body[at..].trim_start_matches([' ', '\n', '\r', '\t', ';']).len();
        let rest = &body[next..];
        if !rest.starts_with('{') {
            // What follows is not ours; nothing at all yet may still become a call.
            return match calls.is_empty() {
                true if rest.is_empty() && !end => Parsed::More,
                true => Parsed::No,
                false if rest.is_empty() && !end => Parsed::More,
                false => Parsed::Calls(calls, at),
            };
        }
        match json_value(rest) {
            Ok((value, length)) => match json_call(value, offered) {
                Some(call) => {
                    calls.push(call);
                    at = next + length;
                }
                None if calls.is_empty() => return Parsed::No,
                None => return Parsed::Calls(calls, at),
            },
            Err(true) if !end => return Parsed::More,
            Err(_) if calls.is_empty() => return Parsed::No,
            Err(_) => return Parsed::Calls(calls, at),
        }
    }
}

/// Behind `[TOOL_CALLS]`.
fn mistral(body: &str, offered: &Offered, end: bool) -> Parsed {
    const ARGS: &str = "[ARGS]";
    let start = blank_end(body);
    let inner = &body[start..];
    if inner.starts_with('[') {
        return array(inner, offered).shifted(start);
    }
    let Some(stop) = inner.find(['[', '{']) else {
        return if !end && offered.may_begin(inner.trim_end()) { Parsed::More } else { Parsed::No };
    };
    let name = inner[..stop].trim();
    if !offered.has(name) {
        return Parsed::No;
    }
    let rest = &inner[stop..];
    let marked = if rest.starts_with(ARGS) { ARGS.len() } else { 0 };
    if marked == 0 && rest.starts_with('[') {
        return if ARGS.starts_with(rest) && !end { Parsed::More } else { Parsed::No };
    }
    match json_value(&rest[marked..]) {
        Ok((value, length)) if value.starts_with('{') => {
            let call = Call { name: name.to_owned(), arguments: value.to_owned() };
            Parsed::Calls(vec![call], start + stop + marked + length)
        }
        Err(true) if !end => Parsed::More,
        _ => Parsed::No,
    }
}

/// A JSON array of calls, all of them good.
fn array(text: &str, offered: &Offered) -> Parsed {
    match json_value(text) {
        Ok((value, length)) => {
            let items: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
            let calls: Option<Vec<Call>> = items.iter().map(|item| json_call(item.get(), offered)).collect();
            match calls {
                Some(calls) if !calls.is_empty() => Parsed::Calls(calls, length),
                _ => Parsed::No,
            }
        }
        Err(true) => Parsed::More,
        Err(false) => Parsed::No,
    }
}

/// A text that is nothing but the JSON of one call, or of several in an array.
pub(super) fn bare(text: &str, offered: &Offered, end: bool) -> Parsed {
    let start = blank_end(text);
    let inner = text.trim();
    if !end {
        return if inner.is_empty() || plausible(inner) { Parsed::More } else { Parsed::No };
    }
    let parsed = if inner.starts_with('[') {
        array(inner, offered)
    } else {
        json_call(inner, offered).map_or(Parsed::No, |call| Parsed::Calls(vec![call], inner.len()))
    };
    match parsed {
        Parsed::Calls(calls, used) if used == inner.len() => Parsed::Calls(calls, start + used),
        _ => Parsed::No,
    }
}

/// Whether a text can still become a call's JSON: its first key says so.
fn plausible(text: &str) -> bool {
    let text = text.strip_prefix('[').map_or(text, str::trim_start);
    if text.is_empty() {
        return true;
    }
    let Some(rest) = text.strip_prefix('{') else { return false };
    let rest = rest.trim_start();
    ["\"name\"", "\"function\"", "\"type\""].iter().any(|key| key.starts_with(rest) || rest.starts_with(key))
}

/// Every call in a finished text.
pub(super) fn all(text: &str, offered: &Offered) -> Vec<Call> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = MARKS.iter().filter_map(|mark| rest.find(mark)).min() {
        rest = &rest[at..];
        let used = match parse(rest, offered, true) {
            Parsed::Calls(calls, used) => {
                found.extend(calls);
                used
            }
            _ => 1,
        };
        rest = &rest[used..];
    }
    found
}
