//! What the model is told first: the same bytes in every conversation, as far as it goes.

use super::survey::{Message, Survey};
use super::{BILLING, insert, replace, text};
use crate::protocol::head::Patch;
use crate::protocol::scan::{self, Span};

/// Moves `role: system` messages that stand before the first answer behind the blocks of `system`: there they are a
/// prefix that the next conversation shares. Later ones become the user's words in place. Templates that want one
/// system message, and first, would refuse both otherwise.
pub(super) fn lead(body: &[u8], survey: &Survey, patches: &mut Vec<Patch>) {
    let messages = &survey.messages;
    let is = |message: &Message, role: &str| message.role.as_ref().is_some_and(|at| text(body, at) == role);
    let leading = messages.iter().position(|message| is(message, "\"assistant\"")).unwrap_or(messages.len());
    let mut moved = String::new();
    let mut taken = Vec::new();
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| is(message, "\"system\"")) {
        match message.content.as_ref().and_then(|content| blocks_text(body, content)) {
            Some(blocks) if at < leading => {
                moved.push_str(if blocks.is_empty() || moved.is_empty() { "" } else { "," });
                moved.push_str(&blocks);
                taken.push(at);
            }
            _ => patches.extend(message.role.clone().map(|role| replace(role, "\"user\"".to_owned()))),
        }
    }
    if moved.is_empty() || taken.len() == messages.len() {
        return;
    }
    // The list without them, each kept message as it stands (a later one may get its role changed here too).
    let kept = messages.iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, message)| &message.span);
    let mut end = messages[0].span.start;
    for (at, message) in kept.enumerate() {
        // Everything between two kept ones is one comma.
        let between = if at == 0 { "" } else { "," };
        if &body[end..message.start] != between.as_bytes() {
            patches.push(replace(end..message.start, between.to_owned()));
        }
        end = message.end;
    }
    let last = messages[messages.len() - 1].span.end;
    if end < last {
        patches.push(replace(end..last, String::new()));
    }
    match &survey.system {
        Some(system) if body[system.span.start] == b'"' => {
            patches.push(insert(system.span.start, "[{\"type\":\"text\",\"text\":".to_owned()));
            patches.push(insert(system.span.end, format!("}},{moved}]")));
        }
        Some(system) if body[system.span.start] == b'[' => {
            let kept = system.blocks.iter().any(|(_, billing)| !billing);
            patches.push(insert(system.span.end - 1, format!("{}{moved}", if kept { "," } else { "" })));
        }
        Some(system) => patches.push(replace(system.span.clone(), format!("[{moved}]"))),
        None => {
            let open = body.iter().position(|b| *b == b'{').unwrap_or(0) + 1;
            patches.push(insert(open, format!("\"system\":[{moved}],")));
        }
    }
}

/// A content as blocks without their brackets; `None` when it is neither text nor blocks.
fn blocks_text(body: &[u8], content: &Span) -> Option<String> {
    let text = text(body, content);
    match text.as_bytes().first()? {
        b'"' => Some(format!("{{\"type\":\"text\",\"text\":{text}}}")),
        b'[' => Some(text.get(1..text.len() - 1)?.trim().to_owned()),
        _ => None,
    }
}

/// Takes the billing block out of `system`.
pub(super) fn strip_billing(body: &[u8], survey: &Survey, patches: &mut Vec<Patch>) {
    let Some(system) = &survey.system else { return };
    if scan::string_starts_with(body, system.span.clone(), BILLING) {
        // One string: the header is its first line.
        let raw = &body[system.span.clone()];
        let end = raw.windows(2).position(|w| w == b"\\n").map_or(raw.len() - 1, |at| at + 2);
        patches.push(replace(system.span.start + 1..system.span.start + end, String::new()));
        return;
    }
    let blocks = &system.blocks;
    for (at, (block, _)) in blocks.iter().enumerate().filter(|(_, (_, billing))| *billing) {
        // With the comma behind it, or the one before when everything behind goes or it is the last.
        let span = match blocks.get(at + 1) {
            Some((next, _)) => block.start..next.start,
            None => {
                let before = blocks[..at].iter().rev().find(|(_, billing)| !billing);
                before.map_or(block.clone(), |(before, _)| before.end..block.end)
            }
        };
        patches.push(replace(span, String::new()));
    }
}
