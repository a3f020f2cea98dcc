//! Hostile input against the wire formats. One program for all targets: `LLMUP_FUZZ=<target>` chooses, `LLMUP_FUZZ=list`
//! names them. A protocol that is added to `PROTOCOLS` is covered without a change here.
//!
//! An input is bytes for the target; what follows its last 0xFF byte (which no UTF-8 text holds) says where to split
//! them and which of several variants to take, so that seeds are plain texts.
#![no_main]

mod answers;
mod events;
mod heads;
mod requests;
mod streams;
mod tools;

/// The very source files of llmup: they know nothing of the rest of the crate, so nothing else has to be built with
/// counters.
#[path = "../../src/protocol/mod.rs"]
pub mod protocol;

use std::sync::OnceLock;

use protocol::{PROTOCOLS, Protocol};

type Run = Box<dyn Fn(&[u8], &[u8]) + Send + Sync>;

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

static CHOSEN: OnceLock<Run> = OnceLock::new();

fn choose() {
    let wanted = std::env::var("LLMUP_FUZZ").unwrap_or_else(|_| "list".into());
    let mut all = targets();
    match all.iter().position(|(name, _)| *name == wanted) {
        Some(at) => {
            let _ = CHOSEN.set(all.swap_remove(at).1);
        }
        None => {
            for (name, _) in all {
                println!("{name}");
            }
            std::process::exit(i32::from(wanted != "list"));
        }
    }
}

libfuzzer_sys::fuzz_target!(
    init: choose(),
    |data: &[u8]| {
        let (body, control) = match data.iter().rposition(|b| *b == 0xff) {
            Some(at) => (&data[..at], &data[at + 1..]),
            None => (data, &[][..]),
        };
        if let Some(run) = CHOSEN.get() {
            run(body, control);
        }
    }
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
