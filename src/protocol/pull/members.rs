//! The reader for those who know what to expect and build nothing on the way: `None` means that something is not what
//! they can take, and that the text is to be read as a whole by others.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::blocks::Escapes;
use super::super::text;
use super::Reader;

impl<'de> Reader<'de> {
    /// Reads a whole text with `read`.
    pub fn over<T>(text: &'de str, read: impl FnOnce(&mut Reader<'de>) -> Option<T>) -> Option<T> {
        let mut reader = Reader { text, at: 0, depth: 0 };
        let value = read(&mut reader)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// An object: `each` gets a key and takes the value behind it.
    #[inline]
    pub fn members(&mut self, mut each: impl FnMut(&mut Self, &'de str) -> Option<()>) -> Option<()> {
        self.open(b'{')?;
        let mut first = true;
        while self.more(&mut first, b'}').ok()? {
            let (key, Escapes::None) = self.key().ok()? else { return None };
            each(self, key)?;
        }
        self.depth -= 1;
        Some(())
    }

    /// A list: `each` takes one element.
    #[inline]
    pub fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.open(b'[')?;
        let mut first = true;
        while self.more(&mut first, b']').ok()? {
            each(self)?;
        }
        self.depth -= 1;
        Some(())
    }

    fn open(&mut self, bracket: u8) -> Option<()> {
        if self.peek().ok()? != bracket {
            return None;
        }
        self.deeper().ok()
    }

    /// Takes a null, if one stands here.
    #[inline]
    pub fn null(&mut self) -> Option<()> {
        if self.peek().ok()? != b'n' {
            return None;
        }
        self.word("null").ok()
    }

    /// Reads over a value.
    #[inline]
    pub fn pass(&mut self) -> Option<()> {
        self.skip().ok()
    }

    /// A string without escapes.
    #[inline]
    pub fn bare(&mut self) -> Option<&'de str> {
        if self.peek().ok()? != b'"' {
            return None;
        }
        match self.string().ok()? {
            (plain, Escapes::None) => Some(plain),
            _ => None,
        }
    }

    /// A string.
    #[inline]
    pub fn words(&mut self) -> Option<Cow<'de, str>> {
        if self.peek().ok()? != b'"' {
            return None;
        }
        match self.string().ok()? {
            (plain, Escapes::None) => Some(Cow::Borrowed(plain)),
            (inner, _) => match text::unescape(inner) {
                (plain, true) => Some(Cow::Owned(plain)),
                (_, false) => None,
            },
        }
    }

    /// Any value.
    pub fn read<T: Deserialize<'de>>(&mut self) -> Option<T> {
        T::deserialize(self).ok()
    }
}
