use super::*;

fn spec(program: &str, args: &[&str]) -> Spec {
    Spec { args: args.iter().map(Into::into).collect(), ..Spec::new(program, "log") }
}

#[test]
fn a_command_for_wsl_gets_its_guard_and_no_other_does() {
    let engine = ["-d", "Ubuntu", "--exec", "/home/me/venv/bin/vllm", "serve", "/mnt/d/my model", "--x", ""];
    let args = guarded(&spec(r"C:\Windows\System32\wsl.exe", &engine)).unwrap();
    assert_eq!(args[..3], engine[..3]);
    assert_eq!(args[3..7], ["/home/me/venv/bin/python", "-I", "-u", "-c"]);
    assert_eq!(args[8..], engine[3..]);
    let text = args[7].to_str().unwrap();
    assert!(text.len() < 8000, "{}", text.len());
    assert!(!text.contains(['"', '\\', '$', '`', '#', '\r']), "it must pass every command line as it is");
    assert_eq!(guarded(&spec("/usr/bin/vllm", &["serve", "m"])), None);
    assert_eq!(guarded(&spec("wsl.exe", &["--list", "--verbose"])), None);
}

#[cfg(target_os = "linux")]
mod running {
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::super::text;
    use crate::supervisor::process;

    /// The guard with a shell script as its engine, as `wsl.exe` would run it; `None` without Python.
    struct Guard {
        child: Child,
        dir: tempfile::TempDir,
    }

    impl Guard {
        fn start(script: &str) -> Option<Guard> {
            let dir = tempfile::tempdir().unwrap();
            let child = Command::new("python3")
                .args(["-I", "-u", "-c", &text(), "/bin/sh", "-c", script])
                .current_dir(dir.path())
                .stdin(Stdio::piped())
                .spawn();
            let Ok(child) = child else {
                crate::output::note("skipped: there is no python3");
                return None;
            };
            Some(Guard { child, dir })
        }

        fn file(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// The pid that the engine wrote into a file.
        fn pid(&self, name: &str) -> u32 {
            until(|| std::fs::read_to_string(self.file(name)).ok()?.strip_suffix('\n')?.parse().ok())
        }

        fn order(&mut self, byte: u8) {
            self.child.stdin.as_mut().unwrap().write_all(&[byte]).unwrap();
        }

        fn code(&mut self) -> Option<i32> {
            let status = until(|| self.child.try_wait().unwrap());
            status.code()
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            self.child.stdin.take();
            let _ = self.child.wait();
        }
    }

    fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < end, "in vain");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn gone(pid: u32) {
        until(|| process::birth(pid).is_none().then_some(()));
    }

    /// An engine that hears nothing, with a process in a session of its own.
    const STUBBORN: &str = "trap '' TERM HUP INT; setsid sh -c 'echo $$ >far; exec sleep 600' & \
                            echo $$ >near.new; mv near.new near; while :; do sleep 0.1; done";

    #[test]
    fn the_end_of_the_input_is_the_end_of_everything() {
        let Some(mut guard) = Guard::start(STUBBORN) else { return };
        let (near, far) = (guard.pid("near"), guard.pid("far"));
        drop(guard.child.stdin.take());
        assert_eq!(guard.code(), Some(128 + 9));
        gone(near);
        gone(far);
    }

    #[test]
    fn an_engine_is_asked_first_and_ends_as_it_likes() {
        let script =
            "trap 'echo asked >asked; exit 7' TERM; echo $$ >near.new; mv near.new near; while :; do sleep 0.05; done";
        let Some(mut guard) = Guard::start(script) else { return };
        guard.pid("near");
        guard.order(b't');
        assert_eq!(guard.code(), Some(7));
        assert!(guard.file("asked").exists());
    }

    #[test]
    fn what_an_engine_leaves_ends_with_it() {
        let Some(mut guard) =
            Guard::start("setsid sh -c 'echo $$ >far; exec sleep 600' & while ! test -s far; do :; done; exit 3")
        else {
            return;
        };
        assert_eq!(guard.code(), Some(3));
        gone(guard.pid("far"));
    }

    #[test]
    fn what_a_killed_guard_leaves_the_next_one_ends() {
        let Some(mut guard) = Guard::start(STUBBORN) else { return };
        let (near, far) = (guard.pid("near"), guard.pid("far"));
        guard.child.kill().unwrap();
        guard.child.wait().unwrap();
        // The engine itself dies with its guard; what it started elsewhere lives.
        gone(near);
        assert!(process::birth(far).is_some());
        let mut next = Guard::start("exit 0").unwrap();
        assert_eq!(next.code(), Some(0));
        gone(far);
    }

    #[test]
    fn a_program_that_is_not_there_is_said() {
        let out = Command::new("python3")
            .args(["-I", "-u", "-c", &text(), "/no/such/vllm", "serve"])
            .stdin(Stdio::piped())
            .current_dir(Path::new("/"))
            .output();
        let Ok(out) = out else { return };
        assert_eq!(out.status.code(), Some(127));
        assert!(String::from_utf8_lossy(&out.stderr).contains("llmup: cannot start /no/such/vllm"));
    }
}
