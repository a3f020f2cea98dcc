//! One card of 24 GiB of which every living engine holds twenty, as `nvidia-smi` would tell.

use std::io::Read;

use super::*;
use crate::support::send;

pub(in super::super) fn gpu(bench: &Bench) {
    let script = "#!/bin/sh\nfree=24276\nwhile read role pid; do\n  [ \"$role\" = engine ] && kill -0 $pid 2>/dev/null && \
                  ! [ -e \"$FAKE_NAPS/$pid\" ] && \
                  free=$((free - 20480))\ndone < \"$FAKE_PIDS\"\n[ $free -lt 0 ] && free=0\ncase \"$1\" in\n  \
                  --query-gpu=*) echo \"0, GPU-0a, Fake Card, 24576, $free, 580.10, 8.9, [N/A]\" ;;\n  *) exit 1 ;;\n\
                  esac\n";
    bench.card(script);
}

/// Models that each want most of the card; `more` is said of the first.
pub(super) fn file(bench: &Bench, names: &[&str], more: &str) -> String {
    let mut text = "model_list:\n".to_owned();
    for (at, name) in names.iter().enumerate() {
        let more = if at == 0 { more } else { "" };
        text += &format!(
            "  - model_name: {name}\n    litellm_params: {{model: llmup/demo, engine: vllm, preload: {}, \
             gpu_memory_utilization: 0.85{more}}}\n",
            at == 0
        );
    }
    let path = bench.home.path().join("models.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn start(bench: &Bench, names: &[&str], more: &str, env: &[(&str, &str)]) -> Running {
    gpu(bench);
    let file = file(bench, names, more);
    let mut command = bench.several("vllm", &["--config", &file]);
    command.envs(env.iter().copied());
    up(bench, command).0
}

#[test]
fn what_does_not_fit_takes_turns_the_longest_unused_goes_first() {
    let bench = Bench::new("vllm");
    let mut llmup = start(&bench, &["a", "b", "c"], "", &[]);
    bench.until(&[("a", "ready"), ("b", "asleep"), ("c", "asleep")]);
    for (asked, expected) in [
        ("b", [("a", "asleep"), ("b", "ready"), ("c", "asleep")]),
        ("b", [("a", "asleep"), ("b", "ready"), ("c", "asleep")]),
        ("c", [("a", "asleep"), ("b", "asleep"), ("c", "ready")]),
        ("a", [("a", "ready"), ("b", "asleep"), ("c", "asleep")]),
    ] {
        bench.answers(asked);
        bench.until(&expected);
        assert_eq!(bench.living(), 1);
    }
    assert!(llmup.err().contains("stopping a to make room for b"), "{}", llmup.err());
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn who_is_being_answered_is_waited_for() {
    let bench = Bench::new("vllm");
    let mut llmup = start(&bench, &["a", "b"], "", &[("FAKE_FRAME_MS", "150")]);
    let body = r#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut stream = send(&bench.url, "POST", "/v1/chat/completions", &[AUTH], body).unwrap();
    let mut piece = [0; 64];
    stream.read_exact(&mut piece).unwrap();
    let other = std::thread::scope(|scope| {
        let other = scope.spawn(|| bench.ask("b"));
        bench.until(&[("a", "ready"), ("b", "waiting")]);
        let mut rest = String::new();
        let _ = stream.read_to_string(&mut rest);
        assert!(rest.contains("[DONE]"), "it was cut: {rest}");
        other.join().unwrap()
    });
    assert_eq!(other.0, 200, "{}", other.1);
    bench.until(&[("a", "asleep"), ("b", "ready")]);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn what_is_to_stay_stays_and_the_other_is_told_why_it_cannot_come() {
    let bench = Bench::new("vllm");
    let mut llmup = start(&bench, &["a", "b"], ", keep: true", &[]);
    let (status, said) = bench.ask("b");
    assert!(status == 502 && said.contains("does not fit beside the others"), "{status} {said}");
    bench.until(&[("a", "ready"), ("b", "gone")]);
    bench.answers("a");
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn many_who_want_different_models_are_all_answered() {
    let bench = Bench::new("vllm");
    let mut llmup = start(&bench, &["a", "b", "c"], "", &[("FAKE_FRAME_MS", "5")]);
    let answered: Vec<(u16, String)> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..18)
            .map(|n| {
                scope.spawn({
                    let bench = &bench;
                    move || {
                        std::thread::sleep(Duration::from_millis(40 * n));
                        bench.ask(["a", "b", "c"][n as usize % 3])
                    }
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert!(answered.iter().all(|(status, _)| *status == 200), "{answered:?}");
    assert_eq!(bench.living(), 1);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}
