//! Server-sent events out of bytes that arrive split anywhere, also inside a UTF-8 character.
//!
//! Only CR, LF and CRLF end a line; `data:` with or without a space; several data lines join with `\n`; comments and
//! unknown fields are ignored.

use super::event::Event;
use super::{EventDecoder, Problem};

/// Collects bytes and hands over whole events.
#[derive(Debug, Default)]
pub struct Splitter {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
}

/// One event may not outgrow this: a stream without line ends is no event stream.
const LIMIT: usize = 64 << 20;

impl Splitter {
    /// Takes bytes and calls `event` with the data of each event they complete.
    pub fn push(&mut self, bytes: &[u8], event: &mut dyn FnMut(&[u8])) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if rest[0] == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest) else {
                if self.line.len() + rest.len() <= LIMIT {
                    self.line.extend_from_slice(rest);
                }
                return;
            };
            // Nearly always a whole event lies in the chunk: nothing to keep, nothing to copy.
            if self.line.is_empty()
                && !self.has_data
                && let Some(data) = rest[..end].strip_prefix(b"data:")
                && let Some(behind) =
                    rest[end..].strip_prefix(b"\n\n").or_else(|| rest[end..].strip_prefix(b"\r\n\r\n"))
            {
                event(data.strip_prefix(b" ").unwrap_or(data));
                rest = behind;
                continue;
            }
            self.after_cr = rest[end] == b'\r';
            if self.line.is_empty() {
                self.take(&rest[..end], event);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&rest[..end]);
                self.take(&line, event);
                line.clear();
                self.line = line;
            }
            rest = &rest[end + 1..];
        }
    }

    /// The stream ended: an event without its empty line still counts (a cut one does not parse anyway).
    pub fn end(&mut self, event: &mut dyn FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take(&line, event);
        }
        self.take(b"", event);
    }

    fn take(&mut self, line: &[u8], event: &mut dyn FnMut(&[u8])) {
        if line.is_empty() {
            if self.has_data {
                event(&self.data);
            }
            self.data.clear();
            self.has_data = false;
        } else if let Some(data) = line.strip_prefix(b"data:") {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
    }
}

/// What reads the events of a stream, one after the other.
pub trait Reader: Send {
    /// Takes the data of one event.
    fn data(&mut self, data: &[u8], sink: &mut dyn FnMut(Event<'_>));

    /// No more will come; `cut` says why when the connection broke.
    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>));
}

/// A decoder of server-sent events: bytes split anywhere in, whole events to the reader.
#[derive(Debug, Default)]
pub struct Events<R> {
    splitter: Splitter,
    reader: R,
}

impl<R: Reader> EventDecoder for Events<R> {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        let reader = &mut self.reader;
        self.splitter.push(bytes, &mut |data| reader.data(data, sink));
    }

    fn end(&mut self, cut: Option<Problem>, sink: &mut dyn FnMut(Event<'_>)) {
        let reader = &mut self.reader;
        // Of a cut stream what is left is no event.
        if cut.is_none() {
            self.splitter.end(&mut |data| reader.data(data, sink));
        }
        reader.end(cut, sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(parts: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut splitter = Splitter::default();
        let mut add = |data: &[u8]| found.push(String::from_utf8_lossy(data).into_owned());
        for part in parts {
            splitter.push(part, &mut add);
        }
        splitter.end(&mut add);
        found
    }

    const STREAM: &str =
        ": hello\nevent: x\ndata: one\n\ndata:two\r\ndata: b\u{e9}\u{2028}ta\r\n\r\ndata: cr\r\rid: 7\n\ndata: last";

    #[test]
    fn every_line_end_and_both_spellings() {
        assert_eq!(events(&[STREAM.as_bytes()]), ["one", "two\nb\u{e9}\u{2028}ta", "cr", "last"]);
    }

    #[test]
    fn split_at_every_byte_it_is_the_same() {
        let whole = events(&[STREAM.as_bytes()]);
        for at in 0..=STREAM.len() {
            let (a, b) = STREAM.as_bytes().split_at(at);
            assert_eq!(events(&[a, b]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(events(&single), whole);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(parts: Vec<Vec<u8>>) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let _ = events(&parts);
        }
    }
}
