//! Models that sleep in main memory and keep their engines, on the card of [`super::on_a_gpu`].

use std::io::Read;

use super::on_a_gpu::{file, gpu};
use super::*;
use crate::support::send;

/// All of them may sleep in main memory.
fn napping(bench: &Bench, names: &[&str], env: &[(&str, &str)]) -> Running {
    gpu(bench);
    let file = file(bench, names, "");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("llmup_settings: {{sleep: true}}\n{text}")).unwrap();
    let naps = bench.home.path().join("naps");
    std::fs::create_dir_all(&naps).unwrap();
    let mut command = bench.several("vllm", &["--config", &file]);
    command.env("FAKE_NAPS", naps).env("FAKE_ARGS", bench.path("args")).envs(env.iter().copied());
    up(bench, command).0
}

fn engines(bench: &Bench) -> Vec<u32> {
    bench.home.pids().into_iter().filter(|(role, _)| role == "engine").map(|(_, pid)| pid).collect()
}

#[test]
fn who_may_sleep_in_main_memory_is_back_with_the_same_engine() {
    let bench = Bench::new("vllm");
    let mut llmup = napping(&bench, &["a", "b"], &[]);
    bench.answers("b");
    bench.until(&[("a", "asleep"), ("b", "ready")]);
    let first = engines(&bench);
    assert_eq!((first.len(), bench.living()), (2, 2), "one sleeps, one answers");
    for (asked, expected) in [("a", ["ready", "asleep"]), ("b", ["asleep", "ready"]), ("a", ["ready", "asleep"])] {
        bench.answers(asked);
        bench.until(&[("a", expected[0]), ("b", expected[1])]);
    }
    assert_eq!((engines(&bench), bench.living()), (first, 2), "no engine was started for that");
    assert!(llmup.err().contains("putting to sleep a to make room for b"), "{}", llmup.err());
    let args = std::fs::read_to_string(bench.path("args")).unwrap();
    assert!(args.lines().all(|line| line.contains(" --enable-sleep-mode")), "{args}");
    let status = json(&bench.also(&["status", "--json"]).1);
    let b = &status["running"][1];
    assert_eq!((&b["live"]["because"], &b["phase"]), (&"in main memory".into(), &"asleep".into()), "{status}");
    assert!(b["engine"]["pid"].is_u64(), "{status}");
    // Who stops one means its engine.
    let (code, _, err) = bench.also(&["stop", "b"]);
    assert!(code == 0 && bench.living() == 1, "{code} {err}");
    bench.until(&[("a", "ready"), ("b", "asleep")]);
    bench.answers("b");
    assert_eq!((engines(&bench).len(), bench.living()), (3, 2));
    // The end is the end of those that sleep, too.
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn nobody_is_cut_off_by_sleep() {
    let bench = Bench::new("vllm");
    let mut llmup = napping(&bench, &["a", "b"], &[("FAKE_FRAME_MS", "150")]);
    let body = r#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut stream = send(&bench.url, "POST", "/v1/chat/completions", &[AUTH], body).unwrap();
    let mut piece = [0; 64];
    stream.read_exact(&mut piece).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| bench.answers("b"));
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest);
        assert!(rest.contains("[DONE]"), "it was cut: {rest}");
        other.join().unwrap();
    });
    bench.until(&[("a", "asleep"), ("b", "ready")]);
    let answered: Vec<(u16, String)> = std::thread::scope(|scope| {
        let ask = |model: &'static str| scope.spawn(|| bench.ask(model));
        let asking = [ask("a"), ask("b"), ask("a"), ask("b"), ask("b"), ask("a")];
        asking.map(|asking| asking.join().unwrap()).into()
    });
    assert!(answered.iter().all(|(status, _)| *status == 200), "{answered:?}");
    assert_eq!((engines(&bench).len(), bench.living()), (2, 2));
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn an_engine_that_dies_in_its_sleep_is_started_at_the_next_request() {
    let bench = Bench::new("vllm");
    let mut llmup = napping(&bench, &["a", "b"], &[]);
    bench.answers("b");
    bench.until(&[("a", "asleep"), ("b", "ready")]);
    let first = engines(&bench);
    super::super::kill9(first[0]);
    let said = llmup.err_with("the engine of a ended while it slept");
    assert!(said.contains("the next request starts it"), "{said}");
    assert_eq!((engines(&bench).len(), bench.living()), (2, 1), "nothing is started for nobody");
    bench.answers("a");
    bench.until(&[("a", "ready"), ("b", "asleep")]);
    assert_eq!((engines(&bench).len(), bench.living()), (3, 2));
    // Nor does one outlive an llmup that is killed.
    llmup.signal(nix::sys::signal::Signal::SIGKILL);
    llmup.wait(LONG);
    super::super::all_gone(&bench.home.pids(), LONG);
}

#[test]
fn who_cannot_sleep_or_wake_is_ended_and_started_anew() {
    let bench = Bench::new("vllm");
    let mut llmup = napping(&bench, &["a", "b"], &[("FAKE_NAP", "sleepless")]);
    for (asked, expected) in [("b", ["asleep", "ready"]), ("a", ["ready", "asleep"])] {
        bench.answers(asked);
        bench.until(&[("a", expected[0]), ("b", expected[1])]);
        assert_eq!(bench.living(), 1);
    }
    let said = llmup.err();
    assert!(said.contains("a does not sleep in main memory, its engine is ended: /sleep?level=1"), "{said}");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);

    let bench = Bench::new("vllm");
    let mut llmup = napping(&bench, &["a", "b"], &[("FAKE_NAP", "deep")]);
    bench.answers("b");
    bench.answers("a");
    bench.until(&[("a", "ready"), ("b", "asleep")]);
    assert_eq!((engines(&bench).len(), bench.living()), (3, 2));
    assert!(llmup.err().contains("a does not wake up, its engine is started anew"), "{}", llmup.err());
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn who_cannot_sleep_is_told_why_and_nothing_is_opened_for_it() {
    let bench = Bench::new("vllm");
    gpu(&bench);
    let plan = |args: &[&str]| {
        let (code, out, err) = bench.also(&[&["start"], args, &["--dry-run"]].concat());
        assert_eq!(code, 0, "{err}");
        out
    };
    // Made now, so that the fake is found.
    let _ = bench.several("vllm", &[]);
    // Two names of the same weights.
    let two = |more: &str| {
        let entry = |name: &str| format!("- {{model_name: {name}, litellm_params: {{model: llmup/demo{more}}}}}\n");
        let settings = "llmup_settings: {engine: vllm, sleep: true}";
        let path = bench.home.path().join("models.yaml");
        std::fs::write(&path, format!("{settings}\nmodel_list:\n{}{}", entry("x"), entry("y"))).unwrap();
        plan(&["--config", &path.display().to_string()])
    };
    let alone = plan(&["demo", "--engine", "vllm", "--sleep"]);
    assert!(alone.contains("there is no other model to make room for"), "{alone}");
    let kept = two(", keep: true");
    assert!(kept.contains("it never makes room"), "{kept}");
    for text in [alone, kept] {
        assert!(!text.contains("--enable-sleep-mode") && !text.contains("DEV_MODE"), "{text}");
    }
    let two = two("");
    assert!(two.contains("--enable-sleep-mode") && !two.contains("will not sleep"), "{two}");
}
