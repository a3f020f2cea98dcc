//! Reasoning in a native request that its provider would refuse. A conversation may move from one backend to another in
//! the middle; what the gateway put into its earlier answers then reaches a provider that checks proofs and answers 400
//! to one it did not make ("Invalid `signature` in `thinking` block", "Corrupted thought signature"). Engines check
//! nothing and are not asked.

use memchr::memmem;

use super::head::Patch;
use super::scan::{self, Span};
use super::{Id, Vendor, carrier, gemini, openai_responses, quote};

/// Takes out of a request in protocol `to` what `vendor` would refuse.
pub fn strip(to: Id, vendor: Vendor, body: &[u8], patches: &mut Vec<Patch>) {
    match (to, vendor) {
        (Id::Gemini, Vendor::Google) => gemini::unsign(body, patches),
        (Id::Messages, Vendor::Anthropic) if any(body, "signature", unproven) || any(body, "data", sealed) => {
            lists(body, "messages", "content", patches, &|block| {
                let is = |kind: &str| member(body, block, "type").is_some_and(|at| &body[at] == kind.as_bytes());
                let has = |key: &str, test: fn(&str) -> bool| value(body, block, key).is_none_or(|text| test(&text));
                let away = (is("\"thinking\"") && has("signature", unproven))
                    || (is("\"redacted_thinking\"") && has("data", sealed));
                away.then(Vec::new)
            });
        }
        (Id::Chat, Vendor::OpenRouter) if any(body, "data", sealed) => {
            lists(body, "messages", "reasoning_details", patches, &|entry| {
                value(body, entry, "data").filter(|data| sealed(data)).map(|_| Vec::new())
            });
        }
        (Id::Responses, Vendor::OpenAi) => {
            if any(body, "encrypted_content", openai_responses::is_ours)
                && let Some(input) = member(body, &(0..body.len()), "input")
            {
                list(body, &input, patches, &|item| {
                    let content =
                        value(body, item, "encrypted_content").filter(|text| openai_responses::is_ours(text))?;
                    // What a conversation was before it was compacted is no reasoning: it stays, as words.
                    Some(openai_responses::open_summary(&content).map(summary).unwrap_or_default())
                });
            }
        }
        _ => {}
    }
}

fn sealed(proof: &str) -> bool {
    carrier::is_sealed(proof)
}

fn unproven(signature: &str) -> bool {
    signature.is_empty() || sealed(signature)
}

/// Whether a member of that name anywhere in the body holds such a text. Most requests end here, after one search.
fn any(body: &[u8], key: &str, test: fn(&str) -> bool) -> bool {
    let key = format!("\"{key}\"");
    memmem::find_iter(body, key.as_bytes()).any(|at| {
        let rest = body[at + key.len()..].trim_ascii_start();
        let Some(value) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { return false };
        let Some(inner) = value.strip_prefix(b"\"") else { return false };
        // Marks and tags stand at the beginning and hold nothing that is escaped.
        let end = inner.iter().take(16).position(|byte| *byte == b'"').unwrap_or(inner.len().min(16));
        std::str::from_utf8(&inner[..end]).is_ok_and(test)
    })
}

fn member(body: &[u8], span: &Span, key: &str) -> Option<Span> {
    scan::member(body, span.clone(), key)
}

fn value(body: &[u8], span: &Span, key: &str) -> Option<String> {
    scan::string(body, member(body, span, key)?)
}

fn summary(text: &str) -> Vec<u8> {
    let mut item = br#"{"type":"message","role":"user","content":"#.to_vec();
    quote::string(&mut item, &openai_responses::told_summary(text));
    item.push(b'}');
    item
}

/// What takes the place of an element: nothing (empty), or something else; `None` where it stays.
type Instead<'t> = &'t dyn Fn(&Span) -> Option<Vec<u8>>;

/// The lists called `inner` in the objects of the list called `outer`.
fn lists(body: &[u8], outer: &str, inner: &str, patches: &mut Vec<Patch>, instead: Instead<'_>) {
    let outer = member(body, &(0..body.len()), outer);
    for object in outer.and_then(|outer| scan::elements(body, outer)).unwrap_or_default() {
        if let Some(inner) = member(body, &object, inner) {
            list(body, &inner, patches, instead);
        }
    }
}

