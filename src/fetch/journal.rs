//! How far a file has come, so that a process killed at any moment leaves something the next one can go on from.
//!
//! The journal is text: one line of JSON (which file, how it is cut), padded to a multiple of 16 bytes, then 16 bytes
//! for each segment, the number of its bytes that are in the part file, as 15 hexadecimal digits and a newline. A number is
//! written after the bytes it counts, in place and never across a page, so no kill leaves half a number. A power cut
//! may lose bytes that were counted; the digest tells.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Settings, Wanted};
use crate::fs::{self, FileError};

/// Bytes of one entry, and what the first line is padded to.
const LINE: u64 = 16;
/// No file in the world has more; a longer journal is not ours.
const MOST_SEGMENTS: u64 = 1 << 20;

/// The first line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    /// The form of the journal.
    llmup: u32,
    /// The edition and the digest of the file.
    of: String,
    /// Its size; 0: unknown.
    size: u64,
    /// The size of a segment; 0: one segment of unknown length.
    segment: u64,
}

/// One piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte.
    pub start: u64,
    /// The first byte after it; `None` when nobody knows.
    pub end: Option<u64>,
    /// How many of its bytes are here.
    pub done: u64,
}

impl Piece {
    /// Whether all of it is here. Of a piece whose end is unknown nobody can tell.
    pub fn is_whole(&self) -> bool {
        self.end.is_some_and(|end| self.start + self.done >= end)
    }
}

/// A file on its way.
#[derive(Debug)]
pub struct Journal {
    /// Where its bytes are.
    pub part: PathBuf,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
    path: PathBuf,
    entries_at: u64,
}

impl Journal {
    /// Takes up what is there of this edition of the file, else begins anew.
    pub fn open(wanted: &Wanted, settings: &Settings) -> Result<Journal, FileError> {
        let mut blank = Journal::blank(wanted, settings);
        match blank.read(&head(wanted, settings)) {
            Some(pieces) => {
                blank.pieces = pieces;
                Ok(blank)
            }
            None => {
                blank.begin(wanted, settings)?;
                Ok(blank)
            }
        }
    }

    /// Throws away what is there and begins anew. `whole`: in one piece, for servers that know no ranges.
    pub fn restart(wanted: &Wanted, settings: &Settings, whole: bool) -> Result<Journal, FileError> {
        let settings = match whole {
            true => Settings { segment_min: u64::MAX, segment_max: u64::MAX, ..settings.clone() },
            false => settings.clone(),
        };
        let mut blank = Journal::blank(wanted, &settings);
        blank.begin(wanted, &settings)?;
        Ok(blank)
    }

    fn blank(wanted: &Wanted, settings: &Settings) -> Journal {
        let pieces = match (wanted.size, segment_size(wanted, settings)) {
            (Some(size), segment) if segment > 0 => (0..size.div_ceil(segment).max(1))
                .map(|i| Piece { start: i * segment, end: Some(((i + 1).saturating_mul(segment)).min(size)), done: 0 })
                .collect(),
            _ => vec![Piece { start: 0, end: None, done: 0 }],
        };
        let entries_at = head(wanted, settings).len() as u64;
        Journal { part: part_of(&wanted.target), pieces, path: journal_of(&wanted.target), entries_at }
    }

    /// The pieces as the file tells, when it is about this edition and the part file has what it counts.
    fn read(&self, head: &str) -> Option<Vec<Piece>> {
        let count = self.pieces.len() as u64;
        let expected = head.len() as u64 + count * LINE;
        let file = File::open(&self.path).ok()?;
        if file.metadata().ok()?.len() != expected {
            return None;
        }
        let mut text = String::new();
        file.take(expected).read_to_string(&mut text).ok()?;
        let entries = text.strip_prefix(head)?;
        let here = std::fs::metadata(&self.part).ok()?.len();
        let mut pieces = self.pieces.clone();
        for (index, piece) in pieces.iter_mut().enumerate() {
            let line = entries.get(index * LINE as usize..(index + 1) * LINE as usize)?;
            piece.done = u64::from_str_radix(line.strip_suffix('\n')?, 16).ok()?;
            let reaches = piece.start.checked_add(piece.done)?;
            if piece.end.is_some_and(|end| reaches > end) || (piece.done > 0 && reaches > here) {
                return None;
            }
        }
        Some(pieces)
    }

