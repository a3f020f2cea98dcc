//! One segment of one file: asked for, written down, asked for again when the connection breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, RANGE};

use super::journal::{Journal, Writer};
use super::{FetchError, Settings, Wanted, chain, retry_after};
use crate::fs::FileError;

/// Bytes gathered before they are written and counted: so much a kill may cost.
const GATHER: usize = 128 * 1024;
/// Attempts at one segment, however much they bring: a server that sends a byte a time is not waited for.
const MOST_ATTEMPTS: u32 = 300;

/// What a segment needs.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub client: reqwest::Client,
    pub wanted: Arc<Wanted>,
    pub journal: Arc<Journal>,
    pub index: usize,
    pub settings: Arc<Settings>,
    /// Bytes of the file that are here.
    pub here: Arc<AtomicU64>,
    /// Bytes that came over the network.
    pub fetched: Arc<AtomicU64>,
}

/// How a segment ended.
#[derive(Debug)]
pub(super) enum End {
    /// All of it is here.
    Whole,
    /// The server knows no ranges; the file must come in one piece.
    NoRanges,
}

/// Why one attempt ended before the segment did.
enum Trouble {
    /// The connection or a busy server; another attempt may help, after this pause if one was asked for.
    Broken(String, Option<Duration>),
    /// It will not get better.
    Final(FetchError),
    /// The server answered a range with the whole file.
    NoRanges,
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Trouble {
        Trouble::Final(error.into())
    }
}

/// Fetches a segment, again and again while it moves.
pub(super) async fn fetch(job: Job) -> Result<End, FetchError> {
    let mut writer = job.journal.writer(job.index)?;
    if writer.piece.is_whole() {
        return Ok(End::Whole);
    }
    let mut left = job.settings.tries;
    let mut farthest = writer.piece.done;
    for _ in 0..MOST_ATTEMPTS {
        let (reason, asked) = match attempt(&job, &mut writer).await {
            Ok(()) if writer.piece.end.is_none() || writer.piece.is_whole() => return Ok(End::Whole),
            Ok(()) => (format!("it ends after {} bytes", writer.piece.start + writer.piece.done), None),
            Err(Trouble::NoRanges) => return Ok(End::NoRanges),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Broken(reason, asked)) => (reason, asked),
        };
        left = if writer.piece.done > farthest { job.settings.tries } else { left.saturating_sub(1) };
        farthest = farthest.max(writer.piece.done);
        if left == 0 {
            return Err(failed(&job.wanted, reason));
        }
        let doubled = job.settings.pause.saturating_mul(1 << (job.settings.tries - left).min(8));
        tokio::time::sleep(asked.unwrap_or(doubled).min(job.settings.longest_pause)).await;
    }
    Err(failed(&job.wanted, format!("it broke off {MOST_ATTEMPTS} times")))
}

fn failed(wanted: &Wanted, reason: String) -> FetchError {
    FetchError::Download { name: wanted.name.clone(), url: wanted.url.clone(), reason }
}

async fn attempt(job: &Job, writer: &mut Writer) -> Result<(), Trouble> {
    let wanted = &job.wanted;
    let broken = |e: reqwest::Error| Trouble::Broken(chain(&e), None);
    let piece = writer.piece;
    let from = piece.start + piece.done;
    // The whole file is asked for without a range: servers that know none answer that too.
    let all = piece.start == 0 && piece.end == wanted.size;
    let ranged = !(all && from == 0);
    let mut request = job.client.get(&wanted.url).header(ACCEPT_ENCODING, "identity");
    if ranged {
        let end = piece.end.map_or_else(String::new, |end| (end - 1).to_string());
        request = request.header(RANGE, format!("bytes={from}-{end}"));
    }
    if let Some(value) = &wanted.authorization {
        request = request.header(AUTHORIZATION, value);
    }
    let mut answer = request.send().await.map_err(broken)?;
    let status = answer.status();
    match status {
        StatusCode::PARTIAL_CONTENT => check_range(wanted, from, answer.headers())?,
        StatusCode::OK if !ranged => {}
        StatusCode::OK if all => {
            job.here.fetch_sub(writer.piece.done, Ordering::Relaxed);
            writer.rewind()?;
        }
        StatusCode::OK => return Err(Trouble::NoRanges),
        StatusCode::RANGE_NOT_SATISFIABLE if wanted.size.is_none() => {
            // Nothing is left to fetch; the digest tells whether that is right.
            return Ok(());
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let reason = format!("it has no byte {from}");
            return Err(Trouble::Final(FetchError::Changed { name: wanted.name.clone(), reason }));
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let (name, url) = (wanted.name.clone(), wanted.url.clone());
            return Err(Trouble::Final(FetchError::Denied { name, url, status: status.as_u16() }));
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            return Err(Trouble::Broken(format!("the server answered {status}"), retry_after(answer.headers())));
        }
        _ if status.is_server_error() => {
            return Err(Trouble::Broken(format!("the server answered {status}"), retry_after(answer.headers())));
        }
        _ => return Err(Trouble::Final(failed(wanted, format!("the server answered {status}")))),
    }
    let mut gathered = Vec::with_capacity(GATHER);
    loop {
        let bytes = match answer.chunk().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(e) => {
                // What came before it broke is good.
                flush(job, writer, &mut gathered)?;
                return Err(broken(e));
            }
        };
        job.fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let room = piece
            .end
            .map_or(u64::MAX, |end| end.saturating_sub(writer.piece.start + writer.piece.done + gathered.len() as u64));
        if bytes.len() as u64 > room {
            // Never a byte beyond the segment: the next one belongs to somebody else.
            gathered.extend_from_slice(&bytes[..room as usize]);
            flush(job, writer, &mut gathered)?;
            if !all {
                return Ok(());
            }
            let reason = "it is longer than the list says".to_owned();
            return Err(Trouble::Final(FetchError::Changed { name: wanted.name.clone(), reason }));
        }
        gathered.extend_from_slice(&bytes);
        if gathered.len() >= GATHER {
            flush(job, writer, &mut gathered)?;
        }
    }
    flush(job, writer, &mut gathered)?;
    Ok(())
}

fn flush(job: &Job, writer: &mut Writer, gathered: &mut Vec<u8>) -> Result<(), FileError> {
    if !gathered.is_empty() {
        writer.write(gathered)?;
        job.here.fetch_add(gathered.len() as u64, Ordering::Relaxed);
        gathered.clear();
    }
    Ok(())
}

/// A 206 must begin where it was asked to, and be of a file of the listed size.
fn check_range(wanted: &Wanted, from: u64, headers: &http::HeaderMap) -> Result<(), Trouble> {
    let text = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // Servers that leave it out are rare; what they send is believed as far as the digest believes it.
    let Some((range, total)) = text.strip_prefix("bytes ").and_then(|rest| rest.split_once('/')) else { return Ok(()) };
    let begins = range.split_once('-').and_then(|(first, _)| first.trim().parse::<u64>().ok());
    if begins.is_some_and(|first| first != from) {
        return Err(Trouble::Broken(format!("asked for byte {from}, it sends {text}"), None));
    }
    match (total.trim().parse::<u64>(), wanted.size) {
        (Ok(total), Some(size)) if total != size => {
            let reason = format!("it has {total} bytes, the list says {size}");
            Err(Trouble::Final(FetchError::Changed { name: wanted.name.clone(), reason }))
        }
        _ => Ok(()),
    }
}
