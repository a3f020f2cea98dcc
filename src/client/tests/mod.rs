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

use std::path::Path;

use super::Session;

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
