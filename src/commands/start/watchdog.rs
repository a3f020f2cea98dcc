//! Notices an engine that lives and works no more. Only two things count, and both must last:
//!
//! * its health endpoint does not answer, and no byte of any answer comes;
//! * requests are in flight, no byte of any answer comes, and its own counters stand still.
//!
//! Silence alone does not count: a long prompt on a processor takes many minutes without a byte. llama-server b11549
//! answers `/health` and `/metrics` in 10 ms meanwhile, and `llamacpp:n_decode_total` grows with every batch of 2048
//! tokens (measured); vLLM counts every step (`vllm:iteration_tokens_total_count`). A batch may still take minutes on a
//! slow processor, so there also processor time is a sign of life. On a GPU it is none: a hung collective spins.
//! While an engine starts, [`super::standstill`] looks at it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::backend::Backend;
use super::launch;
use crate::engine::{EngineId, driver};
use crate::error::Explain;
use crate::exit::Exit;
use crate::gateway::Counters;
use crate::supervisor::{Child, ExitStatus, health, process};

/// How often is looked, and what is waited for. `LLMUP_WATCHDOG=LOOK,HEALTH,PROGRESS` (seconds) changes it, `off`
/// switches it off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Patience {
    /// Between two looks.
    pub look: Duration,
    /// That long without an answer of the health endpoint.
    health: Duration,
    /// That long without progress.
    pub progress: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        let seconds = Duration::from_secs;
        Patience { look: seconds(5), health: seconds(60), progress: seconds(10 * 60) }
    }
}

/// The variable that changes [`Patience`].
const VARIABLE: &str = "LLMUP_WATCHDOG";

/// One question may take this long: vLLM answers from a loop that may be busy with a long prompt.
const ANSWERS: Duration = Duration::from_secs(10);

/// So many questions must have gone unanswered, whatever the clock says: llmup itself may have been stopped meanwhile.
const QUESTIONS: u32 = 4;

impl Patience {
    /// As the user's environment says; `None` when nothing shall be looked at.
    pub fn of_user() -> Option<Patience> {
        Patience::read(std::env::var(VARIABLE).ok().as_deref())
    }

    /// As the variable says; `None` when it says `off`. What makes no sense changes nothing.
    fn read(text: Option<&str>) -> Option<Patience> {
        let Some(text) = text else { return Some(Patience::default()) };
        if text.trim() == "off" {
            return None;
        }
        let seconds: Vec<Duration> = text
            .split(',')
            .filter_map(|n| Duration::try_from_secs_f64(n.trim().parse().ok()?).ok())
            .filter(|n| !n.is_zero())
            .collect();
        match seconds[..] {
            [look, health, progress] => Some(Patience { look, health, progress }),
            _ => Some(Patience::default()),
        }
    }
}

/// Why an engine is taken for hung.
#[derive(Debug, thiserror::Error)]
pub(super) enum Hung {
    /// Nobody answers.
    #[error("{engine} hangs: its health endpoint has not answered for {seconds} s")]
    Deaf {
        /// The engine.
        engine: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// It answers, and does nothing.
    #[error("{engine} hangs: requests are in flight, and nothing has moved for {seconds} s")]
    Still {
        /// The engine.
        engine: &'static str,
        /// For how long.
        seconds: u64,
    },
}

impl Explain for Hung {
    fn exit(&self) -> Exit {
        Exit::EngineFailed
    }

    fn finding(&self) -> Option<&'static str> {
        Some("LLMUP-E004")
    }

    fn hints(&self) -> Vec<String> {
        vec!["see what it said last: `llmup logs`".to_owned(), wait_longer()]
    }
}

/// What helps when an engine was only slow.
pub(super) fn wait_longer() -> String {
    format!("if it was only slow, wait longer (seconds): `export {VARIABLE}=5,600,3600`")
}

/// How a backend came to its end.
pub(super) enum End {
    /// It exited.
    Exited(ExitStatus),
    /// It hangs.
    Hung(Hung),
}

/// What is looked at. Nothing, when it is not ours to start anew.
pub(super) struct Watchdog(Option<Watched>);

struct Watched {
    engine: EngineId,
    address: SocketAddr,
    key: Option<String>,
    counters: Arc<Counters>,
    pid: u32,
    /// It computes on the processor, a part of it at least.
    on_processor: bool,
    patience: Patience,
}

impl Watchdog {
    /// Looks at this backend. `watched` is false for one that llmup did not start, or would not start anew.
    pub fn new(backend: &Backend, watched: bool, on_processor: bool, counters: &Arc<Counters>) -> Watchdog {
        let patience = Patience::of_user();
        let child = backend.child.as_ref().filter(|_| watched);
        Watchdog(child.zip(patience).map(|(child, patience)| Watched {
            engine: backend.engine,
            address: launch::address(backend.port),
            key: backend.ready.api_key.clone(),
            counters: Arc::clone(counters),
            pid: child.pid(),
            on_processor,
            patience,
        }))
    }

