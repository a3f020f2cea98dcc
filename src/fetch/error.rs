//! Why a download failed and what to do next.

use crate::error::Explain;
use crate::exit::Exit;
use crate::fs::FileError;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The connection, again and again, or the server's no.
    #[error("cannot download {what}: {reason}", what = what(.name, .url))]
    Download {
        /// Which file.
        name: String,
        /// Its address.
        url: String,
        /// What went wrong last.
        reason: String,
    },
    /// The server says who is asking may not have it.
    #[error("{url} is refused: {status}", url = .url)]
    Denied {
        /// Which file.
        name: String,
        /// Its address.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// What was downloaded is not what was published, twice.
    #[error("{name} is damaged or was tampered with: its {kind} is {got}, the server's list says {want}")]
    Hash {
        /// Which file.
        name: String,
        /// `SHA-256`, …
        kind: &'static str,
        /// As computed.
        got: String,
        /// As published.
        want: String,
    },
    /// The server's file has another size than its list says.
    #[error("{name} has changed on the server: {reason}")]
    Changed {
        /// Which file.
        name: String,
        /// What is different.
        reason: String,
    },
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

fn what<'a>(name: &'a str, url: &'a str) -> &'a str {
    if url.is_empty() { name } else { url }
}

impl Explain for FetchError {
    fn exit(&self) -> Exit {
        match self {
            FetchError::File(error) => error.exit(),
            _ => Exit::Missing,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            FetchError::Download { .. } => {
                vec!["check the network and proxy (`HTTPS_PROXY`), then run the command again: it continues".to_owned()]
            }
            FetchError::Hash { .. } => vec![
                "the file was thrown away; run the command again, and over another network if it repeats".to_owned(),
            ],
            FetchError::Changed { .. } => vec!["run the command again: it asks for the list anew".to_owned()],
            FetchError::Denied { .. } => Vec::new(),
            FetchError::File(error) => error.hints(),
        }
    }
}
