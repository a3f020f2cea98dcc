//! Edits that a Messages request needs even where the engine speaks Messages itself. The body is scanned once
//! ([`survey`]); every edit is a splice.

use crate::protocol::head::Patch;
use crate::protocol::scan::Span;

use survey::Survey;

mod survey;
mod system;
#[cfg(test)]
mod tests;
mod tools;

/// How the system block begins that names the client's build and conversation. It differs in every conversation and
/// stands in front of everything, so that no prompt would share a cached prefix with any other.
pub const BILLING: &str = "x-anthropic-billing-header:";

/// All of them; the answer names the tools that had to go. A body that cannot be read gets none: the engine will say why.
pub fn tidy(body: &[u8], patches: &mut Vec<Patch>) -> Vec<String> {
    let Some(survey) = Survey::of(body) else { return Vec::new() };
    system::strip_billing(body, &survey, patches);
    system::lead(body, &survey, patches);
    tools::found(body, &survey, patches);
    tools::order(body, &survey, patches)
}

fn insert(at: usize, text: String) -> Patch {
    Patch { span: at..at, with: text.into_bytes() }
}

fn replace(span: Span, text: String) -> Patch {
    Patch { span, with: text.into_bytes() }
}

/// The text at `span`; empty when it is no UTF-8 (the engine refuses the body then).
fn text<'a>(body: &'a [u8], span: &Span) -> &'a str {
    body.get(span.clone()).and_then(|raw| std::str::from_utf8(raw).ok()).unwrap_or_default()
}
