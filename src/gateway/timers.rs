//! Timers that are lent. Nearly every request is over long before its timers are due, and making one, hanging it into the
//! runtime's wheel under a lock and taking it out again costs more than all else that a timer does. One that comes back
//! stays in the wheel, and being lent again moves it on without a lock. Should it be due meanwhile, it wakes who had it
//! last, once and for nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Those that are not in use. All are lent for about the same time.
#[derive(Debug, Default)]
pub(super) struct Timers(Mutex<Vec<Pin<Box<Sleep>>>>);

/// More than this are not kept.
const KEPT: usize = 64;

impl Timers {
    fn kept(&self) -> MutexGuard<'_, Vec<Pin<Box<Sleep>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A timer that ends then.
    pub(super) fn lend(self: &Arc<Self>, deadline: Instant) -> Timer {
        let kept = self.kept().pop();
        let sleep = match kept {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(deadline)),
        };
        Timer { sleep: Some(sleep), home: Arc::clone(self) }
    }
}

/// One that is in use.
#[derive(Debug)]
pub(super) struct Timer {
    /// There until it is dropped.
    sleep: Option<Pin<Box<Sleep>>>,
    home: Arc<Timers>,
}

impl Timer {
    /// From now on it ends then.
    pub(super) fn reset(&mut self, deadline: Instant) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Ready(()), |sleep| sleep.as_mut().poll(cx))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut kept = self.home.kept();
        if kept.len() < KEPT {
            kept.extend(self.sleep.take());
        }
    }
}

/// The server's, for the heads of requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(Arc<Timers>);

impl hyper::rt::Sleep for Timer {}

impl hyper::rt::Timer for Heads {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.0.lend(Instant::now() + duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.0.lend(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LATE: Duration = Duration::from_secs(3600);

    async fn pending(timer: &mut Timer) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *timer).poll(cx).is_pending())).await
    }

    #[tokio::test]
    async fn one_that_comes_back_is_lent_again_and_ends_when_it_is_to() {
        let timers = Arc::<Timers>::default();
        let mut late = timers.lend(Instant::now() + LATE);
        assert!(pending(&mut late).await);
        drop(late);
        assert_eq!(timers.kept().len(), 1);
        let begun = Instant::now();
        // Sooner, later, and after it was due while nobody had it.
        timers.lend(begun + SOON).await;
        assert!(begun.elapsed() >= SOON);
        let mut again = timers.lend(Instant::now() + SOON);
        assert!(pending(&mut again).await);
        drop(again);
        tokio::time::sleep(4 * SOON).await;
        let mut late = timers.lend(Instant::now() + LATE);
        assert!(pending(&mut late).await && timers.kept().is_empty());
        let begun = Instant::now();
        late.reset(begun + SOON);
        late.await;
        assert!(begun.elapsed() >= SOON);
        assert_eq!(timers.kept().len(), 1);
    }
}
