//! A second start: of a model that is there, and of one more, which is taken in.

use std::time::Duration;

use serde_json::Value;

use super::fleet::up;
use super::{AUTH, Bench, KEY, LONG, json};
use crate::support::{Ran, finish, http};

const DEMO: [&str; 3] = ["demo", "--engine", "llama-cpp"];

/// `start` of a second model at the same port, as `second.gguf` of a folder of its own.
fn join(bench: &Bench, more: &[&str]) -> Ran {
    if !bench.home.path().join("second.gguf").exists() {
        bench.second();
    }
    let folder = bench.home.path().join("elsewhere");
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::path::Path::new("..").join("second.gguf").display().to_string();
    let port = bench.port.to_string();
    let start = ["start", &file, "--engine", "llama-cpp", "--json", "--port", &port, "--api-key", KEY];
    let mut command = bench.home.faked(&["llama-server"], &[&start, more].concat());
    command.current_dir(folder);
    finish(command)
}

fn joined(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    json(&ran.out)
}

/// The model that a client is told of.
fn led_to(bench: &Bench, words: &[&str]) -> String {
    let ran = bench.home.run(&[&["env", "claude", "--json"], words].concat());
    json(&ran.out)["set"]["ANTHROPIC_MODEL"].as_str().unwrap_or_else(|| panic!("{}", ran.err)).to_owned()
}

