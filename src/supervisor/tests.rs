//! Real processes: the fake engine under the real supervisor, looked at through `/proc`.
// Clippy's leave for tests covers test functions; these are their tools.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// The fake engine, which cargo builds next to the tests.
fn fake() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let path = exe.parent().unwrap().parent().unwrap().join("examples/fake-engine");
    assert!(path.exists(), "build it first: `cargo build --example fake-engine`");
    path
}

/// A place where the fake engine is called `vllm`.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(fake(), dir.path().join("vllm")).unwrap();
        Bench { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn spec(&self, env: &[(&str, &str)]) -> Spec {
        let port = port::free_port([127, 0, 0, 1].into()).unwrap();
        let mut spec = Spec::new(self.path("vllm"), self.path("log"));
        spec.args = ["serve", "m", "--port", &port.to_string()].map(OsString::from).to_vec();
        spec.env = env.iter().map(|(k, v)| (k.into(), v.into())).collect();
        spec.env.push(("FAKE_PIDS".into(), self.path("pids").into()));
        spec.guard = Some(fake());
        spec
    }

    /// Waits until these processes have written their pids.
    async fn pids(&self, roles: &[&str]) -> HashMap<String, u32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(self.path("pids")).unwrap_or_default();
            let pids: HashMap<String, u32> = text
                .split_inclusive('\n')
                .filter_map(|line| line.strip_suffix('\n')?.split_once(' '))
                .map(|(role, pid)| (role.to_owned(), pid.parse().unwrap()))
                .collect();
            if roles.iter().all(|role| pids.contains_key(*role)) {
                return pids;
            }
            assert!(Instant::now() < deadline, "no pids: {text:?}, log: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn lives(pid: u32) -> bool {
    process::birth(pid).is_some()
}

async fn all_gone(pids: &HashMap<String, u32>, within: Duration) {
    let deadline = Instant::now() + within;
    while let Some((role, pid)) = pids.iter().find(|(_, pid)| lives(**pid)) {
        assert!(Instant::now() < deadline, "{role} {pid} lives");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn guard_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = &stat[stat.rfind(')').unwrap() + 2..];
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Waits until no thread of a process runs any more after a SIGSTOP.
async fn all_threads_stopped(pid: u32) {
    let deadline = Instant::now() + LONG;
    let stopped = |task: &Path| {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
        stat.rfind(')').is_some_and(|at| stat[at + 1..].trim_start().starts_with('T'))
    };
    loop {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        if tasks.flatten().all(|task| stopped(&task.path())) {
            return;
        }
        assert!(Instant::now() < deadline, "{pid} does not stop");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kill9(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_child_starts_becomes_ready_and_stops_when_asked() {
    block(async {
        let bench = Bench::new();
        let spec = bench.spec(&[("FAKE_START_MS", "200")]);
        let port: u16 = spec.args[3].to_str().unwrap().parse().unwrap();
        let child = spawn(spec).await.unwrap();
        let addr = ([127, 0, 0, 1], port).into();
        health::wait_ready(|| health::answers(addr, "/health"), child.exited()).await.unwrap();
        assert_eq!(child.status(), None);
        assert_eq!(port::holder(port).unwrap().pid, child.pid());
        let guard = guard_of(child.pid());
        assert_eq!(process::name(guard).as_deref(), Some("llmup-guard"));
        assert_eq!(process::group(child.pgid()), [child.pid()], "the guard is not in the child's group");
        assert!(process::marked(MARK, child.mark()).contains(&child.pid()));
        assert_eq!(orphan(child.pid()), None, "it has its guard");

        assert_eq!(child.stop(LONG).await, Stopped::Asked(ExitStatus::Code(0)));
        assert!(!lives(child.pid()) && !lives(guard));
        assert!(bench.log().contains("Application startup complete."), "{}", bench.log());
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(bench.path("log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    });
}

#[test]
fn a_marked_process_without_a_guard_is_an_orphan() {
    let mark = format!("orphan-{}", std::process::id());
    let mut sleeper = std::process::Command::new("sleep").arg("60").env(MARK, &mark).spawn().unwrap();
    let pid = sleeper.id();
    // Until it is the program, it has the environment of this one.
    let deadline = Instant::now() + LONG;
    while orphan(pid).is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(orphan(pid).as_deref(), Some(mark.as_str()));
    assert_eq!(orphan(std::process::id()), None);
    let birth = process::birth(pid).unwrap();
    assert_eq!(reap(Remains { pid, birth: &birth, mark: Some(&mark) }), [pid]);
    sleeper.wait().unwrap();
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace_period() {
    block(async {
        let bench = Bench::new();
        let child = spawn(bench.spec(&[("FAKE_IGNORE_TERM", "1")])).await.unwrap();
        let pids = bench.pids(&["engine"]).await;
        assert_eq!(pids["engine"], child.pid());
        let began = Instant::now();
        let stopped = child.stop(Duration::from_millis(300)).await;
        assert_eq!(stopped, Stopped::Killed(ExitStatus::Signal(9)));
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert!(!lives(child.pid()));
    });
}

#[test]
fn a_second_request_cuts_the_grace_period_short() {
    block(async {
        let bench = Bench::new();
        let child = spawn(bench.spec(&[("FAKE_IGNORE_TERM", "1")])).await.unwrap();
        bench.pids(&["engine"]).await;
        let hurry = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            child.kill_now();
        };
        let began = Instant::now();
        let (stopped, ()) = tokio::join!(child.stop(Duration::from_secs(60)), hurry);
        assert_eq!(stopped, Stopped::Asked(ExitStatus::Signal(9)));
        assert!(began.elapsed() < LONG);
    });
}

#[test]
fn stopping_leaves_no_grandchild_also_not_one_that_left_the_session() {
    block(async {
        for mode in ["plain", "setsid"] {
            let bench = Bench::new();
            let child = spawn(bench.spec(&[("FAKE_GRANDCHILD", mode)])).await.unwrap();
            let pids = bench.pids(&["engine", "grandchild"]).await;
            assert!(lives(pids["grandchild"]));
            // The engine itself obeys; its grandchild ignores SIGTERM.
            let stopped = child.stop(LONG).await;
            assert_eq!(stopped, Stopped::Asked(ExitStatus::Code(0)), "{mode}");
            assert!(!pids.values().any(|pid| lives(*pid)), "{mode}: `stop` returned too early");
        }
    });
}

#[test]
fn a_crash_is_told_and_leaves_no_grandchild() {
    block(async {
        for mode in ["plain", "setsid"] {
            let bench = Bench::new();
            let env = [("FAKE_GRANDCHILD", mode), ("FAKE_CRASH_AFTER_MS", "200"), ("FAKE_EXIT", "3")];
            let child = spawn(bench.spec(&env)).await.unwrap();
            let pids = bench.pids(&["engine", "grandchild"]).await;
            assert_eq!(child.exited().await, ExitStatus::Code(3));
            assert_eq!(child.gone().await, ExitStatus::Code(3));
            all_gone(&pids, Duration::ZERO).await;
        }
    });
}

#[test]
fn a_child_killed_from_outside_is_told_as_such() {
    block(async {
        let bench = Bench::new();
        let child = spawn(bench.spec(&[("FAKE_GRANDCHILD", "setsid")])).await.unwrap();
        let pids = bench.pids(&["engine", "grandchild"]).await;
        kill9(child.pid());
        assert_eq!(child.gone().await, ExitStatus::Signal(9));
        all_gone(&pids, Duration::ZERO).await;
    });
}

#[test]
fn killing_the_guard_takes_the_whole_tree_along() {
    block(async {
        for mode in ["plain", "setsid"] {
            let bench = Bench::new();
            let child = spawn(bench.spec(&[("FAKE_GRANDCHILD", mode)])).await.unwrap();
            let pids = bench.pids(&["engine", "grandchild"]).await;
            kill9(guard_of(child.pid()));
            assert_eq!(child.gone().await, ExitStatus::Unknown, "{mode}");
            all_gone(&pids, Duration::from_secs(1)).await;
        }
    });
}

#[test]
fn dropping_the_handle_ends_the_child() {
    block(async {
        let bench = Bench::new();
        let child = spawn(bench.spec(&[("FAKE_GRANDCHILD", "setsid"), ("FAKE_IGNORE_TERM", "1")])).await.unwrap();
        let pids = bench.pids(&["engine", "grandchild"]).await;
        drop(child);
        all_gone(&pids, Duration::from_secs(5)).await;
    });
}

#[test]
fn a_program_that_is_not_there_or_not_executable_is_an_error_with_a_hint() {
    block(async {
        let bench = Bench::new();
        let mut spec = bench.spec(&[]);
        spec.program = bench.path("nothing");
        let error = spawn(spec.clone()).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Missing);
        std::fs::write(bench.path("nothing"), "x").unwrap();
        let error = spawn(spec.clone()).await.unwrap_err();
        assert!(error.hints()[0].contains("chmod +x"), "{error:?}");
        spec.guard = Some("/bin/true".into());
        assert!(matches!(spawn(spec).await, Err(SupervisorError::Guard { .. })));
    });
}

#[test]
fn environment_and_folder_are_the_childs() {
    block(async {
        let bench = Bench::new();
        let mut spec = bench.spec(&[("ONE", "1")]);
        spec.program = "/bin/sh".into();
        spec.args = ["-c", "echo $ONE-$PATH-; pwd; echo err >&2; exit 5"].map(OsString::from).to_vec();
        spec.env_remove = vec!["PATH".into()];
        spec.dir = Some(bench.dir.path().to_owned());
        let child = spawn(spec).await.unwrap();
        assert_eq!(child.gone().await, ExitStatus::Code(5));
        let log = bench.log();
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines[0].starts_with("1-"), "{log}");
        assert!(!lines[0].contains(&std::env::var("PATH").unwrap()), "{log}");
        assert_eq!(Path::new(lines[1]).canonicalize().unwrap(), bench.dir.path().canonicalize().unwrap());
        assert_eq!(lines[2], "err");
    });
}

/// The case that matters most: kill -9 of llmup, twenty times, with a grandchild of either kind, and an engine that
/// ignores SIGTERM.
#[test]
fn kill_9_of_the_supervising_process_leaves_nothing_behind() {
    block(async {
        for round in 0..20 {
            let bench = Bench::new();
            let mode = if round % 2 == 0 { "setsid" } else { "plain" };
            let spec = bench.spec(&[("FAKE_GRANDCHILD", mode), ("FAKE_IGNORE_TERM", "1")]);
            let mut command = Command::new(fake());
            command.arg("__supervise").arg(&spec.program).arg(&spec.log).args(&spec.args);
            let mut llmup = command.envs(spec.env).spawn().unwrap();
            let mut pids = bench.pids(&["engine", "grandchild", "supervised"]).await;
            pids.insert("guard".to_owned(), guard_of(pids["engine"]));
            assert_eq!(pids["engine"], pids["supervised"]);
            llmup.kill().unwrap();
            llmup.wait().unwrap();
            all_gone(&pids, Duration::from_secs(5)).await;
        }
    });
}

/// What is found by session, birth and mark is the tree, and nothing that merely has an old number.
#[test]
fn remains_are_found_by_session_or_mark_and_a_reused_number_is_left_alone() {
    block(async {
        let bench = Bench::new();
        let child = spawn(bench.spec(&[("FAKE_GRANDCHILD", "plain")])).await.unwrap();
        let pids = bench.pids(&["engine", "grandchild"]).await;
        let birth = process::birth(child.pid()).unwrap();
        let (boot, ticks) = birth.split_once(':').unwrap();
        let mut both = vec![pids["engine"], pids["grandchild"]];
        both.sort_unstable();
        assert_eq!(reap::remains(Remains { pid: child.pid(), birth: &birth, mark: None }), both);
        let earlier = format!("{boot}:{}", ticks.parse::<u64>().unwrap() - 1);
        for other in ["another boot:1", &earlier, ""] {
            let remains = reap::remains(Remains { pid: child.pid(), birth: other, mark: None });
            assert_eq!(remains, [] as [u32; 0], "{other}");
        }
        both.push(guard_of(child.pid()));
        both.sort_unstable();
        assert_eq!(reap::remains(Remains { pid: 1, birth: "", mark: Some(child.mark()) }), both);
        child.stop(LONG).await;
    });
}

/// llmup and its guard both killed: the engine dies with the guard, its grandchildren do not, until the next llmup
/// reads the run state.
#[test]
fn what_outlives_llmup_and_guard_is_reaped_later() {
    block(async {
        for mode in ["plain", "setsid"] {
            let bench = Bench::new();
            let spec = bench.spec(&[("FAKE_GRANDCHILD", mode)]);
            let mut command = Command::new(fake());
            command.arg("__supervise").arg(&spec.program).arg(&spec.log).args(&spec.args);
            let mut llmup = command.envs(spec.env).spawn().unwrap();
            let pids = bench.pids(&["engine", "grandchild", "supervised"]).await;
            let (pid, guard) = (pids["engine"], guard_of(pids["engine"]));
            let birth = process::birth(pid).unwrap();
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
            let environ = String::from_utf8_lossy(&environ).into_owned();
            let mark = environ.split('\0').find_map(|v| v.strip_prefix("LLMUP_CHILD=")).unwrap();
            // Stopped, neither can react to the other's death.
            for pid in [guard, llmup.id()] {
                kill(Pid::from_raw(pid as i32), Signal::SIGSTOP).unwrap();
            }
            // A stop takes effect thread by thread; one of llmup's that still ran would tidy up after the guard.
            for pid in [guard, llmup.id()] {
                all_threads_stopped(pid).await;
            }
            kill9(guard);
            kill9(llmup.id());
            llmup.wait().unwrap();
            let engine = HashMap::from([("engine".to_owned(), pid), ("guard".to_owned(), guard)]);
            all_gone(&engine, Duration::from_secs(5)).await;
            assert!(lives(pids["grandchild"]), "{mode}: nothing left to reap, the test proves nothing");

            let mark = (mode == "setsid").then_some(mark);
            assert_eq!(reap(Remains { pid, birth: &birth, mark }), [pids["grandchild"]], "{mode}");
            assert!(!lives(pids["grandchild"]));
        }
    });
}
