//! What the system does to a running llmup: it is hung up on, its disk fills, it is killed in the middle of a write.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Bench, CHAT, LONG, kill9};
use crate::support::{Running, finish, ignored, skip};

/// The same command under `nohup`, which stays the same process.
fn nohup(command: &Command) -> Command {
    let mut under = Command::new("nohup");
    under.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
    under.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    under.current_dir(command.get_current_dir().unwrap());
    under
}

#[test]
fn what_was_started_by_nohup_outlives_a_hangup() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.home.start(nohup(&bench.command(&[])));
    let ready = llmup.ready(LONG);
    assert_eq!(ready["pid"], llmup.child.id());
    for _ in 0..3 {
        llmup.signal(Signal::SIGHUP);
        assert_eq!(bench.post("/v1/chat/completions", CHAT).0, 200);
    }
    assert!(!llmup.err().contains("stopping"), "{}", llmup.err());
    // It hears everything else.
    llmup.signal(Signal::SIGTERM);
    assert_eq!(llmup.wait(LONG).code(), Some(143), "{}", llmup.err());
    bench.clean(Duration::ZERO);
}

#[test]
fn a_hangup_ends_what_was_not_started_by_nohup() {
    if ignored(Signal::SIGHUP) {
        // Nothing is missing that could be installed.
        eprintln!("left out: the tests themselves were started by nohup");
        return;
    }
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[("FAKE_GRANDCHILD", "setsid")]);
    llmup.ready(LONG);
    llmup.signal(Signal::SIGHUP);
    assert_eq!(llmup.wait(LONG).code(), Some(129), "{}", llmup.err());
    bench.clean(Duration::ZERO);
}

/// Kills the engine and waits until another one serves, of which the state file cannot tell.
fn crash(bench: &Bench, llmup: &mut Running) {
    let before = bench.pids(1).len();
    kill9(bench.pids(1)[before - 1].1);
    let end = Instant::now() + LONG;
    while !llmup.err().contains("is ready again") {
        let ended = llmup.child.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < end, "{ended:?} {}", llmup.err());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(llmup.err().contains("other commands do not see how it stands: cannot "), "{}", llmup.err());
    let (status, body) = bench.post("/v1/chat/completions", CHAT);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn a_state_file_that_cannot_be_written_any_more_does_not_end_what_serves() {
    let bench = Bench::new("llama-cpp");
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    // Not even root can write into a file as if it were a folder.
    let (run, aside) = (bench.home.data.join("run"), bench.home.data.join("aside"));
    std::fs::rename(&run, &aside).unwrap();
    std::fs::write(&run, "").unwrap();
    crash(&bench, &mut llmup);
    std::fs::remove_file(&run).unwrap();
    std::fs::rename(&aside, &run).unwrap();
    llmup.signal(Signal::SIGINT);
    assert_eq!(llmup.wait(LONG).code(), Some(130), "{}", llmup.err());
    bench.clean(Duration::ZERO);
}

/// A small file system of its own; unmounted when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> Option<Disk<'a>> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "llmup-test"]).arg(at);
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Disk(at))
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        let error = loop {
            if let Err(error) = std::io::Write::write_all(&mut file, &[1; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_becomes_full_does_not_end_what_serves() {
    let bench = Bench::new("llama-cpp");
    // Before the engine's own small files: the demo model is written there, too.
    let Some(disk) = Disk::mount(&bench.home.data) else {
        return skip("there is no right to mount a small file system (a full disk)");
    };
    let mut llmup = bench.start(&[]);
    llmup.ready(LONG);
    disk.fill();
    crash(&bench, &mut llmup);
    std::fs::remove_file(bench.home.data.join("filler")).unwrap();
    // With room again, the next change is told: others see the engine that serves.
    kill9(bench.pids(2)[1].1);
    bench.pids(3);
    let end = Instant::now() + LONG;
    let pid = bench.pids(3)[2].1;
    loop {
        let told = finish(bench.home.faked(&[], &["status", "--json"]));
        if super::json(&told.out)["running"][0]["engine"]["pid"] == pid {
            break;
        }
        assert!(Instant::now() < end, "{}", told.out);
    }
    llmup.signal(Signal::SIGINT);
    assert_eq!(llmup.wait(LONG).code(), Some(130), "{}", llmup.err());
    bench.clean(Duration::ZERO);
}

#[test]
fn what_a_kill_in_the_middle_of_a_write_leaves_is_gone_at_the_next_command() {
    let bench = Bench::new("llama-cpp");
    let run = bench.home.data.join("run");
    std::fs::create_dir_all(&run).unwrap();
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let (dead, ours) = (format!(".tmp{}-aBc123", gone.id()), format!(".tmp{}-aBc123", std::process::id()));
    for name in [&dead, &ours] {
        std::fs::write(run.join(name), "{\"version\":").unwrap();
        std::fs::write(bench.home.data.join(name), "half a key").unwrap();
    }
    let told = bench.home.run(&["status", "--json"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(!run.join(&dead).exists() && !bench.home.data.join(&dead).exists());
    assert!(run.join(&ours).exists() && bench.home.data.join(&ours).exists(), "its writer lives");
}