    /// Ends with the engine, or when it hangs; never, when it is not ours.
    pub async fn end_of(&self, child: Option<&Child>) -> End {
        let Some(child) = child else { return std::future::pending().await };
        let hung = async {
            match &self.0 {
                Some(watched) => watched.hung().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Who is gone does not hang.
            biased;
            status = child.exited() => End::Exited(status),
            hung = hung => End::Hung(hung),
        }
    }
}

/// For how long something has been so.
pub(super) struct Since {
    began: Instant,
    looks: u32,
}

impl Since {
    pub fn now() -> Since {
        Since { began: Instant::now(), looks: 0 }
    }

    /// Once more. The seconds, when it has lasted.
    pub fn lasts(&mut self, limit: Duration) -> Option<u64> {
        self.looks += 1;
        (self.looks >= QUESTIONS && self.began.elapsed() >= limit).then(|| self.began.elapsed().as_secs())
    }
}

impl Watched {
    /// Returns when it hangs.
    async fn hung(&self) -> Hung {
        let engine = self.engine.name();
        let (mut deaf, mut still) = (Since::now(), Since::now());
        let mut heard = self.counters.heard();
        let mut progress = self.progress().await;
        loop {
            tokio::time::sleep(self.patience.look).await;
            let heard_now = self.counters.heard();
            let silent = heard_now == heard;
            heard = heard_now;
            let path = driver(self.engine).health_path();
            let limit = ANSWERS.min(self.patience.health / QUESTIONS);
            let answers = health::fetch(self.address, path, None, limit).await.is_ok();
            if answers || !silent {
                deaf = Since::now();
            } else if let Some(seconds) = deaf.lasts(self.patience.health) {
                return Hung::Deaf { engine, seconds };
            } else {
                // Who does not say that it is well does not tell its counters; asking would only cost time.
                continue;
            }
            if self.counters.read().in_flight == 0 || !silent {
                still = Since::now();
                continue;
            }
            let now = self.progress().await;
            // Once it told its counters, not telling them is standing still: the engine's own loop tells them.
            let moved = match (&now, &progress) {
                (Some(now), Some(before)) => now.moved(before, self.patience.look),
                (None, Some(_)) => false,
                (_, None) => true,
            };
            progress = now.or(progress);
            if moved {
                still = Since::now();
            } else if let Some(seconds) = still.lasts(self.patience.progress) {
                return Hung::Still { engine, seconds };
            }
        }
    }

    /// `None` when it does not tell.
    async fn progress(&self) -> Option<Progress> {
        let ours: &[u8] = match self.engine {
            EngineId::Vllm => b"vllm:",
            EngineId::LlamaCpp => b"llamacpp:",
            // It has no counters.
            EngineId::Ollama => return None,
        };
        // Where processor time cannot be known, a slow engine and a hung one look the same.
        let spent = if self.on_processor { process::processor_time(self.pid)? } else { Duration::ZERO };
        let limit = ANSWERS.min(self.patience.progress / QUESTIONS);
        let (_, body) = health::fetch(self.address, "/metrics", self.key.as_deref(), limit).await.ok()?;
        let counters = body.split(|byte| *byte == b'\n').filter(|line| line.starts_with(ours)).collect::<Vec<_>>();
        (!counters.is_empty()).then(|| Progress { counters: counters.concat(), spent })
    }
}

/// What changes while an engine works.
#[derive(Debug, PartialEq)]
struct Progress {
    /// Its own lines.
    counters: Vec<u8>,
    /// Processor time, where that is a sign of life.
    spent: Duration,
}

impl Progress {
    /// Whether it worked since, within the time between two looks. Answering the looks costs a little time, too.
    fn moved(&self, before: &Progress, look: Duration) -> bool {
        self.counters != before.counters || self.spent.saturating_sub(before.spent) > look / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read_and_nonsense_changes_nothing() {
        let seconds = Duration::from_secs_f64;
        let read = Patience { look: seconds(0.5), health: seconds(2.0), progress: seconds(3.0) };
        assert_eq!(Patience::read(Some("0.5, 2,3")), Some(read));
        assert_eq!(Patience::read(Some("off")), None);
        for text in ["", "1,2", "0,0,0", "1,2,3,4", "a,b,c", "-1,2,3", "1e99,1,nan"] {
            assert_eq!(Patience::read(Some(text)), Some(Patience::default()), "{text}");
        }
        assert_eq!(Patience::read(None), Some(Patience::default()));
    }

    #[test]
    fn counters_and_hard_work_are_signs_of_life_and_a_little_work_is_none() {
        let at = |counters: &str, ms| Progress { counters: counters.into(), spent: Duration::from_millis(ms) };
        let (before, look) = (at("llamacpp:n_decode_total 4", 100), Duration::from_secs(5));
        assert!(at("llamacpp:n_decode_total 5", 100).moved(&before, look));
        assert!(at("llamacpp:n_decode_total 4", 5_100).moved(&before, look));
        assert!(!at("llamacpp:n_decode_total 4", 200).moved(&before, look));
    }

    #[test]
    fn time_alone_is_not_enough() {
        let mut since = Since { began: Instant::now() - Duration::from_secs(100), looks: 0 };
        assert_eq!([since.lasts(Duration::from_secs(60)), since.lasts(Duration::from_secs(60))], [None, None]);
        since.looks = QUESTIONS;
        assert_eq!(since.lasts(Duration::from_secs(60)), Some(100));
        assert_eq!(since.lasts(Duration::from_secs(600)), None);
    }
}
