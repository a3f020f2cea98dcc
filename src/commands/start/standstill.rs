//! Notices a start that stands still: an engine that lives, writes no line, moves no byte, takes no more memory and spends
//! no processor time, it and all it started, for as long as [`Patience::progress`]. One sign of work is enough: a download
//! writes, weights that are read fill memory, compilers compute in processes that come and go. What it answers to the
//! question whether it is ready yet is none: llama-server answers that while it loads, whatever became of the loading.
//!
//! Only Linux tells all of this; elsewhere nobody looks, and a start takes as long as it takes.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::watchdog::{Patience, Since};
use crate::supervisor::process::{self, Activity};

/// Up to this share of one processor is none: answering questions and turning over in its sleep cost that much.
const SHARE: f64 = 0.05;

/// The same in bytes a second read and written, answers to questions included.
const BYTES: f64 = 16.0 * 1024.0;

/// Memory and bytes move by this much without a reason.
const NOISE: u64 = 1 << 20;

/// One look.
#[derive(Debug, Clone)]
struct Look {
    at: Instant,
    /// The length of the log.
    log: u64,
    activity: Activity,
}

impl Look {
    fn now(pid: u32, log: &Path) -> Option<Look> {
        let log = std::fs::metadata(log).map_or(0, |found| found.len());
        process::activity(pid).map(|activity| Look { at: Instant::now(), log, activity })
    }

    /// Whether anything was done since. `before` may lie far back: what is done slowly adds up.
    fn moved(&self, before: &Look) -> bool {
        let (now, then) = (&self.activity, &before.activity);
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let spent = now.spent.saturating_sub(then.spent).as_secs_f64();
        self.log != before.log
            || now.pids != then.pids
            || now.resident > then.resident.saturating_add(NOISE)
            || now.moved.saturating_sub(then.moved) > NOISE + (BYTES * seconds) as u64
            || spent > 0.1 + SHARE * seconds
    }
}

/// Returns when the engine with this pid stands still, with the seconds it has; never, when nobody looks.
pub(super) async fn standstill(pid: u32, log: &Path) -> u64 {
    match Patience::of_user() {
        Some(patience) => watch(|| Look::now(pid, log), patience.look, patience.progress).await,
        None => std::future::pending().await,
    }
}

async fn watch(look: impl Fn() -> Option<Look>, every: Duration, limit: Duration) -> u64 {
    let (mut still, mut before) = (Since::now(), look());
    loop {
        tokio::time::sleep(every).await;
        let now = look();
        // What cannot be seen is not judged.
        let moved = match (&now, &before) {
            (Some(now), Some(before)) => now.moved(before),
            _ => true,
        };
        if moved {
            (still, before) = (Since::now(), now);
        } else if let Some(seconds) = still.lasts(limit) {
            return seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn look(at: Instant) -> Look {
        let activity = Activity { pids: vec![7, 9], spent: Duration::from_secs(3), moved: 5 << 20, resident: 9 << 20 };
        Look { at, log: 100, activity }
    }

    #[test]
    fn each_sign_of_work_counts_alone_and_noise_does_not() {
        let before = look(Instant::now());
        let after = |seconds: u64, change: fn(&mut Look)| {
            let mut now = Look { at: before.at + Duration::from_secs(seconds), ..before.clone() };
            change(&mut now);
            now.moved(&before)
        };
        assert!(!after(5, |_| ()));
        assert!(after(5, |now| now.log += 1));
        assert!(after(5, |now| now.activity.pids = vec![7, 10]));
        assert!(after(5, |now| now.activity.resident += 2 << 20));
        assert!(after(5, |now| now.activity.moved += 2 << 20));
        assert!(after(5, |now| now.activity.spent += Duration::from_millis(400)));
        // Answers to questions, and memory that goes to the disk.
        assert!(!after(600, |now| now.activity.moved += 4 << 20));
        assert!(!after(600, |now| now.activity.spent += Duration::from_secs(20)));
        assert!(!after(600, |now| now.activity.resident -= 4 << 20));
        // Slow, but work.
        assert!(after(600, |now| now.activity.moved += 20 << 20));
        assert!(after(600, |now| now.activity.spent += Duration::from_secs(40)));
    }

    #[tokio::test]
    async fn only_what_lasts_is_a_standstill_and_what_cannot_be_seen_is_none() {
        let ms = Duration::from_millis;
        watch(|| Some(look(Instant::now())), ms(1), ms(30)).await;
        // One line, and the time begins anew.
        let began = Instant::now();
        let one_line = || Some(Look { log: 100 + u64::from(began.elapsed() >= ms(20)), ..look(Instant::now()) });
        watch(one_line, ms(1), ms(30)).await;
        assert!(began.elapsed() >= ms(50), "{:?}", began.elapsed());
        let looks = Cell::new(0);
        let unseen = || {
            looks.set(looks.get() + 1);
            None
        };
        let judged = async {
            tokio::select! {
                _ = watch(unseen, ms(1), ms(5)) => true,
                () = async { while looks.get() < 100 { tokio::time::sleep(ms(1)).await } } => false,
            }
        };
        assert!(!judged.await);
    }
}
