//! Requests read, answers written, and the way to Google's own servers and back.

mod answers;
mod outbound;
mod requests;

use crate::protocol::event::{Block, Event, Stop, Usage};

/// An answer with everything in it.
fn everything() -> Vec<Event<'static>> {
    let call = |id: &'static str, name: &'static str| {
        Event::BlockStart(Block::ToolUse { id: id.into(), name: name.into(), namespace: None, freeform: false })
    };
    vec![
        Event::Start { id: "r1".into() },
        Event::BlockStart(Block::Thinking),
        Event::Delta("hm".into()),
        Event::Signature("am1_foreign".into()),
        Event::BlockEnd,
        Event::BlockStart(Block::Text),
        Event::Delta("Let ".into()),
        Event::Delta("me \"look\"".into()),
        Event::BlockEnd,
        call("a", "read"),
        Event::Delta("{\"p\":\n".into()),
        Event::Delta("\"é\"}".into()),
        Event::Signature("gm1_proof".into()),
        Event::BlockEnd,
        call("b", "list"),
        Event::BlockEnd,
        Event::Finish {
            stop: Stop::ToolUse,
            usage: Usage { prompt: 10, cached: 8, cache_write: 0, output: 7, reasoning: 2 },
        },
    ]
}
