//! Orders to a running llmup, and an engine that dies and comes back.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{AUTH, Bench, CHAT, LONG, all_gone, json, kill9, lives};
use crate::support::{Ran, Running, finish, request};

impl Bench {
    /// Another command beside the one that runs: exit code, standard output, standard error.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = self.home.faked(&["llama-server"], args);
        command.stdin(std::process::Stdio::null());
        let ran = finish(command);
        (ran.code.unwrap_or(-1), ran.out, ran.err)
    }

    fn status(&self) -> Value {
        json(&self.run(&["status", "--json"]).1)["running"][0].clone()
    }
}

fn ready(bench: &Bench, env: &[(&str, &str)]) -> Running {
    let mut llmup = bench.start(env);
    llmup.ready(LONG);
    llmup
}

#[test]
fn stop_ends_everything_and_says_so_when_it_is_true() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = ready(&bench, &[("FAKE_GRANDCHILD", "setsid")]);
    assert_eq!(bench.status()["live"]["state"], "ready");
    let (code, _, err) = bench.run(&["stop"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("nothing is left running"), "{err}");
    bench.clean(Duration::ZERO);
    assert_eq!(llmup.wait(LONG).code(), Some(0));
    let (code, _, err) = bench.run(&["stop"]);
    assert!(code == 4 && err.contains("nothing is running"), "{code} {err}");
    assert_eq!(bench.run(&["stop", "--all"]).0, 0);
}

/// Until it says of itself that its engine is loading.
fn loading(bench: &Bench) -> Value {
    let end = Instant::now() + LONG;
    loop {
        let status = bench.status();
        if status["phase"] == "loading" && status["engine"]["pid"].is_u64() {
            return status;
        }
        assert!(Instant::now() < end, "it is not seen loading: {status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_start_that_is_still_loading_is_seen_and_stopped() {
    for flags in [&["stop"][..], &["stop", "demo", "--now"]] {
        let bench = Bench::new("llama-cpp");
        let mut llmup = bench.start(&[("FAKE_START_MS", "170000"), ("FAKE_GRANDCHILD", "setsid")]);
        let status = loading(&bench);
        assert_eq!((&status["live"]["state"], &status["url"]), (&"loading".into(), &bench.url.as_str().into()));
        bench.pids(2);
        // What clients need is not known yet.
        let (code, out, err) = bench.run(&["env", "claude"]);
        assert!(code == 4 && out.is_empty() && err.contains("still being started"), "{code} {out} {err}");
        let (code, _, err) = bench.run(flags);
        assert!(code == 0 && err.contains("nothing is left running"), "{code} {err}");
        bench.clean(Duration::ZERO);
        assert_eq!(llmup.wait(LONG).code(), Some(0), "{}", llmup.err());
    }
}

#[test]
fn starts_at_once_are_one_start() {
    let bench = Bench::new("llama-cpp");
    let port = bench.port.to_string();
    let start = ["start", "demo", "--detach", "--json", "--port", &port, "--api-key", super::KEY];
    let told: Vec<Value> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut command = bench.home.faked(&["llama-server"], &start);
                    command.env("FAKE_START_MS", "500").stdin(std::process::Stdio::null());
                    let Ran { code, out, err } = finish(command);
                    assert!(code == Some(0) && err.contains("demo is ready"), "{code:?} {err}");
                    json(&out)
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(told.iter().all(|one| one == &told[0]), "{told:?}");
    assert_eq!(bench.home.pids().len(), 1, "one engine");
    assert_eq!(bench.run(&["stop"]).0, 0);
    bench.clean(Duration::ZERO);
}

#[test]
fn stop_now_does_not_wait_for_requests_or_for_an_engine_that_hears_nothing() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = ready(&bench, &[("FAKE_IGNORE_TERM", "1"), ("FAKE_STALL", "posts"), ("FAKE_GRANDCHILD", "plain")]);
    let url = bench.url.clone();
    let asked = std::thread::spawn(move || request(&url, "POST", "/v1/chat/completions", &[AUTH], CHAT));
    let end = Instant::now() + LONG;
    while bench.status()["live"]["in_flight"] != 1 {
        assert!(Instant::now() < end, "the request does not arrive");
    }
    let (code, _, err) = bench.run(&["stop", "demo", "--now"]);
    assert_eq!(code, 0, "{err}");
    bench.clean(Duration::ZERO);
    assert_eq!(llmup.wait(LONG).code(), Some(0));
    let _ = asked.join();
}

#[cfg(unix)]
#[test]
fn an_llmup_that_hears_nothing_is_ended_with_all_it_started() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = ready(&bench, &[("FAKE_GRANDCHILD", "setsid"), ("FAKE_IGNORE_TERM", "1")]);
    llmup.signal(nix::sys::signal::Signal::SIGSTOP);
    let (code, _, err) = bench.run(&["stop", "--now"]);
    assert_eq!(code, 0, "{err}");
    bench.clean(Duration::from_secs(5));
    assert!(llmup.wait(LONG).code().is_none(), "it was killed");
}

