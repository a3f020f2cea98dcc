//! Backends' streams: split anywhere they mean the same, and every caller gets a proper answer out of them.

use crate::answers;
use crate::events::{Recorder, Seen, failed};
use crate::pieces;
use crate::protocol::event::Event;
use crate::protocol::ir::{Framing, Request};
use crate::protocol::sse::Splitter;
use crate::protocol::{Id, Outbound, PROTOCOLS, Problem, ProblemKind, Protocol};

/// Any split gives the events of the whole.
pub fn sse(body: &[u8], control: &[u8]) {
    let events = |parts: &[&[u8]]| {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut splitter = Splitter::default();
        let mut add = |data: &[u8]| found.push(data.to_vec());
        for part in parts {
            splitter.push(part, &mut add);
        }
        splitter.end(&mut add);
        found
    };
    assert_eq!(events(&pieces(body, control)), events(&[body]));
}

/// One caller's encoders.
struct Caller {
    protocol: &'static dyn Protocol,
    framing: Framing,
    stream: Box<dyn crate::protocol::EventEncoder>,
    out: Vec<u8>,
    whole: Box<dyn crate::protocol::AnswerEncoder>,
}

fn callers() -> Vec<Caller> {
    let mut all = Vec::new();
    for &protocol in PROTOCOLS {
        let Some(inbound) = protocol.inbound() else { continue };
        let second = if protocol.id() == Id::Gemini { Framing::Array } else { Framing::Events };
        for (framing, wants_usage) in [(Framing::Events, true), (second, false)] {
            let request = Request {
                from: Some(protocol.id()),
                model: "asked".into(),
                framing,
                wants_usage,
                ..Request::default()
            };
            all.push(Caller {
                protocol,
                framing,
                stream: inbound.stream_encoder(&request),
                out: Vec::new(),
                whole: inbound.answer_encoder(&request),
            });
        }
    }
    all
}

/// Events of a decoder: bracketed, ended once, the same however the bytes were split; then every caller's answer.
pub fn outbound(outbound: &dyn Outbound, body: &[u8], control: &[u8]) {
    let cut = control.last().is_some_and(|last| last % 5 == 4);
    let decode = |parts: &[&[u8]], callers: &mut [Caller]| {
        let mut recorder = Recorder::default();
        let mut sink = |event: Event<'_>| {
            recorder.add(&event);
            for caller in callers.iter_mut() {
                caller.stream.encode(&event, &mut caller.out);
                caller.whole.add(&event);
            }
        };
        let mut decoder = outbound.event_decoder();
        for part in parts {
            decoder.push(part, &mut sink);
        }
        decoder.end(cut.then(|| Problem::new(ProblemKind::Upstream, "the connection broke")), &mut sink);
        recorder.complete()
    };
    let mut callers = callers();
    let split = decode(&pieces(body, control), &mut callers);
    let whole = decode(&[body], &mut []);
    assert_eq!(split, whole, "split and whole differ");
    finish(callers, &split);
}

fn finish(callers: Vec<Caller>, seen: &[Seen]) {
    let failed = failed(seen);
    for caller in callers {
        answers::stream(caller.protocol.id(), caller.framing, &caller.out, seen);
        match caller.whole.finish() {
            Ok(body) => {
                assert!(!failed, "{:?}: a failure became an answer", caller.protocol.id());
                answers::whole(caller.protocol.id(), &body);
            }
            Err(problem) => assert!(failed, "{:?}: no answer: {problem:?}", caller.protocol.id()),
        }
    }
}
