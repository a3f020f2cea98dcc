//! One system message, and it comes first; no two user messages in a row.

use super::at;
use super::survey::Message;
use crate::protocol::head::Patch;
use crate::protocol::scan::Span;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    System,
    User,
    Assistant,
    Other,
}

/// A message that stays, and the contents that come into it behind its own.
struct Kept {
    at: usize,
    role: Role,
    joined: Vec<Span>,
}

pub(super) fn alternate(body: &[u8], messages: &[Message], patches: &mut Vec<Patch>) {
    let roles: Vec<Role> = messages.iter().map(|message| role(body, message)).collect();
    let leading = roles.iter().position(|role| *role == Role::Assistant).unwrap_or(roles.len());
    let mut kept: Vec<Kept> = Vec::with_capacity(messages.len());
    // Where the one system message stands in `kept`.
    let mut head: Option<usize> = None;
    // Contents of system messages that have none to go into.
    let mut moved: Vec<Span> = Vec::new();
    let mut gone = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let content = message.content.clone().filter(|content| joins(body, content) && !message.more);
        let mut role = roles[place];
        if role == Role::System {
            match (head, &content) {
                (None, _) if kept.is_empty() => {
                    head = Some(0);
                    rename(body, message, "\"system\"", patches);
                }
                (Some(at), Some(content)) if place < leading && joinable(body, messages, &kept[at]) => {
                    kept[at].joined.push(content.clone());
                    gone.push(place);
                    continue;
                }
                (None, Some(content)) if place < leading => {
                    moved.push(content.clone());
                    gone.push(place);
                    continue;
                }
                _ => {
                    rename(body, message, "\"user\"", patches);
                    role = Role::User;
                }
            }
        }
        match (kept.last_mut().filter(|last| last.role == Role::User && role == Role::User), content) {
            (Some(last), Some(content)) if joinable(body, messages, last) => {
                last.joined.push(content);
                gone.push(place);
            }
            _ => kept.push(Kept { at: place, role, joined: Vec::new() }),
        }
    }
    // The first message stays in any case: nothing stands before it that it could go into.
    if let (Some((first, rest)), Some(message)) = (moved.split_first(), messages.first()) {
        let start = message.span.start;
        let mut with = b"{\"role\":\"system\",\"content\":".to_vec();
        with.extend_from_slice(&joined(body, first, rest));
        with.extend_from_slice(b"},");
        patches.push(Patch { span: start..start, with });
    }
    for Kept { at: place, joined: more, .. } in kept.iter().filter(|kept| !kept.joined.is_empty()) {
        if let Some(content) = &messages[*place].content {
            patches.push(Patch { span: content.clone(), with: joined(body, content, more) });
        }
    }
    for place in gone.into_iter().filter(|place| *place > 0) {
        patches.push(Patch { span: messages[place - 1].span.end..messages[place].span.end, with: Vec::new() });
    }
}

fn role(body: &[u8], message: &Message) -> Role {
    match message.role.as_ref().map_or(b"".as_slice(), |role| at(body, role)) {
        b"\"system\"" | b"\"developer\"" => Role::System,
        b"\"user\"" => Role::User,
        b"\"assistant\"" => Role::Assistant,
        _ => Role::Other,
    }
}

fn rename(body: &[u8], message: &Message, role: &str, patches: &mut Vec<Patch>) {
    if let Some(span) = message.role.clone().filter(|span| at(body, span) != role.as_bytes()) {
        patches.push(Patch { span, with: role.as_bytes().to_vec() });
    }
}

/// Whether a content is text or a list that is not empty.
fn joins(body: &[u8], content: &Span) -> bool {
    let raw = at(body, content);
    match raw.first() {
        Some(b'"') => raw.len() >= 2,
        Some(b'[') => !inner(raw).is_empty(),
        _ => false,
    }
}

fn joinable(body: &[u8], messages: &[Message], kept: &Kept) -> bool {
    let message = &messages[kept.at];
    !message.more && message.content.as_ref().is_some_and(|content| joins(body, content))
}

/// What stands between the brackets or quotes.
fn inner(raw: &[u8]) -> &[u8] {
    let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if raw.first() == Some(&b'[') { inner.trim_ascii() } else { inner }
}

/// Contents as one: a text where all are, else a list.
fn joined(body: &[u8], first: &Span, rest: &[Span]) -> Vec<u8> {
    let all = || std::iter::once(first).chain(rest).map(|span| at(body, span));
    let texts = all().all(|raw| raw.first() == Some(&b'"'));
    let mut out = if texts { b"\"".to_vec() } else { b"[".to_vec() };
    for raw in all().filter(|raw| !inner(raw).is_empty()) {
        if out.len() > 1 {
            out.extend_from_slice(if texts { b"\\n\\n" } else { b"," });
        }
        if texts || raw.first() == Some(&b'[') {
            out.extend_from_slice(inner(raw));
        } else {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            out.extend_from_slice(raw);
            out.push(b'}');
        }
    }
    out.push(if texts { b'"' } else { b']' });
    out
}
