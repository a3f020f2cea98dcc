//! The state behind `/v1/responses`: answers that are kept for a while, so that a caller can go on from one of them,
//! look at it or delete it. What an engine that serves Responses itself keeps is its own affair.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::reply::{self, Body};
use crate::protocol::head::{self, Patch};
use crate::protocol::scan::{self, Span};
use crate::protocol::{self, Id, Inbound, Problem, ProblemKind};

mod compact;
mod keep;
mod store;

pub(super) use store::Store;

use compact::Compacting;
use keep::Keeping;
use store::Kept;

/// What is asked of a kept response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The response itself.
    Get,
    /// That it be forgotten.
    Delete,
    /// The items that led to it.
    Items,
    /// That it stop, which only background responses can.
    Cancel,
}

/// The caller's protocol, for one request.
pub(super) enum Caller {
    /// As it is.
    Plain,
    /// The answer is kept.
    Keeping(Keeping),
    /// The answer becomes a compaction.
    Compacting(Compacting),
}

impl Caller {
    pub(super) fn inbound(&self, dialect: Id) -> Option<&dyn Inbound> {
        match self {
            Caller::Plain => protocol::protocol(dialect).inbound(),
            Caller::Keeping(keeping) => Some(keeping),
            Caller::Compacting(compacting) => Some(compacting),
        }
    }
}

/// A Responses request as it is to be answered: with what came before it in front of its input.
pub(super) fn prepare(store: &Arc<Store>, body: Bytes, compact: bool) -> Result<(Bytes, Caller), Problem> {
    let Restored { body, keep } = restore(store, body)?;
    if compact {
        let (compacting, request) = Compacting::new(&body)?;
        return Ok((request.into(), Caller::Compacting(compacting)));
    }
    let caller = keep.map(|keep| Caller::Keeping(Keeping { store: Arc::clone(store), keep }));
    Ok((body, caller.unwrap_or(Caller::Plain)))
}

/// A request with what came before it put in front of its input, and what to keep of it.
struct Restored {
    body: Bytes,
    /// `None` when the caller wants nothing kept.
    keep: Option<Keep>,
}

/// The items of a request: those of the responses before it, and its own. Without brackets, commas between.
#[derive(Debug, Clone, Default)]
struct Keep {
    history: Vec<Bytes>,
    input: Bytes,
}

/// Answers for a kept response.
pub(super) fn answer(store: &Store, id: &str, wish: Wish, query: Option<&str>) -> Result<Response<Body>, Problem> {
    let missing = || Problem::new(ProblemKind::NotFound, format!("Response with id '{id}' not found."));
    match wish {
        Wish::Delete => {
            store.remove(id).ok_or_else(missing)?;
            let deleted = json!({"id": id, "object": "response", "deleted": true});
            Ok(reply::json(200, deleted.to_string()))
        }
        Wish::Get => Ok(reply::json(200, store.get(id).ok_or_else(missing)?.response)),
        Wish::Items => Ok(reply::json(200, items(&store.get(id).ok_or_else(missing)?, id, query))),
        Wish::Cancel => {
            store.get(id).ok_or_else(missing)?;
            Err(Problem::new(
                ProblemKind::Invalid,
                "only background responses can be cancelled, and none are served here",
            ))
        }
    }
}

/// The list of input items: newest first, unless asked otherwise.
fn items(kept: &Kept, id: &str, query: Option<&str>) -> String {
    let ask = |name: &str| {
        let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next_back()
    };
    let text = list(kept.keep.history.iter().chain([&kept.keep.input]));
    let raws: Vec<&RawValue> = serde_json::from_slice(&text).unwrap_or_default();
    let mut all: Vec<Value> = raws
        .iter()
        .enumerate()
        .filter_map(|(at, raw)| {
            let mut item: Value = serde_json::from_str(raw.get()).ok()?;
            let members = item.as_object_mut()?;
            // Clients page by id, so every item has one.
            members.entry("id").or_insert_with(|| format!("item_{}_{at}", id.trim_start_matches("resp_")).into());
            members.entry("type").or_insert_with(|| "message".into());
            Some(item)
        })
        .collect();
    if ask("order") != Some("asc") {
        all.reverse();
    }
    let begin = ask("after").and_then(|after| all.iter().position(|item| item["id"] == after)).map_or(0, |at| at + 1);
    let limit = ask("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20usize).clamp(1, 100);
    let more = all.len() > begin + limit;
    let page: Vec<Value> = all.into_iter().skip(begin).take(limit).collect();
    let id_of = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    let (first, last) = (id_of(page.first()), id_of(page.last()));
    json!({"object": "list", "data": page, "first_id": first, "last_id": last, "has_more": more}).to_string()
}

/// Segments of items as one array.
fn list<'s>(segments: impl Iterator<Item = &'s Bytes>) -> Vec<u8> {
    let mut out = Vec::from(b"[");
    for segment in segments.filter(|segment| !segment.is_empty()) {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(segment);
    }
    out.push(b']');
    out
}

