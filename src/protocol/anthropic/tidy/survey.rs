//! One scan over a request that notes where everything stands that an edit may want.

use super::BILLING;
use crate::protocol::scan::{self, Span, walk_elements, walk_members};

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) system: Option<System>,
    pub(super) messages: Vec<Message>,
    /// Where the tools stand.
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: Option<Choice>,
    /// The `tool_reference` blocks in tool results, in order.
    pub(super) references: Vec<Reference>,
}

pub(super) struct System {
    pub(super) span: Span,
    /// Its blocks, and whether one is the client's billing block. None when it is a string.
    pub(super) blocks: Vec<(Span, bool)>,
}

pub(super) struct Message {
    pub(super) span: Span,
    pub(super) role: Option<Span>,
    pub(super) content: Option<Span>,
}

pub(super) struct Tool {
    pub(super) span: Span,
    pub(super) kind: Option<Span>,
    pub(super) name: Option<Span>,
    pub(super) has_schema: bool,
    pub(super) deferred: bool,
}

pub(super) struct Choice {
    pub(super) span: Span,
    pub(super) name: Option<Span>,
}

pub(super) struct Reference {
    pub(super) span: Span,
    /// The tool's name, quotes included.
    pub(super) name: Span,
}

impl Survey {
    pub(super) fn of(body: &[u8]) -> Option<Survey> {
        let mut survey = Survey::default();
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
        walk_members(body, start, |key, at| {
            let is = |name: &str| scan::key_is(body, key.clone(), name);
            match body.get(at)? {
                b'[' if is("messages") => {
                    (survey.messages, survey.references) = (Vec::new(), Vec::new());
                    survey.messages(body, at)
                }
                b'[' if is("tools") => {
                    survey.tools.clear();
                    walk_elements(body, at, |at| survey.tool(body, at))
                }
                b'{' if is("tool_choice") => {
                    let mut name = None;
                    let end = member_spans(body, at, &mut [("name", &mut name)])?;
                    survey.tool_choice = Some(Choice { span: at..end, name });
                    Some(end)
                }
                _ if is("system") => survey.system(body, at),
                _ => scan::skip(body, at),
            }
        })?;
        Some(survey)
    }

    fn system(&mut self, body: &[u8], at: usize) -> Option<usize> {
        let mut blocks = Vec::new();
        let end = match body.get(at)? {
            b'[' => walk_elements(body, at, |at| {
                let mut words = None;
                let end = match body.get(at)? {
                    b'{' => member_spans(body, at, &mut [("text", &mut words)])?,
                    _ => scan::skip(body, at)?,
                };
                let billing = words.is_some_and(|words| scan::string_starts_with(body, words, BILLING));
                blocks.push((at..end, billing));
                Some(end)
            })?,
            _ => scan::skip(body, at)?,
        };
        self.system = Some(System { span: at..end, blocks });
        Some(end)
    }

    fn messages(&mut self, body: &[u8], at: usize) -> Option<usize> {
        walk_elements(body, at, |at| {
            let (mut role, mut content) = (None, None);
            let end = match body.get(at)? {
                b'{' => walk_members(body, at, |key, at| {
                    let is_content = scan::key_is(body, key.clone(), "content");
                    let end = match body.get(at)? {
                        b'[' if is_content => walk_elements(body, at, |at| self.block(body, at))?,
                        _ => scan::skip(body, at)?,
                    };
                    if is_content {
                        content = Some(at..end);
                    } else if scan::key_is(body, key, "role") {
                        role = Some(at..end);
                    }
                    Some(end)
                })?,
                _ => scan::skip(body, at)?,
            };
            self.messages.push(Message { span: at..end, role, content });
            Some(end)
        })
    }

    /// A block of a message: only the list in a tool result is looked into.
    fn block(&mut self, body: &[u8], at: usize) -> Option<usize> {
        if body.get(at) != Some(&b'{') {
            return scan::skip(body, at);
        }
        walk_members(body, at, |key, at| match body.get(at)? {
            b'[' if scan::key_is(body, key, "content") => walk_elements(body, at, |at| {
                if body.get(at) != Some(&b'{') {
                    return scan::skip(body, at);
                }
                let (mut kind, mut name) = (None, None);
                let end = member_spans(body, at, &mut [("type", &mut kind), ("tool_name", &mut name)])?;
                if let Some((kind, name)) = kind.zip(name)
                    && &body[kind] == b"\"tool_reference\""
                    && body.get(name.start) == Some(&b'"')
                {
                    self.references.push(Reference { span: at..end, name });
                }
                Some(end)
            }),
            _ => scan::skip(body, at),
        })
    }

    fn tool(&mut self, body: &[u8], at: usize) -> Option<usize> {
        let (mut kind, mut name, mut schema, mut deferred) = (None, None, None, None);
        let end = match body.get(at)? {
            b'{' => {
                let wanted = &mut [
                    ("type", &mut kind),
                    ("name", &mut name),
                    ("input_schema", &mut schema),
                    ("defer_loading", &mut deferred),
                ];
                member_spans(body, at, wanted)?
            }
            _ => scan::skip(body, at)?,
        };
        self.tools.push(Tool {
            span: at..end,
            kind,
            name,
            has_schema: schema.is_some_and(|schema| body.get(schema.start) == Some(&b'{')),
            deferred: deferred.is_some_and(|deferred| &body[deferred] == b"true"),
        });
        Some(end)
    }
}

/// Walks an object and notes where the values of some members stand.
fn member_spans(body: &[u8], at: usize, wanted: &mut [(&str, &mut Option<Span>)]) -> Option<usize> {
    walk_members(body, at, |key, at| {
        let end = scan::skip(body, at)?;
        if let Some((_, found)) = wanted.iter_mut().find(|(name, _)| scan::key_is(body, key.clone(), name)) {
            **found = Some(at..end);
        }
        Some(end)
    })
}
