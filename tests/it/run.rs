//! `llmup run CLIENT`: the client gets what it was given, is told where the gateway is, and nothing stands in between.

#[cfg(unix)]
#[path = "run/installing.rs"]
mod installing;
#[path = "run/starting.rs"]
mod starting;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Home, Ran, Running, fake, finish};

const URL: &str = "http://127.0.0.1:7777";
const LONG: Duration = Duration::from_secs(180);

/// A home with a fake client of that name, and nothing else of the kind, on PATH.
pub(crate) fn home_with(programs: &[&str]) -> Home {
    let home = Home::new();
    let bin = bin(&home);
    std::fs::create_dir_all(&bin).unwrap();
    for program in programs {
        fake::linked(fake::client(), &bin, program);
    }
    home
}

pub(crate) fn bin(home: &Home) -> PathBuf {
    home.path().join("bin")
}

/// `llmup run` with these words, on a PATH that holds the fakes only.
fn command(home: &Home, words: &[&str]) -> Command {
    let mut all = vec!["run"];
    all.extend(words);
    let mut command = home.llmup(&all);
    command.env("PATH", bin(home));
    command
}

/// The same on a gateway that is named, so that none has to run.
fn on_named(home: &Home, words: &[&str]) -> Command {
    let mut all = vec!["--base-url", URL, "--api-key", "k-1", "--model", "m-1", "--context", "65536"];
    all.extend(words);
    command(home, &all)
}

/// What the client says it was started with.
fn told(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{:?}: {}\n{}", ran.code, ran.out, ran.err))
}

/// The client's own arguments: those after the overlay's.
fn own_arguments(told: &Value, overlay: usize) -> Vec<&str> {
    told["arguments"].as_array().unwrap().iter().skip(overlay).map(|word| word.as_str().unwrap()).collect()
}

