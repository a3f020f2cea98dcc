//! Strings of JSON text, looked through many bytes at a time: what a request mostly is. Only where they end and what of
//! them is special; nothing is read here.

use wide::u8x16;

/// Bytes that are looked at together.
const WIDTH: usize = 16;

/// Bytes whose marks make one word.
const BLOCK: usize = 64;

/// A block, and room for an escape that begins in it.
const WINDOW: usize = BLOCK + 8;

/// What escapes a string has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Escapes {
    /// None: its text is what stands there.
    None,
    /// Some, and each says a character.
    Whole,
    /// Among them one of a surrogate, which may lack its other half.
    Surrogates,
}

/// Which of some bytes cannot simply stand in a string: quotes, backslashes and controls. One bit per byte, the first
/// byte's the lowest.
#[inline]
fn marks(piece: [u8; WIDTH]) -> u64 {
    let (piece, all) = (u8x16::new(piece), |byte| u8x16::new([byte; WIDTH]));
    // With this bit turned over a quote is what a space was, next above the controls, and these are still controls.
    let turned = piece ^ all(b'"' ^ b' ');
    let found = turned.min(all(b' ')).simd_eq(turned) | piece.simd_eq(all(b'\\'));
    u64::from(found.to_bitmask())
}

/// The marks of up to [`WIDTH`] bytes from `at` on; `None` behind the end.
#[inline]
fn few(bytes: &[u8], at: usize) -> Option<u64> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    Some(marks(rest.first_chunk().copied().unwrap_or_else(|| padded(rest))))
}

/// Spaces are nothing special, and end every escape.
#[cold]
fn padded<const N: usize>(rest: &[u8]) -> [u8; N] {
    let mut block = [b' '; N];
    let length = rest.len().min(N);
    block[..length].copy_from_slice(&rest[..length]);
    block
}

#[inline]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize
}

/// Some bytes of a text and what follows them.
type Window = [u8; WINDOW];

/// Looks at one marked byte of the string after the other, but for those behind a backslash: `look` gets a window and
/// the byte's place in it, and says whether to go on. The answer is where it did not, or `None` at the end of the text.
#[inline]
fn walk(text: &[u8], mut at: usize, mut look: impl FnMut(&Window, usize) -> bool) -> Option<usize> {
    let mut escaped = 0;
    loop {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let tail;
        let window: &Window = match rest.first_chunk() {
            Some(window) => window,
            None => {
                tail = padded(rest);
                &tail
            }
        };
        let pieces = window.as_chunks::<WIDTH>().0.iter().take(BLOCK / WIDTH).enumerate();
        let mut marks = pieces.fold(0, |all, (n, piece)| all | marks(*piece) << (n * WIDTH)) & !escaped;
        let mut last = 0;
        while marks != 0 {
            let place = first(marks) % BLOCK;
            if !look(window, place) {
                return Some(at + place);
            }
            if window[place] == b'\\' {
                marks &= !(0b11 << place);
                last = place;
            } else {
                marks &= marks - 1;
            }
        }
        escaped = u64::from(last == BLOCK - 1);
        at += BLOCK;
    }
}

/// Where the string ends whose inside begins at `at`, if it does within a few bytes and holds nothing special: most do.
#[inline]
fn short(text: &[u8], at: usize) -> Option<usize> {
    let end = at + first(few(text, at)?);
    (text.get(end) == Some(&b'"') && end < at + WIDTH).then_some(end)
}

/// Where the closing quote stands of the string whose inside begins at `at`.
#[inline]
pub(super) fn end(text: &[u8], at: usize) -> Option<usize> {
    short(text, at).or_else(|| walk(text, at, |window, place| window[place] != b'"'))
}

/// The same for a string that must be right: no control stands in it as it is, and every escape is one.
#[inline]
pub(super) fn checked_end(text: &[u8], at: usize) -> Option<(usize, Escapes)> {
    short(text, at).map_or_else(|| long_checked_end(text, at), |end| Some((end, Escapes::None)))
}

