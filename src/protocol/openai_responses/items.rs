//! The input items, read into turns: calls and their outputs side by side, whatever stood between them behind.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use serde_json::Value;
use serde_json::value::RawValue;

use super::special::Special;
use super::wire::{Item, read, string};
use super::{carry, content, tools};
use crate::protocol::ir::{Part, Request, Role, Tool, ToolUse, Turn};
use crate::protocol::pull::{Eager, Words};
use crate::protocol::text::Text;
use crate::protocol::{Problem, ProblemKind};

/// Adds `input`, a string or items, to the request. Tools that came inside go to `late`.
pub(super) fn add<'a>(
    input: Option<Eager<'a, Words<'a, Vec<Item<'a>>>>>,
    request: &mut Request<'a>,
    late: &mut Vec<Tool<'a>>,
) -> Result<(), Problem> {
    let read = match input {
        None => return Ok(()),
        Some(Eager::Raw(raw)) => match Text::of(raw) {
            Some(text) => Words::Text(text),
            None => Words::Other(one_by_one(raw, &mut request.dropped)?),
        },
        Some(Eager::Read(Words::Other(items))) => Words::Other(items.into_iter().map(Some).collect()),
        Some(Eager::Read(Words::Text(text))) => Words::Text(text),
    };
    let items = match read {
        Words::Other(items) => items,
        Words::Text(text) => {
            if !text.is_empty() {
                request.turns.push(Turn { role: Role::User, parts: vec![Part::Text(text)] });
            }
            return Ok(());
        }
    };
    let mut outputs: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        if let Some(item) = item.as_ref().filter(|item| kind(item).ends_with("_output")) {
            outputs.entry(call_id(item, at).into_owned()).or_default().push_back(at);
        }
    }
    let mut reader = Reader { items, outputs, pending: Vec::new(), leading: true, request, late };
    for at in 0..reader.items.len() {
        if !reader.items[at].as_ref().is_some_and(of_the_model) {
            reader.settle()?;
        }
        if let Some(item) = reader.items[at].take() {
            reader.item(item, at)?;
        }
    }
    reader.settle()
}

/// Items some of which may not be as they should.
fn one_by_one<'a>(input: &'a RawValue, dropped: &mut Vec<String>) -> Result<Vec<Option<Item<'a>>>, Problem> {
    let raws: Vec<&RawValue> = match input.get().as_bytes().first() {
        Some(b'{') => vec![input],
        _ => serde_json::from_str(input.get()).map_err(|e| invalid(format!("input does not parse: {e}")))?,
    };
    raws.iter().map(|raw| item(raw, dropped)).collect()
}

/// `instructions` as items, as fetched responses show them.
pub(super) fn instructions<'a>(raw: &'a RawValue, dropped: &mut Vec<String>) -> Result<Vec<Part<'a>>, Problem> {
    let mut parts = Vec::new();
    for item in read::<Vec<Item<'a>>>(Some(raw)).unwrap_or_default() {
        parts.extend(content::parts(item.content, dropped)?);
    }
    Ok(parts)
}

fn invalid(message: String) -> Problem {
    Problem::new(ProblemKind::Invalid, message)
}

/// One item. An item of a kind we do not know may look like anything, and is dropped then.
fn item<'a>(raw: &'a RawValue, dropped: &mut Vec<String>) -> Result<Option<Item<'a>>, Problem> {
    match serde_json::from_str::<Item<'a>>(raw.get()) {
        Ok(item) => Ok(Some(item)),
        Err(error) => {
            #[derive(serde::Deserialize)]
            struct Kind<'a> {
                #[serde(borrow, rename = "type")]
                kind: Option<Cow<'a, str>>,
            }
            let kind = read::<Kind<'_>>(Some(raw)).and_then(|kind| kind.kind);
            match kind.as_deref() {
                None | Some("message" | "function_call" | "function_call_output" | "custom_tool_call") => {
                    Err(invalid(format!("an input item does not parse: {error}")))
                }
                Some(kind) => {
                    dropped.push(format!("item {kind}"));
                    Ok(None)
                }
            }
        }
    }
}

