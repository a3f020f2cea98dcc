//! llmup is killed at each of its file operations in turn: the settings file is the old or the new one, whole, and the
//! next `disconnect` gives the original back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{KEY, OLD, ended, llmup, put, settings};
use crate::support::{Home, skip};

/// What touches files; not every processor's Linux has all of them, which the question mark says to strace.
const CALLS: &str = "?openat,?write,?fsync,?rename,?renameat,?renameat2,?unlink,?unlinkat,?mkdir,?mkdirat,?rmdir,?chmod,\
                     ?fchmod,?fchown,?flock,?close";

fn strace() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("strace")).find(|program| program.is_file());
    // Containers may forbid it.
    let works = found.filter(|program| {
        let ran = Command::new(program).args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    });
    if works.is_none() {
        skip("strace is not there or may not trace");
    }
    works
}

/// llmup under strace; whether it came to its end.
fn traced(home: &Home, strace: &Path, options: &[&str], args: &[&str]) -> bool {
    let llmup = home.llmup(args);
    let mut command = Command::new(strace);
    command.args(["-f", "-e", &format!("trace={CALLS}")]).args(options).arg(llmup.get_program()).args(args);
    command.env_clear().envs(llmup.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", "");
    command.current_dir(home.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

const CONNECT: &[&str] = &[
    "connect",
    "claude",
    "--yes",
    "--base-url",
    "http://127.0.0.1:4321",
    "--model",
    "demo",
    "--context",
    "65536",
    "--api-key",
    KEY,
];

/// `before` makes a fresh home ready; `text` is what stands in the settings file at the beginning.
fn killed_everywhere(args: &[&str], text: Option<&str>, before: impl Fn(&Home)) {
    let Some(strace) = strace() else { return };
    let fresh = || {
        let home = Home::new();
        if let Some(text) = text {
            put(&home, text);
        }
        before(&home);
        home
    };
    let home = fresh();
    let log = home.path().join("log");
    assert!(traced(&home, &strace, &["-o", log.to_str().unwrap()], args));
    let calls = std::fs::read_to_string(&log).unwrap();
    let new = std::fs::read(settings(&home)).ok();
    let old = {
        let home = fresh();
        std::fs::read(settings(&home)).ok()
    };
    assert_ne!(new, old);
    let mut killed = 0;
    // strace counts each call by its name.
    for call in CALLS.split(',').map(|call| call.trim_start_matches('?')) {
        if !calls.contains(&format!(" {call}(")) {
            continue;
        }
        let mut ran_through = false;
        for n in 1..400 {
            let home = fresh();
            let inject = format!("inject={call}:signal=SIGKILL:when={n}");
            ran_through = traced(&home, &strace, &["-o", "/dev/null", "-e", &inject], args);
            let at = format!("killed at {call} {n}");
            let now = std::fs::read(settings(&home)).ok();
            assert!(now == old || now == new, "{at}: {:?}", now.map(|now| String::from_utf8_lossy(&now).into_owned()));
            ended(&llmup(&home, &["disconnect", "--all", "--yes"]), 0);
            assert_eq!(std::fs::read_to_string(settings(&home)).ok().as_deref(), text, "{at}");
            let left: Vec<_> = std::fs::read_dir(settings(&home).parent().unwrap())
                .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
                .unwrap_or_default();
            assert_eq!(left.iter().filter(|name| *name != "settings.json").count(), 0, "{at}: {left:?}");
            if ran_through {
                break;
            }
            killed += 1;
        }
        assert!(ran_through, "{call}");
    }
    let made = calls.lines().count();
    llmup::output::note(&format!("{}: killed at {killed} of {made} file operations", args[0]));
    assert!(killed > 40, "{killed}");
}

#[test]
fn while_it_connects() {
    killed_everywhere(CONNECT, Some(OLD), |_| {});
}

#[test]
fn while_it_connects_what_was_not_there() {
    killed_everywhere(CONNECT, None, |_| {});
}

#[test]
fn while_it_gives_back() {
    let connected = |home: &Home| ended(&llmup(home, CONNECT), 0);
    killed_everywhere(&["disconnect", "--all", "--yes"], Some(OLD), connected);
}
