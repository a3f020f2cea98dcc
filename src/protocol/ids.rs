//! Ids and times for what a protocol needs to have one and the other side gave none.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Random bytes of one id.
pub const BYTES: usize = 12;

/// Ids whose bytes are fetched at once: each fetch is a call into the system, and an answer may need several ids.
const AHEAD: usize = 32;

thread_local! {
    /// Bytes that are fetched, and how many ids were made of them.
    static FETCHED: RefCell<([u8; BYTES * AHEAD], usize)> = const { RefCell::new(([0; BYTES * AHEAD], AHEAD)) };
}

fn random() -> [u8; BYTES] {
    FETCHED.with_borrow_mut(|(bytes, used)| {
        if *used >= AHEAD {
            *used = 0;
            if getrandom::fill(bytes).is_err() {
                static COUNT: AtomicU64 = AtomicU64::new(0);
                for id in bytes.chunks_exact_mut(BYTES) {
                    id[..8].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
                }
            }
        }
        let mut own = [0; BYTES];
        own.copy_from_slice(&bytes[*used * BYTES..(*used + 1) * BYTES]);
        *used += 1;
        own
    })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An id nobody else has.
pub fn new(prefix: &str) -> String {
    [prefix, std::str::from_utf8(&hex(random())).unwrap_or_default()].concat()
}

/// Hexadecimal digits.
pub fn hex(bytes: [u8; BYTES]) -> [u8; 2 * BYTES] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut hex = [0; 2 * BYTES];
    for (digits, byte) in hex.as_chunks_mut().0.iter_mut().zip(bytes) {
        *digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    }
    hex
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_are_alike() {
        let make = || (0..200).map(|_| super::new("x_")).collect::<Vec<_>>();
        let other = std::thread::spawn(make);
        let mut all = make();
        all.extend(other.join().unwrap());
        assert!(all.iter().all(|id| id.len() == 26 && id.starts_with("x_")));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 400);
        assert_eq!(&super::hex([0x0f, 0xa9, 0x70, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]), b"0fa9700000000000000000ff");
    }
}
