//! Tests of the clients, and the machine they are tested on.

mod chat_conflicts;
mod chat_sessions;
mod chat_settings;
mod conflicts;
mod overlays;
mod recorded;
mod sessions;
mod shells;

pub(crate) use recorded::Recorded;

use std::ffi::OsString;
use std::path::Path;

use super::{Conflict, Overlay, Places, Session, Start, find};
use crate::host::Os;

/// A gateway with a context of `context` tokens.
pub(crate) fn gateway(context: u64) -> Session {
    Session {
        base_url: "http://127.0.0.1:4242".into(),
        key: "sk-test".into(),
        model: "demo".into(),
        small: None,
        context,
        max_output: super::output_limit(context),
    }
}

/// The file of that name in the folder `/own`, as this system writes it.
fn own(name: &str) -> String {
    Path::new("/own").join(name).display().to_string()
}

/// What `llmup run` gives a client on `host`, in a project of the user's, behind what the user typed.
pub(crate) fn overlay_on(
    host: &Recorded,
    client: &str,
    gateway: &Session,
    typed: &[&str],
) -> Result<Overlay, Conflict> {
    let places = Places { home: "/home/u".into(), project: "/projects/p".into() };
    let typed: Vec<OsString> = typed.iter().map(OsString::from).collect();
    let start = Start { host, places: &places, typed: &typed };
    find(client).unwrap().overlay(gateway, Path::new("/own"), &start)
}

/// The same where there is nothing else.
pub(crate) fn overlay(client: &str, gateway: &Session) -> Overlay {
    overlay_on(&Recorded::new(Os::Linux), client, gateway, &[]).unwrap()
}
