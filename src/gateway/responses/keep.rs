//! Responses as a caller's protocol, with an ear on the answer: when it is complete it is kept.

use std::sync::Arc;

use super::{Keep, Store, record};
use crate::protocol::event::Event;
use crate::protocol::openai_responses::Responses;
use crate::protocol::{AnswerEncoder, EventEncoder, Inbound, Problem, ir, scan};

/// The protocol for one request.
pub(in crate::gateway) struct Keeping {
    pub(super) store: Arc<Store>,
    pub(super) keep: Keep,
}

impl Inbound for Keeping {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        Responses.decode_request(body)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        let encoder = Responses.stream_encoder(request);
        Box::new(Stream { encoder, store: Arc::clone(&self.store), keep: self.keep.clone() })
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        let encoder = Responses.answer_encoder(request);
        Box::new(Whole { encoder, store: Arc::clone(&self.store), keep: self.keep.clone() })
    }

    fn encode_count(&self, tokens: u64) -> Vec<u8> {
        Responses.encode_count(tokens)
    }
}

struct Stream {
    encoder: Box<dyn EventEncoder>,
    store: Arc<Store>,
    keep: Keep,
}

impl EventEncoder for Stream {
    fn encode(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let before = out.len();
        self.encoder.encode(event, out);
        if matches!(event, Event::Finish { .. })
            && let Some(response) = last_response(&out[before..])
        {
            record(&self.store, &self.keep, response);
        }
    }
}

/// The response inside the last event of a stream.
fn last_response(frames: &[u8]) -> Option<&[u8]> {
    let frame = frames.strip_suffix(b"\n\n")?;
    // JSON text has no line breaks of its own.
    let line = &frame[frame.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)..];
    let data = line.strip_prefix(b"data: ")?;
    Some(&data[scan::member(data, 0..data.len(), "response")?])
}

struct Whole {
    encoder: Box<dyn AnswerEncoder>,
    store: Arc<Store>,
    keep: Keep,
}

impl AnswerEncoder for Whole {
    fn add(&mut self, event: &Event<'_>) {
        self.encoder.add(event);
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, Problem> {
        let response = self.encoder.finish()?;
        record(&self.store, &self.keep, &response);
        Ok(response)
    }
}
