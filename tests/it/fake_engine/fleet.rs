//! Several models behind one gateway: beside each other where there is room, else in turns.

#[cfg(unix)]
mod asleep;
#[cfg(unix)]
mod mixed;
#[cfg(unix)]
pub(super) mod on_a_gpu;

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
    // It shows how busy the processor is, which ends it under Wine 8.
    if cfg!(unix) {
        let (_, table, _) = bench.also(&["top", "--once"]);
        assert!(table.contains("\nnear ") && table.contains("\nfar "), "{table}");
    }
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