#[test]
fn of_two_llmups_the_one_that_serves_the_model_is_found() {
    let bench = Bench::new("llama-cpp");
    let (mut older, first) = up(&bench, bench.several("llama-server", &DEMO));
    let file = bench.second();
    let start = ["start", &file, "--engine", "llama-cpp", "--json", "--port", "0", "--api-key", KEY];
    let (mut newer, second) = up(&bench, bench.home.faked(&["llama-server"], &start));
    assert_ne!(first["url"], second["url"]);
    for (words, url, model) in [
        (&[][..], &second["url"], "second"),
        (&["--model", "second"], &second["url"], "second"),
        (&["--model", "demo"], &first["url"], "demo"),
        (&["--model", "nowhere"], &second["url"], "nowhere"),
    ] {
        let ran = bench.home.run(&[&["env", "claude", "--json"], words].concat());
        let set = &json(&ran.out)["set"];
        assert_eq!((&set["ANTHROPIC_BASE_URL"], &set["ANTHROPIC_MODEL"]), (url, &Value::from(model)), "{}", ran.err);
    }
    // The older one is shown with the name that leads to it.
    let port = first["url"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let again = bench.home.faked(&["llama-server"], &["start", "demo", "--port", &port]);
    let again = finish(again);
    assert!(again.code == Some(0) && again.err.contains("run claude --model demo"), "{}", again.err);
    let stopped = bench.home.run(&["stop", "--all"]);
    assert_eq!(stopped.code, Some(0), "{}", stopped.err);
    assert_eq!((older.wait(LONG).code(), newer.wait(LONG).code()), (Some(0), Some(0)));
    bench.clean(Duration::ZERO);
}

#[test]
fn a_second_start_of_another_model_is_taken_in_by_the_llmup_that_serves() {
    let bench = Bench::new("llama-cpp");
    let (mut llmup, first) = up(&bench, bench.several("llama-server", &DEMO));
    let ran = join(&bench, &[]);
    let told = joined(&ran);
    assert_eq!((&told["model"], &told["phase"], &told["pid"]), (&"second".into(), &"ready".into(), &first["pid"]));
    assert_eq!((&told["url"], &told["key"]), (&first["url"], &first["key"]));
    let pid = llmup.child.id();
    let said = format!("second is served beside demo by the llmup that runs already (pid {pid})");
    assert!(ran.err.contains(&said) && ran.err.contains("stop second"), "{}", ran.err);
    assert!(llmup.err_with("second is ready").contains("second joins"), "{}", llmup.err());
    // Without a name clients get the first one: what is told leads to the one that was just started.
    let shown = ran.err.lines().find_map(|line| line.trim().split_once(" run claude ")).map(|(_, words)| words);
    assert_eq!(shown, Some("--model second"), "{}", ran.err);
    assert_eq!((led_to(&bench, &["--model", "second"]), led_to(&bench, &[])), ("second".to_owned(), "demo".to_owned()));
    assert_eq!(bench.home.instances(), 1, "one llmup");
    bench.until(&[("demo", "ready"), ("second", "ready")]);
    assert_eq!(bench.living(), 2);
    bench.answers("second");
    bench.answers("demo");
    let (_, list) = http(&bench.url, "GET", "/v1/models", &[AUTH], "");
    let names: Vec<Value> = json(&list)["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(names, ["demo", "second"]);
    let (status, said) = bench.ask("third");
    assert!(status == 404 && said.contains("there is demo, second"), "{status} {said}");
    // Once more it is only shown.
    let again = join(&bench, &[]);
    assert!(again.err.contains("run codex --model second"), "{}", again.err);
    assert!(again.err.contains("second runs already") && joined(&again)["pid"] == first["pid"], "{}", again.err);
    // It ends alone, and a start brings it back.
    let (code, _, err) = bench.also(&["stop", "second"]);
    assert!(code == 0 && err.contains("stopped the engine of second"), "{code} {err}");
    bench.until(&[("demo", "ready"), ("second", "asleep")]);
    assert_eq!((bench.living(), &joined(&join(&bench, &["--on-demand"]))["phase"]), (1, &"asleep".into()));
    assert_eq!((&joined(&join(&bench, &["--detach"]))["phase"], bench.living()), (&"ready".into(), 2));
    let (code, _, err) = bench.also(&["restart", "second"]);
    assert!(code == 0 && err.contains("second is ready again"), "{code} {err}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn who_joins_on_demand_is_started_by_the_first_request() {
    let bench = Bench::new("llama-cpp");
    let (mut llmup, _) = up(&bench, bench.several("llama-server", &DEMO));
    let told = joined(&join(&bench, &["--on-demand", "--ttl", "1h"]));
    assert_eq!((&told["phase"], bench.living()), (&"asleep".into(), 1), "{told}");
    bench.until(&[("demo", "ready"), ("second", "asleep")]);
    bench.answers("second");
    bench.until(&[("demo", "ready"), ("second", "ready")]);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn of_many_who_ask_for_the_same_model_one_brings_it_and_all_are_told() {
    let bench = Bench::new("llama-cpp");
    let mut command = bench.several("llama-server", &DEMO);
    command.env("FAKE_START_MS", "500");
    let (mut llmup, first) = up(&bench, command);
    bench.second();
    let told: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| joined(&join(&bench, &[])))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    for told in told {
        assert_eq!((&told["phase"], &told["pid"]), (&"ready".into(), &first["pid"]), "{told}");
    }
    assert_eq!(bench.living(), 2, "one engine more");
    bench.until(&[("demo", "ready"), ("second", "ready")]);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn what_the_running_llmup_cannot_give_is_refused_and_changes_nothing() {
    let bench = Bench::new("llama-cpp");
    let (mut llmup, _) = up(&bench, bench.several("llama-server", &DEMO));
    for (flags, says) in [
        (&["--api-key", "another"][..], "has another key"),
        (&["--host", "0.0.0.0"], "listens on 127.0.0.1, not on 0.0.0.0"),
        (&["--", "--chat-template-file", "../second.gguf"], "give the whole path"),
    ] {
        bench.second();
        let file = bench.home.path().join("second.gguf").display().to_string();
        let port = bench.port.to_string();
        let mut args = vec!["start", file.as_str(), "--engine", "llama-cpp", "--port", &port];
        args.extend(flags);
        let folder = bench.home.path().join("elsewhere");
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = bench.home.faked(&["llama-server"], &args);
        command.current_dir(folder);
        let refused = finish(command);
        assert!(refused.code == Some(7) && refused.err.contains(says), "{flags:?} {:?} {}", refused.code, refused.err);
        assert!(refused.err.contains("`--port 0`"), "{}", refused.err);
    }
    // An engine of somebody else's is not taken in: then the port is taken, as ever.
    let taken = finish(bench.several("llama-server", &["far", "--engine-url", "http://127.0.0.1:9/v1"]));
    assert!(taken.code == Some(7) && taken.err.contains("llmup itself, serving demo"), "{}", taken.err);
    assert_eq!(bench.home.instances(), 1);
    bench.until(&[("demo", "ready")]);
    // One model answers to every name, still.
    let (status, said) = bench.ask("gpt-5");
    assert_eq!(status, 200, "{said}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn one_that_cannot_be_had_is_told_to_who_asked_and_may_be_asked_for_again() {
    let bench = Bench::new("llama-cpp");
    let (mut llmup, first) = up(&bench, bench.several("llama-server", &DEMO));
    let failed = join(&bench, &["--", "--no-such-flag"]);
    assert_eq!(failed.code, Some(6), "{}", failed.err);
    assert!(
        failed.err.contains("cannot get its engine") && failed.err.contains("`llmup logs second`"),
        "{}",
        failed.err
    );
    bench.until(&[("demo", "ready"), ("second", "gone")]);
    bench.answers("demo");
    let told = joined(&join(&bench, &[]));
    assert_eq!((&told["phase"], &told["pid"]), (&"ready".into(), &first["pid"]), "{told}");
    bench.until(&[("demo", "ready"), ("second", "ready")]);
    bench.answers("second");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn a_second_start_of_any_of_several_waits_until_that_one_is_loaded() {
    let bench = Bench::new("llama-cpp");
    let second = bench.second();
    let start = ["demo", &second, "--engine", "llama-cpp", "--on-demand"];
    let mut command = bench.several("llama-server", &start);
    command.env("FAKE_START_MS", "4000");
    let (mut llmup, _) = up(&bench, command);
    bench.answers("demo");
    bench.until(&[("demo", "ready"), ("second", "asleep")]);
    let again = std::thread::scope(|scope| {
        scope.spawn(|| bench.answers("second"));
        bench.until(&[("demo", "ready"), ("second", "loading")]);
        finish(bench.several("llama-server", &[&second, "--engine", "llama-cpp"]))
    });
    assert_eq!(again.code, Some(0), "{}", again.err);
    let told = json(&again.out);
    assert_eq!((&told["model"], &told["phase"]), (&"second".into(), &"ready".into()), "{told}");
    assert!(again.err.contains("second is being started already"), "{}", again.err);
    assert!(again.err.contains("stop second") && !again.err.contains("Ctrl-C"), "{}", again.err);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[cfg(unix)]
#[test]
fn what_has_no_room_beside_the_others_is_served_in_turns() {
    let bench = Bench::new("vllm");
    super::fleet::on_a_gpu::gpu(&bench);
    let vllm = ["--engine", "vllm", "--gpu-memory-utilization", "0.85"];
    let (mut llmup, _) = up(&bench, bench.several("vllm", &[&["demo"], &vllm[..]].concat()));
    let made = llmup::model::demo::ensure(&bench.home.path().join("made"), llmup::model::Format::Safetensors).unwrap();
    let mut folder = made;
    if folder.is_file() {
        folder.pop();
    }
    let folder = folder.display().to_string();
    let ran = finish(bench.several("vllm", &[&["b", "--model-dir", &folder], &vllm[..]].concat()));
    let told = joined(&ran);
    assert_eq!((&told["model"], &told["phase"]), (&"b".into(), &"asleep".into()), "{}", ran.err);
    bench.until(&[("demo", "ready"), ("b", "asleep")]);
    bench.answers("b");
    bench.until(&[("demo", "asleep"), ("b", "ready")]);
    bench.answers("demo");
    bench.until(&[("demo", "ready"), ("b", "asleep")]);
    assert_eq!(bench.living(), 1);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}
