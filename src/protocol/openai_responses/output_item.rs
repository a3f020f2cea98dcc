//! One item of an answer's output, as JSON.

use super::special::Special;
use crate::protocol::quote;

/// A call of a tool, without its arguments.
pub(super) struct Call {
    /// The item's id.
    pub(super) id: String,
    /// The id by which the result is returned.
    pub(super) call: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) kind: Kind,
}

/// What its item is called, and where its arguments stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    /// Its argument is a text.
    Custom,
    Special(Special),
}

impl Call {
    /// The item with these arguments.
    pub(super) fn item(&self, status: &str, arguments: &str) -> Vec<u8> {
        let (word, member) = match self.kind {
            Kind::Function => ("function_call", "arguments"),
            Kind::Custom => ("custom_tool_call", "input"),
            Kind::Special(special) => (special.call(), ""),
        };
        let id = &self.id;
        let mut item =
            format!("{{\"type\":\"{word}\",\"id\":\"{id}\",\"status\":\"{status}\",\"call_id\":").into_bytes();
        quote::string(&mut item, &self.call);
        if let Kind::Special(special) = self.kind {
            item.push(b',');
            item.extend_from_slice(special.members(if arguments.is_empty() { "{}" } else { arguments }).as_bytes());
        } else {
            item.extend_from_slice(b",\"name\":");
            quote::string(&mut item, &self.name);
            if let Some(namespace) = &self.namespace {
                item.extend_from_slice(b",\"namespace\":");
                quote::string(&mut item, namespace);
            }
            item.extend_from_slice(format!(",\"{member}\":").as_bytes());
            quote::string(&mut item, arguments);
        }
        item.push(b'}');
        item
    }
}

/// A message; without a text it has no part yet.
pub(super) fn message(id: &str, status: &str, text: Option<&str>) -> Vec<u8> {
    let mut item =
        format!("{{\"type\":\"message\",\"id\":\"{id}\",\"status\":\"{status}\",\"role\":\"assistant\",\"content\":[")
            .into_bytes();
    if let Some(text) = text {
        item.extend_from_slice(&output_text(text));
    }
    item.extend_from_slice(b"]}");
    item
}

/// The one part of a message.
pub(super) fn output_text(text: &str) -> Vec<u8> {
    let mut part = Vec::from(b"{\"type\":\"output_text\",\"text\":");
    quote::string(&mut part, text);
    part.extend_from_slice(b",\"annotations\":[],\"logprobs\":[]}");
    part
}

/// Reasoning as its summary, sealed for clients that keep nothing with the server.
pub(super) fn reasoning(id: &str, text: &str, sealed: Option<&str>) -> Vec<u8> {
    let mut item = format!("{{\"type\":\"reasoning\",\"id\":\"{id}\",\"summary\":[").into_bytes();
    if !text.is_empty() {
        item.extend_from_slice(b"{\"type\":\"summary_text\",\"text\":");
        quote::string(&mut item, text);
        item.push(b'}');
    }
    item.extend_from_slice(b"],\"encrypted_content\":");
    match sealed {
        Some(sealed) => quote::string(&mut item, sealed),
        None => item.extend_from_slice(b"null"),
    }
    item.push(b'}');
    item
}