    fn begin(&mut self, wanted: &Wanted, settings: &Settings) -> Result<(), FileError> {
        throw_away(&wanted.target)?;
        if let Some(dir) = self.part.parent() {
            fs::create_dir(dir)?;
        }
        File::create(&self.part).map_err(|e| FileError::new("create", &self.part, e))?;
        let mut text = head(wanted, settings);
        text.extend(std::iter::repeat_n(format!("{:015x}\n", 0), self.pieces.len()));
        fs::write_private(&self.path, text.as_bytes())
    }

    /// Opens both files for one piece.
    pub fn writer(&self, index: usize) -> Result<Writer, FileError> {
        let open = |path: &Path, at: u64| {
            let opened = File::options().write(true).open(path).and_then(|mut file| {
                file.seek(SeekFrom::Start(at))?;
                Ok(file)
            });
            opened.map_err(|e| FileError::new("write", path, e))
        };
        let piece = self.pieces.get(index).copied().unwrap_or(Piece { start: 0, end: None, done: 0 });
        let entry_at = self.entries_at + index as u64 * LINE;
        Ok(Writer {
            part: open(&self.part, piece.start + piece.done)?,
            journal: open(&self.path, entry_at)?,
            path: self.part.clone(),
            entry_at,
            piece,
        })
    }
}

/// Puts bytes of one piece where they belong.
#[derive(Debug)]
pub struct Writer {
    part: File,
    journal: File,
    path: PathBuf,
    entry_at: u64,
    /// How far it is.
    pub piece: Piece,
}

impl Writer {
    /// Writes the next bytes, then counts them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let written = self.part.write_all(bytes).and_then(|()| {
            self.piece.done += bytes.len() as u64;
            self.count()
        });
        written.map_err(|e| FileError::new("write", &self.path, e))
    }

    /// Back to the first byte of a file that is one piece.
    pub fn rewind(&mut self) -> Result<(), FileError> {
        self.piece.done = 0;
        let back = self.count().and_then(|()| self.part.set_len(self.piece.start));
        let back = back.and_then(|()| self.part.seek(SeekFrom::Start(self.piece.start)));
        back.map(drop).map_err(|e| FileError::new("write", &self.path, e))
    }

    fn count(&mut self) -> std::io::Result<()> {
        self.journal.seek(SeekFrom::Start(self.entry_at))?;
        self.journal.write_all(format!("{:015x}\n", self.piece.done).as_bytes())
    }
}

/// The part file of a target.
pub fn part_of(target: &Path) -> PathBuf {
    with(target, ".part")
}

fn journal_of(target: &Path) -> PathBuf {
    with(target, ".journal")
}

fn with(target: &Path, end: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(end);
    target.with_file_name(name)
}

/// How many bytes of this edition of a file an earlier run left.
pub fn kept(wanted: &Wanted, settings: &Settings) -> u64 {
    let read = Journal::blank(wanted, settings).read(&head(wanted, settings));
    read.map_or(0, |pieces| pieces.iter().map(|piece| piece.done).sum())
}

/// Removes part file and journal.
pub fn throw_away(target: &Path) -> Result<(), FileError> {
    // The journal first: a part file alone counts for nothing.
    for path in [journal_of(target), part_of(target)] {
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(FileError::new("remove", &path, e)),
            _ => {}
        }
    }
    Ok(())
}

/// About sixteen segments a file, within bounds; always the same for the same file.
fn segment_size(wanted: &Wanted, settings: &Settings) -> u64 {
    let Some(size) = wanted.size.filter(|size| *size > 0) else { return 0 };
    let even = (size / 16).next_multiple_of(1 << 20);
    let segment = even.clamp(settings.segment_min, settings.segment_max.max(settings.segment_min));
    segment.max(size / MOST_SEGMENTS).max(1)
}

fn head(wanted: &Wanted, settings: &Settings) -> String {
    let digest = wanted.digest.as_ref().map(|d| d.hex()).unwrap_or_default();
    let head = Head {
        llmup: 1,
        of: format!("{} {digest}", wanted.edition),
        size: wanted.size.unwrap_or(0),
        segment: segment_size(wanted, settings),
    };
    // A struct of text and numbers always serialises.
    let mut text = serde_json::to_string(&head).unwrap_or_default();
    let padded = (text.len() + 1).next_multiple_of(LINE as usize) - 1;
    text.extend(std::iter::repeat_n(' ', padded - text.len()));
    text.push('\n');
    text
}
