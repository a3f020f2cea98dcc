//! What counts for a request when it comes, and can be another for the next one: the key and the models.

use std::sync::{Arc, PoisonError, RwLock};

use super::Catalog;

/// A handle on them; all handles of one gateway mean the same.
#[derive(Debug, Clone)]
pub struct Terms(Arc<RwLock<Arc<Now>>>);

/// What counts now.
#[derive(Debug)]
pub(super) struct Now {
    /// The key callers must show.
    pub key: Option<String>,
    /// The models on offer.
    pub catalog: Catalog,
}

impl Terms {
    pub(super) fn new(key: Option<String>, catalog: Catalog) -> Terms {
        Terms(Arc::new(RwLock::new(Arc::new(Now { key, catalog }))))
    }

    /// From the next request on, these count. Requests that are on their way go on as they began.
    pub fn replace(&self, key: Option<String>, catalog: Catalog) {
        let new = Arc::new(Now { key, catalog });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The models on offer now.
    pub fn catalog(&self) -> Catalog {
        self.now().catalog.clone()
    }

    /// For one request, from its beginning to its end. The lock is held for the copy of a pointer.
    pub(super) fn now(&self) -> Arc<Now> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
