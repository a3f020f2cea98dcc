//! Hostile input against the wire formats. One program for all targets (chosen.rs). A protocol that is added to
//! `PROTOCOLS` is covered without a change here.
//!
//! An input is bytes for the target; what follows its last 0xFF byte (which no UTF-8 text holds) says where to split
//! them and which of several variants to take, so that seeds are plain texts.
#![no_main]

mod answers;
mod chosen;
mod events;
mod heads;
mod requests;
mod streams;
mod tools;

/// The very source files of llmup: they know nothing of the rest of the crate, so nothing else has to be built with
/// counters.
#[path = "../../src/protocol/mod.rs"]
pub mod protocol;

use chosen::Run;
use protocol::{PROTOCOLS, Protocol};

fn targets() -> Vec<(String, Run)> {
    let mut all: Vec<(String, Run)> = vec![
        ("sse".into(), Box::new(streams::sse)),
        ("head".into(), Box::new(heads::head)),
        ("anthropic_tidy".into(), Box::new(heads::tidy)),
        ("chat_tidy".into(), Box::new(heads::chat_tidy)),
        ("problem".into(), Box::new(heads::problem)),
        ("names".into(), Box::new(tools::names)),
        ("repair".into(), Box::new(tools::repair)),
        ("think".into(), Box::new(tools::think)),
    ];
    for &protocol in PROTOCOLS {
        if let Some(inbound) = protocol.inbound() {
            all.push((
                format!("inbound_{}", name(protocol)),
                Box::new(move |b, c| requests::inbound(protocol, inbound, b, c)),
            ));
        }
        if let Some(outbound) = protocol.outbound() {
            all.push((format!("outbound_{}", name(protocol)), Box::new(move |b, c| streams::outbound(outbound, b, c))));
        }
    }
    all
}

fn name(protocol: &dyn Protocol) -> String {
    format!("{:?}", protocol.id()).to_lowercase()
}

libfuzzer_sys::fuzz_target!(
    init: chosen::choose(targets()),
    |data: &[u8]| chosen::run(data)
);

/// The body cut where `control` says: each byte is the length of a piece; the rest goes in single bytes when control is
/// empty, else in one piece.
pub fn pieces<'a>(body: &'a [u8], control: &[u8]) -> Vec<&'a [u8]> {
    if control.is_empty() {
        return body.chunks(1).collect();
    }
    let mut rest = body;
    let mut found = Vec::new();
    for length in control {
        let (piece, more) = rest.split_at(usize::from(*length).min(rest.len()));
        found.push(piece);
        rest = more;
    }
    found.push(rest);
    found
}
