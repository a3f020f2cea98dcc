//! The kept responses. Bounded: the oldest go.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Keep;

/// At most this many.
const COUNT: usize = 1000;

/// At most this many bytes. Each response is charged with all that came before it, so this is never less than what
/// is held: responses of one conversation share that.
const BYTES: usize = 64 << 20;

/// One response.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// The response as it was sent.
    pub(super) response: Bytes,
    /// The items it answered.
    pub(super) keep: Keep,
    /// Its own items, without brackets.
    pub(super) output: Bytes,
    /// The same, one by one, under their ids.
    pub(super) items: Vec<(String, Bytes)>,
}

impl Kept {
    /// All items up to and with this response, in segments.
    pub(super) fn history(&self) -> Vec<Bytes> {
        let own = [&self.keep.input, &self.output];
        self.keep.history.iter().chain(own).filter(|segment| !segment.is_empty()).cloned().collect()
    }

    fn charge(&self) -> usize {
        let before: usize = self.keep.history.iter().map(Bytes::len).sum();
        // An input that is a slice keeps as much again alive, at most.
        2 * (before + self.keep.input.len()) + self.response.len()
    }
}

/// The store.
#[derive(Debug)]
pub(in crate::gateway) struct Store {
    inner: Mutex<Inner>,
    count: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<String, Kept>,
    /// Oldest first; ids of deleted ones may still be in it.
    order: VecDeque<String>,
    items: HashMap<String, Bytes>,
    bytes: usize,
}

impl Inner {
    fn remove(&mut self, id: &str) -> Option<Kept> {
        let kept = self.kept.remove(id)?;
        self.bytes -= kept.charge();
        for (item, _) in &kept.items {
            self.items.remove(item);
        }
        Some(kept)
    }
}

impl Default for Store {
    fn default() -> Self {
        Store::bounded(COUNT, BYTES)
    }
}

impl Store {
    pub(super) fn bounded(count: usize, bytes: usize) -> Store {
        Store { inner: Mutex::default(), count, bytes }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked here left nothing half done that matters.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: &str) -> Option<Kept> {
        self.inner().kept.get(id).cloned()
    }

    /// An item of a kept response.
    pub(super) fn item(&self, id: &str) -> Option<Bytes> {
        self.inner().items.get(id).cloned()
    }

    pub(super) fn put(&self, id: String, kept: Kept) {
        let charge = kept.charge();
        if charge > self.bytes {
            return;
        }
        let mut inner = self.inner();
        inner.remove(&id);
        while inner.kept.len() >= self.count || inner.bytes + charge > self.bytes {
            let Some(oldest) = inner.order.pop_front() else { break };
            inner.remove(&oldest);
        }
        inner.bytes += charge;
        inner.items.extend(kept.items.iter().cloned());
        inner.order.push_back(id.clone());
        inner.kept.insert(id, kept);
        // Ids that were deleted by their callers are swept out now and then.
        if inner.order.len() > 2 * self.count {
            let Inner { order, kept, .. } = &mut *inner;
            order.retain(|id| kept.contains_key(id));
        }
    }

    pub(super) fn remove(&self, id: &str) -> Option<()> {
        self.inner().remove(id).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(history: &[&'static str], input: &'static str, item: &str) -> Kept {
        let history = history.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
        Kept {
            response: Bytes::from_static(b"0123456789"),
            keep: Keep { history, input: Bytes::from_static(input.as_bytes()) },
            output: Bytes::from_static(b"out"),
            items: vec![(item.to_owned(), Bytes::from_static(b"out"))],
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_large() {
        let store = Store::bounded(2, 180);
        for id in ["a", "b", "c"] {
            store.put(id.to_owned(), kept(&[], "x", &format!("item_{id}")));
        }
        assert!(store.get("a").is_none() && store.item("item_a").is_none());
        assert!(store.get("b").is_some() && store.item("item_c").is_some());
        store.put("long".to_owned(), kept(&["0123456789012345678901234567890123456789"; 2], "x", "i"));
        assert!(store.get("b").is_none() && store.get("c").is_none() && store.get("long").is_some());
        store.put("huge".to_owned(), kept(&["0123456789012345678901234567890123456789"; 3], "x", "j"));
        assert!(store.get("huge").is_none() && store.get("long").is_some(), "one that can never fit pushes nobody out");
        assert_eq!(store.inner().bytes, 172);
    }

    #[test]
    fn what_is_removed_is_gone_and_makes_room() {
        let store = Store::bounded(2, 100);
        store.put("a".to_owned(), kept(&[], "x", "i"));
        assert_eq!(store.get("a").unwrap().history(), ["x", "out"]);
        assert!(store.remove("a").is_some() && store.remove("a").is_none() && store.item("i").is_none());
        assert_eq!(store.inner().bytes, 0);
        for round in 0..20 {
            store.put(format!("{round}"), kept(&[], "x", "i"));
            store.remove(&format!("{round}"));
        }
        assert!(store.inner().order.len() <= 5);
    }
}
