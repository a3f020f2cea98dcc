//! One scan over a request that notes where everything stands that an edit may want.

use crate::protocol::scan::{self, Span, walk_elements, walk_members};

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) messages: Vec<Message>,
    /// The tools whose parameters are no schema.
    pub(super) tools: Vec<Tool>,
    /// Empty lists that engines refuse: the members, each with one of its commas.
    pub(super) gone: Vec<Span>,
    /// A choice among no tools.
    pub(super) choice: Option<Span>,
}

/// A message.
pub(super) struct Message {
    pub(super) span: Span,
    /// Quotes included.
    pub(super) role: Option<Span>,
    pub(super) content: Option<Span>,
    /// It has members besides those two.
    pub(super) more: bool,
}

/// A tool without parameters.
pub(super) struct Tool {
    pub(super) function: Span,
    /// A `null` that stands in their place.
    pub(super) parameters: Option<Span>,
}

impl Survey {
    pub(super) fn of(body: &[u8]) -> Option<Survey> {
        let mut survey = Survey::default();
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let (mut tools, mut choice, mut none) = (Lists::default(), None, false);
        walk_members(body, start, |key, at| {
            let is = |name: &str| scan::key_is(body, key.clone(), name);
            let list = body.get(at) == Some(&b'[');
            let mut empty = false;
            let end = if list && is("messages") {
                survey.messages.clear();
                walk_elements(body, at, |at| survey.message(body, at))?
            } else if list && is("tools") {
                survey.tools.clear();
                empty = true;
                walk_elements(body, at, |at| {
                    empty = false;
                    survey.tool(body, at)
                })?
            } else {
                scan::skip(body, at)?
            };
            if is("tool_choice") {
                choice = Some(at..end);
            }
            none |= empty;
            tools.member(key, end, empty);
            Some(end)
        })?;
        survey.gone.extend(tools.gone);
        survey.choice = choice.filter(|_| none);
        Some(survey)
    }

    fn message(&mut self, body: &[u8], at: usize) -> Option<usize> {
        let (mut role, mut content, mut more) = (None, None, false);
        let mut calls = Lists::default();
        let end = match body.get(at)? {
            b'{' => walk_members(body, at, |key, at| {
                let is = |name: &str| scan::key_is(body, key.clone(), name);
                let end = scan::skip(body, at)?;
                if is("content") {
                    content = Some(at..end);
                } else if is("role") {
                    role = Some(at..end);
                } else {
                    more = true;
                }
                let empty = is("tool_calls") && super::at(body, &(at + 1..end - 1)).trim_ascii().is_empty();
                calls.member(key, end, empty && body.get(at) == Some(&b'['));
                Some(end)
            })?,
            _ => scan::skip(body, at)?,
        };
        self.gone.extend(calls.gone);
        self.messages.push(Message { span: at..end, role, content, more });
        Some(end)
    }

    fn tool(&mut self, body: &[u8], at: usize) -> Option<usize> {
        if body.get(at) != Some(&b'{') {
            return scan::skip(body, at);
        }
        walk_members(body, at, |key, at| {
            if body.get(at) != Some(&b'{') || !scan::key_is(body, key, "function") {
                return scan::skip(body, at);
            }
            let (mut named, mut parameters) = (false, None);
            let end = walk_members(body, at, |key, at| {
                let end = scan::skip(body, at)?;
                if scan::key_is(body, key.clone(), "parameters") {
                    parameters = Some(at..end);
                }
                named |= scan::key_is(body, key, "name");
                Some(end)
            })?;
            let missing = parameters.as_ref().is_none_or(|at| &body[at.clone()] == b"null");
            if named && missing {
                self.tools.push(Tool { function: at..end, parameters });
            }
            Some(end)
        })
    }
}

/// Finds what to cut when members of an object go.
#[derive(Default)]
struct Lists {
    /// Where the last member that stays ends.
    before: Option<usize>,
    /// Where members begin that go and have none before them.
    first: Option<usize>,
    gone: Vec<Span>,
}

impl Lists {
    fn member(&mut self, key: Span, end: usize, goes: bool) {
        match (goes, self.before) {
            // With the comma in front of it.
            (true, Some(before)) => {
                self.gone.push(before..end);
                self.before = Some(end);
            }
            (true, None) => self.first = self.first.or(Some(key.start)),
            (false, _) => {
                if let Some(first) = self.first.take() {
                    self.gone.push(first..key.start);
                }
                self.before = Some(end);
            }
        }
    }
}
