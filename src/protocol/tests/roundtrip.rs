//! What goes through a protocol and back is the same but for what the protocol has no word for, and those losses are
//! written down here.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::{
    Choice, Format, Media, MediaKind, Part, Reasoning, Request, Role, Source, Tool, ToolUse, Turn,
};
use crate::protocol::{Id, Target, Vendor, carrier, media, protocol};

/// Protocols that are both read and written.
const BOTH: [Id; 4] = [Id::Chat, Id::Messages, Id::Responses, Id::Gemini];

/// A part of a conversation, owned.
#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Image(bool),
    Document,
}

#[derive(Debug, Clone)]
struct Step {
    user: Vec<Piece>,
    thought: Option<String>,
    text: Option<String>,
    /// Arguments, and what came of them: words, whether a picture, whether it failed.
    calls: Vec<(String, String, bool, bool)>,
}

fn word() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\<|]{1,6}"
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![4 => word().prop_map(Piece::Text), 1 => any::<bool>().prop_map(Piece::Image), 1 => Just(Piece::Document)]
}

fn step() -> impl Strategy<Value = Step> {
    let call = (word(), word(), any::<bool>(), any::<bool>());
    let said = (proptest::option::of(word()), proptest::option::of(word()), vec(call, 0..3));
    (vec(piece(), 1..4), said).prop_map(|(user, (thought, text, calls))| {
        // An answer that only thinks is nothing to go on from: protocols differ in what they make of it.
        let text = if calls.is_empty() { Some(text.unwrap_or_else(|| "ok".to_owned())) } else { text };
        Step { user, thought, text, calls }
    })
}

fn part(piece: &Piece) -> Part<'static> {
    let one = |kind, source, name: Option<&'static str>| {
        Part::Media(Media { kind, source, name: name.map(Into::into), detail: None })
    };
    match piece {
        Piece::Text(text) => Part::Text(text.clone().into()),
        Piece::Image(true) => one(MediaKind::Image, Source::Url("https://x.test/a.png".into()), None),
        Piece::Image(false) => picture(),
        Piece::Document => {
            let source = Source::Base64 { media_type: "application/pdf".into(), data: "JVBERi0=".into() };
            one(MediaKind::Document, source, Some("d.pdf"))
        }
    }
}

fn picture() -> Part<'static> {
    let source = Source::Base64 { media_type: "image/png".into(), data: "iVBORw==".into() };
    Part::Media(Media { kind: MediaKind::Image, source, name: None, detail: None })
}

fn turns(steps: &[Step]) -> Vec<Turn<'static>> {
    let (mut turns, mut waiting, mut ids) = (Vec::new(), Vec::new(), 0);
    for step in steps {
        let mut parts: Vec<Part<'static>> = std::mem::take(&mut waiting);
        parts.extend(step.user.iter().map(part));
        turns.push(Turn { role: Role::User, parts });
        let mut parts = Vec::new();
        parts.extend(step.thought.clone().map(|text| Part::Thinking { text: text.into(), signature: None }));
        parts.extend(step.text.clone().map(|text| Part::Text(text.into())));
        for (argument, words, shown, is_error) in &step.calls {
            ids += 1;
            let (id, input) = (format!("call_{ids}"), serde_json::json!({ "a": argument }).to_string());
            parts.push(Part::ToolUse(ToolUse {
                id: id.clone().into(),
                name: "Read".into(),
                namespace: None,
                input: input.into(),
                freeform: false,
                signature: None,
            }));
            let mut parts = vec![Part::Text(words.clone().into())];
            parts.extend(shown.then(picture));
            waiting.push(Part::ToolResult { id: id.into(), parts, is_error: *is_error });
        }
        turns.push(Turn { role: Role::Assistant, parts });
    }
    waiting.push(Part::Text("go on".into()));
    turns.push(Turn { role: Role::User, parts: waiting });
    turns
}

fn place(one: &Media<'_>) -> String {
    format!("{:?} {}", one.kind, media::to_url(&one.source).unwrap_or_default())
}

