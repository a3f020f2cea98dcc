//! In a real terminal: questions and their answers, Ctrl-C at every point, and a terminal that is as it was afterwards.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::pull::{profile, real_model};
use crate::run::{bin, home_with, with_engine};
use crate::support::hub::{Fault, Hub};
use crate::support::terminal::{CTRL_C, CTRL_D, Terminal};
use crate::support::{Home, free_port};

/// The beginning of what is asked where nothing ran before.
const START_DEMO: &str = "Start the demo, a tiny scripted model";

/// `start demo` on the fake engine.
fn start(home: &Home, more: &[&str]) -> std::process::Command {
    let port = free_port().to_string();
    home.faked(&["llama-server"], &[&["start", "demo", "--engine", "llama-cpp", "--port", &port], more].concat())
}

/// The line of JSON in which the fake client tells what it was given.
fn told(text: &str) -> Value {
    let line = text.lines().find(|line| line.starts_with("{\"arguments\"")).unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(line).unwrap()
}

/// Nothing of this home lives, nothing says that it does.
fn nothing_left(home: &Home) {
    let alive = |pid: u32| llmup::supervisor::process::birth(pid).is_some();
    for _ in 0..600 {
        if home.instances() == 0 && home.pids().iter().all(|(_, pid)| !alive(*pid)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{} state files, {:?}", home.instances(), home.pids());
}

fn script(home: &Home, name: &str, text: &str) {
    let path = bin(home).join(name);
    std::fs::create_dir_all(bin(home)).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn where_no_gateway_runs_it_offers_to_start_one_which_stays() {
    let home = home_with(&["claude"]);
    let mut run = Terminal::start(with_engine(&home, &["claude", "-p", "hi"]));
    run.until(&format!("{START_DEMO} that shows that everything works? [Y/n] "));
    run.press("yes\r");
    let (code, text) = run.ended();
    assert_eq!(code, Some(0), "{text}");
    // What follows the first letter is for nobody else.
    assert!(text.contains("[Y/n] yes\n") && told(&text)["arguments"][3] == "hi", "{text}");
    assert_eq!(home.instances(), 1);
    let mut again = Terminal::start(with_engine(&home, &["claude"]));
    let (code, text) = again.ended();
    assert!(code == Some(0) && !text.contains("[Y/n]"), "{text}");
    assert_eq!(home.run(&["stop", "--all"]).code, Some(0));
    nothing_left(&home);
    // The next time it is what ran last, and the question is in the user's language.
    let mut command = with_engine(&home, &["claude"]);
    command.env("LLMUP_LANG", "zh");
    let mut next = Terminal::start(command);
    next.until("像上次一样启动 demo 吗？ [Y/n] ");
    next.press("是\r");
    assert_eq!(next.ended().0, Some(0));
    assert_eq!((home.instances(), home.run(&["stop", "--all"]).code), (1, Some(0)));
    nothing_left(&home);
}

#[test]
fn a_no_closed_input_or_an_answer_that_is_none_start_nothing_and_say_how_to() {
    let home = home_with(&["claude"]);
    for keys in ["n\r", "No\r", CTRL_D, "\u{1b}", "what\rwhich\rwhy\r"] {
        let mut run = Terminal::start(with_engine(&home, &["claude"]));
        run.until("[Y/n] ");
        run.press(keys);
        let (code, text) = run.ended();
        assert_eq!(code, Some(4), "{keys:?}: {text}");
        assert!(text.contains("error: no gateway is running"), "{keys:?}: {text}");
        assert!(text.contains("`llmup run claude --start demo --yes`"), "{keys:?}: {text}");
        nothing_left(&home);
    }
    // Nobody is asked who cannot answer.
    let mut run = Terminal::of(with_engine(&home, &["claude"]), 80, true);
    let (code, text) = run.ended();
    assert!(code == Some(4) && !text.contains("[Y/n]") && text.contains("no gateway is running"), "{text}");
}

#[test]
fn ctrl_c_at_a_question_ends_it_without_an_error() {
    let home = home_with(&["claude"]);
    for keys in [CTRL_C.to_owned(), format!("y{CTRL_C}")] {
        let mut run = Terminal::start(with_engine(&home, &["claude"]));
        run.asked("[Y/n] ");
        run.press(&keys);
        let (code, text) = run.ended();
        assert!(code == Some(130) && text.ends_with("^C\n") && !text.contains("error"), "{code:?} {text}");
        nothing_left(&home);
    }
    // A terminal whose window is closed has nobody left to ask.
    let mut run = Terminal::start(with_engine(&home, &["claude"]));
    run.until("[Y/n] ");
    run.close();
    run.wait();
    nothing_left(&home);
}

#[test]
fn a_missing_client_is_offered_and_else_it_says_how_to_get_it() {
    let home = home_with(&["npm"]);
    let command = |home: &Home| {
        let mut command = with_engine(home, &["claude", "--base-url", "http://127.0.0.1:9", "-p", "hi"]);
        command.env("FAKE_PREFIX", home.path().join("npm-prefix"));
        command
    };
    for (keys, expected) in [("n\r", Some(4)), (CTRL_C, Some(130))] {
        let mut run = Terminal::start(command(&home));
        run.asked("Claude Code is not installed. Install ");
        run.press(keys);
        let (code, text) = run.ended();
        assert_eq!(code, expected, "{text}");
        assert_eq!(text.contains("`llmup run claude --install`"), code == Some(4), "{text}");
    }
    let prefix = home.path().join("npm-prefix");
    std::fs::create_dir_all(prefix.join("bin")).unwrap();
    std::fs::create_dir_all(prefix.join("lib/node_modules")).unwrap();
    let mut run = command(&home);
    let path = std::env::join_paths([bin(&home), prefix.join("bin")]).unwrap();
    run.env("PATH", path);
    let mut run = Terminal::start(run);
    run.until(" now? [Y/n] ");
    run.press("\r");
    let (code, text) = run.ended();
    assert!(code == Some(0) && told(&text)["arguments"][3] == "hi", "{text}");
}

#[test]
fn ctrl_c_in_the_client_is_the_clients_and_the_gateway_stays() {
    let home = home_with(&["claude"]);
    let mut command = with_engine(&home, &["claude", "--start", "demo", "--yes"]);
    command.env("FAKE_WAIT", "1");
    let mut run = Terminal::start(command);
    run.until("{\"arguments\"");
    let pids = home.pids();
    run.press(CTRL_C);
    assert_eq!(run.wait().signal(), Some(nix::sys::signal::Signal::SIGINT as i32));
    std::thread::sleep(Duration::from_millis(300));
    let alive = |pid: u32| llmup::supervisor::process::birth(pid).is_some();
    assert!(!pids.is_empty() && pids.iter().all(|(_, pid)| alive(*pid)), "{pids:?}");
    assert_eq!((home.instances(), home.run(&["status"]).code), (1, Some(0)));
    // Closing the client's window does not end it either; and an exit code is the client's own.
    let mut command = with_engine(&home, &["claude"]);
    command.env("FAKE_WAIT", "1");
    let mut run = Terminal::start(command);
    run.until("{\"arguments\"");
    run.close();
    run.wait();
    let mut command = with_engine(&home, &["claude"]);
    command.env("FAKE_CODE", "41");
    assert_eq!(Terminal::start(command).ended().0, Some(41));
    assert!(pids.iter().all(|(_, pid)| alive(*pid)), "{pids:?}");
    assert_eq!(home.run(&["stop", "--all"]).code, Some(0));
    nothing_left(&home);
}

#[test]
fn an_engine_that_is_missing_is_asked_for_also_where_the_start_is_detached() {
    let port = free_port().to_string();
    let detached = ["start", "demo", "--port", &port, "--detach"];
    for words in [&["run", "claude", "--start", "demo"][..], &detached, &detached[..4]] {
        for (keys, expected) in [("n\r", Some(4)), (CTRL_C, Some(130))] {
            let home = home_with(&["claude"]);
            let mut command = home.llmup(words);
            command.env("PATH", bin(&home));
            let mut run = Terminal::start(command);
            run.asked("llama-cpp is not installed. Install it into ");
            run.press(keys);
            let (code, text) = run.ended();
            assert_eq!(code, expected, "{words:?}: {text}");
            let hinted = text.contains("`llmup engine install llama-cpp`");
            assert!(hinted == (code == Some(4)) && text.contains("error") == hinted, "{words:?}: {text}");
            nothing_left(&home);
        }
    }
}

#[test]
fn ctrl_c_while_an_engine_is_installed_ends_it_and_what_installs() {
    let home = Home::new();
    let pid = home.path().join("tool");
    script(&home, "uv", &format!("echo $$ > '{}'; exec sleep 600", pid.display()));
    let mut command = home.llmup(&["start", "demo", "--yes", "--port", &free_port().to_string()]);
    let path = std::env::join_paths([bin(&home).as_path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    command.env("PATH", path);
    let mut run = Terminal::start(command);
    run.until("Making a private Python environment");
    let tool = (0..6000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        std::fs::read_to_string(&pid).ok()?.trim().parse::<u32>().ok()
    });
    run.press(CTRL_C);
    let (code, text) = run.ended();
    assert!(code == Some(130) && text.contains("the same command goes on from there"), "{code:?} {text}");
    assert!(!text.contains("error"), "{text}");
    let gone = |pid: u32| llmup::supervisor::process::birth(pid).is_none();
    assert!((0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        gone(tool.unwrap())
    }));
    nothing_left(&home);
}

#[test]
fn ctrl_c_ends_a_start_while_it_loads_and_when_it_is_ready() {
    for (start_ms, seen) in [("60000", "llama-cpp"), ("0", "Ctrl-C stops everything.")] {
        let home = Home::new();
        let mut command = start(&home, &["--yes"]);
        command.env("FAKE_START_MS", start_ms);
        let mut run = Terminal::start(command);
        run.until(seen);
        while home.pids().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        run.press(CTRL_C);
        let (code, text) = run.ended();
        assert_eq!(code, Some(130), "{text}");
        assert!(text.contains("nothing is left running") && !text.contains("error"), "{text}");
        nothing_left(&home);
    }
    // Detached and not ready yet: who waits for it ends it.
    let home = Home::new();
    let mut command = start(&home, &["--yes", "--detach"]);
    command.env("FAKE_START_MS", "60000");
    let mut run = Terminal::start(command);
    while home.pids().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    run.press(CTRL_C);
    assert_eq!(run.ended().0, Some(130));
    for _ in 0..600 {
        if home.pids().iter().all(|(_, pid)| llmup::supervisor::process::birth(*pid).is_none()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?}", home.pids());
}

#[test]
fn ctrl_c_while_waiting_for_a_model_that_another_start_loads_ends_the_wait_only() {
    let home = home_with(&["claude"]);
    let mut command = start(&home, &["--yes"]);
    command.env("FAKE_START_MS", "60000");
    let mut first = Terminal::start(command);
    while home.pids().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut run = Terminal::start(with_engine(&home, &["claude"]));
    run.until("waiting for demo");
    run.press(CTRL_C);
    run.ended();
    assert!(run.child.try_wait().unwrap().is_some_and(|status| !status.success()));
    assert_eq!(home.instances(), 1);
    first.press(CTRL_C);
    assert_eq!(first.ended().0, Some(130));
    nothing_left(&home);
}

#[test]
fn lines_break_between_words_in_every_width_and_language() {
    let home = home_with(&[]);
    for columns in [40, 60, 80] {
        for language in ["en", "zh"] {
            for words in [&["start", "glm47"][..], &["run", "cluade"], &["run", "claude"], &["status"], &["stop"]] {
                let mut command = home.llmup(words);
                command.env("LLMUP_LANG", language).env("PATH", bin(&home));
                let (_, text) = Terminal::of(command, columns, true).ended();
                for line in text.lines() {
                    // A command stays whole, to be pasted.
                    let fits = llmup::wrapped::width(line) <= usize::from(columns) || line.contains('`');
                    assert!(fits, "{words:?} {columns} {language}:\n{text}");
                }
            }
        }
    }
}

/// From the question of a download to the question after it: Ctrl-C means the same everywhere, also once signals have
/// been listened to.
#[test]
fn ctrl_c_while_weights_come_ends_it_and_the_next_start_goes_on() {
    let home = home_with(&[]);
    profile(&home);
    let files = real_model();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let hub = Hub::start("acme/tiny", &files);
    let port = free_port().to_string();
    let start = || {
        let mut command = home.llmup(&["start", "tiny", "--engine", "vllm", "--port", &port]);
        command.env("HF_ENDPOINT", &hub.url).env("PATH", bin(&home));
        Terminal::start(command)
    };
    let ended = |mut run: Terminal, keys: &str| {
        run.press(keys);
        let (code, text) = run.ended();
        assert!(code == Some(130) && !text.contains("error"), "{code:?} {text}");
        nothing_left(&home);
        text
    };
    let mut run = start();
    run.until("[Y/n] ");
    ended(run, CTRL_C);
    let weights = home.data.join("models/tiny/bf16-safetensors/model.safetensors");
    assert!(!weights.exists(), "nobody agreed to a download");
    hub.faults(|_, _| Fault::Stall(1 << 20));
    let mut run = start();
    run.until("[Y/n] ");
    run.press("y\r");
    run.until("pull ");
    std::thread::sleep(Duration::from_millis(500));
    let text = ended(run, CTRL_C);
    assert!(text.contains("stopped; what came is kept, the same command goes on from there"), "{text}");
    hub.faults(|_, _| Fault::None);
    let mut run = start();
    run.until("[Y/n] ");
    run.press("y\r");
    run.until("vllm is not installed. Install it into ");
    ended(run, CTRL_C);
    assert!(home.data.join("models/tiny/bf16-safetensors/llmup-pull.json").is_file());
}
