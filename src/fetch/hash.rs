//! What tells a whole file from a damaged one: SHA-256, or for small files in a git repository git's own SHA-1.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::fs::FileError;

/// What a file must hash to, in small hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of its bytes.
    Sha256(String),
    /// git's name for it: SHA-1 of `blob SIZE\0` and its bytes.
    GitBlob(String),
}

impl Digest {
    /// A SHA-256 in any case, with or without `sha256:` before it; `None` for anything else.
    pub fn sha256(text: &str) -> Option<Digest> {
        hexadecimal(text.strip_prefix("sha256:").unwrap_or(text), 64).map(Digest::Sha256)
    }

    /// A git object name; `None` for anything else.
    pub fn git_blob(text: &str) -> Option<Digest> {
        hexadecimal(text, 40).map(Digest::GitBlob)
    }

    /// Its kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Digest::Sha256(_) => "SHA-256",
            Digest::GitBlob(_) => "git hash",
        }
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        match self {
            Digest::Sha256(hex) | Digest::GitBlob(hex) => hex,
        }
    }
}

fn hexadecimal(text: &str, digits: usize) -> Option<String> {
    let text = text.trim();
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

/// The digest of a file, of the same kind as `like`.
pub fn digest_of(path: &Path, like: &Digest) -> Result<Digest, FileError> {
    let failed = |e| FileError::new("read", path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = match like {
        Digest::Sha256(_) => Hasher::Sha256(Box::default()),
        Digest::GitBlob(_) => {
            let mut sha1 = Sha1::new();
            sha1.update(format!("blob {}\0", file.metadata().map_err(failed)?.len()).as_bytes());
            Hasher::GitBlob(sha1)
        }
    };
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => break,
            n => hasher.update(&piece[..n]),
        }
    }
    Ok(hasher.finish())
}

enum Hasher {
    Sha256(Box<Sha256>),
    GitBlob(Sha1),
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::GitBlob(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Hasher::Sha256(hasher) => Digest::Sha256(hex(&hasher.finalize())),
            Hasher::GitBlob(hasher) => Digest::GitBlob(hex(&hasher.finish())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-1 (FIPS 180-4), here only because git names its objects by it; it guards against damage, not against malice.
struct Sha1 {
    state: [u32; 5],
    rest: Vec<u8>,
    length: u64,
}

impl Sha1 {
    fn new() -> Sha1 {
        let state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        Sha1 { state, rest: Vec::with_capacity(64), length: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        if !self.rest.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(64 - self.rest.len()));
            self.rest.extend_from_slice(head);
            bytes = tail;
            if self.rest.len() < 64 {
                return;
            }
            let block = std::mem::take(&mut self.rest);
            self.block(&block);
        }
        let (blocks, rest) = bytes.split_at(bytes.len() - bytes.len() % 64);
        for block in blocks.chunks_exact(64) {
            self.block(block);
        }
        self.rest.extend_from_slice(rest);
    }

    fn finish(mut self) -> [u8; 20] {
        let bits = self.length.wrapping_mul(8);
        let zeros = (119 - self.length % 64) % 64;
        let mut end = vec![0x80];
        end.resize(1 + zeros as usize, 0);
        end.extend_from_slice(&bits.to_be_bytes());
        self.update(&end);
        let mut out = [0; 20];
        for (word, place) in self.state.iter().zip(out.chunks_exact_mut(4)) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn block(&mut self, block: &[u8]) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        for i in 16..80 {
            words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (i, word) in words.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (state, word) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        digest_of(&path, &Digest::GitBlob(String::new())).unwrap().hex().to_owned()
    }

    /// What `git hash-object` prints for these.
    #[test]
    fn a_blob_has_the_name_git_gives_it() {
        assert_eq!(blob(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn sha1_does_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..300_u32).map(|i| (i * 7) as u8).collect();
        for length in [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 300] {
            let mut whole = Sha1::new();
            whole.update(&bytes[..length]);
            let whole = whole.finish();
            for step in [1, 3, 63, 64, 65] {
                let mut pieces = Sha1::new();
                bytes[..length].chunks(step).for_each(|piece| pieces.update(piece));
                assert_eq!(pieces.finish(), whole, "{length} in {step}");
            }
        }
        // FIPS 180-4, the two-block example.
        let mut two = Sha1::new();
        two.update(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
        assert_eq!(hex(&two.finish()), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }

    #[test]
    fn only_hashes_are_hashes() {
        assert_eq!(Digest::sha256(&"A".repeat(64)), Some(Digest::Sha256("a".repeat(64))));
        assert_eq!(Digest::sha256(&format!("sha256:{}", "0".repeat(64))), Some(Digest::Sha256("0".repeat(64))));
        for wrong in ["", "abc", &"g".repeat(64), &"0".repeat(63)] {
            assert_eq!(Digest::sha256(wrong), None, "{wrong}");
            assert_eq!(Digest::git_blob(wrong), None, "{wrong}");
        }
    }
}
