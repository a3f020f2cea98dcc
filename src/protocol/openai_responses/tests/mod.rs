mod inbound;
mod outbound;
mod request;

use serde_json::Value;

/// The events of a stream: each with the name in its `event:` line checked against its `type`, numbered without gaps.
fn events(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    let mut found = Vec::new();
    for frame in text.split_terminator("\n\n") {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], event.strip_prefix("event: ").unwrap());
        assert_eq!(data["sequence_number"], found.len(), "{data}");
        found.push(data);
    }
    found
}
