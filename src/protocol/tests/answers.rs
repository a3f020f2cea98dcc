//! Answers and what becomes of them, as files: `golden/answers/<case>.<out>.stream` is what a backend that speaks `out`
//! sends, and `<case>.<out>-<in>.sse` what a caller in protocol `in` gets: the stream, and behind a line of dashes the
//! whole answer (or the status and body of its failure). Ids and times are replaced. With `LLMUP_BLESS=1` the latter
//! are written anew: read the difference before it is committed.

use super::golden::{NAMES, id};
use crate::protocol::event::Event;
use crate::protocol::{EventDecoder, Id, PROTOCOLS, protocol};

/// A request of each protocol that asks for all an answer can tell.
fn request(from: Id) -> &'static str {
    match from {
        Id::Chat => {
            r#"{"model":"asked","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#
        }
        Id::Messages => r#"{"model":"asked","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"x"}]}"#,
        Id::Responses => {
            r#"{"model":"asked","stream":true,"store":false,"include":["reasoning.encrypted_content"],"input":"x"}"#
        }
        _ => {
            r#"{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#
        }
    }
}

/// Reads the stream in pieces of `size` bytes.
fn read(to: Id, stream: &[u8], size: usize, sink: &mut dyn FnMut(Event<'_>)) {
    let mut decoder: Box<dyn EventDecoder> = protocol(to).outbound().unwrap().event_decoder();
    stream.chunks(size).for_each(|piece| decoder.push(piece, sink));
    decoder.end(None, sink);
}

fn answered(from: Id, to: Id, stream: &[u8], size: usize) -> String {
    let inbound = protocol(from).inbound().unwrap();
    let mut request = inbound.decode_request(request(from).as_bytes()).unwrap();
    request.model = "asked".into();
    request.framing = crate::protocol::ir::Framing::Events;
    let (mut encoder, mut answer) = (inbound.stream_encoder(&request), inbound.answer_encoder(&request));
    let mut out = Vec::new();
    read(to, stream, size, &mut |event| {
        encoder.encode(&event, &mut out);
        answer.add(&event);
    });
    out.extend_from_slice(b"----------\n");
    match answer.finish() {
        Ok(body) => out.extend_from_slice(&body),
        Err(problem) => {
            out.extend_from_slice(format!("{}\n", problem.status()).as_bytes());
            out.extend(protocol(from).encode_error(&problem));
        }
    }
    out.push(b'\n');
    still(&String::from_utf8(out).unwrap())
}

/// Without what differs every time: times, and ids that were made.
fn still(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let hex = rest.find(|c: char| !matches!(c, '0'..='9' | 'a'..='f')).unwrap_or(rest.len());
        let time = ["\"created\":", "\"created_at\":", "\"completed_at\":"].iter().any(|key| out.ends_with(key));
        let (take, put) = match hex {
            24 => (24, "ID"),
            1.. if time => (hex, "0"),
            1.. => (hex, &rest[..hex]),
            0 => {
                let length = rest.chars().next().map_or(0, char::len_utf8);
                (length, &rest[..length])
            }
        };
        out.push_str(put);
        rest = &rest[take..];
    }
    out
}

#[test]
fn every_answer_is_told_as_written() {
    let bless = std::env::var_os("LLMUP_BLESS").is_some();
    let folder = super::golden::folder().join("answers");
    let (mut cases, mut wrong) = (0, Vec::new());
    for file in std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let [case, out, "stream"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        let stream = std::fs::read(&file).unwrap();
        for from in PROTOCOLS.iter().filter(|from| from.inbound().is_some()).map(|from| from.id()) {
            let caller = NAMES.iter().find(|(_, id)| *id == from).unwrap().0;
            let name = format!("{case}.{out}-{caller}.sse");
            let told = answered(from, id(out), &stream, stream.len());
            let expected = folder.join(&name);
            if bless {
                std::fs::write(&expected, &told).unwrap();
            } else if std::fs::read_to_string(&expected).unwrap_or_default() != told {
                wrong.push(format!("{name}:\n{told}"));
            }
            // Split anywhere it is the same but for the pieces: the whole answer shows that.
            let whole = |told: &str| told.split_once("----------\n").unwrap().1.to_owned();
            assert_eq!(whole(&answered(from, id(out), &stream, 1)), whole(&told), "{name} byte by byte");
            cases += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases >= 100, "only {cases} cases were found");
}
