//! Reads GGUF's values one after the other. Every length is held against what is left of the file before anything is
//! allocated or skipped, so a hostile header costs at most one pass over the file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::super::ModelError;
use super::super::locate::unreadable;
use super::types;

/// Keys are short; llama.cpp refuses longer ones than 64 KiB, too.
const KEY_MAX: u64 = 65_535;
/// Text values up to this are kept; larger ones only count as there (chat templates are some 10 KiB).
const TEXT_KEPT: u64 = 4_096;
const DEPTH_MAX: usize = 4;
/// Lists of numbers up to this length are read: no model has more layers.
const LIST_READ: u64 = 4_096;
const BOOL: u32 = 7;

/// A value as far as it is of use.
#[derive(Debug)]
pub(super) enum Value {
    Number(u64),
    Text(String),
    /// A list of numbers or booleans: largest, how many are above zero, how many.
    Numbers {
        largest: u64,
        positive: u64,
        count: u64,
    },
    /// A list of texts.
    Texts {
        count: u64,
    },
    /// There, but too long to keep.
    Long,
    /// Anything else.
    Other,
}

/// Bytes of one of GGUF's scalar types.
fn scalar_width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    length: u64,
    at: u64,
}

impl Reader {
    pub(super) fn new(path: &Path, file: File, length: u64) -> Reader {
        Reader { path: path.to_owned(), input: BufReader::with_capacity(1 << 16, file), length, at: 0 }
    }

    /// Bytes read or skipped so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn malformed(&self, why: String) -> ModelError {
        ModelError::Malformed { path: self.path.clone(), why }
    }

    /// Claims the next `n` bytes, or says that the file ends before.
    fn claim(&mut self, n: u64) -> Result<(), ModelError> {
        let end = self.at.saturating_add(n);
        if end > self.length {
            return Err(ModelError::Truncated { path: self.path.clone(), expected: end, found: self.length });
        }
        self.at = end;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(unreadable(&self.path))?;
        Ok(bytes)
    }

    fn skip(&mut self, n: u64) -> Result<(), ModelError> {
        self.claim(n)?;
        let n = i64::try_from(n).map_err(|_| self.malformed("a length beyond any file".into()))?;
        self.input.seek_relative(n).map_err(unreadable(&self.path))
    }

    /// The first four bytes; a shorter file gives zeros.
    pub(super) fn magic(&mut self) -> Result<[u8; 4], ModelError> {
        if self.length < 4 { Ok([0; 4]) } else { self.array() }
    }

    pub(super) fn u32(&mut self) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, ModelError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A text of at most `limit` bytes; `None`: it was longer and is skipped.
    fn text(&mut self, limit: u64) -> Result<Option<String>, ModelError> {
        let length = self.u64()?;
        if length > limit {
            self.skip(length)?;
            return Ok(None);
        }
        self.claim(length)?;
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes).map_err(unreadable(&self.path))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// One metadata entry.
    pub(super) fn pair(&mut self) -> Result<(String, Value), ModelError> {
        let key = self.text(KEY_MAX)?.ok_or_else(|| self.malformed("a metadata key is too long".into()))?;
        let kind = self.u32()?;
        let value = self.value(kind, 0)?;
        Ok((key, value))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, ModelError> {
        match kind {
            8 => Ok(self.text(TEXT_KEPT)?.map_or(Value::Long, Value::Text)),
            9 if depth < DEPTH_MAX => self.list(depth),
            9 => Err(self.malformed("lists nested too deep".into())),
            _ => Ok(self.scalar(kind)?.map_or(Value::Other, Value::Number)),
        }
    }

    /// A number of one of GGUF's scalar types; `None` for one that is no count (floats, booleans, negatives).
    fn scalar(&mut self, kind: u32) -> Result<Option<u64>, ModelError> {
        Ok(match kind {
            0 => Some(u64::from(self.array::<1>()?[0])),
            1 => u64::try_from(i8::from_le_bytes(self.array()?)).ok(),
            2 => Some(u64::from(u16::from_le_bytes(self.array()?))),
            3 => u64::try_from(i16::from_le_bytes(self.array()?)).ok(),
            4 => Some(u64::from(self.u32()?)),
            5 => u64::try_from(i32::from_le_bytes(self.array()?)).ok(),
            10 => Some(self.u64()?),
            11 => u64::try_from(i64::from_le_bytes(self.array()?)).ok(),
            6 | BOOL | 12 => {
                self.skip(scalar_width(kind).unwrap_or(0))?;
                None
            }
            _ => return Err(self.malformed(format!("metadata of unknown type {kind}"))),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value, ModelError> {
        let (kind, count) = (self.u32()?, self.u64()?);
        match kind {
            8 => {
                for _ in 0..count {
                    let length = self.u64()?;
                    self.skip(length)?;
                }
                Ok(Value::Texts { count })
            }
            9 => {
                for _ in 0..count {
                    self.value(9, depth + 1)?;
                }
                Ok(Value::Other)
            }
            _ => {
                let (mut largest, mut positive) = (0, 0);
                let width =
                    scalar_width(kind).ok_or_else(|| self.malformed(format!("a list of unknown type {kind}")))?;
                // The values of a long list (a tokenizer's types and scores) are of no use.
                if count > LIST_READ {
                    self.skip(count.saturating_mul(width))?;
                    return Ok(Value::Other);
                }
                // In a list, `false` and `true` are 0 and 1: which layers have a window.
                let kind = if kind == BOOL { 0 } else { kind };
                for _ in 0..count {
                    let n = self.scalar(kind)?.unwrap_or(0);
                    largest = largest.max(n);
                    positive += u64::from(n > 0);
                }
                Ok(Value::Numbers { largest, positive, count })
            }
        }
    }

    /// One entry of the tensor table: where its data ends, counted from where all data begins.
    pub(super) fn tensor_end(&mut self) -> Result<u64, ModelError> {
        self.text(KEY_MAX)?;
        let dimensions = self.u32()?;
        if dimensions > 8 {
            return Err(self.malformed(format!("a tensor of {dimensions} dimensions")));
        }
        let mut elements = 1u64;
        for _ in 0..dimensions {
            elements = elements.saturating_mul(self.u64()?);
        }
        let (kind, offset) = (self.u32()?, self.u64()?);
        // A type newer than this table: at least the start must be inside the file.
        let size = types::tensor_block(kind).map_or(0, |(per, bytes)| elements.div_ceil(per).saturating_mul(bytes));
        Ok(offset.saturating_add(size))
    }
}