/// The list with what takes its elements' places.
fn list(body: &[u8], span: &Span, patches: &mut Vec<Patch>, instead: Instead<'_>) {
    let Some(elements) = scan::elements(body, span.clone()) else { return };
    let (mut with, mut changed, mut thinking) = (b"[".to_vec(), false, false);
    for element in elements {
        let json = instead(&element);
        changed |= json.is_some();
        thinking |=
            json.is_some() && member(body, &element, "type").is_some_and(|at| body[at].ends_with(b"thinking\""));
        let json = json.as_deref().unwrap_or(&body[element]);
        if !json.is_empty() {
            quote::comma(&mut with);
            with.extend_from_slice(json);
        }
    }
    if !changed {
        return;
    }
    // A message of nothing is refused too.
    if thinking && with.len() == 1 {
        with.extend_from_slice(br#"{"type":"text","text":"(reasoning only)"}"#);
    }
    with.push(b']');
    patches.push(Patch { span: span.clone(), with });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::head::splice;

    fn stripped(to: Id, vendor: Vendor, body: &Value) -> Value {
        let text = body.to_string();
        let mut patches = Vec::new();
        strip(to, vendor, text.as_bytes(), &mut patches);
        serde_json::from_slice(&splice(text.as_bytes(), patches)).unwrap()
    }

    #[test]
    fn anthropic_gets_its_own_reasoning_only() {
        let own = json!({"type": "thinking", "thinking": "h", "signature": "EqQB"});
        let hidden = json!({"type": "redacted_thinking", "data": "EqQB"});
        let words = json!({"type": "text", "text": "\"signature\":\"\""});
        let unsigned = json!({"type": "thinking", "thinking": "h", "signature": ""});
        let other = json!({"type": "thinking", "thinking": "h", "signature": "gc1_x"});
        let gone = json!({"type": "redacted_thinking", "data": "rs1_x"});
        let body = |turns: Value| json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": turns}]});
        let kept = body(json!([own, hidden, words]));
        assert_eq!(stripped(Id::Messages, Vendor::Anthropic, &kept), kept);
        let mixed = body(json!([unsigned, own, other, hidden, gone, words]));
        assert_eq!(stripped(Id::Messages, Vendor::Anthropic, &mixed), kept);
        assert_eq!(stripped(Id::Messages, Vendor::Vllm, &mixed), mixed);
        let bare = stripped(Id::Messages, Vendor::Anthropic, &body(json!([unsigned])));
        assert_eq!(bare["messages"][1]["content"][0]["type"], "text");
    }

    #[test]
    fn others_lose_what_they_did_not_make() {
        let ours = "llmup-r1:0:words";
        let item = |content: &str| json!({"type": "reasoning", "summary": [], "encrypted_content": content});
        let call = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"});
        let body = |items: Value| json!({"input": items});
        assert_eq!(
            stripped(Id::Responses, Vendor::OpenAi, &body(json!([item(ours), call, item("gAAAA")]))),
            body(json!([call, item("gAAAA")]))
        );
        let compacted = json!({"type": "compaction", "encrypted_content": openai_responses::seal_summary("all")});
        let told = stripped(Id::Responses, Vendor::OpenAi, &body(json!([compacted, call])));
        assert_eq!(told["input"][0]["content"], "[Summary of the conversation so far]\nall");
        let body = |entries: Value| json!({"messages": [{"role": "assistant", "reasoning_details": entries}]});
        let entry = |data: &str| json!({"type": "reasoning.encrypted", "data": data});
        assert_eq!(
            stripped(Id::Chat, Vendor::OpenRouter, &body(json!([entry("am1_x"), entry("y")]))),
            body(json!([entry("y")]))
        );
        let part =
            |proof: &str| json!({"contents": [{"role": "model", "parts": [{"text": "a", "thoughtSignature": proof}]}]});
        for (sent, kept) in [("bGxtdXAtdDE6MDoyOmht", "skip_thought_signature_validator"), ("own", "own")] {
            assert_eq!(stripped(Id::Gemini, Vendor::Google, &part(sent)), part(kept));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_survived(bytes: Vec<u8>, text in r#"[\[\]{}",:a1_ ]{0,40}("signature":"|"data":"am1_|"bGxtdXAtdDE6)?[\[\]{}",:a1_ ]{0,20}"#) {
            for (to, vendor) in [(Id::Messages, Vendor::Anthropic), (Id::Chat, Vendor::OpenRouter), (Id::Responses, Vendor::OpenAi), (Id::Gemini, Vendor::Google)] {
                for body in [bytes.as_slice(), text.as_bytes()] {
                    let mut patches = Vec::new();
                    strip(to, vendor, body, &mut patches);
                    let _ = splice(body, patches);
                }
            }
        }
    }
}
