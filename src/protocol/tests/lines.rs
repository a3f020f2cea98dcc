//! Whatever a request looks like, no line end of it gets into an event of the answer: it would cut the event in two.

use crate::protocol::PROTOCOLS;
use crate::protocol::event::{Block, Event, Stop, Usage};
use crate::protocol::ir::Framing;

#[test]
fn requests_written_over_many_lines_are_answered_in_whole_events() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/protocol/tests/golden");
    let mut requests = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let [_, way, "json"] = name.split('.').collect::<Vec<_>>()[..] else { continue };
        let Some(protocol) = PROTOCOLS.iter().find(|p| format!("{:?}", p.id()).to_lowercase() == way) else { continue };
        let text = std::fs::read_to_string(&file).unwrap();
        for text in [text.replace('\n', "\r\n"), text.replace('\n', "\r"), text] {
            let inbound = protocol.inbound().unwrap();
            let mut request = inbound.decode_request(text.as_bytes()).unwrap();
            request.framing = Framing::Events;
            let mut encoder = inbound.stream_encoder(&request);
            let mut out = Vec::new();
            let call = Block::ToolUse { id: "c".into(), name: "Read".into(), namespace: None, freeform: false };
            for event in [
                Event::Start { id: "x".into() },
                Event::BlockStart(Block::Text),
                Event::Delta("a\nb\r".into()),
                Event::BlockEnd,
                Event::BlockStart(call),
                Event::Delta("{\n}".into()),
                Event::BlockEnd,
                Event::Finish { stop: Stop::ToolUse, usage: Usage::default() },
            ] {
                encoder.encode(&event, &mut out);
            }
            let out = String::from_utf8(out).unwrap();
            assert!(!out.contains('\r'), "{name}: {out}");
            for line in out.lines().filter(|line| !line.is_empty() && *line != "data: [DONE]") {
                let data = line.strip_prefix("data: ");
                let whole = data.is_some_and(|data| serde_json::from_str::<serde_json::Value>(data).is_ok());
                assert!(whole || line.starts_with("event: "), "{name}: {line}");
            }
            requests += 1;
        }
    }
    assert!(requests >= 12, "only {requests} requests were found");
}
