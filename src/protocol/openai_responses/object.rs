//! JSON objects, written member by member.

use crate::protocol::quote;

/// One that is being written.
pub(super) struct Object {
    out: Vec<u8>,
    start: usize,
}

impl Object {
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        out.push(b'{');
        Object { start: out.len(), out }
    }

    pub(super) fn empty(&self) -> bool {
        self.out.len() == self.start
    }

    fn key(&mut self, name: &str) {
        if !self.empty() {
            self.out.push(b',');
        }
        quote::string(&mut self.out, name);
        self.out.push(b':');
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        quote::string(&mut self.out, value);
    }

    pub(super) fn raw(&mut self, name: &str, value: &[u8]) {
        self.key(name);
        self.out.extend_from_slice(value);
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}
