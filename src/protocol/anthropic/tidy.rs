//! Edits that a Messages request needs even where the engine speaks Messages itself.

use crate::protocol::head::Patch;
use crate::protocol::scan::{self, Span};

/// How the system block begins that names the client's build and conversation. It differs in every conversation and
/// stands in front of everything, so that no prompt would share a cached prefix with any other.
pub const BILLING: &str = "x-anthropic-billing-header:";

/// All of them.
pub fn tidy(body: &[u8], patches: &mut Vec<Patch>) {
    strip_billing(body, patches);
    lead_with_system(body, patches);
}

/// Moves `role: system` messages that stand before the first answer behind the blocks of `system`: there they are a
/// prefix that the next conversation shares. Later ones become the user's words in place. Templates that want one
/// system message, and first, would refuse both otherwise.
fn lead_with_system(body: &[u8], patches: &mut Vec<Patch>) {
    let all = 0..body.len();
    let Some(messages) = scan::member(body, all.clone(), "messages").and_then(|at| scan::elements(body, at)) else {
        return;
    };
    let role_at = |message: &Span| scan::member(body, message.clone(), "role");
    let is = |message: &Span, role: &[u8]| role_at(message).is_some_and(|at| &body[at] == role);
    let leading = messages.iter().position(|message| is(message, b"\"assistant\"")).unwrap_or(messages.len());
    let mut moved = String::new();
    let mut taken = Vec::new();
    for (at, message) in messages.iter().enumerate().filter(|(_, message)| is(message, b"\"system\"")) {
        match scan::member(body, message.clone(), "content").and_then(|content| blocks_text(body, content)) {
            Some(blocks) if at < leading => {
                moved.push_str(if blocks.is_empty() || moved.is_empty() { "" } else { "," });
                moved.push_str(&blocks);
                taken.push(at);
            }
            _ => patches.extend(role_at(message).map(|span| Patch { span, with: b"\"user\"".to_vec() })),
        }
    }
    if moved.is_empty() || taken.len() == messages.len() {
        return;
    }
    // The list without them, each kept message as it stands (a later one may get its role changed here too).
    let kept: Vec<&Span> = messages.iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, m)| m).collect();
    let mut end = messages[0].start;
    for (at, message) in kept.iter().enumerate() {
        // Everything between two kept ones is one comma.
        let between = if at == 0 { Vec::new() } else { b",".to_vec() };
        if body[end..message.start] != between[..] {
            patches.push(Patch { span: end..message.start, with: between });
        }
        end = message.end;
    }
    let last = messages[messages.len() - 1].end;
    if end < last {
        patches.push(Patch { span: end..last, with: Vec::new() });
    }
    let insert = |at: usize, text: String| Patch { span: at..at, with: text.into_bytes() };
    match scan::member(body, all, "system") {
        Some(system) if body[system.start] == b'"' => {
            patches.push(insert(system.start, "[{\"type\":\"text\",\"text\":".to_owned()));
            patches.push(insert(system.end, format!("}},{moved}]")));
        }
        Some(system) if body[system.start] == b'[' => {
            let kept = scan::elements(body, system.clone()).unwrap_or_default();
            let kept = kept.iter().any(|block| !is_billing(body, block));
            patches.push(insert(system.end - 1, format!("{}{moved}", if kept { "," } else { "" })));
        }
        Some(system) => patches.push(Patch { span: system, with: format!("[{moved}]").into_bytes() }),
        None => {
            let open = body.iter().position(|b| *b == b'{').unwrap_or(0) + 1;
            patches.push(insert(open, format!("\"system\":[{moved}],")));
        }
    }
}

/// A content as blocks without their brackets; `None` when it is neither text nor blocks.
fn blocks_text(body: &[u8], content: Span) -> Option<String> {
    let text = std::str::from_utf8(body.get(content)?).ok()?;
    match text.as_bytes().first()? {
        b'"' => Some(format!("{{\"type\":\"text\",\"text\":{text}}}")),
        b'[' => Some(text.get(1..text.len() - 1)?.trim().to_owned()),
        _ => None,
    }
}

fn is_billing(body: &[u8], block: &Span) -> bool {
    scan::member(body, block.clone(), "text").is_some_and(|text| scan::string_starts_with(body, text, BILLING))
}

/// Edits that take the billing block out of `system`.
fn strip_billing(body: &[u8], patches: &mut Vec<Patch>) {
    let Some(system) = scan::member(body, 0..body.len(), "system") else { return };
    if scan::string_starts_with(body, system.clone(), BILLING) {
        // One string: the header is its first line.
        let raw = &body[system.clone()];
        let end = raw.windows(2).position(|w| w == b"\\n").map_or(raw.len() - 1, |at| at + 2);
        patches.push(Patch { span: system.start + 1..system.start + end, with: Vec::new() });
        return;
    }
    let Some(blocks) = scan::elements(body, system) else { return };
    let is_billing = |block: &Span| is_billing(body, block);
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
    fn early_system_messages_lead_and_later_ones_become_the_users() {
        let user = r#"{"role":"user","content":"hi"}"#;
        let early = r#"{"role":"system","content":"B"}"#;
        let blocks = r#"{"role":"system","content":[{"type":"text","text":"C"}]}"#;
        let answer = r#"{"role":"assistant","content":"yes"}"#;
        let [a, b, c] = ["A", "B", "C"].map(|t| format!(r#"{{"type":"text","text":"{t}"}}"#));
        let body = |system: &str, messages: &[&str]| format!(r#"{{{system}"messages":[{}]}}"#, messages.join(","));
        let list = |blocks: &[&str]| format!(r#""system":[{}],"#, blocks.join(","));
        for (system, expected) in [
            (list(&[&a]), list(&[&a, &b, &c])),
            (r#""system":"A","#.to_owned(), list(&[&a, &b, &c])),
            (String::new(), list(&[&b, &c])),
            (list(&[r#"{"type":"text","text":"x-anthropic-billing-header: q"}"#]), list(&[&b, &c])),
        ] {
            for order in [[user, early, blocks], [early, user, blocks], [early, blocks, user]] {
                assert_eq!(tidied(&body(&system, &order)), body(&expected, &[user]));
                let long = [order[0], order[1], order[2], answer, early];
                let late = early.replace("system", "user");
                assert_eq!(tidied(&body(&system, &long)), body(&expected, &[user, answer, &late]));
            }
        }
        let only = body("", &[early]);
        assert_eq!(tidied(&only), only);
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

    proptest::proptest! {
        #[test]
        fn nearly_json_is_survived(system in r#"[\[\]{}",:\\a ]{0,12}"#, messages in r#"[\[\]{}",:\\a ]{0,12}"#) {
            let body = format!(r#"{{"system":{system},"messages":[{{"role":"system","content":{messages}}},1,{{"a":{messages}}}]}}"#);
            let mut patches = Vec::new();
            tidy(body.as_bytes(), &mut patches);
            let _ = splice(body.as_bytes(), patches);
        }
    }
}
