//! Where the gateway's records go: lines on standard error or in a file, written by a thread of its own so that a
//! stopped terminal or a slow disk never holds up an answer. A full disk costs lines, not answers: they are counted,
//! and the count is told once writing works again.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::log_files::{self, Limit};
use crate::fs::FileError;
use crate::gateway::AccessLog;
use crate::output;

/// The file in the logs folder with a line per request.
pub const REQUESTS: &str = "requests.log";

/// Lines that wait to be written; beyond that they are counted and not kept.
const WAITING: usize = 4096;

/// Lines are gathered for this long. A writer woken for each of them cost the gateway more than a small request did
/// without it (20 µs of CPU against 24); one that sleeps is not woken.
const PAUSE: Duration = Duration::from_millis(50);

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
        RequestLog::with(|text| {
            output::note(text.trim_end());
            Ok(())
        })
    }

    /// At the end of a file, which is opened anew for each piece: another llmup, or the user, may have put it aside.
    ///
    /// # Errors
    /// When it cannot be written now.
    pub fn to_file(path: &Path, limit: Limit) -> Result<RequestLog, FileError> {
        log_files::open(path, limit)?;
        let path = path.to_owned();
        // The last piece ended in the middle of a line.
        let mut torn = false;
        Ok(RequestLog::with(move |text| {
            let mut file = log_files::open(&path, limit).map_err(|error| match error {
                FileError::Io { source, .. } => source,
            })?;
            if torn {
                file.write_all(b"\n")?;
                torn = false;
            }
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                match file.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => rest = &rest[written..],
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        torn = rest.len() < text.len();
                        return Err(error);
                    }
                }
            }
            Ok(())
        }))
    }

    fn with(mut write: impl FnMut(&str) -> io::Result<()> + Send + 'static) -> RequestLog {
        let (lines, waiting): (SyncSender<Line>, Receiver<Line>) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        std::thread::spawn(move || {
            let mut failing = Failing::default();
            while let Ok(first) = waiting.recv() {
                if matches!(first, Line::Record(_)) {
                    std::thread::sleep(PAUSE);
                }
                let (mut text, mut count, mut asked) = (String::new(), 0, Vec::new());
                for line in std::iter::once(first).chain(waiting.try_iter().take(WAITING)) {
                    match line {
                        Line::Record(record) => {
                            text.push_str(&record);
                            text.push('\n');
                            count += 1;
                        }
                        Line::Flush(done) => asked.push(done),
                    }
                }
                match counted.swap(0, Ordering::Relaxed) {
                    0 => {}
                    lost => text.push_str(&format!("{lost} more requests are not listed: writing was too slow\n")),
                }
                if !text.is_empty() {
                    failing.heard(count, write(&text), &mut write);
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
        AccessLog::new(move |record| log.take(record.line()))
    }

    fn take(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Line::Record(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits, but not long, until all lines so far are written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            let _ = written.recv_timeout(Duration::from_secs(2));
        }
    }
}

/// Lines that could not be written, and why.
#[derive(Default)]
struct Failing {
    lines: u64,
    why: String,
}

impl Failing {
    /// What became of a piece of `count` lines. Said once when it begins and once when it is over.
    fn heard(&mut self, count: u64, written: io::Result<()>, write: &mut impl FnMut(&str) -> io::Result<()>) {
        match written {
            Err(error) => {
                if self.why.is_empty() {
                    self.why = error.to_string();
                    output::note(&format!("requests are served but not listed: {}", self.why));
                }
                self.lines += count;
            }
            Ok(()) if !self.why.is_empty() => {
                let said = format!("{} requests before these are not listed: {}", self.lines, self.why);
                output::note(&said);
                // Fails again: then the next piece that is written brings it.
                if write(&format!("{said}\n")).is_ok() {
                    *self = Failing::default();
                }
            }
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_full_disk_costs_lines_and_says_so_once_it_is_over() {
        let (full, written) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(String::new())));
        let (told, disk) = (Arc::clone(&full), Arc::clone(&written));
        let log = RequestLog::with(move |text| {
            if told.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.lock().unwrap().push_str(text);
            Ok(())
        });
        let say = |line: &str| {
            log.take(line.to_owned());
            log.flush();
        };
        say("one");
        full.store(true, Ordering::SeqCst);
        say("two");
        say("three");
        full.store(false, Ordering::SeqCst);
        say("four");
        say("five");
        let why = io::Error::from(io::ErrorKind::StorageFull);
        let expected = format!("one\nfour\n2 requests before these are not listed: {why}\nfive\n");
        assert_eq!(*written.lock().unwrap(), expected);
    }

    /// The system's own full disk; a link to it stands where the log was.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_file_is_written_again_when_the_disk_has_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(REQUESTS);
        let log = RequestLog::to_file(&path, Limit::default()).unwrap();
        let say = |line: &str| {
            log.take(line.to_owned());
            log.flush();
        };
        say("one");
        std::fs::rename(&path, dir.path().join("kept")).unwrap();
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        say("two");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(dir.path().join("kept"), &path).unwrap();
        say("three");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("one\nthree\n1 requests before these are not listed: No space left"), "{text}");
    }

    #[test]
    fn it_is_put_aside_while_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(REQUESTS);
        let log = RequestLog::to_file(&path, Limit { bytes: 10, keep: 1 }).unwrap();
        for line in ["a long line", "another one", "the last"] {
            log.take(line.to_owned());
            log.flush();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "the last\n");
        assert_eq!(std::fs::read_to_string(dir.path().join("requests.log.1")).unwrap(), "another one\n");
    }
}
