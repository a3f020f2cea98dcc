//! Tool names on their way to a backend and back. Backends limit length and characters, and most know neither groups
//! of tools nor freeform ones: both become plain functions with a name of their own, and calls of those become what
//! the caller offered again. The mapping depends on the offered tools only, so a prompt's prefix stays.

use std::collections::{HashMap, HashSet};

use super::event::{Block, Event, Filter};
use super::ir::{Choice, Part, Request, Tool};

mod freeform;
#[cfg(test)]
mod tests;
mod wire;

use freeform::Unwrap;

/// What names and kinds of tools a backend takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Longest name.
    pub longest: usize,
    /// It knows groups of tools itself.
    pub groups: bool,
    /// It knows freeform tools itself.
    pub freeform: bool,
}

/// Function names as OpenAI takes them: `^[a-zA-Z0-9_-]{1,64}$`.
pub const PLAIN: Rule = Rule { longest: 64, groups: false, freeform: false };

/// The way back for one request.
#[derive(Debug, Default)]
pub struct Names {
    /// From the name the backend knows to what the caller offered; only tools that changed are in it.
    back: HashMap<String, Original>,
    /// The freeform call that streams now.
    open: Option<Unwrap>,
}

/// A tool as the caller offered it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Original {
    namespace: Option<String>,
    name: String,
    freeform: bool,
}

impl Names {
    /// Renames tools, calls in the history and the choice in `request` as `rule` wants it.
    pub fn apply(request: &mut Request<'_>, rule: Rule) -> Names {
        let mut names = Names::default();
        let mut there = HashMap::new();
        if request.tools.iter().any(|tool| changes(tool, rule)) {
            // Who keeps the own name has it for sure, wherever in the list it stands.
            let mut taken: HashSet<String> = request
                .tools
                .iter()
                .filter(|tool| !renamed(tool.namespace.as_deref(), &tool.name, rule))
                .map(|tool| tool.name.clone().into_owned())
                .collect();
            for tool in &mut request.tools {
                names.tool(tool, rule, &mut taken, &mut there);
            }
        }
        history(request, rule, &there);
        names
    }

    fn tool(
        &mut self,
        tool: &mut Tool<'_>,
        rule: Rule,
        taken: &mut HashSet<String>,
        there: &mut HashMap<(Option<String>, String), String>,
    ) {
        if !changes(tool, rule) {
            return;
        }
        let namespace = if rule.groups { None } else { tool.namespace.as_deref() };
        let group = tool.namespace.as_deref();
        let mut name = tool.name.clone().into_owned();
        if renamed(group, &tool.name, rule) {
            name = wire::name(namespace, &tool.name, rule.longest);
            if !taken.insert(name.clone()) {
                name = wire::hashed(namespace, &tool.name, rule.longest);
                taken.insert(name.clone());
            }
            there.insert((group.map(str::to_owned), tool.name.clone().into_owned()), name.clone());
        }
        let freeform = tool.freeform.is_some() && !rule.freeform;
        let original = Original { namespace: group.map(str::to_owned), name: tool.name.clone().into_owned(), freeform };
        self.back.insert(name.clone(), original);
        tool.name = name.into();
        if !rule.groups {
            tool.namespace = None;
        }
        if freeform {
            freeform::describe(tool);
        }
    }
}

/// Whether anything about the tool changes.
fn changes(tool: &Tool<'_>, rule: Rule) -> bool {
    (tool.freeform.is_some() && !rule.freeform) || renamed(tool.namespace.as_deref(), &tool.name, rule)
}

fn renamed(namespace: Option<&str>, name: &str, rule: Rule) -> bool {
    (namespace.is_some() && !rule.groups) || !wire::fits(name, rule.longest)
}

/// Calls made earlier get the names their tools have now. A tool no longer on offer gets the name it would have.
fn history(request: &mut Request<'_>, rule: Rule, there: &HashMap<(Option<String>, String), String>) {
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        let Part::ToolUse(call) = part else { continue };
        if renamed(call.namespace.as_deref(), &call.name, rule) {
            let group = if rule.groups { None } else { call.namespace.as_deref() };
            let key = (call.namespace.as_deref().map(str::to_owned), call.name.clone().into_owned());
            let known = there.get(&key).cloned();
            call.name = known.unwrap_or_else(|| wire::name(group, &call.name, rule.longest)).into();
            if !rule.groups {
                call.namespace = None;
            }
        }
        if call.freeform && !rule.freeform {
            call.input = freeform::wrap(&call.input).into();
            call.freeform = false;
        }
    }
    // A choice names no group: a tool that kept this very name is meant first.
    if let Choice::Named(name) = &mut request.choice
        && !request.tools.iter().any(|tool| tool.name == *name)
        && let Some(new) = there.iter().filter(|((_, old), _)| old == name.as_ref()).map(|(_, new)| new).min()
    {
        *name = new.clone().into();
    }
}

impl Filter for Names {
    fn event(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        if self.back.is_empty() {
            return sink(event);
        }
        match event {
            Event::BlockStart(Block::ToolUse { id, name, namespace, freeform }) => {
                let Some(original) = self.back.get(name.as_ref()) else {
                    return sink(Event::BlockStart(Block::ToolUse { id, name, namespace, freeform }));
                };
                if original.freeform {
                    self.open = Some(Unwrap::default());
                }
                sink(Event::BlockStart(Block::ToolUse {
                    id,
                    name: original.name.as_str().into(),
                    namespace: original.namespace.as_deref().map(Into::into),
                    freeform: original.freeform || freeform,
                }));
            }
            Event::Delta(text) => match &mut self.open {
                Some(open) => {
                    let mut out = String::new();
                    open.push(&text, &mut out);
                    if !out.is_empty() {
                        sink(Event::Delta(out.into()));
                    }
                }
                None => sink(Event::Delta(text)),
            },
            Event::BlockEnd => {
                if let Some(open) = self.open.take() {
                    let mut out = String::new();
                    open.end(&mut out);
                    if !out.is_empty() {
                        sink(Event::Delta(out.into()));
                    }
                }
                sink(Event::BlockEnd);
            }
            other => sink(other),
        }
    }
}
