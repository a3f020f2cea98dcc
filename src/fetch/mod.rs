//! Downloading files that are too large to lose: parallel ranges, taken up again after a crash, checked before they
//! get their name. `engine::install` fetches archives with it, `pull` fetches weights. Nothing here knows what the
//! files are or which server they come from.
//!
//! A file on its way is `NAME.part` (its bytes, each where it belongs) and `NAME.journal` (how far each segment of it
//! has come; see [`journal`]). `NAME` itself appears by one rename, after size and hash fit.

mod error;
mod hash;
mod journal;
mod segment;
mod transfer;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use error::FetchError;
pub use hash::Digest;
pub use journal::{kept, part_of};
pub use transfer::{Outcome, download};

/// One file to download.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it is. Redirects are followed; `authorization` goes to this host only.
    pub url: String,
    /// Its name in messages.
    pub name: String,
    /// Where it goes.
    pub target: PathBuf,
    /// Its size in bytes, when the server's list says so.
    pub size: Option<u64>,
    /// What it must hash to.
    pub digest: Option<Digest>,
    /// A file of that name and size is taken for this one when there is no digest to tell.
    pub size_tells: bool,
    /// What tells this file from an older or newer one of the same name, e.g. a commit: parts of another are
    /// thrown away. The digest and the size count too.
    pub edition: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
}

/// How to download.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests at once.
    pub connections: usize,
    /// How often in a row an attempt may bring nothing.
    pub tries: u32,
    /// How long a server may be silent.
    pub silence: Duration,
    /// The first pause between attempts; it doubles.
    pub pause: Duration,
    /// The longest pause, also when a server asks for a longer one.
    pub longest_pause: Duration,
    /// The smallest segment; files below it come in one piece.
    pub segment_min: u64,
    /// The largest segment.
    pub segment_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connections: 4,
            tries: 6,
            silence: Duration::from_secs(45),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(120),
            segment_min: 4 << 20,
            segment_max: 64 << 20,
        }
    }
}

/// An HTTP client for downloads from `base`: it obeys the proxy variables, except towards this very machine.
pub fn client(base: &str, silence: Duration) -> Result<reqwest::Client, FetchError> {
    // Another part of the program may have chosen the provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("llmup/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(silence);
    let local = base.parse::<http::Uri>().ok().and_then(|uri| {
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some(host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()))
    });
    if local == Some(true) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| FetchError::Download { name: String::new(), url: base.to_owned(), reason: chain(&e) })
}

/// An error with its causes: reqwest's own text says only that it failed.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// How long a server asks to wait: `Retry-After` in seconds. Its other form, a date, is not worth a calendar.
pub fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
