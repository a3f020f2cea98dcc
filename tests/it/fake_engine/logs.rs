//! Logs of engines: what a crash leaves, and who follows one through it.

use std::time::{Duration, Instant};

use super::{Bench, LONG, kill9};
use crate::support::{Running, finish};

/// How often the engine has said that it listens, as the follower shows it.
fn shows(follower: &Running, times: usize) {
    let end = Instant::now() + LONG;
    while follower.out().matches("main: server is listening").count() < times {
        assert!(Instant::now() < end, "{times} starts are not shown: {} {}", follower.out(), follower.err());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_log_is_followed_over_restarts_and_crashes_and_what_the_old_engine_said_is_kept() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    let mut follower = bench.home.start(bench.home.faked(&[], &["logs", "--follow"]));
    shows(&follower, 1);
    let restarted = finish(bench.home.faked(&[], &["restart"]));
    assert_eq!(restarted.code, Some(0), "{}", restarted.err);
    shows(&follower, 2);
    let log = bench.home.data.join("logs/demo.log");
    let old = std::fs::read_to_string(log.with_file_name("demo.log.1")).unwrap();
    assert!(old.contains("server is listening"), "{old}");
    assert_ne!(old, std::fs::read_to_string(&log).unwrap(), "each engine has its port");
    kill9(bench.pids(2)[1].1);
    shows(&follower, 3);
    assert_eq!(std::fs::read_to_string(log.with_file_name("demo.log.2")).unwrap(), old);
    let (code, err) = {
        let shown = finish(bench.home.faked(&[], &["logs"]));
        (shown.code, shown.err)
    };
    assert!(code == Some(0) && err.contains("demo.log.1"), "{err}");
    bench.end(&mut llmup);
    assert_eq!(follower.wait(LONG).code(), Some(0), "{}", follower.err());
    assert!(follower.err().contains("the model has ended"), "{}", follower.err());
    // Nobody writes any more: it is shown, and that is all.
    let after = finish(bench.home.faked(&[], &["logs", "-f"]));
    assert!(after.code == Some(0) && after.out.contains("server is listening"), "{} {}", after.out, after.err);
    bench.clean(Duration::ZERO);
}

#[test]
fn before_the_first_request_there_is_no_log_of_requests_and_no_error() {
    let bench = Bench::new("llama-cpp");
    let ran = finish(bench.home.faked(&[], &["logs", "--gateway"]));
    assert!(ran.code == Some(0) && ran.out.is_empty(), "{:?} {}", ran.code, ran.out);
    assert!(ran.err.contains("no request has been logged yet"), "{}", ran.err);
}
