//! Counters, and the request in flight: it counts, and its record is open, until its response body is dropped, on
//! every path.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::access_log::{AccessLog, Record, Way};
use super::bell::Bell;
use super::catalog::Served;
use super::digits;
use crate::protocol::Id;
use crate::protocol::event::Usage;

/// Live counters, of the gateway or of one model, since they were made.
#[derive(Debug)]
pub struct Counters {
    made: Instant,
    requests: AtomicU64,
    in_flight: AtomicU64,
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    output_tokens: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
    clamped: AtomicU64,
    heard: AtomicU64,
    streamed_tokens: AtomicU64,
    streaming_ms: AtomicU64,
    /// When the last request ended, milliseconds after they were made.
    used: AtomicU64,
}

impl Default for Counters {
    fn default() -> Counters {
        let zero = AtomicU64::default;
        Counters {
            made: Instant::now(),
            requests: zero(),
            in_flight: zero(),
            prompt_tokens: zero(),
            cached_tokens: zero(),
            output_tokens: zero(),
            errors: zero(),
            dropped: zero(),
            clamped: zero(),
            heard: zero(),
            streamed_tokens: zero(),
            streaming_ms: zero(),
            used: zero(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    // Cheaper than by way of 128 bits, and good for as long as anything runs.
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()))
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Requests that were meant for the model.
    pub requests: u64,
    /// Those still being answered.
    pub in_flight: u64,
    /// Prompt tokens, cached ones included, as far as the engine said.
    pub prompt_tokens: u64,
    /// Prompt tokens that came from a cache.
    pub cached_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// Requests that failed, before or inside the stream.
    pub errors: u64,
    /// Parts of requests that no translation could carry.
    pub dropped: u64,
    /// Requests whose limit on the answer was lowered to what fits.
    pub clamped: u64,
    /// Tokens of the answers that were streams.
    pub streamed_tokens: u64,
    /// How long these took from the engine's first byte on, milliseconds over all of them.
    pub streaming_ms: u64,
}

impl Counts {
    /// Tokens a second of one stream, over all streams so far.
    pub fn tokens_per_second(&self) -> Option<f64> {
        (self.streaming_ms > 0 && self.streamed_tokens > 0)
            .then(|| self.streamed_tokens as f64 * 1000.0 / self.streaming_ms as f64)
    }

    /// How much of the prompts came from the cache, 0..=1; `None` before the first.
    pub fn cached_share(&self) -> Option<f64> {
        let cached = self.cached_tokens.min(self.prompt_tokens);
        (self.prompt_tokens > 0).then(|| cached as f64 / self.prompt_tokens as f64)
    }
}

impl Counters {
    /// How often an engine was heard: a number that stands still while no byte of any answer comes.
    pub fn heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    pub(super) fn hear(&self) {
        self.heard.fetch_add(1, Relaxed);
    }

    /// For how long nobody has used it; `None` while somebody does. A request counts before it looks whether its
    /// backend is up: who says that it is not, and then finds nobody, takes it away from nobody.
    pub fn idle(&self) -> Option<Duration> {
        if self.in_flight.load(SeqCst) > 0 {
            return None;
        }
        Some(self.made.elapsed().saturating_sub(Duration::from_millis(self.used.load(Relaxed))))
    }

    /// One more request.
    fn begin(&self, counted: bool) {
        self.requests.fetch_add(counted.into(), Relaxed);
        self.in_flight.fetch_add(1, SeqCst);
    }

    /// One less in flight; whether it was the last.
    fn end(&self, now: Instant) -> bool {
        self.used.store(millis(now.saturating_duration_since(self.made)), Relaxed);
        self.in_flight.fetch_sub(1, SeqCst) == 1
    }