fn kind<'i>(item: &'i Item<'_>) -> &'i str {
    match &item.kind {
        Some(kind) => kind,
        // The short form of a message.
        None if item.role.is_some() => "message",
        None => "",
    }
}

/// Whether the model said it.
fn of_the_model(item: &Item<'_>) -> bool {
    match kind(item) {
        "message" => item.role.as_deref() == Some("assistant"),
        "reasoning" | "function_call" | "custom_tool_call" => true,
        other => Special::by_call(other).is_some(),
    }
}

/// The id that pairs a call with its output. Where a client left it out its place stands in: the same every time.
fn call_id<'a>(item: &Item<'a>, at: usize) -> Cow<'a, str> {
    let given = item.call_id.clone().filter(|id| !id.is_empty()).or(item.id.clone().filter(|id| !id.is_empty()));
    given.unwrap_or_else(|| format!("call_{at}").into())
}

struct Reader<'r, 'a> {
    /// Taken one by one, outputs together with their calls.
    items: Vec<Option<Item<'a>>>,
    /// Where the outputs of a call stand.
    outputs: HashMap<String, VecDeque<usize>>,
    /// Calls of the model's turn whose outputs come next, and where they stand.
    pending: Vec<(Cow<'a, str>, usize)>,
    /// Nothing but system texts so far.
    leading: bool,
    request: &'r mut Request<'a>,
    late: &'r mut Vec<Tool<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn item(&mut self, item: Item<'a>, at: usize) -> Result<(), Problem> {
        let kind = kind(&item).to_owned();
        if let Some(special) = Special::by_call(&kind) {
            let input = item.arguments.or(item.action).or(item.operation);
            let (id, name) = (call_id(&item, at), Cow::Borrowed(special.name()));
            self.call(id, at, name, None, arguments(input), false);
            return Ok(());
        }
        match kind.as_str() {
            "message" => return self.message(item),
            "reasoning" => self.reasoning(item)?,
            "function_call" => {
                let id = call_id(&item, at);
                let name = item.name.unwrap_or_default();
                self.call(id, at, name, item.namespace, arguments(item.arguments), false);
            }
            "custom_tool_call" => {
                let id = call_id(&item, at);
                let input = string(item.input).unwrap_or_else(|| item.input.map_or("", RawValue::get).into());
                self.call(id, at, item.name.unwrap_or_default(), item.namespace, input, true);
            }
            "additional_tools" => {
                tools::add_late(item.tools, self.request, self.late);
            }
            "compaction" | "compaction_summary" => {
                match item.encrypted_content.as_deref().and_then(carry::open_summary) {
                    Some(summary) => {
                        self.push(Role::User, vec![Part::Text(carry::told_summary(summary).into())]);
                    }
                    None => self.request.dropped.push(format!("item {kind}")),
                }
            }
            // Outputs whose call is not there.
            output if output.ends_with("_output") => self.output(item, at)?,
            "" => return Err(invalid("an input item has neither type nor role".to_owned())),
            other => self.request.dropped.push(format!("item {other}")),
        }
        Ok(())
    }