#[test]
fn a_detached_start_returns_when_it_is_ready_and_runs_on() {
    let bench = Bench::new("llama-cpp");
    let port = bench.port.to_string();
    let start = ["start", "demo", "--detach", "--json", "--port", &port, "--api-key", super::KEY];
    let (code, out, err) = bench.run(&start);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("demo is ready") && err.contains("stop demo"), "{err}");
    let told = json(&out);
    assert_eq!((&told["status"], &told["url"]), (&"ready".into(), &bench.url.as_str().into()));
    assert_eq!(bench.post("/v1/chat/completions", CHAT).0, 200);
    // The same model again is the same one.
    let (code, out, err) = bench.run(&start);
    assert_eq!((code, json(&out)["pid"].clone()), (0, told["pid"].clone()), "{err}");
    assert!(err.contains("runs already") && !err.contains("is not what it has"), "{err}");
    // Whoever lists processes sees no key.
    #[cfg(target_os = "linux")]
    {
        let line = std::fs::read(format!("/proc/{}/cmdline", told["pid"])).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(line.contains("--port") && !line.contains("--api-key") && !line.contains(super::KEY), "{line}");
    }
    let (code, _, err) = bench.run(&[&start[..], &["--context", "1024"]].concat());
    assert!(code == 0 && err.contains("--context is not what it has") && err.contains("`llmup stop demo`"), "{err}");
    let (code, out, err) = bench.run(&["logs", "-n", "3"]);
    assert!(code == 0 && !out.trim().is_empty(), "{code} {out} {err}");
    // Lines are gathered for a moment before they are written.
    let end = Instant::now() + LONG;
    loop {
        let (code, out, err) = bench.run(&["logs", "--gateway"]);
        assert_eq!(code, 0, "{err}");
        if out.contains("chat 200 demo") {
            break;
        }
        assert!(Instant::now() < end, "{out}");
    }
    assert_eq!(bench.run(&["stop"]).0, 0);
    bench.clean(Duration::ZERO);
}

#[test]
fn what_a_failed_test_started_detached_does_not_outlive_it() {
    let bench = Bench::new("llama-cpp");
    let port = bench.port.to_string();
    let (code, _, err) = bench.run(&["start", "demo", "--detach", "--port", &port]);
    assert_eq!(code, 0, "{err}");
    let pids = bench.home.pids();
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ends_here = bench;
        // As a failed assertion does, without its text.
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(failed.is_err());
    all_gone(&pids, Duration::ZERO);
}

#[test]
fn a_detached_start_that_fails_fails_with_the_same_code_and_words() {
    let bench = Bench::new("llama-cpp");
    let mut command = bench.home.faked(&["llama-server"], &["start", "demo", "--detach", "--port", "0"]);
    command.env("FAKE_EXIT", "3").stdin(std::process::Stdio::null());
    let Ran { code, err, .. } = finish(command);
    assert_eq!(code, Some(6), "{err}");
    assert!(err.contains("error: llama-cpp ended before it was ready"), "{err}");
    bench.clean(Duration::from_secs(5));
}

#[test]
fn an_engine_that_is_killed_comes_back_and_nobody_is_turned_away() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = ready(&bench, &[("FAKE_GRANDCHILD", "setsid"), ("FAKE_START_MS", "400")]);
    let first = bench.pids(2);
    let engine = first.iter().find(|(role, _)| role == "engine").unwrap().1;
    kill9(engine);
    // Asked while it is away.
    for _ in 0..3 {
        let (status, body) = bench.post("/v1/chat/completions", CHAT);
        assert_eq!(status, 200, "{body}");
    }
    all_gone(&first, Duration::ZERO);
    let status = bench.status();
    assert_eq!((&status["live"]["restarts"], &status["live"]["state"]), (&1.into(), &"ready".into()), "{status}");
    let how = if cfg!(unix) { "signal 9" } else { "exit code" };
    assert!(status["live"]["last_crash"].as_str().unwrap().contains(how), "{status}");
    assert_ne!(status["engine"]["pid"], engine);
    assert!(llmup.err().contains("starting it anew now"), "{}", llmup.err());
    assert_eq!(bench.run(&["stop"]).0, 0);
    llmup.wait(LONG);
    bench.clean(Duration::ZERO);
}

#[test]
fn a_request_in_flight_without_a_byte_is_answered_by_the_next_engine() {
    let bench = Bench::new("llama-cpp");
    let hold = bench.path("hold");
    let mut llmup = ready(&bench, &[("FAKE_HOLD_ONCE", &hold)]);
    let url = bench.url.clone();
    let asked = std::thread::spawn(move || request(&url, "POST", "/v1/chat/completions", &[AUTH], CHAT));
    let end = Instant::now() + LONG;
    while !std::path::Path::new(&hold).exists() {
        assert!(Instant::now() < end, "the engine was not asked");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill9(bench.pids(1)[0].1);
    let answer = asked.join().unwrap().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(bench.run(&["stop"]).0, 0);
    llmup.wait(LONG);
}

#[test]
fn an_engine_that_keeps_crashing_is_given_up_with_its_words() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = ready(&bench, &[]);
    // Every engine after the first one dies at once.
    let end = Instant::now() + LONG;
    let mut killed = 0;
    while llmup.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it is never given up: {}", llmup.err());
        for (_, pid) in bench.home.pids() {
            if lives(pid) {
                kill9(pid);
                killed += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let err = llmup.err();
    assert!(killed >= 3 && err.contains("is not started again") && err.contains("error: "), "{killed} {err}");
    assert_eq!(llmup.wait(LONG).code(), Some(6));
    bench.clean(Duration::from_secs(5));
}

#[test]
fn restart_gives_a_new_engine_behind_the_same_gateway() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = ready(&bench, &[]);
    let before = bench.status();
    let (code, _, err) = bench.run(&["restart", "demo"]);
    assert_eq!(code, 0, "{err}");
    let after = bench.status();
    assert_eq!((&before["pid"], &before["url"]), (&after["pid"], &after["url"]));
    assert_ne!(before["engine"]["pid"], after["engine"]["pid"]);
    assert_eq!(bench.post("/v1/chat/completions", CHAT).0, 200);
    assert_eq!(bench.run(&["stop"]).0, 0);
    llmup.wait(LONG);
    bench.clean(Duration::ZERO);
}
