//! An engine that lives and works no more is ended and started anew; one that is only slow is left alone.

use std::time::{Duration, Instant};

use super::{AUTH, Bench, CHAT, LONG, all_gone};
use crate::support::request;

/// Looks five times a second; two seconds without health, or without progress.
const SHORT: (&str, &str) = ("LLMUP_WATCHDOG", "0.2,2,2");

/// Waits until the engine was launched `count` times.
fn launched(bench: &Bench, count: usize) {
    let end = Instant::now() + LONG;
    while bench.home.pids().len() < count {
        assert!(Instant::now() < end, "it is not started anew");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_engine_that_answers_nothing_any_more_is_started_anew() {
    let bench = Bench::new("llama-cpp");
    let hang = bench.path("hang");
    let mut llmup = bench.start(&[SHORT, ("FAKE_HANG", &hang), ("FAKE_IGNORE_TERM", "1")]);
    llmup.ready(LONG);
    let first = bench.pids(1);
    std::fs::write(&hang, "").unwrap();
    launched(&bench, 2);
    all_gone(&first, Duration::ZERO);
    std::fs::remove_file(&hang).unwrap();
    let (status, body) = bench.post("/v1/chat/completions", CHAT);
    assert_eq!(status, 200, "{body}");
    let err = llmup.err_with("is ready again");
    assert!(err.contains("llama-cpp hangs: its health endpoint has not answered for"), "{err}");
    assert!(err.contains("starting it anew now"), "{err}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn requests_in_flight_without_any_progress_are_a_hang_and_the_next_engine_answers_them() {
    let bench = Bench::new("llama-cpp");
    let hold = bench.path("hold");
    let mut llmup = bench.start(&[SHORT, ("FAKE_HOLD_ONCE", &hold)]);
    llmup.ready(LONG);
    let answer = request(&bench.url, "POST", "/v1/chat/completions", &[AUTH], CHAT).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let err = llmup.err_with("is ready again");
    assert!(err.contains("llama-cpp hangs: requests are in flight, and nothing has moved for"), "{err}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

/// A long prompt on a processor: not a byte for minutes, but its counters grow.
#[test]
fn silence_alone_is_no_hang() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[SHORT, ("FAKE_BUSY", "1"), ("FAKE_STALL", "posts")]);
    llmup.ready(LONG);
    let url = bench.url.clone();
    let asked = std::thread::spawn(move || request(&url, "POST", "/v1/chat/completions", &[AUTH], CHAT));
    // Four times as long as a hang would take.
    std::thread::sleep(Duration::from_secs(8));
    assert!(!llmup.err().contains("hangs"), "{}", llmup.err());
    assert_eq!(bench.home.pids().len(), 1);
    bench.end(&mut llmup);
    let _ = asked.join();
    bench.clean(Duration::ZERO);
}

#[test]
fn an_engine_with_nothing_to_do_is_left_alone() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[SHORT]);
    llmup.ready(LONG);
    std::thread::sleep(Duration::from_secs(5));
    assert!(!llmup.err().contains("hangs"), "{}", llmup.err());
    assert_eq!(bench.home.pids().len(), 1);
    bench.end(&mut llmup);
}
