//! Edits that a Messages request needs even where the engine speaks Messages itself.

use crate::protocol::head::Patch;
use crate::protocol::scan::{self, Span};

/// How the system block begins that names the client's build and conversation. It differs in every conversation and
/// stands in front of everything, so that no prompt would share a cached prefix with any other.
pub const BILLING: &str = "x-anthropic-billing-header:";

/// Edits that take the billing block out of `system`.
pub fn tidy(body: &[u8], patches: &mut Vec<Patch>) {
    let Some(system) = scan::member(body, 0..body.len(), "system") else { return };
    if scan::string_starts_with(body, system.clone(), BILLING) {
        // One string: the header is its first line.
        let raw = &body[system.clone()];
        let end = raw.windows(2).position(|w| w == b"\\n").map_or(raw.len() - 1, |at| at + 2);
        patches.push(Patch { span: system.start + 1..system.start + end, with: Vec::new() });
        return;
    }
    let Some(blocks) = scan::elements(body, system) else { return };
    let is_billing = |block: &Span| {
        scan::member(body, block.clone(), "text").is_some_and(|text| scan::string_starts_with(body, text, BILLING))
    };
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| is_billing(block)) {
        // With the comma behind it, or the one before when everything behind goes or it is the last.
        let span = match blocks.get(at + 1) {
            Some(next) => block.start..next.start,
            None => {
                let before = blocks[..at].iter().rev().find(|b| !is_billing(b));
                before.map_or(block.clone(), |before| before.end..block.end)
            }
        };
        patches.push(Patch { span, with: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::head::splice;

    fn tidied(body: &str) -> String {
        let mut patches = Vec::new();
        tidy(body.as_bytes(), &mut patches);
        String::from_utf8(splice(body.as_bytes(), patches)).unwrap()
    }

    #[test]
    fn the_billing_block_goes_wherever_it_stands_and_nothing_else_changes() {
        let bill = r#"{"type":"text","text":"x-anthropic-billing-header: cc_version=1;"}"#;
        let text = r#"{"type":"text", "text":"You are…" }"#;
        let body = |blocks: &str| format!(r#"{{"system": [{blocks}] ,"messages":[]}}"#);
        assert_eq!(tidied(&body(&format!("{bill}, {text}"))), body(text));
        assert_eq!(tidied(&body(&format!("{text},{bill}"))), body(text));
        assert_eq!(tidied(&body(&format!("{text},{bill},{text}"))), body(&format!("{text},{text}")));
        assert_eq!(tidied(&body(bill)), body(""));
        assert_eq!(tidied(&body(text)), body(text));
        assert_eq!(tidied(r#"{"system":"x-anthropic-billing-header: a;\nYou"}"#), r#"{"system":"You"}"#);
        assert_eq!(tidied(r#"{"system":"x-anthropic-billing-header: a;"}"#), r#"{"system":""}"#);
    }
}
