//! Google's proofs through callers of other protocols: of words, of calls, of thoughts, and parts of its own.

use super::*;

fn stream(parts: &[Value]) -> String {
    let mut chunks: Vec<Value> = parts
        .iter()
        .map(|part| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}], "responseId": "r"}))
        .collect();
    chunks.push(json!({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]}));
    frames(&chunks)
}

/// What Google sends, and what it must get back; a part without a `text` that clients drop is written out.
struct Case {
    name: &'static str,
    parts: Vec<Value>,
    back: Value,
    /// The same through Messages as a stream, where nothing may stand behind the last words.
    streamed: Option<Value>,
}

fn cases() -> Vec<Case> {
    let call = |proof: &str| json!({"functionCall": {"id": "c1", "name": "Read", "args": {"p": 1}}, "thoughtSignature": proof});
    let text = |text: &str, proof: &str| json!({"text": text, "thoughtSignature": proof});
    let same = |name, parts: Vec<Value>| Case { name, back: parts.clone().into(), parts, streamed: None };
    let case = |name, parts, back| Case { name, parts, back, streamed: None };
    let last = |name, parts, back, streamed| Case { name, parts, back, streamed: Some(streamed) };
    let search = json!({"toolCall": {"id": "s1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["é"]}}, "thoughtSignature": "S"});
    let found = json!({"toolResponse": {"id": "s1", "toolType": "GOOGLE_SEARCH_WEB", "response": {"a": [1, 2]}}, "thoughtSignature": "R"});
    vec![
        last("words with a proof", vec![text("Hello", "T")], json!([text("Hello", "T")]), json!([{"text": "Hello"}])),
        last(
            "a proof in an empty part at the end",
            vec![json!({"text": "Hel"}), json!({"text": "lo"}), text("", "T")],
            json!([text("Hello", "T")]),
            json!([{"text": "Hello"}]),
        ),
        same("words with a proof, then a call", vec![text("Hello", "T"), call("C")]),
        same("nothing but a proof, then a call", vec![text("", "T"), call("C")]),
        case(
            "a thought, then words with a proof, then a call",
            vec![json!({"text": "hm", "thought": true}), text("Hello", "T"), call("C")],
            json!([text("Hello", "T"), call("C")]),
        ),
        same(
            "a thought with a proof of its own",
            vec![json!({"text": "hm", "thought": true, "thoughtSignature": "H"}), text("Hello", "T"), call("C")],
        ),
        same("a search of Google's own", vec![search.clone(), found.clone(), call("C")]),
        last(
            "a search of Google's own, and words about it",
            vec![search.clone(), found.clone(), text("So", "T")],
            json!([search, found, text("So", "T")]),
            json!([search, found, {"text": "So"}]),
        ),
    ]
}

#[test]
fn proofs_of_words_and_parts_of_googles_own_come_back() {
    let mut wrong = Vec::new();
    for case in cases() {
        let stream = stream(&case.parts);
        for client in CLIENTS.iter().filter(|client| client.speaks != Id::Gemini) {
            for framing in FRAMINGS {
                for size in [1, stream.len()] {
                    let answer = told(client.speaks, Id::Gemini, &stream, framing, size);
                    let next = client.next(&answer, framing);
                    let back = turn(Id::Gemini, &sent(client.speaks, GOOGLE, &next));
                    let behind = client.speaks == Id::Messages && framing == Framing::Events;
                    let want = case.streamed.as_ref().filter(|_| behind).unwrap_or(&case.back);
                    if back != *want {
                        wrong.push(format!(
                            "{} {} {framing:?}:\n  sent {back}\n  want {want}\n  next {next}",
                            case.name, client.name
                        ));
                    }
                    for other in [CLAUDE, (Id::Responses, Vendor::OpenAi, "gpt-5"), (Id::Chat, Vendor::Vllm, "m")] {
                        let body = sent(client.speaks, other, &next).to_string();
                        assert!(!["1_", "toolCall", "llmup"].iter().any(|mark| body.contains(mark)), "{body}");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The last block of a Messages answer is what Claude Code hands out as the result.
#[test]
fn nothing_stands_behind_the_last_words_of_messages() {
    for case in cases().iter().filter(|case| case.streamed.is_some()) {
        for framing in FRAMINGS {
            let answer = told(Id::Messages, Id::Gemini, &stream(&case.parts), framing, 7);
            let last = answer.rfind("\"type\":\"text\"").unwrap();
            assert!(!answer[last..].contains("thinking"), "{}: {answer}", case.name);
        }
    }
}

/// A part Google may send: its kind, its words, its proof.
type Sent = (u8, String, Option<String>);

fn wire((kind, words, proof): &Sent, at: usize) -> Value {
    let mut part = match kind {
        0 => json!({"text": words}),
        1 => json!({"text": words, "thought": true}),
        _ => json!({"functionCall": {"id": format!("c{at}"), "name": "Read", "args": {"w": words}}}),
    };
    if let Some(proof) = proof {
        part["thoughtSignature"] = proof.as_str().into();
    }
    part
}

/// What of it must come back: no thoughts without a proof; words beside each other are one part, unless both have one.
fn kept(parts: &[Sent]) -> Value {
    let (mut found, mut joins, mut called): (Vec<Value>, bool, bool) = (Vec::new(), false, false);
    for (at, part) in parts.iter().enumerate() {
        let mut now = wire(part, at);
        match (part.0, found.last_mut()) {
            (0, Some(last)) if joins && (last.get("thoughtSignature").is_none() || part.2.is_none()) => {
                last["text"] = format!("{}{}", last["text"].as_str().unwrap(), part.1).into();
                if let Some(proof) = &part.2 {
                    last["thoughtSignature"] = proof.as_str().into();
                }
                continue;
            }
            (1, _) if part.2.is_none() => {
                joins = false;
                continue;
            }
            (2, _) if !std::mem::replace(&mut called, true) && part.2.is_none() => {
                now["thoughtSignature"] = "skip_thought_signature_validator".into();
            }
            _ => {}
        }
        joins = part.0 == 0;
        found.push(now);
    }
    found.into()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]

    /// Codex keeps every item where it stood: whatever Google sends comes back part by part.
    #[test]
    fn whatever_google_sends_comes_back(
        mut parts in proptest::collection::vec((0u8..3, "[a-zé\"\\\\]{1,4}", proptest::option::of("[A-Za-z0-9+/]{1,6}")), 1..7),
        size in 1usize..40,
    ) {
        // A thought's own proof right in front of a call without one goes to the call; two thoughts are one block.
        parts.dedup_by(|b, a| a.0 == 1 && b.0 != 0);
        let sent: Vec<Value> = parts.iter().enumerate().map(|(at, part)| wire(part, at)).collect();
        let stream = stream(&sent);
        let client = &CLIENTS[2];
        for framing in FRAMINGS {
            let answer = told(client.speaks, Id::Gemini, &stream, framing, size);
            let back = turn(Id::Gemini, &super::sent(client.speaks, GOOGLE, &client.next(&answer, framing)));
            let back = if back.is_array() { back } else { json!([]) };
            proptest::prop_assert_eq!(&back, &kept(&parts), "{:?}", framing);
        }
    }
}