/// What stands in a conversation, a line for each part: texts that were joined are taken apart again.
fn lines(turns: &[Turn<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for turn in turns {
        for part in &turn.parts {
            match part {
                Part::Text(text) => found.extend(text.split('\n').map(|line| format!("{:?} {line}", turn.role))),
                Part::Thinking { text, .. } => found.push(format!("thought {text}")),
                Part::Media(media) => found.push(place(media)),
                Part::ToolUse(call) => {
                    let input: serde_json::Value = serde_json::from_str(&call.input).unwrap();
                    found.push(format!("call {} {} {input}", call.id, call.name));
                }
                Part::ToolResult { id, parts, is_error } => {
                    found.push(format!("result {id} failed={is_error}"));
                    for part in parts {
                        match part {
                            Part::Text(text) => found.extend(text.split('\n').map(|line| format!("- {line}"))),
                            Part::Media(media) => found.push(format!("- {}", place(media))),
                            _ => unreachable!(),
                        }
                    }
                }
            }
        }
    }
    found
}

/// The same with what `to` cannot say in the words it uses instead.
fn expected(to: Id, turns: &[Turn<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for turn in turns {
        let mut beside = Vec::new();
        for part in &turn.parts {
            if !matches!(part, Part::ToolResult { .. }) {
                found.append(&mut beside);
            }
            match part {
                // Google gets no thoughts back, only their proofs.
                Part::Thinking { .. } if to == Id::Gemini => {}
                Part::ToolResult { id, parts, is_error } => {
                    let marked = matches!(to, Id::Chat | Id::Responses);
                    found.push(format!("result {id} failed={}", *is_error && !marked));
                    let shown = parts.len() > 1;
                    for part in parts {
                        match part {
                            // Responses takes a list then.
                            Part::Text(text) if marked && *is_error && shown && to == Id::Responses => {
                                found.extend(["- [tool error] ".to_owned(), format!("- {text}")]);
                            }
                            Part::Text(text) if marked && *is_error => found.push(format!("- [tool error] {text}")),
                            Part::Text(text) => found.push(format!("- {text}")),
                            Part::Media(media) => match to {
                                Id::Chat => {
                                    found.push("- [image: see the next user message]".to_owned());
                                    beside.push(place(media));
                                }
                                Id::Gemini => beside.push(place(media)),
                                _ => found.push(format!("- {}", place(media))),
                            },
                            _ => unreachable!(),
                        }
                    }
                }
                other => {
                    let one = [Turn { role: turn.role, parts: vec![again(other)] }];
                    found.extend(lines(&one));
                }
            }
        }
        found.append(&mut beside);
    }
    found
}

fn again<'a>(part: &Part<'a>) -> Part<'a> {
    match part {
        Part::Text(text) => Part::Text(text.clone()),
        Part::Thinking { text, signature } => Part::Thinking { text: text.clone(), signature: signature.clone() },
        Part::Media(one) => Part::Media(Media {
            kind: one.kind,
            source: media::from_url(media::to_url(&one.source).unwrap().into_owned().into()),
            name: None,
            detail: None,
        }),
        Part::ToolUse(call) => Part::ToolUse(ToolUse {
            id: call.id.clone(),
            name: call.name.clone(),
            namespace: None,
            input: call.input.clone(),
            freeform: false,
            signature: None,
        }),
        Part::ToolResult { .. } => unreachable!(),
    }
}