/// Apart from the way that most strings go.
#[inline(never)]
fn long_checked_end(text: &[u8], at: usize) -> Option<(usize, Escapes)> {
    let (mut any, mut surrogates) = (false, false);
    let end = walk(text, at, |window, place| {
        any |= window[place] == b'\\';
        window[place] == b'\\'
            && (SIMPLE[usize::from(window[place + 1])] || unicode(window, place + 1, &mut surrogates))
    })?;
    let escapes = match (any, surrogates) {
        (false, _) => Escapes::None,
        (true, false) => Escapes::Whole,
        (true, true) => Escapes::Surrogates,
    };
    (text.get(end) == Some(&b'"')).then_some((end, escapes))
}

/// What may stand behind a backslash and is an escape with it.
const SIMPLE: [bool; 256] = {
    let mut simple = [false; 256];
    let all = *b"nrtbf\"\\/";
    let mut at = 0;
    while at < all.len() {
        simple[all[at] as usize] = true;
        at += 1;
    }
    simple
};

/// Whether a `u` with its four digits begins at `at`; `surrogate` is set when they say one.
fn unicode(text: &[u8], at: usize, surrogate: &mut bool) -> bool {
    match text.get(at..at + 5) {
        Some([b'u', digits @ ..]) if digits.iter().all(u8::is_ascii_hexdigit) => {
            *surrogate |= matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
            true
        }
        _ => false,
    }
}

/// Where the first byte from `at` on stands that JSON wants escaped.
pub(super) fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match few(bytes, at)? {
            0 => at += WIDTH,
            found => return Some(at + first(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte: where it ends, and what escapes it has if it is right.
    fn slowly(text: &[u8]) -> (Option<usize>, Option<(usize, Escapes)>) {
        let (mut at, mut right, mut all) = (0, true, Escapes::None);
        loop {
            match text.get(at) {
                None => return (None, None),
                Some(b'"') => return (Some(at), right.then_some((at, all))),
                Some(b'\\') => {
                    let digits = text.get(at + 2..at + 6).and_then(|digits| std::str::from_utf8(digits).ok());
                    let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                    let found = match (text.get(at + 1), unit) {
                        (Some(b'n' | b'r' | b't' | b'b' | b'f' | b'"' | b'\\' | b'/'), _) => Some(Escapes::Whole),
                        (Some(b'u'), Some(0xd800..0xe000)) => Some(Escapes::Surrogates),
                        (Some(b'u'), Some(_)) if digits.is_some_and(|d| !d.starts_with('+')) => Some(Escapes::Whole),
                        _ => None,
                    };
                    right &= found.is_some();
                    all = all.max(found.unwrap_or(Escapes::None));
                    at += 2;
                }
                Some(byte) => {
                    right &= *byte >= 0x20;
                    at += 1;
                }
            }
        }
    }

    fn agrees(text: &[u8]) {
        let (plain, checked) = slowly(text);
        assert_eq!(end(text, 0), plain, "{:?}", String::from_utf8_lossy(text));
        // What is wrong in it may be seen only where it matters: in front of its end.
        assert_eq!(checked_end(text, 0), checked, "{:?}", String::from_utf8_lossy(text));
        let first = text.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\'));
        assert_eq!(special(text, 0), first);
    }

    #[test]
    fn runs_of_backslashes_of_any_length_at_any_place() {
        for before in 0..70 {
            for run in 0..70 {
                for tail in ["\"", "n\"", "\"\"", "", "x\"", "u00e9\"", "u00g9\"", "uD83d\"", "ud7ff\"", "ue0\""] {
                    let text = format!("{}{}{tail}", "a".repeat(before), "\\".repeat(run));
                    agrees(text.as_bytes());
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn it_sees_what_a_look_at_each_byte_sees(text in r#"([a"n/u0\n ]|\\[nu"\\]|\\u[dD0][89cCf7]0a){0,200}"#) {
            agrees(text.as_bytes());
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            agrees(&bytes);
        }
    }
}
