//! An engine that lives and works no more is ended and started anew; one that is only slow is left alone.

use std::time::{Duration, Instant};

use super::{AUTH, Bench, CHAT, LONG, all_gone};
#[cfg(target_os = "linux")]
use crate::support::finish;
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

/// Whoever does not say that it is well is not asked for its counters: each such question takes until its time is up, and
/// the hang would be noticed that much later.
#[test]
fn an_engine_that_accepts_and_never_answers_is_not_asked_for_more() {
    let bench = Bench::new("llama-cpp");
    let (hang, asked) = (bench.path("hang"), bench.path("asked"));
    // No progress would be noticed only after minutes: it is the health that tells.
    let patience = ("LLMUP_WATCHDOG", "0.2,2,600");
    let mut llmup = bench.start(&[patience, ("FAKE_HANG", &hang), ("FAKE_ASKED", &asked)]);
    llmup.ready(LONG);
    std::fs::write(&hang, "").unwrap();
    let url = bench.url.clone();
    let open = std::thread::spawn(move || request(&url, "POST", "/v1/chat/completions", &[AUTH], CHAT));
    launched(&bench, 2);
    std::fs::remove_file(&hang).unwrap();
    let answer = open.join().unwrap().unwrap();
    assert_eq!(answer.status, 200, "the next engine answers it: {}", answer.body);
    let err = llmup.err_with("is ready again");
    assert!(err.contains("llama-cpp hangs: its health endpoint has not answered for"), "{err}");
    // From the request to the next engine's first answer.
    let asked = std::fs::read_to_string(&asked).unwrap();
    let deaf = asked.split("POST /v1/chat/completions\n").nth(1).unwrap_or_default();
    let count = |line: &str| deaf.lines().filter(|asked| *asked == line).count();
    // At most the one that was on its way when it went deaf.
    assert!(count("GET /health") >= 4 && count("GET /metrics") <= 1, "{asked}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[cfg(target_os = "linux")]
#[test]
fn a_start_that_stands_still_is_ended_with_its_last_lines() {
    for (engine, mode) in [("vllm", ("FAKE_QUIET", "nothing")), ("llama-cpp", ("FAKE_STALL", "1"))] {
        let bench = Bench::new(engine);
        let log = bench.path("said.txt");
        std::fs::write(&log, "waiting for a lock that nobody gives back\n").unwrap();
        let start = ("FAKE_START_MS", "170000");
        let ran = finish(bench.command(&[SHORT, start, mode, ("FAKE_LOG", &log), ("FAKE_GRANDCHILD", "setsid")]));
        assert_eq!(ran.code, Some(6), "{}", ran.err);
        let hangs = format!("error: {engine} hangs while it starts: for ");
        assert!(ran.err.contains(&hangs) && ran.err.contains("spent no processor time"), "{}", ran.err);
        // Of llama-server's log more lines follow.
        assert!(engine != "vllm" || ran.err.contains("says: waiting for a lock that nobody gives back"), "{}", ran.err);
        assert!(ran.err.contains("`export LLMUP_WATCHDOG=") && ran.err.contains("demo.log"), "{}", ran.err);
        assert!(ran.out.is_empty(), "{}", ran.out);
        bench.clean(Duration::ZERO);
    }
}

/// Not a line for four times as long as a standstill takes: a download, weights that are read, a compilation.
#[cfg(target_os = "linux")]
#[test]
fn a_quiet_start_that_works_is_waited_for() {
    std::thread::scope(|scope| {
        for work in ["processor", "disk", "memory", "children"] {
            scope.spawn(move || {
                let bench = Bench::new("vllm");
                let mut llmup = bench.start(&[SHORT, ("FAKE_START_MS", "8000"), ("FAKE_QUIET", work)]);
                llmup.ready(LONG);
                assert!(!llmup.err().contains("hangs"), "{work}: {}", llmup.err());
                bench.end(&mut llmup);
                bench.clean(Duration::from_secs(5));
            });
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_wants_no_watchdog_waits_for_ever() {
    let bench = Bench::new("vllm");
    let off = ("LLMUP_WATCHDOG", "off");
    let mut llmup = bench.start(&[off, ("FAKE_START_MS", "170000"), ("FAKE_QUIET", "nothing")]);
    bench.pids(1);
    std::thread::sleep(Duration::from_secs(4));
    assert!(llmup.child.try_wait().unwrap().is_none(), "{}", llmup.err());
    bench.end(&mut llmup);
    bench.clean(Duration::from_secs(5));
}
