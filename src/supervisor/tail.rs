//! Follows a log file while it grows: whole lines as they come, and the state of progress bars that redraw themselves
//! with carriage returns. A log that is emptied, or put aside for a new one under its name, is followed on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fs;

/// Between two looks at the file.
const INTERVAL: Duration = Duration::from_millis(50);
/// A line longer than this comes in pieces, so that a log without line ends cannot fill the memory.
const LONGEST: usize = 64 * 1024;
/// At most this much is read at one look; the rest waits for the next.
const CHUNK: u64 = 1024 * 1024;

/// One piece of log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The text without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// A progress bar's current state, which the next one replaces.
    pub progress: bool,
}

/// A place in a log file.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// The file that is read, also once another one has its name.
    file: Option<File>,
    offset: u64,
    buffer: Vec<u8>,
    /// The buffer began behind a carriage return: what stands in it is a progress bar being redrawn.
    redrawn: bool,
    /// The unfinished progress bar that was already given out.
    shown: Vec<u8>,
    /// The last byte was a carriage return whose meaning depends on the next byte.
    pending_return: bool,
}

impl Tail {
    /// Starts at the beginning of the file, which need not exist yet.
    pub fn new(path: &Path) -> Tail {
        Tail {
            path: path.to_owned(),
            file: None,
            offset: 0,
            buffer: Vec::new(),
            redrawn: false,
            shown: Vec::new(),
            pending_return: false,
        }
    }

    /// Starts at a place in the file.
    pub fn at(path: &Path, offset: u64) -> Tail {
        Tail { offset, ..Tail::new(path) }
    }

    /// What came since the last call; nothing when the file does not exist. A file that got shorter is read from its
    /// beginning, and so is a new one of the same name, once the old one was read to its end.
    pub fn poll(&mut self) -> io::Result<Vec<Line>> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => match File::open(&self.path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
        };
        if file.metadata()?.len() < self.offset {
            *self = Tail::new(&self.path);
        }
        let mut bytes = self.read(&mut file)?;
        let mut lines = Vec::new();
        // Asked before the last look at the old file, so that nothing comes to it in between.
        if bytes.is_empty() && fs::is_another(&file, &self.path) {
            bytes = self.read(&mut file)?;
            if bytes.is_empty() {
                self.end(false, &mut lines);
                *self = Tail::new(&self.path);
                file = File::open(&self.path)?;
                bytes = self.read(&mut file)?;
            }
        }
        self.file = Some(file);
        lines.extend(self.feed(&bytes));
        Ok(lines)
    }

    /// The next piece of this file.
    fn read(&mut self, file: &mut File) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.offset += file.take(CHUNK).read_to_end(&mut bytes)? as u64;
        Ok(bytes)
    }

    /// Waits for the next lines, at least one. The file's errors count as silence: the child is watched elsewhere.
    pub async fn next(&mut self) -> Vec<Line> {
        loop {
            let lines = self.poll().unwrap_or_default();
            if !lines.is_empty() {
                return lines;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for &byte in bytes {
            let returned = std::mem::replace(&mut self.pending_return, byte == b'\r');
            match byte {
                // "\r\r\n" happens too; the line ends at "\n" whatever stood before.
                b'\r' if returned => {}
                b'\r' => {}
                b'\n' => self.end(false, &mut lines),
                _ => {
                    if returned {
                        self.end(true, &mut lines);
                        self.redrawn = true;
                    }
                    self.buffer.push(byte);
                    if self.buffer.len() >= LONGEST {
                        self.end(false, &mut lines);
                    }
                }
            }
        }
        if self.redrawn && !self.buffer.is_empty() && self.buffer != self.shown {
            // A bar writes its return first and its text after it: waiting for the next return would show every
            // state one step late, and the last one never.
            let whole = match std::str::from_utf8(&self.buffer) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => self.buffer.len(),
            };
            push(&self.buffer[..whole], true, &mut lines);
            self.shown = self.buffer.clone();
        }
        lines
    }

    fn end(&mut self, progress: bool, lines: &mut Vec<Line>) {
        let buffer = std::mem::take(&mut self.buffer);
        let shown = std::mem::take(&mut self.shown);
        if !(progress && buffer == shown) {
            push(&buffer, progress, lines);
        }
        self.redrawn = false;
    }
}

