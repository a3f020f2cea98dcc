//! Several models behind one gateway: beside each other where there is room, else in turns.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{AUTH, Bench, KEY, LONG, json, lives};
use crate::support::{Running, finish, http};

impl Bench {
    /// Another command; standard error beside the exit code and standard output.
    pub(super) fn also(&self, args: &[&str]) -> (i32, String, String) {
        let ran = finish(self.home.faked(&[], args));
        (ran.code.unwrap_or(-1), ran.out, ran.err)
    }

    /// What `status` says of each model: its name and state.
    pub(super) fn states(&self) -> Vec<(String, String)> {
        let running = json(&self.also(&["status", "--json"]).1)["running"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        running.iter().map(|model| (text(&model["model"]), text(&model["live"]["state"]))).collect()
    }

    pub(super) fn until(&self, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
        let end = Instant::now() + LONG;
        while self.states() != expected {
            assert!(Instant::now() < end, "{:?} does not become {expected:?}", self.states());
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub(super) fn ask(&self, model: &str) -> (u16, String) {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        http(&self.url, "POST", "/v1/chat/completions", &[AUTH], &body)
    }

    pub(super) fn answers(&self, model: &str) {
        let (status, said) = self.ask(model);
        assert!(status == 200 && json(&said)["model"] == model, "{model}: {status} {said}");
    }

    /// `start` of these models, with more flags.
    pub(super) fn several(&self, program: &str, args: &[&str]) -> Command {
        let port = self.port.to_string();
        let all: Vec<&str> = [&["start"], args, &["--json", "--port", &port, "--api-key", KEY]].concat();
        self.home.faked(&[program], &all)
    }

    /// The demo's weights under another name.
    pub(super) fn second(&self) -> String {
        let format = llmup::model::Format::Gguf;
        let written = llmup::model::demo::ensure(&self.home.path().join("weights"), format).unwrap();
        let file = if written.is_dir() { written.join("llmup-demo.gguf") } else { written };
        let second = self.home.path().join("second.gguf");
        std::fs::copy(file, &second).unwrap();
        second.display().to_string()
    }

    pub(super) fn living(&self) -> usize {
        self.home.pids().iter().filter(|(role, pid)| role == "engine" && lives(*pid)).count()
    }
}

pub(super) fn up(bench: &Bench, command: Command) -> (Running, Value) {
    let mut llmup = bench.home.start(command);
    let ready = llmup.ready(LONG);
    (llmup, ready)
}

#[test]
fn what_fits_runs_beside_each_other_and_requests_name_theirs() {
    let bench = Bench::new("llama-cpp");
    let second = bench.second();
    let (mut llmup, ready) = up(&bench, bench.several("llama-server", &["demo", &second, "--engine", "llama-cpp"]));
    let names: Vec<&str> = ready["models"].as_array().unwrap().iter().map(|m| m["model"].as_str().unwrap()).collect();
    assert_eq!(names, ["demo", "second"], "{ready}");
    bench.until(&[("demo", "ready"), ("second", "ready")]);
    assert_eq!(bench.living(), 2);
    bench.answers("demo");
    bench.answers("second");
    let (status, said) = bench.ask("third");
    assert!(status == 404 && said.contains("there is demo, second"), "{status} {said}");
    // One of them alone.
    let (code, _, err) = bench.also(&["stop", "demo"]);
    assert!(code == 0 && err.contains("stopped the engine of demo"), "{code} {err}");
    assert_eq!(bench.living(), 1);
    bench.until(&[("demo", "asleep"), ("second", "ready")]);
    bench.answers("second");
    // Whoever asks for it wakes it.
    bench.answers("demo");
    bench.until(&[("demo", "ready"), ("second", "ready")]);
    let (code, _, err) = bench.also(&["restart", "second"]);
    assert!(code == 0 && err.contains("second is ready again"), "{code} {err}");
    bench.answers("second");
    // Started once more, they are found.
    let again = finish(bench.several("llama-server", &["demo", &second, "--engine", "llama-cpp"]));
    assert!(again.code == Some(0) && again.err.contains("demo, second run already"), "{:?} {}", again.code, again.err);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[test]
fn what_is_launched_and_what_is_only_reached_stand_behind_one_address() {
    let far = Bench::new("llama-cpp");
    let (mut elsewhere, _) = up(&far, far.command(&[]));
    let bench = Bench::new("llama-cpp");
    let text = format!(
        "model_list:\n  - {{model_name: near, litellm_params: {{model: llmup/demo, engine: llama.cpp, temperature: 0.25}}}}\n  \
         - {{model_name: far, litellm_params: {{model: openai/demo, api_base: '{}/v1', api_key: {KEY}}}}}\n\
         router_settings: {{model_group_alias: {{gpt: far, claude: near}}}}\n",
        far.url
    );
    let file = bench.home.path().join("models.yaml");
    std::fs::write(&file, text).unwrap();
    let requests = bench.path("requests");
    let mut command = bench.several("llama-server", &["--config", &file.display().to_string()]);
    command.env("FAKE_REQUESTS", &requests);
    let (mut llmup, _) = up(&bench, command);
    for model in ["near", "far", "gpt"] {
        let (status, said) = bench.ask(model);
        assert_eq!(status, 200, "{model}: {said}");
    }
    let asked = std::fs::read_to_string(&requests).unwrap();
    assert_eq!(asked.lines().count(), 1, "only near is ours: {asked}");
    assert!(asked.contains("\"temperature\":0.25"), "{asked}");
    let (status, list) = http(&bench.url, "GET", "/v1/models", &[AUTH], "");
    let names: Vec<String> =
        json(&list)["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((status, names), (200, ["near", "far", "gpt", "claude"].map(str::to_owned).to_vec()));
    // Both have their place in what is said of them, under every name they have.
    let (_, told, _) = bench.also(&["status", "--json"]);
    let told: Vec<(Value, Value)> = json(&told)["running"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["model"].clone(), m["live"]["requests"].clone()))
        .collect();
    assert_eq!(told, [("near".into(), 1.into()), ("far".into(), 2.into())]);
    let (_, table, _) = bench.also(&["top", "--once"]);
    assert!(table.contains("\nnear ") && table.contains("\nfar "), "{table}");
    let (code, out, err) = bench.also(&["logs", "claude", "-n", "1"]);
    assert!(code == 0 && out.lines().count() == 1, "{code} {out} {err}");
    let (code, _, err) = bench.also(&["restart", "claude"]);
    assert!(code == 0 && err.contains("near is ready again"), "{code} {err}");
    for command in [&["restart", "gpt"][..], &["logs", "far"], &["stop", "gpt"]] {
        let (code, _, err) = bench.also(command);
        assert!(code == 4 && err.contains("far is not run here"), "{command:?} {code} {err}");
    }
    // Its engines run as the file said then.
    let (code, _, err) = bench.also(&["reload"]);
    assert!(code == 3 && err.contains("models.yaml once") && err.contains("`llmup stop --all`"), "{code} {err}");
    bench.end(&mut llmup);
    far.end(&mut elsewhere);
    far.clean(Duration::ZERO);
    bench.clean(Duration::ZERO);
}

#[test]
fn what_nobody_uses_is_stopped_and_starts_again_when_it_is_asked_for() {
    let bench = Bench::new("llama-cpp");
    let (mut llmup, _) = up(&bench, bench.several("llama-server", &["demo", "--engine", "llama-cpp", "--ttl", "1s"]));
    bench.until(&[("demo", "asleep")]);
    assert_eq!(bench.living(), 0);
    assert!(llmup.err().contains("nobody has used demo for a while"), "{}", llmup.err());
    bench.answers("demo");
    bench.until(&[("demo", "asleep")]);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);

    // Not before somebody asks.
    let bench = Bench::new("llama-cpp");
    let (mut llmup, ready) =
        up(&bench, bench.several("llama-server", &["demo", "--engine", "llama-cpp", "--on-demand"]));
    assert_eq!((&ready["phase"], bench.home.pids().len()), (&"asleep".into(), 0), "{ready}");
    bench.answers("demo");
    assert_eq!(bench.living(), 1);
    bench.end(&mut llmup);
    bench.clean(Duration::ZERO);
}

#[cfg(unix)]
pub(super) mod on_a_gpu {
    //! One card of 24 GiB of which every living engine holds twenty, as `nvidia-smi` would tell.

    use super::*;
    use crate::support::send;
    use std::io::Read;

    pub(in super::super) fn gpu(bench: &Bench) {
        let script = "#!/bin/sh\nfree=24276\nwhile read role pid; do\n  [ \"$role\" = engine ] && kill -0 $pid 2>/dev/null && \
                      ! [ -e \"$FAKE_NAPS/$pid\" ] && \
                      free=$((free - 20480))\ndone < \"$FAKE_PIDS\"\n[ $free -lt 0 ] && free=0\ncase \"$1\" in\n  \
                      --query-gpu=*) echo \"0, GPU-0a, Fake Card, 24576, $free, 580.10, 8.9, [N/A]\" ;;\n  *) exit 1 ;;\n\
                      esac\n";
        bench.card(script);
    }

    /// Models that each want most of the card; `more` is said of the first.
    fn file(bench: &Bench, names: &[&str], more: &str) -> String {
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

    /// The card of [`gpu`] where only vLLM takes twenty; the other engines take two.
    fn small_ones_beside(bench: &Bench) {
        let script = "#!/bin/sh\nfree=24276\nwhile read role pid; do\n  [ \"$role\" = engine ] && kill -0 $pid 2>/dev/null \
                      || continue\n  case \"$(ps -o args= -p $pid)\" in\n    *vllm*) free=$((free - 20480)) ;;\n    \
                      *) free=$((free - 2048)) ;;\n  esac\ndone < \"$FAKE_PIDS\"\n[ $free -lt 0 ] && free=0\n\
                      case \"$1\" in\n  --query-gpu=*) echo \"0, GPU-0a, Fake Card, 24576, $free, 580.10, 8.9, [N/A]\" ;;\n  \
                      *) exit 1 ;;\nesac\n";
        bench.card(script);
    }

    /// vLLM, llama.cpp and Ollama are launched, a fourth is only reached: each answers for its own model, and memory alone
    /// says who makes room for whom.
    #[test]
    fn engines_of_every_kind_share_one_gateway_and_one_card() {
        let far = Bench::new("llama-cpp");
        let (mut elsewhere, _) = up(&far, far.command(&[]));
        let bench = Bench::new("vllm");
        small_ones_beside(&bench);
        let ours = |name: &str, engine: &str, more: &str| {
            format!("  - {{model_name: {name}, litellm_params: {{model: llmup/demo, engine: {engine}{more}}}}}\n")
        };
        let text = format!(
            "model_list:\n{}{}{}{}  - {{model_name: far, litellm_params: {{model: openai/demo, api_base: '{}/v1', api_key: {KEY}}}}}\n",
            ours("v", "vllm", ", preload: true, gpu_memory_utilization: 0.85"),
            ours("w", "vllm", ", gpu_memory_utilization: 0.85"),
            ours("l", "llama-cpp", ""),
            ours("o", "ollama", ""),
            far.url
        );
        let file = bench.home.path().join("models.yaml");
        std::fs::write(&file, text).unwrap();
        let (file, port) = (file.display().to_string(), bench.port.to_string());
        let args = ["start", "--config", &file, "--json", "--port", &port, "--api-key", KEY];
        let mut command = bench.home.faked(&["vllm", "llama-server", "ollama"], &args);
        // Nothing listens there, so that no Ollama of this machine is used.
        command.env("OLLAMA_HOST", "127.0.0.1:9");
        let mut llmup = up(&bench, command).0;
        bench.until(&[("v", "ready"), ("w", "asleep"), ("l", "asleep"), ("o", "asleep"), ("far", "ready")]);
        // The small ones have room beside the large one, in the order in which they are asked for.
        for model in ["v", "l", "o"] {
            bench.answers(model);
        }
        bench.until(&[("v", "ready"), ("w", "asleep"), ("l", "ready"), ("o", "ready"), ("far", "ready")]);
        let (status, said) = bench.ask("far");
        assert_eq!(status, 200, "{said}");
        assert_eq!(bench.living(), 3);
        // A second large one needs more than the first one's room: who was unused for longest goes with it.
        bench.answers("w");
        bench.until(&[("v", "asleep"), ("w", "ready"), ("l", "asleep"), ("o", "ready"), ("far", "ready")]);
        let (status, said) = bench.ask("far");
        assert_eq!(status, 200, "{said}");
        // It comes back beside the new one.
        bench.answers("l");
        bench.answers("o");
        bench.until(&[("v", "asleep"), ("w", "ready"), ("l", "ready"), ("o", "ready"), ("far", "ready")]);
        bench.end(&mut llmup);
        far.end(&mut elsewhere);
        far.clean(Duration::ZERO);
        bench.clean(Duration::from_secs(5));
    }

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

    #[test]
    fn of_a_group_one_runs_at_a_time() {
        let bench = Bench::new("llama-cpp");
        let text = "llmup_settings: {group: one, engine: llama.cpp}\nmodel_list:\n  \
                    - {model_name: x, litellm_params: {model: llmup/demo, preload: true}}\n  \
                    - {model_name: y, litellm_params: {model: llmup/demo}}\n";
        let path = bench.home.path().join("models.yaml");
        std::fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        let (mut llmup, _) = up(&bench, bench.several("llama-server", &["--config", &path]));
        bench.until(&[("x", "ready"), ("y", "asleep")]);
        bench.answers("y");
        bench.until(&[("x", "asleep"), ("y", "ready")]);
        bench.end(&mut llmup);
        bench.clean(Duration::ZERO);
    }
}
