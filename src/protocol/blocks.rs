//! Strings of JSON text, looked through many bytes at a time: what a request mostly is. Only where they end and what of
//! them is special; nothing is read here.

use wide::u8x16;

/// Bytes that are looked at together.
const WIDTH: usize = 16;

/// Bytes whose marks make one word.
const BLOCK: usize = 64;

/// Every second bit.
const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// One bit per byte, the first byte's the lowest.
#[derive(Clone, Copy, Default)]
struct Marks {
    quotes: u64,
    slashes: u64,
    /// What must be escaped and is neither of them.
    controls: u64,
}

impl Marks {
    #[inline]
    fn of(piece: [u8; WIDTH]) -> Marks {
        let (piece, all) = (u8x16::new(piece), |byte| u8x16::new([byte; WIDTH]));
        let bits = |found: u8x16| u64::from(found.to_bitmask());
        Marks {
            quotes: bits(piece.simd_eq(all(b'"'))),
            slashes: bits(piece.simd_eq(all(b'\\'))),
            controls: bits(piece.min(all(0x1f)).simd_eq(piece)),
        }
    }

    /// Of up to [`WIDTH`] bytes from `at` on; `None` behind the end.
    #[inline]
    fn few(bytes: &[u8], at: usize) -> Option<Marks> {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        Some(Marks::of(rest.first_chunk().copied().unwrap_or_else(|| padded(rest))))
    }

    /// Of up to [`BLOCK`] bytes from `at` on; `None` behind the end.
    #[inline]
    fn many(bytes: &[u8], at: usize) -> Option<Marks> {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let block: [u8; BLOCK] = rest.first_chunk().copied().unwrap_or_else(|| padded(rest));
        let mut all = Marks::default();
        for (at, piece) in block.as_chunks::<WIDTH>().0.iter().enumerate() {
            let (marks, shift) = (Marks::of(*piece), at * WIDTH);
            all.quotes |= marks.quotes << shift;
            all.slashes |= marks.slashes << shift;
            all.controls |= marks.controls << shift;
        }
        Some(all)
    }
}

/// Spaces are nothing special.
fn padded<const N: usize>(rest: &[u8]) -> [u8; N] {
    let mut block = [b' '; N];
    let length = rest.len().min(N);
    block[..length].copy_from_slice(&rest[..length]);
    block
}

/// Of backslashes, those that begin an escape, and the bytes that stand behind one. `carry` is 1 when the byte before
/// the block begins an escape, and is left so for the next block. Runs of backslashes are told apart by a subtraction
/// that carries through them, as simdjson does it (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 3.1.1).
#[inline]
fn escapes(slashes: u64, carry: &mut u64) -> (u64, u64) {
    let begins = slashes & !*carry;
    let terminal = (((begins << 1) | ODD).wrapping_sub(begins)) ^ ODD;
    let escaped = terminal ^ (slashes | *carry);
    let escapes = terminal & slashes;
    *carry = escapes >> 63;
    (escapes, escaped)
}

#[inline]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize
}

/// Where the closing quote stands of the string whose inside begins at `at`.
pub(super) fn end(text: &[u8], at: usize) -> Option<usize> {
    let marks = Marks::few(text, at)?;
    if marks.quotes != 0 && marks.slashes & below(marks.quotes) == 0 {
        return Some(at + first(marks.quotes));
    }
    let (mut block, mut carry) = (at, 0);
    loop {
        let marks = Marks::many(text, block)?;
        let (_, escaped) = escapes(marks.slashes, &mut carry);
        let ends = marks.quotes & !escaped;
        if ends != 0 {
            return Some(block + first(ends));
        }
        block += BLOCK;
    }
}

/// The same for a string that must be right: no control stands in it as it is, and every escape is one. The second part
/// says whether there are escapes.
pub(super) fn checked_end(text: &[u8], at: usize) -> Option<(usize, bool)> {
    let marks = Marks::few(text, at)?;
    if marks.quotes != 0 && (marks.slashes | marks.controls) & below(marks.quotes) == 0 {
        return Some((at + first(marks.quotes), false));
    }
    let (mut block, mut carry, mut any) = (at, 0, false);
    loop {
        let marks = Marks::many(text, block)?;
        let (mut begins, escaped) = escapes(marks.slashes, &mut carry);
        let ends = marks.quotes & !escaped;
        let inside = below(ends);
        if marks.controls & inside != 0 {
            return None;
        }
        begins &= inside;
        any |= begins != 0;
        while begins != 0 {
            if !valid(text, block + first(begins)) {
                return None;
            }
            begins &= begins - 1;
        }
        if ends != 0 {
            return Some((block + first(ends), any));
        }
        block += BLOCK;
    }
}

/// The bits below the lowest one, or all.
#[inline]
fn below(marks: u64) -> u64 {
    marks.wrapping_sub(1) & !marks
}

/// Whether the backslash at `at` begins an escape.
#[inline]
fn valid(text: &[u8], at: usize) -> bool {
    match text.get(at + 1) {
        Some(b'n' | b'"' | b'\\' | b't' | b'r' | b'/' | b'b' | b'f') => true,
        Some(b'u') => text.get(at + 2..at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => false,
    }
}

/// Where the first byte from `at` on stands that JSON wants escaped.
pub(super) fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let Marks { quotes, slashes, controls } = Marks::few(bytes, at)?;
        match quotes | slashes | controls {
            0 => at += WIDTH,
            found => return Some(at + first(found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte: where it ends, and whether it is right and has escapes.
    fn slowly(text: &[u8]) -> (Option<usize>, Option<(usize, bool)>) {
        let (mut at, mut right, mut any) = (0, true, false);
        loop {
            match text.get(at) {
                None => return (None, None),
                Some(b'"') => return (Some(at), right.then_some((at, any))),
                Some(b'\\') => {
                    right &= valid(text, at);
                    any = true;
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
                for tail in ["\"", "n\"", "\"\"", "", "x\"", "u00e9\"", "u00g9\""] {
                    let text = format!("{}{}{tail}", "a".repeat(before), "\\".repeat(run));
                    agrees(text.as_bytes());
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn it_sees_what_a_look_at_each_byte_sees(text in r#"[a\\"n/u0\n ]{0,300}"#) {
            agrees(text.as_bytes());
        }

        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            agrees(&bytes);
        }
    }
}