fn push(bytes: &[u8], progress: bool, lines: &mut Vec<Line>) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end();
    if !text.is_empty() {
        lines.push(Line { text: text.to_owned(), progress });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn whole(text: &str) -> Line {
        Line { text: text.to_owned(), progress: false }
    }

    fn bar(text: &str) -> Line {
        Line { text: text.to_owned(), progress: true }
    }

    fn tail() -> Tail {
        Tail::new(Path::new("unused"))
    }

    #[test]
    fn lines_come_whole_whatever_pieces_the_writer_uses() {
        let text = "one\r\ntwo naïve 你好\n\n\r\nthree 🚀\n".as_bytes();
        for cut in 0..=text.len() {
            let mut tail = tail();
            let mut lines = tail.feed(&text[..cut]);
            lines.extend(tail.feed(&text[cut..]));
            assert_eq!(lines, [whole("one"), whole("two naïve 你好"), whole("three 🚀")], "cut at {cut}");
        }
    }

    #[test]
    fn a_progress_bar_shows_its_newest_state_at_once_and_each_state_once() {
        let mut tail = tail();
        assert_eq!(tail.feed(b"\rshards:   0%"), [bar("shards:   0%")]);
        assert_eq!(tail.feed(b""), []);
        assert_eq!(tail.feed(b"\rshards:  50%"), [bar("shards:  50%")]);
        assert_eq!(tail.feed(b"\rshards: 100%"), [bar("shards: 100%")]);
        assert_eq!(tail.feed(b"\nloaded\n"), [whole("shards: 100%"), whole("loaded")]);
    }

    #[test]
    fn a_bar_that_ends_with_its_return_is_progress_too() {
        let mut tail = tail();
        assert_eq!(tail.feed(b"10%\r20%\r"), [bar("10%"), bar("20%")]);
        assert_eq!(tail.feed(b"\n"), [whole("20%")]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_it() {
        let mut tail = tail();
        assert_eq!(tail.feed(b"a\xff\xfeb\n"), [whole("a\u{fffd}\u{fffd}b")]);
        assert_eq!(tail.feed(b"\r\xe4\xbd"), []);
        assert_eq!(tail.feed(b"\xa0\n"), [whole("你")]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let lines = tail().feed(&vec![b'x'; LONGEST * 2 + 5]);
        assert_eq!(lines.iter().map(|l| l.text.len()).collect::<Vec<_>>(), [LONGEST, LONGEST]);
    }

    #[test]
    fn a_file_is_followed_through_growth_and_truncation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(&path);
        assert_eq!(tail.poll().unwrap(), []);
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.poll().unwrap(), [whole("one")]);
        file.write_all(b"o\n").unwrap();
        assert_eq!(tail.poll().unwrap(), [whole("two")]);
        std::fs::write(&path, "new\nend").unwrap();
        assert_eq!(tail.poll().unwrap(), [whole("new")]);
    }

    /// As when an engine is started anew: the new log may be as long as the old one, or longer.
    #[test]
    fn a_new_file_of_the_same_name_is_followed_after_the_end_of_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\n").unwrap();
        let mut tail = Tail::new(&path);
        assert_eq!(tail.poll().unwrap(), [whole("one")]);
        let mut old = File::options().append(true).open(&path).unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert_eq!(tail.poll().unwrap(), [], "there is no new one yet");
        old.write_all(b"last words").unwrap();
        std::fs::write(&path, "two, and longer\n").unwrap();
        let mut seen = tail.poll().unwrap();
        seen.extend(tail.poll().unwrap());
        assert_eq!(seen, [whole("last words"), whole("two, and longer")]);
        assert_eq!(tail.poll().unwrap(), []);
    }
}
