//! Where the gateway's records go: lines on standard error or in a file, written by a thread of its own so that a
//! stopped terminal or a slow disk never holds up an answer.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use crate::fs::{self, FileError};
use crate::gateway::AccessLog;
use crate::output;

/// The file in the logs folder with a line per request.
pub const REQUESTS: &str = "requests.log";

/// Lines that wait to be written; beyond that they are counted and not kept.
const WAITING: usize = 4096;

/// Lines are gathered for this long. A writer woken for each of them cost the gateway more than a small request did
/// without it (20 µs of CPU against 24); one that sleeps is not woken.
const PAUSE: Duration = Duration::from_millis(50);

/// A file larger than this is put aside at the start; one older file is kept.
const LARGE: u64 = 16 << 20;

enum Line {
    Record(String),
    Flush(SyncSender<()>),
}

/// The log.
#[derive(Clone)]
pub struct RequestLog {
    lines: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

impl RequestLog {
    /// On standard error.
    pub fn to_stderr() -> RequestLog {
        RequestLog::with(output::note)
    }

    /// At the end of a file.
    pub fn to_file(path: &Path) -> Result<RequestLog, FileError> {
        if let Some(dir) = path.parent() {
            fs::create_dir(dir)?;
        }
        if std::fs::metadata(path).is_ok_and(|old| old.len() > LARGE) {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".1");
            let _ = std::fs::rename(path, aside);
        }
        let opened = std::fs::File::options().create(true).append(true).open(path);
        let mut file = opened.map_err(|error| FileError::new("open", path, error))?;
        // A full disk is no reason to stop serving, and there is nobody to tell.
        Ok(RequestLog::with(move |line| drop(writeln!(file, "{line}"))))
    }

    fn with(mut write: impl FnMut(&str) + Send + 'static) -> RequestLog {
        let (lines, waiting): (SyncSender<Line>, Receiver<Line>) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        std::thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                if matches!(first, Line::Record(_)) {
                    std::thread::sleep(PAUSE);
                }
                let (mut text, mut asked) = (String::new(), Vec::new());
                for line in std::iter::once(first).chain(waiting.try_iter().take(WAITING)) {
                    match line {
                        Line::Record(record) => {
                            text.push_str(if text.is_empty() { "" } else { "\n" });
                            text.push_str(&record);
                        }
                        Line::Flush(done) => asked.push(done),
                    }
                }
                if !text.is_empty() {
                    write(&text);
                }
                match counted.swap(0, Ordering::Relaxed) {
                    0 => {}
                    lost => write(&format!("{lost} more requests are not listed: writing was too slow")),
                }
                for done in asked {
                    let _ = done.send(());
                }
            }
        });
        RequestLog { lines, lost }
    }

    /// For the gateway.
    pub fn access_log(&self) -> AccessLog {
        let log = self.clone();
        AccessLog::new(move |record| {
            if let Err(TrySendError::Full(_)) = log.lines.try_send(Line::Record(record.line())) {
                log.lost.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Waits, but not long, until all lines so far are written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(2));
        }
    }
}