    /// The counters now.
    pub fn read(&self) -> Counts {
        Counts {
            requests: self.requests.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            cached_tokens: self.cached_tokens.load(Relaxed),
            output_tokens: self.output_tokens.load(Relaxed),
            errors: self.errors.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            clamped: self.clamped.load(Relaxed),
            streamed_tokens: self.streamed_tokens.load(Relaxed),
            streaming_ms: self.streaming_ms.load(Relaxed),
        }
    }
}

/// One request in flight, for as long as any clone lives: the handler's, the body's, the codec's.
#[derive(Clone)]
pub(super) struct InFlight(Arc<Entry>);

struct Entry {
    counters: Arc<Counters>,
    /// Those of the model that answers, and its bell.
    model: OnceLock<(Arc<Counters>, Arc<Bell>)>,
    /// It had to wait for its model.
    queued: AtomicBool,
    log: Option<AccessLog>,
    /// Whether it is meant for the model.
    counted: bool,
    began: Instant,
    /// The caller takes trailers.
    trailers: bool,
    /// The answer's body has begun.
    begun: AtomicBool,
    /// When the engine's answer began to come as a stream.
    flowing: OnceLock<Instant>,
    /// The answer's body has ended by itself.
    ended: AtomicBool,
    record: Mutex<Record>,
}

impl InFlight {
    pub(super) fn new(
        counters: &Arc<Counters>,
        log: Option<&AccessLog>,
        counted: bool,
        id: &str,
        dialect: Id,
        path: &str,
        headers: &HeaderMap,
    ) -> Self {
        if counted {
            counters.begin(true);
        }
        let record = Record {
            id: id.to_owned(),
            at: SystemTime::now(),
            dialect,
            path: path.to_owned(),
            asked: None,
            served: None,
            status: None,
            stream: false,
            way: None,
            usage: None,
            first_byte: None,
            duration: Duration::ZERO,
            dropped: Vec::new(),
            clamped: None,
            error: None,
            left: false,
        };
        let takes = |te: &HeaderValue| {
            te.to_str().is_ok_and(|te| te.split(',').any(|word| word.trim().eq_ignore_ascii_case("trailers")))
        };
        InFlight(Arc::new(Entry {
            counters: Arc::clone(counters),
            model: OnceLock::new(),
            queued: AtomicBool::new(false),
            log: log.cloned(),
            counted,
            began: Instant::now(),
            trailers: headers.get_all(http::header::TE).iter().any(takes),
            begun: AtomicBool::new(false),
            flowing: OnceLock::new(),
            ended: AtomicBool::new(false),
            record: Mutex::new(record),
        }))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model asked for.
    pub(super) fn asked(&self, model: Option<&str>) {
        self.record().asked = model.map(str::to_owned);
    }

    /// The model that answers, under this name. From here on it is in use. Once.
    pub(super) fn served(&self, name: &str, model: &Served) {
        self.record().served = Some(name.to_owned());
        if self.0.model.set((Arc::clone(&model.counters), Arc::clone(&model.wanted))).is_ok() {
            model.counters.begin(self.0.counted);
        }
    }

    /// Its model does not answer yet. Once, after [`InFlight::served`].
    pub(super) fn queued(&self) {
        if let Some((_, bell)) = self.0.model.get() {
            self.0.queued.store(true, Relaxed);
            bell.asked();
        }
    }

    /// How the backend is asked.
    pub(super) fn way(&self, way: Way, stream: bool) {
        let mut record = self.record();
        record.way = Some(way);
        record.stream = stream;
    }

    /// The answer's head is out.
    pub(super) fn status(&self, status: u16) {
        self.record().status = Some(status);
    }

    /// What the answer cost. Once.
    pub(super) fn usage(&self, usage: Usage) {
        self.0.add(|counters| &counters.prompt_tokens, usage.prompt);
        self.0.add(|counters| &counters.cached_tokens, usage.cached);
        self.0.add(|counters| &counters.output_tokens, usage.output);
        self.record().usage = Some(usage).filter(|usage| *usage != Usage::default());
    }

    /// It failed, before or inside the answer.
    pub(super) fn error(&self, why: &str) {
        self.0.add(|counters| &counters.errors, 1);
        self.record().error = Some(why.to_owned());
    }

    /// What no translation could carry.
    pub(super) fn dropped(&self, parts: &[String]) {
        if parts.is_empty() {
            return;
        }
        self.0.add(|counters| &counters.dropped, parts.len() as u64);
        let mut record = self.record();
        for part in parts {
            if !record.dropped.contains(part) {
                record.dropped.push(part.clone());
            }
        }
    }

    /// The limit on the answer was lowered to this, if it was.
    pub(super) fn clamped(&self, limit: Option<u64>) {
        if limit.is_some() {
            self.0.add(|counters| &counters.clamped, 1);
            self.record().clamped = limit;
        }
    }

    /// A piece of the answer's body goes out.
    pub(super) fn byte(&self) {
        if !self.0.begun.load(Relaxed) && !self.0.begun.swap(true, Relaxed) {
            self.record().first_byte = Some(self.0.began.elapsed());
        }
    }

    /// The engine's answer comes as a stream; signs of life are none.
    pub(super) fn flows(&self) {
        self.0.flowing.get_or_init(Instant::now);
    }

    /// The answer's body has ended by itself.
    pub(super) fn ended(&self) {
        self.0.ended.store(true, Relaxed);
    }

    /// Adds the usage to the headers of a whole answer, or to a stream's trailers.
    pub(super) fn tell_usage(&self, headers: &mut HeaderMap) {
        if let Some(usage) = self.record().usage {
            let [prompt, cached, prefilled] = USAGE_HEADERS;
            headers.insert(prompt, digits::header(usage.prompt));
            headers.insert(cached, digits::header(usage.cached));
            headers.insert(prefilled, digits::header(usage.prompt.saturating_sub(usage.cached)));
        }
    }

    /// Whether the caller takes the usage as trailers of a stream.
    pub(super) fn wants_trailers(&self) -> bool {
        self.0.trailers
    }
}

/// The prompt's tokens, those of them that came from a cache, and those that were computed.
pub(super) const USAGE_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("llmup-prompt-tokens"),
    HeaderName::from_static("llmup-cached-tokens"),
    HeaderName::from_static("llmup-prefilled-tokens"),
];

impl Entry {
    /// Adds to one of the gateway's counters, and to the model's.
    fn add(&self, which: impl Fn(&Counters) -> &AtomicU64, more: u64) {
        which(&self.counters).fetch_add(more, Relaxed);
        if let Some((model, _)) = self.model.get() {
            which(model).fetch_add(more, Relaxed);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let now = Instant::now();
        let record = self.record.get_mut().unwrap_or_else(PoisonError::into_inner);
        let streamed = record.usage.filter(|_| record.stream);
        if let (Some(usage), Some(flowing)) = (streamed, self.flowing.get()) {
            let ms = millis(now.saturating_duration_since(*flowing));
            self.add(|counters| &counters.streamed_tokens, usage.output);
            self.add(|counters| &counters.streaming_ms, ms);
        }
        if self.counted {
            self.counters.end(now);
        }
        if let Some((counters, bell)) = self.model.get() {
            if counters.end(now) {
                bell.idle();
            }
            if *self.queued.get_mut() {
                bell.over();
            }
        }
        let Some(log) = &self.log else { return };
        let record = self.record.get_mut().unwrap_or_else(PoisonError::into_inner);
        record.duration = now.saturating_duration_since(self.began);
        // The length of a whole answer is announced, so the server does not ask for its end.
        record.left = record.stream && record.error.is_none() && record.status.is_some() && !*self.ended.get_mut();
        log.take(record);
    }
}