    fn push(&mut self, role: Role, parts: Vec<Part<'a>>) {
        if parts.is_empty() {
            return;
        }
        self.leading = false;
        match self.request.turns.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => self.request.turns.push(Turn { role, parts }),
        }
    }

    fn message(&mut self, item: Item<'a>) -> Result<(), Problem> {
        let parts = content::parts(item.content, &mut self.request.dropped)?;
        match item.role.as_deref().unwrap_or("user") {
            "system" | "developer" => {
                let texts = content::only_texts(parts, &mut self.request.dropped);
                if self.leading {
                    self.request.system.extend(texts);
                } else {
                    // Templates refuse a system message that does not come first.
                    self.push(Role::User, texts.into_iter().map(Part::Text).collect());
                }
            }
            "assistant" => self.push(Role::Assistant, parts),
            "user" => self.push(Role::User, parts),
            other => return Err(invalid(format!("messages have no role {other:?}"))),
        }
        Ok(())
    }

    /// The text comes from what we sealed, else from the content, else from the summary; all of one item say the same.
    fn reasoning(&mut self, item: Item<'a>) -> Result<(), Problem> {
        if let Some((text, signature)) = item.encrypted_content.as_deref().and_then(carry::open_reasoning) {
            let (text, signature) = (Cow::Owned(text.to_owned()), signature.map(|s| Cow::Owned(s.to_owned())));
            self.push(Role::Assistant, vec![Part::Thinking { text, signature }]);
            return Ok(());
        }
        for source in [item.content, item.summary] {
            let parts = content::parts(source, &mut self.request.dropped)?;
            let texts = content::only_texts(parts, &mut self.request.dropped);
            let text = match <[_; 1]>::try_from(texts) {
                Ok([only]) => only.into_cow(),
                Err(texts) if texts.is_empty() => continue,
                Err(texts) => texts.join("\n\n").into(),
            };
            self.push(Role::Assistant, vec![Part::Thinking { text, signature: None }]);
            return Ok(());
        }
        Ok(())
    }

    fn call(
        &mut self,
        id: Cow<'a, str>,
        at: usize,
        name: Cow<'a, str>,
        namespace: Option<Cow<'a, str>>,
        input: Cow<'a, str>,
        freeform: bool,
    ) {
        self.pending.push((id.clone(), at));
        let namespace = namespace.filter(|group| !group.is_empty());
        let call = ToolUse { id, name, namespace, input, freeform, signature: None };
        self.push(Role::Assistant, vec![Part::ToolUse(call)]);
    }

    /// The model's turn is over: the outputs of its calls come next, wherever they stand in the input.
    fn settle(&mut self) -> Result<(), Problem> {
        for (id, at) in std::mem::take(&mut self.pending) {
            let Some(places) = self.outputs.get_mut(id.as_ref()) else { continue };
            while places.front().is_some_and(|place| *place < at) {
                places.pop_front();
            }
            if let Some(place) = places.pop_front()
                && let Some(output) = self.items[place].take()
            {
                self.output(output, place)?;
            }
        }
        Ok(())
    }

    fn output(&mut self, item: Item<'a>, at: usize) -> Result<(), Problem> {
        let id = call_id(&item, at);
        let is_error = matches!(item.status.as_deref(), Some("failed"));
        let parts = match kind(&item) {
            "tool_search_output" => {
                let names = tools::add_late(item.tools, self.request, self.late);
                let text = match names.as_slice() {
                    [] => "No tools were found.".to_owned(),
                    names => format!("These tools are available now: {}.", names.join(", ")),
                };
                vec![Part::Text(text.into())]
            }
            "shell_call_output" | "local_shell_call_output" => match item.output.and_then(Text::of) {
                Some(text) => vec![Part::Text(text)],
                None => vec![Part::Text(item.output.map_or("", RawValue::get).into())],
            },
            _ => match item.output {
                // Neither text nor parts: some tool's own object.
                Some(raw) if raw.get().starts_with('{') => vec![Part::Text(raw.get().into())],
                output => content::parts(output, &mut self.request.dropped)?,
            },
        };
        let parts = parts.into_iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty())).collect();
        self.push(Role::User, vec![Part::ToolResult { id, parts, is_error }]);
        Ok(())
    }
}

/// Arguments as the text of an object. Text that is none (a model's mistake, replayed) goes into one: templates and
/// servers parse it.
fn arguments(raw: Option<&RawValue>) -> Cow<'_, str> {
    let Some(raw) = raw else { return "{}".into() };
    let text = string(Some(raw)).unwrap_or_else(|| raw.get().into());
    if text.trim().is_empty() {
        return "{}".into();
    }
    let whole = text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
    if whole { text } else { format!("{{\"arguments\":{}}}", Value::from(text.as_ref())).into() }
}
