//! How an answer's body is framed on an HTTP/1.1 connection, undone over bytes that arrive split anywhere.

/// Where the body ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Framed {
    /// After this many more bytes.
    Length(u64),
    /// In chunks.
    Chunks(Chunks),
    /// With the connection.
    Close,
}

/// Between which bytes of a chunked body we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    step: Step,
    /// Of the chunk: its size so far while that is read, then what is still to come of it.
    left: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Behind at least one digit.
    Digits,
    /// Behind the size: an extension, nobody uses them.
    Extension,
    Data,
    /// Behind the data: the line end that belongs to the chunk.
    DataEnd,
    /// Behind the last chunk, in a line that has something in it or not.
    Trailer {
        empty: bool,
    },
    End,
}

/// Bytes that are no chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Framed {
    /// Takes bytes, hands the payload among them to `sink`, and says how many were used; fewer than all only behind
    /// the end.
    pub(super) fn take(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize, Malformed> {
        match self {
            Framed::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                if n > 0 {
                    sink(&bytes[..n]);
                }
                *left -= n as u64;
                Ok(n)
            }
            Framed::Chunks(chunks) => chunks.take(bytes, sink),
            Framed::Close => {
                sink(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// Whether all has been taken.
    pub(super) fn ended(&self) -> bool {
        match self {
            Framed::Length(left) => *left == 0,
            Framed::Chunks(chunks) => chunks.step == Step::End,
            Framed::Close => false,
        }
    }
}

impl Chunks {
    fn take(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.step != Step::End {
            if self.step == Step::Data {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - at);
                sink(&bytes[at..at + n]);
                at += n;
                self.left -= n as u64;
                if self.left == 0 {
                    self.step = Step::DataEnd;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            self.step = match (self.step, byte) {
                (Step::Size | Step::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    if self.left >> 56 != 0 {
                        return Err(Malformed);
                    }
                    let digit = (byte as char).to_digit(16).unwrap_or_default();
                    self.left = self.left << 4 | u64::from(digit);
                    Step::Digits
                }
                (Step::Digits | Step::Extension, b'\n') if self.left == 0 => Step::Trailer { empty: true },
                (Step::Digits | Step::Extension, b'\n') => Step::Data,
                (Step::Digits, b';' | b' ' | b'\t' | b'\r') => Step::Extension,
                (Step::Extension, _) => Step::Extension,
                (Step::DataEnd, b'\r') => Step::DataEnd,
                (Step::DataEnd, b'\n') => Step::Size,
                (Step::Trailer { empty: true }, b'\n') => Step::End,
                (Step::Trailer { .. }, b'\n') => Step::Trailer { empty: true },
                (Step::Trailer { empty }, b'\r') => Step::Trailer { empty },
                (Step::Trailer { .. }, _) => Step::Trailer { empty: false },
                _ => return Err(Malformed),
            };
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(parts: &[&[u8]]) -> (Result<Vec<u8>, Malformed>, bool, usize) {
        let mut framed = Framed::Chunks(Chunks::default());
        let mut found = Vec::new();
        let mut used = 0;
        for part in parts {
            match framed.take(part, &mut |piece| found.extend_from_slice(piece)) {
                Ok(n) => used += n,
                Err(error) => return (Err(error), false, used),
            }
        }
        (Ok(found), framed.ended(), used)
    }

    const BODY: &[u8] = b"5\r\nhello\r\n00B;x=y\r\n, \r\n\r\nworld\r\n0\r\nx-trailer: 1\r\n\r\n";

    #[test]
    fn split_at_every_byte_it_is_the_same() {
        let whole = payload(&[BODY]);
        assert_eq!(whole, (Ok(b"hello, \r\n\r\nworld".to_vec()), true, BODY.len()));
        for at in 0..=BODY.len() {
            let (a, b) = BODY.split_at(at);
            assert_eq!(payload(&[a, b]), whole, "split at {at}");
        }
        let single: Vec<&[u8]> = BODY.chunks(1).collect();
        assert_eq!(payload(&single), whole);
    }

    #[test]
    fn what_stands_behind_the_end_is_left() {
        let mut more = BODY.to_vec();
        more.extend_from_slice(b"HTTP/1.1 200 OK");
        assert_eq!(payload(&[&more]).2, BODY.len());
        let mut framed = Framed::Length(3);
        assert_eq!((framed.take(b"abcd", &mut |_| {}), framed.ended()), (Ok(3), true));
    }

    #[test]
    fn a_cut_body_has_not_ended() {
        for at in 0..BODY.len() {
            assert!(!payload(&[&BODY[..at]]).1, "cut at {at}");
        }
    }

    #[test]
    fn nonsense_is_no_body() {
        for nonsense in [&b"hello"[..], b"\r\n", b"5\r\nhelloworld", b"fffffffffffffffffff\r\n", b"-1\r\n"] {
            assert_eq!(payload(&[nonsense]).0, Err(Malformed), "{nonsense:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(parts: Vec<Vec<u8>>) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let _ = payload(&parts);
        }
    }
}