/// Everything below a folder, with its content.
fn everything(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(everything(&path)),
            false => drop(all.insert(path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    all
}

#[test]
fn arguments_come_as_they_were_typed() {
    let home = home_with(&["claude"]);
    let words =
        ["-p", "two words", "it's", "\"q\"", "", "模型 é 🔑", "--model", "x", "$HOME", "%PATH%", "*", "--", "--yes"];
    let mut typed = vec!["claude"];
    typed.extend(words);
    let ran = finish(on_named(&home, &typed));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(own_arguments(&told(&ran), 2), words);
    // After the two dashes also what llmup would understand.
    let words = ["--help", "--model", "x", "--", "-p"];
    let mut typed = vec!["claude", "--"];
    typed.extend(words);
    let ran = finish(on_named(&home, &typed));
    assert_eq!(own_arguments(&told(&ran), 2), words, "{}", ran.err);
    assert_eq!(own_arguments(&told(&finish(on_named(&home, &["claude"]))), 2), Vec::<&str>::new());
}

#[test]
#[cfg(unix)]
fn a_line_break_and_what_is_no_unicode_come_through_too() {
    use std::os::unix::ffi::OsStrExt;
    let home = home_with(&["claude"]);
    let mut run = on_named(&home, &["claude", "-p", "one\ntwo"]);
    run.arg(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    assert_eq!(own_arguments(&told(&finish(run)), 2), ["-p", "one\ntwo", "caf\u{fffd}"]);
}

#[test]
fn llmups_own_options_may_also_follow_the_clients_name() {
    let home = home_with(&["claude"]);
    let words = ["claude", "--base-url", URL, "--model", "m-2", "--context", "16384", "-p", "--model", "x"];
    let ran = finish(command(&home, &words));
    let told = told(&ran);
    assert_eq!(own_arguments(&told, 2), ["-p", "--model", "x"], "{}", ran.err);
    assert_eq!(told["env"]["ANTHROPIC_MODEL"], "m-2");
    assert_eq!(told["env"]["CLAUDE_CODE_SIMPLE"], "1");
}

#[test]
fn the_exit_code_is_the_clients() {
    let home = home_with(&["claude"]);
    for code in [0, 1, 2, 4, 41, 130, 255] {
        let mut run = on_named(&home, &["claude"]);
        run.env("FAKE_CODE", code.to_string());
        assert_eq!(finish(run).code, Some(code));
    }
}

#[test]
fn standard_input_is_the_clients() {
    let home = home_with(&["claude"]);
    let input = home.path().join("input");
    std::fs::write(&input, "line one\nline two without an end").unwrap();
    let mut run = on_named(&home, &["claude", "-p"]);
    run.env("FAKE_READ", "1").stdin(Stdio::from(std::fs::File::open(&input).unwrap()));
    assert_eq!(told(&finish(run))["input"], "line one\nline two without an end");
}

#[test]
fn what_leads_elsewhere_is_gone_and_the_home_is_not_touched() {
    let home = home_with(&["claude", "codex", "gemini"]);
    for (file, text) in [
        (".claude/settings.json", r#"{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:9"}}"#),
        (".codex/config.toml", "model_provider = \"other\"\n"),
        (".gemini/settings.json", r#"{"security":{"auth":{"selectedType":"oauth-personal"}}}"#),
    ] {
        let path = home.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    // Gemini CLI takes the settings of a home in which it is started for those of a project.
    let work = home.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let before = everything(home.path());
    for (client, gone) in [
        ("claude", &["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_CUSTOM_HEADERS"][..]),
        ("codex", &[]),
        ("gemini", &["GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_CLOUD_PROJECT"]),
    ] {
        let mut run = on_named(&home, &[client]);
        run.current_dir(&work).envs(gone.iter().map(|name| (name, "elsewhere"))).env("EDITOR", "vi");
        let ran = finish(run);
        let told = told(&ran);
        let env = told["env"].as_object().unwrap();
        for name in gone {
            assert!(env.get(*name).is_none_or(|value| value == ""), "{client}: {name}");
        }
        assert_eq!(env["EDITOR"], "vi");
        assert_eq!(env["NO_PROXY"], "127.0.0.1,localhost");
        assert!(env.values().any(|value| value == "k-1"), "{client} has no key: {told}");
        let arguments = told["arguments"].to_string();
        assert!(!arguments.contains("k-1"), "the key can be read by everyone: {arguments}");
        assert!(ran.err.lines().all(|line| line.contains("nothing listens at")), "{}", ran.err);
    }
    let after = everything(home.path());
    let outside: Vec<&PathBuf> = after.keys().filter(|path| !path.starts_with(&home.data)).collect();
    assert_eq!(outside, before.keys().collect::<Vec<_>>());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
}

#[test]
#[cfg(unix)]
fn what_holds_the_key_can_be_read_by_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let home = home_with(&["claude"]);
    let told = told(&finish(on_named(&home, &["claude"])));
    let arguments = own_arguments(&told, 0);
    assert_eq!(arguments[0], "--settings");
    let mode = std::fs::metadata(arguments[1]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(std::fs::read_to_string(arguments[1]).unwrap().contains("k-1"));
}

#[test]
#[cfg(unix)]
fn llmup_becomes_the_client_so_signals_are_the_clients() {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::Signal;
    let home = home_with(&["claude"]);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        if crate::support::ignored(signal) {
            continue;
        }
        let mut run = on_named(&home, &["claude"]);
        run.env("FAKE_WAIT", "1");
        let mut running = home.start(run);
        let told = waiting(&running);
        assert_eq!(told["pid"], running.child.id(), "it is the same process");
        running.signal(signal);
        let status = running.wait(LONG);
        assert_eq!(status.signal(), Some(signal as i32), "{status:?}");
    }
}

/// Stopped and continued like any program of a shell.
#[test]
#[cfg(target_os = "linux")]
fn it_stops_and_goes_on_like_any_program_of_a_shell() {
    use nix::sys::signal::Signal;
    let home = home_with(&["claude"]);
    let mut run = on_named(&home, &["claude"]);
    run.env("FAKE_WAIT", "1");
    // A job of its own, as a shell starts it: nobody would continue one in a group without a parent, so it is not stopped.
    std::os::unix::process::CommandExt::process_group(&mut run, 0);
    let running = home.start(run);
    waiting(&running);
    let state = |wanted: &str| {
        let read = || std::fs::read_to_string(format!("/proc/{}/stat", running.child.id())).unwrap();
        (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            read().rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(wanted))
        })
    };
    running.signal(Signal::SIGTSTP);
    assert!(state("T"), "not stopped");
    running.signal(Signal::SIGCONT);
    assert!(state("S"), "not continued");
}

/// What a client that waits has said.
#[cfg(unix)]
fn waiting(running: &Running) -> Value {
    for _ in 0..1800 {
        if let Ok(told) = serde_json::from_str(&running.out()) {
            return told;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it was not started: {}", running.err());
}

#[test]
fn without_a_gateway_and_without_a_terminal_it_ends_with_4_and_the_way_to_one() {
    let home = home_with(&["claude"]);
    let ran = finish(command(&home, &["claude", "-p", "hi"]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{}", ran.err);
    assert!(ran.err.contains("no gateway is running"), "{}", ran.err);
    assert!(ran.err.contains("`llmup run claude --start demo --yes`"), "{}", ran.err);
}

#[test]
fn a_client_that_is_not_here_ends_with_4_and_how_to_get_it() {
    let home = home_with(&[]);
    let ran = finish(on_named(&home, &["codex"]));
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("Codex CLI is not installed"), "{}", ran.err);
    assert!(ran.err.contains("`npm install -g @openai/codex@"), "{}", ran.err);
    assert!(ran.err.contains("`llmup run codex --install`"), "{}", ran.err);
    let ran = finish(on_named(&home, &["codex", "--install"]));
    assert_eq!(ran.code, Some(4), "{}", ran.err);
    assert!(ran.err.contains("npm, which is not on PATH"), "{}", ran.err);
    let ran = finish(on_named(&home, &["cluade"]));
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("`llmup run claude`"), "{}", ran.err);
}

#[test]
fn an_old_client_is_used_with_a_word_about_it() {
    let home = home_with(&["claude"]);
    let run = |version: &str| {
        let mut run = on_named(&home, &["claude"]);
        run.env("FAKE_VERSION", version);
        finish(run)
    };
    let old = run("2.0.1 (Claude Code)");
    assert_eq!(old.code, Some(0));
    assert!(old.err.contains("2.0.1 is older than") && old.err.contains("npm install -g"), "{}", old.err);
    let new = run("99.0.0 (Claude Code)");
    assert!(new.err.lines().all(|line| line.contains("nothing listens at")), "{}", new.err);
}

/// The fake engine and the fake client beside each other.
pub(crate) fn with_engine(home: &Home, words: &[&str]) -> Command {
    let mut all = vec!["run"];
    all.extend(words);
    let mut command = home.faked(&["llama-server"], &all);
    let path = bin(home);
    command.env("PATH", path);
    command
}
