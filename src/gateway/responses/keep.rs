//! Responses as a caller's protocol, with an ear on the answer: when it is complete it is kept.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use super::{Keep, Store, own_items, record, restore};
use crate::protocol::event::Event;
use crate::protocol::openai_responses::{self, Responses};
use crate::protocol::{AnswerEncoder, EventEncoder, Inbound, Problem, ir, scan};

/// The protocol for one request.
pub(in crate::gateway) struct Keeping {
    store: Arc<Store>,
    /// Where the input of the request stands that was read last.
    input: Mutex<Option<Range<usize>>>,
    /// Empty when the caller wants nothing kept.
    keep: OnceLock<Keep>,
}

impl Keeping {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Keeping { store: Arc::clone(store), input: Mutex::default(), keep: OnceLock::new() }
    }
}

/// What of a request says that it goes on from another one, and that it is dropped where it cannot.
const REFERENCE: &str = "item item_reference";

impl Inbound for Keeping {
    fn decode_request<'a>(&self, body: &'a [u8]) -> Result<ir::Request<'a>, Problem> {
        let (request, input) = openai_responses::read(body)?;
        let begin = input.map(|input| input.as_ptr().addr() - body.as_ptr().addr());
        let span = begin.zip(input).map(|(begin, input)| begin..begin + input.len());
        *self.input.lock().unwrap_or_else(PoisonError::into_inner) = span;
        Ok(request)
    }

    fn complete(&self, request: &ir::Request<'_>, body: &Bytes) -> Result<Option<Bytes>, Problem> {
        let find = |name: &str| request.extras.iter().find(|(key, _)| key == name).map(|(_, raw)| raw.get());
        if find("previous_response_id").is_some() || request.dropped.iter().any(|dropped| dropped == REFERENCE) {
            let restored = restore(&self.store, body.clone())?;
            if let Some(keep) = restored.keep {
                let _ = self.keep.set(keep);
            }
            return Ok(Some(restored.body));
        }
        if find("store") != Some("false") {
            let span = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _ = self.keep.set(Keep { history: Vec::new(), input: own_items(&self.store, body, span, false) });
        }
        Ok(None)
    }

    fn stream_encoder(&self, request: &ir::Request<'_>) -> Box<dyn EventEncoder> {
        let encoder = Responses.stream_encoder(request);
        match self.keep.get().cloned() {
            Some(keep) => Box::new(Stream { encoder, store: Arc::clone(&self.store), keep }),
            None => encoder,
        }
    }

    fn answer_encoder(&self, request: &ir::Request<'_>) -> Box<dyn AnswerEncoder> {
        let encoder = Responses.answer_encoder(request);
        match self.keep.get().cloned() {
            Some(keep) => Box::new(Whole { encoder, store: Arc::clone(&self.store), keep }),
            None => encoder,
        }
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
