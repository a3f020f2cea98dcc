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