fn raw(json: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_request_comes_back_as_it_was(
        steps in vec(step(), 0..4),
        system in vec(word(), 0..3),
        settings in any::<(bool, bool, bool, Option<u16>)>(),
        choice in 0usize..5,
        form in 0usize..3,
    ) {
        let (tooled, warm, stops, limit) = settings;
        let (heat, schema, shape) = (raw("0.5"), raw(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#), raw(r#"{"type":"object"}"#));
        for to in BOTH {
            let mut request = Request { system: system.iter().map(|text| text.as_str().into()).collect(), ..Request::default() };
            request.turns = turns(&steps);
            request.max_tokens = limit.map(|limit| u64::from(limit) + 1);
            request.reasoning = Reasoning { effort: None, ..Reasoning::default() };
            if warm {
                request.sampling = vec![("temperature", &heat), ("top_p", &heat)];
            }
            if stops && to != Id::Responses {
                request.stop = vec!["END".into(), "é".into()];
            }
            if tooled {
                request.tools = ["Read", "other"].map(|name| Tool {
                    name: name.into(), namespace: None, description: Some("does \"it\"".into()),
                    schema: Some(std::borrow::Cow::Borrowed(&*schema)), strict: None, freeform: None,
                }).into();
                request.choice = [Choice::Unset, Choice::Auto, Choice::Any, Choice::None, Choice::Named("other".into())].into_iter().nth(choice).unwrap();
            }
            request.format = match form {
                0 => Format::Text,
                // Messages knows JSON with a schema only, and says so in words.
                1 if to != Id::Messages => Format::Json,
                1 => Format::Text,
                _ => Format::Schema { name: None, schema: std::borrow::Cow::Borrowed(&*shape), strict: None },
            };
            let target = Target { model: "m", vendor: Vendor::Vllm, context: 0 };
            let body = protocol(to).outbound().unwrap().encode_request(&request, &target);
            let read = protocol(to).inbound().unwrap().decode_request(&body).unwrap();

            prop_assert_eq!(lines(&read.turns), expected(to, &request.turns), "{:?}", to);
            prop_assert_eq!(read.system.join("\n\n"), request.system.join("\n\n"), "{:?}", to);
            // Messages always needs a limit.
            let limit = if to == Id::Messages { request.max_tokens.or(Some(32_000)) } else { request.max_tokens };
            prop_assert_eq!(read.max_tokens, limit, "{:?}", to);
            prop_assert_eq!(&read.stop, &request.stop, "{:?}", to);
            let sampled = |request: &Request<'_>| request.sampling.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
            prop_assert_eq!(sampled(&read), sampled(&request), "{:?}", to);
            prop_assert_eq!(&read.choice, &request.choice, "{:?}", to);
            let offered = |request: &Request<'_>| request.tools.iter().map(|tool| format!(
                "{} {:?} {:?}", tool.name, tool.description, tool.schema.as_ref().map(|schema| serde_json::from_str::<serde_json::Value>(schema.get()).unwrap())
            )).collect::<Vec<_>>();
            prop_assert_eq!(offered(&read), offered(&request), "{:?}", to);
            let form = |request: &Request<'_>| match &request.format {
                Format::Text => "text".to_owned(),
                Format::Json => "json".to_owned(),
                Format::Schema { schema, .. } => schema.get().to_owned(),
            };
            prop_assert_eq!(form(&read), form(&request), "{:?}", to);
            prop_assert!(read.dropped.is_empty(), "{:?}: {:?}", to, read.dropped);
        }
    }

    #[test]
    fn an_answer_comes_back_as_it_was(
        blocks in vec((0usize..3, vec(word(), 1..4), any::<bool>()), 0..6),
        stop in 0usize..4,
        counts in any::<[u8; 5]>(),
    ) {
        for to in BOTH {
            let mut events = vec![Event::Start { id: "0123456789abcdef0123".into() }];
            let (mut before, mut calls) = (9, 0);
            for (kind, words, proven) in &blocks {
                // Two of a kind beside each other are one in most protocols.
                if *kind == before && *kind != 2 {
                    continue;
                }
                before = *kind;
                events.push(Event::BlockStart(match kind {
                    0 => Block::Text,
                    1 => Block::Thinking,
                    _ => {
                        calls += 1;
                        Block::ToolUse { id: format!("call_{calls}").into(), name: "Read".into(), namespace: None, freeform: false }
                    }
                }));
                if *kind == 2 {
                    let text = serde_json::json!({"a": words.concat()}).to_string();
                    events.extend(text.chars().map(|c| Event::Delta(c.to_string().into())));
                } else {
                    events.extend(words.iter().map(|word| Event::Delta(word.as_str().into())));
                }
                if *kind == 1 && *proven {
                    events.push(Event::Signature(carrier::seal(carrier::Maker::Anthropic, "proof").into()));
                }
                events.push(Event::BlockEnd);
            }
            let stop = match stop {
                0 => Stop::MaxTokens,
                // With calls everybody takes it for the end that calls have.
                1 if calls == 0 => Stop::Refusal,
                // Gemini and Responses have no word for it.
                2 if calls == 0 && matches!(to, Id::Chat | Id::Messages) => Stop::Sequence("END".to_owned()),
                _ if calls > 0 => Stop::ToolUse,
                _ => Stop::EndTurn,
            };
            let [a, b, c, d, e] = counts.map(u64::from);
            // Google's counts know no writing to a cache. With no prompt at all an estimate is told.
            let cache_write = if to == Id::Gemini { 0 } else { b };
            let usage = Usage { prompt: 1 + a + b + c, cached: a, cache_write, output: d + e, reasoning: d };
            events.push(Event::Finish { stop, usage });

            let (mut request, mut out) = (Request { model: "m".into(), wants_usage: true, ..Request::default() }, Vec::new());
            request.framing = crate::protocol::ir::Framing::Events;
            request.reasoning.show = Some(true);
            let mut encoder = protocol(to).inbound().unwrap().stream_encoder(&request);
            events.iter().for_each(|event| encoder.encode(event, &mut out));
            let (mut decoder, mut read) = (protocol(to).outbound().unwrap().event_decoder(), Vec::new());
            decoder.push(&out, &mut |event| read.push(told(&event)));
            decoder.end(None, &mut |event| read.push(told(&event)));
            // Callers of Gemini get reasoning once more, where they keep it.
            let told: Vec<String> = events.iter().map(told).collect();
            let (read, told) = if to == Id::Gemini { (unproven(read), unproven(told)) } else { (read, told) };
            prop_assert_eq!(merged(read), merged(told), "{:?}", to);
        }
    }
}

/// An event as words; of a proof only that there is one, for everybody seals it once more.
fn told(event: &Event<'_>) -> String {
    match event {
        Event::Start { .. } => "start".to_owned(),
        Event::Delta(text) => format!("+{text}"),
        Event::Signature(_) => "proof".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Without proofs, and without the blocks that hold nothing else.
fn unproven(mut events: Vec<String>) -> Vec<String> {
    events.retain(|event| event != "proof");
    while let Some(at) = events.windows(2).position(|two| two == ["BlockStart(Thinking)", "BlockEnd"]) {
        events.drain(at..at + 2);
    }
    events
}

/// Pieces of one block as one.
fn merged(events: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for event in events {
        match (event.strip_prefix('+'), found.last_mut().filter(|last| last.starts_with('+'))) {
            (Some(more), Some(last)) => last.push_str(more),
            _ => found.push(event),
        }
    }
    found
}
