//! A freeform tool as a function with one string property, and the way back: the text inside the arguments, as they
//! stream. Models are forgiven a lot: raw text instead of JSON, another name for the property, a command line.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::ir::Tool;

/// The property.
const PROPERTY: &str = "input";

/// What models call it as well, best first.
const ALIASES: [&str; 8] = [PROPERTY, "patch", "text", "content", "code", "diff", "script", "raw"];

/// The parameters every freeform tool gets.
const SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}"#;

#[derive(serde::Deserialize)]
struct Format<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    syntax: Option<Cow<'a, str>>,
    #[serde(borrow)]
    definition: Option<Cow<'a, str>>,
    /// Chat puts the last two in here.
    #[serde(borrow)]
    grammar: Option<&'a RawValue>,
}

/// Makes a function of the tool.
pub(super) fn describe(tool: &mut Tool<'_>) {
    let format = tool.freeform.take().flatten();
    let mut text = tool.description.take().unwrap_or_default().into_cow().into_owned();
    let mut say = |more: &str| {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(more);
    };
    say("Put the whole text for this tool into the one string \"input\".");
    if let Some(format) = format.and_then(|raw| serde_json::from_str::<Format<'_>>(raw.get()).ok()) {
        let inner = format.grammar.and_then(|raw| serde_json::from_str::<Format<'_>>(raw.get()).ok());
        let (syntax, definition) = match inner {
            Some(inner) => (inner.syntax, inner.definition),
            None => (format.syntax, format.definition),
        };
        if let Some(definition) = definition {
            let syntax = syntax.or(format.kind).unwrap_or(Cow::Borrowed("text"));
            say(&format!("The text must follow this {syntax} grammar:\n{definition}"));
        }
    }
    tool.description = Some(text.into());
    tool.schema = RawValue::from_string(SCHEMA.to_owned()).ok().map(Cow::Owned);
    tool.strict = None;
}

/// A freeform call's text as arguments.
pub(super) fn wrap(text: &str) -> String {
    let mut json = format!("{{\"{PROPERTY}\":");
    json.push_str(&Value::from(text).to_string());
    json.push('}');
    json
}

/// Takes the arguments apart as they come.
#[derive(Debug)]
pub(super) struct Unwrap {
    state: State,
    /// What has come and waits for a decision.
    held: String,
}

impl Default for Unwrap {
    fn default() -> Self {
        Unwrap { state: State::Head, held: String::new() }
    }
}

#[derive(Debug)]
enum State {
    /// Nothing known yet.
    Head,
    /// Not JSON: everything is the text.
    Raw,
    /// JSON of another form: looked at when it is whole.
    Whole,
    /// Inside the string; `high` is the first half of a surrogate pair.
    Text { high: Option<u16> },
    /// Behind a quote that may end the string.
    Quote,
    /// The string is over.
    Done,
}

/// How the arguments begin.
enum Head {
    /// Too early to say.
    Open,
    /// The text begins here.
    Text(usize),
    Whole,
    Raw,
}

impl Unwrap {
    /// Takes a piece, appends what is known of the text.
    pub(super) fn push(&mut self, piece: &str, out: &mut String) {
        match self.state {
            State::Raw => return out.push_str(piece),
            State::Done => return,
            _ => self.held.push_str(piece),
        }
        if matches!(self.state, State::Head) {
            match head(&self.held) {
                Head::Open => return,
                Head::Raw => {
                    self.state = State::Raw;
                    return out.push_str(&std::mem::take(&mut self.held));
                }
                Head::Whole => self.state = State::Whole,
                Head::Text(at) => {
                    self.held.drain(..at);
                    self.state = State::Text { high: None };
                }
            }
        }
        if !matches!(self.state, State::Whole) {
            self.text(out, false);
        }
    }

    /// No more comes: appends the rest of the text.
    pub(super) fn end(mut self, out: &mut String) {
        match self.state {
            State::Raw | State::Done => {}
            State::Head | State::Whole => out.push_str(&whole(&self.held)),
            State::Text { .. } | State::Quote => self.text(out, true),
        }
    }

    /// Unescapes as much as is whole.
    fn text(&mut self, out: &mut String, last: bool) {
        let held = std::mem::take(&mut self.held);
        let mut at = 0;
        while at < held.len() {
            let rest = &held[at..];
            match &mut self.state {
                State::Quote => {
                    let after = rest.trim_start();
                    match after.bytes().next() {
                        None => break,
                        Some(b'}' | b',') => {
                            self.state = State::Done;
                            return;
                        }
                        // A quote the model forgot to escape.
                        Some(_) => {
                            out.push('"');
                            self.state = State::Text { high: None };
                        }
                    }
                }
                State::Text { high } => {
                    let plain = rest.find(['"', '\\']).unwrap_or(rest.len());
                    if plain > 0 {
                        lone(high, out);
                        out.push_str(&rest[..plain]);
                        at += plain;
                    } else if rest.starts_with('"') {
                        lone(high, out);
                        self.state = State::Quote;
                        at += 1;
                    } else {
                        match escape(rest, high, out) {
                            Some(length) => at += length,
                            None => break,
                        }
                    }
                }
                _ => return,
            }
        }
        self.held = held[at..].to_owned();
        if last && let State::Text { high } = &mut self.state {
            // Cut inside an escape: what stands there is all there is.
            lone(high, out);
            out.push_str(&self.held);
        }
    }
}

fn lone(high: &mut Option<u16>, out: &mut String) {
    if high.take().is_some() {
        out.push(char::REPLACEMENT_CHARACTER);
    }
}

/// Reads the escape at the beginning of `rest`; its length, or `None` when it is not whole yet.
fn escape(rest: &str, high: &mut Option<u16>, out: &mut String) -> Option<usize> {
    let kind = rest[1..].chars().next()?;
    if kind == 'u' {
        let digits = rest.as_bytes().get(2..).unwrap_or_default();
        let hex = digits.iter().take(4).take_while(|b| b.is_ascii_hexdigit()).count();
        if hex < 4 {
            if digits.len() <= hex {
                return None;
            }
            lone(high, out);
            out.push_str("\\u");
            return Some(2);
        }
        let unit = u16::from_str_radix(&rest[2..6], 16).ok()?;
        match (high.take(), unit) {
            (Some(first), 0xdc00..=0xdfff) => {
                let pair = char::decode_utf16([first, unit]).next().and_then(Result::ok);
                out.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (first, _) => {
                if first.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                match unit {
                    0xd800..=0xdbff => *high = Some(unit),
                    _ => out.push(char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
        }
        return Some(6);
    }
    lone(high, out);
    match kind {
        '"' | '\\' | '/' => out.push(kind),
        'b' => out.push('\u{8}'),
        'f' => out.push('\u{c}'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        // No escape of JSON: a regular expression, say, that the model did not escape twice.
        other => {
            out.push('\\');
            out.push(other);
        }
    }
    Some(1 + kind.len_utf8())
}

/// Decides by the first characters. It must say the same however the pieces were cut.
fn head(held: &str) -> Head {
    let mut rest = held.trim_start();
    match rest.bytes().next() {
        None => return Head::Open,
        Some(b'{') => rest = rest[1..].trim_start(),
        Some(b'"' | b'[') => return Head::Whole,
        Some(_) => return Head::Raw,
    }
    match rest.bytes().next() {
        None => return Head::Open,
        Some(b'"') => rest = &rest[1..],
        Some(b'}') => return Head::Whole,
        Some(_) => return Head::Raw,
    }
    let Some(end) = rest.find('"') else { return Head::Open };
    let key = &rest[..end];
    rest = rest[end + 1..].trim_start();
    match rest.bytes().next() {
        None => return Head::Open,
        Some(b':') => rest = rest[1..].trim_start(),
        Some(_) => return Head::Raw,
    }
    match rest.bytes().next() {
        None => Head::Open,
        Some(b'"') if ALIASES.contains(&key) => Head::Text(held.len() - rest.len() + 1),
        Some(_) => Head::Whole,
    }
}

/// The text in arguments that are no plain wrapper.
fn whole(held: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(held) else { return held.to_owned() };
    found(&value).unwrap_or_else(|| held.to_owned())
}

fn found(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // A command line: the text is its last word.
        Value::Array(words) => words.last()?.as_str().map(str::to_owned),
        Value::Object(members) if members.is_empty() => Some(String::new()),
        Value::Object(members) => {
            let known = ALIASES.iter().find_map(|alias| members.get(*alias)?.as_str());
            let command = || ["command", "cmd", "arguments", "args"].iter().find_map(|key| found(members.get(*key)?));
            let only = || if members.len() == 1 { members.values().next()?.as_str() } else { None };
            known.map(str::to_owned).or_else(command).or_else(|| only().map(str::to_owned))
        }
        _ => None,
    }
}
