//! The bell between requests and whoever starts and stops engines.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use tokio::sync::Notify;

/// Rung when somebody asks for a model that does not answer, and then whenever nobody uses a model any more: it may make
/// room. While nobody waits it is silent: waking a thread for each request that ends costs as much as a part of it.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Notify,
    /// Requests that had to wait for their model, from then to their end.
    waiting: AtomicUsize,
}

impl Bell {
    /// Waits until it is rung, or has been since the last time.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// A request has to wait for its model. It was counted before ([`super::Counters::idle`]).
    pub(super) fn asked(&self) {
        self.waiting.fetch_add(1, SeqCst);
        self.rung.notify_one();
    }

    /// Nobody uses a model any more, which was counted before: either this sees that somebody waits, or who waits is
    /// seen to have room.
    pub(super) fn idle(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.rung.notify_one();
        }
    }

    /// The request that had to wait is over.
    pub(super) fn over(&self) {
        self.waiting.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn it_is_silent_unless_somebody_waits() {
        let bell = Bell::default();
        let rung = || bell.rung().now_or_never().is_some();
        bell.idle();
        assert!(!rung());
        bell.asked();
        assert!(rung() && !rung());
        bell.idle();
        assert!(rung());
        bell.over();
        bell.idle();
        assert!(!rung());
    }
}