/// Puts what `previous_response_id` names, and items that are only referred to, into the request's input.
fn restore(store: &Store, body: Bytes) -> Result<Restored, Problem> {
    let Some(members) = scan::members(&body, 0..body.len()) else { return Ok(Restored { body, keep: None }) };
    let find = |name: &str| members.iter().rev().find(|(key, _)| scan::key_is(&body, key.clone(), name));
    let value = |name: &str| find(name).map(|(_, value)| value.clone()).filter(|at| &body[at.clone()] != b"null");
    let previous = value("previous_response_id").and_then(|at| scan::string(&body, at));
    let keeps = value("store").is_none_or(|at| &body[at] != b"false");
    let input = value("input");
    let referring = input.clone().is_some_and(|at| contains(&body[at], b"item_reference"));
    if previous.is_none() && !keeps && !referring {
        return Ok(Restored { body, keep: None });
    }
    let own = own_items(store, &body, input.clone(), referring);
    let mut keep = Keep { history: Vec::new(), input: own };
    if let Some(id) = &previous {
        if value("conversation").is_some() {
            return Err(Problem::new(ProblemKind::Invalid, "conversation and previous_response_id exclude each other"));
        }
        let Some(kept) = store.get(id) else {
            let message = format!("Previous response with id '{id}' not found.");
            return Err(Problem::new(ProblemKind::NotFound, message));
        };
        keep.history = kept.history();
    }
    let body = if previous.is_some() || referring {
        let with = list(keep.history.iter().chain([&keep.input]));
        let patch = match find("input") {
            Some((_, at)) => Patch { span: at.clone(), with },
            None => {
                let open = body.iter().position(|b| *b == b'{').unwrap_or(0) + 1;
                let mut member = Vec::from(b"\"input\":");
                member.extend_from_slice(&with);
                member.push(b',');
                Patch { span: open..open, with: member }
            }
        };
        head::splice(&body, vec![patch]).into()
    } else {
        body
    };
    Ok(Restored { body, keep: keeps.then_some(keep) })
}

/// The request's own input as items.
fn own_items(store: &Store, body: &Bytes, input: Option<Span>, referring: bool) -> Bytes {
    let Some(at) = input else { return Bytes::new() };
    let text = &body[at.clone()];
    match text.first() {
        Some(b'[') if referring => {
            let mut out = Vec::with_capacity(text.len());
            for element in scan::elements(body, at).unwrap_or_default() {
                if !out.is_empty() {
                    out.push(b',');
                }
                match referred(store, body, element.clone()) {
                    Some(item) => out.extend_from_slice(&item),
                    None => out.extend_from_slice(&body[element]),
                }
            }
            out.into()
        }
        Some(b'[') => {
            let items = text[1..text.len() - 1].trim_ascii();
            // A slice keeps the tools and all the rest alive too; but a copy of a long input takes as long as reading it.
            let mostly = items.len() >= body.len() / 2;
            if mostly { body.slice_ref(items) } else { Bytes::copy_from_slice(items) }
        }
        Some(b'"') => {
            let mut item = Vec::from(br#"{"type":"message","role":"user","content":"#.as_slice());
            item.extend_from_slice(text);
            item.push(b'}');
            item.into()
        }
        _ => Bytes::copy_from_slice(text),
    }
}

/// The item a reference means, if it is kept. What is not known stays and is dropped by name later.
fn referred(store: &Store, body: &[u8], element: Span) -> Option<Bytes> {
    let kind = scan::member(body, element.clone(), "type")?;
    if &body[kind] != br#""item_reference""# {
        return None;
    }
    store.item(&scan::string(body, scan::member(body, element, "id")?)?)
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// Keeps the answer in `response` (its JSON text) to the request `keep` is of.
fn record(store: &Arc<Store>, keep: &Keep, response: &[u8]) {
    let members = scan::members(response, 0..response.len()).unwrap_or_default();
    let find =
        |name| members.iter().find(|(key, _)| scan::key_is(response, key.clone(), name)).map(|(_, at)| at.clone());
    let Some(id) = find("id").and_then(|at| scan::string(response, at)) else { return };
    let Some(output) = find("output") else { return };
    let items: Vec<(String, Span)> = scan::elements(response, output.clone())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|at| Some((scan::string(response, scan::member(response, at.clone(), "id")?)?, at)))
        .collect();
    let response = Bytes::copy_from_slice(response);
    let output = response.slice(output.start + 1..output.end - 1);
    let items = items.into_iter().map(|(id, at)| (id, response.slice(at))).collect();
    store.put(id, Kept { response, keep: keep.clone(), output, items });
}
