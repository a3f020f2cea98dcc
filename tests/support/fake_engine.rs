//! An engine that misbehaves on request. It acts by the name it was called by: `vllm`, `llama-server` or `ollama`; as
//! `wsl` it is Windows' `wsl.exe` with a vLLM inside.
//! It stands in for the real ones in tests of starting, stopping, crashing and streaming; it computes nothing.
//!
//! | variable | effect |
//! |---|---|
//! | `FAKE_START_MS=n` | not ready for n ms (vllm refuses connections, llama-server answers 503) |
//! | `FAKE_QUIET=what` | while it starts it writes nothing and opens no port; it does `nothing`, or works with its `processor`, `disk`, `memory` or `children` |
//! | `FAKE_CRASH_AFTER_MS=n` | exits n ms after the start, with `FAKE_EXIT` or 1 |
//! | `FAKE_EXIT=code` | exits with it: at once, or when `FAKE_CRASH_AFTER_MS` says so |
//! | `FAKE_LOG=file` | prints this file to standard error before anything else |
//! | `FAKE_FAIL_ONCE=file` | `FAKE_LOG` and `FAKE_EXIT` count only until this file exists, which the first start makes |
//! | `FAKE_IGNORE_TERM=1` | SIGTERM does nothing |
//! | `FAKE_GRANDCHILD=plain\|setsid` | starts a process that sleeps and ignores SIGTERM, in a new session or not |
//! | `FAKE_PIDS=file` | appends `engine pid` and `grandchild pid` lines |
//! | `FAKE_ARGS=file` | appends the arguments as one line |
//! | `FAKE_STALL=1\|posts` | accepts connections and never answers, or never answers a POST |
//! | `FAKE_HANG=file` | answers nothing while this file exists, whatever is asked |
//! | `FAKE_BUSY=1` | its counters grow with every look at them |
//! | `FAKE_HOLD_ONCE=file` | the first POST, which makes this file, is never answered |
//! | `FAKE_FRAME_MS=n` | rests n ms before each frame of a stream |
//! | `FAKE_SPLIT=1` | writes streams one byte at a time |
//! | `FAKE_CUT=n` | closes a stream after n frames |
//! | `FAKE_ECHO=1` | answers with the last user message's raw text instead of a fixed sentence |
//! | `FAKE_TEXT=text` | answers with this text |
//! | `FAKE_CACHED=n` | reports n cached prompt tokens |
//! | `FAKE_REFUSE=system\|tools` | answers 400 to a request with a system message, or with tools, in engines' own words |
//! | `FAKE_LONGEST=n` | answers 400 to a body of more than 4·n bytes, in vLLM's words, as one with a context of n tokens |
//! | `FAKE_CONTEXT=n` | says that a request has n tokens (else vllm what it was told, the others 32768) |
//! | `FAKE_VRAM=n` | Ollama: n of the 1000 bytes of each model lie on the GPU |
//! | `FAKE_NAPS=folder` | while it sleeps (vllm, with its flag and its variable) a file named like its pid lies there |
//! | `FAKE_NAP=sleepless\|deep` | it refuses to sleep, or to wake |
//! | `FAKE_HELP=file` | `--help` prints this file, else nothing |
//! | `FAKE_REQUESTS=file` | appends every request body as one line |
//! | `FAKE_ASKED=file` | appends method and path of every request as it comes, answered or not |
//!
//! A flag `--no-such-flag` is refused, in the words of each engine. The end of a client during a stream is logged.
//!
//! Called with `__guard` first it is llmup's guard; with `__supervise program log` it runs that program under
//! llmup's supervisor until it is killed.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[path = "fake_engine/answer.rs"]
mod answer;
#[path = "fake_engine/http.rs"]
mod http;
#[path = "fake_engine/nap.rs"]
mod nap;
#[path = "fake_engine/quiet.rs"]
mod quiet;
#[path = "fake_engine/wsl.rs"]
mod wsl;

/// Which engine it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Vllm,
    LlamaServer,
    Ollama,
}

/// A switch from the environment.
pub fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty() && value != "0")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Writes one log line, as the engines do to either stream.
pub fn log(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let name = args.first().map(|a| Path::new(a).file_stem().unwrap_or_default().to_string_lossy().into_owned());
    if name.as_deref() == Some("wsl") {
        return wsl::run(&args[1..]);
    }
    match args.get(1).and_then(|a| a.to_str()) {
        Some("__guard") => {
            let code = llmup::supervisor::guard::main(args.into_iter().skip(2));
            return ExitCode::from(u8::try_from(code).unwrap_or(1));
        }
        Some("__supervise") => return supervise(&args[2..]),
        Some("__sleep") if args.get(2).is_some_and(|a| a == "brief") => {
            std::thread::sleep(Duration::from_millis(300));
            return ExitCode::SUCCESS;
        }
        Some("__sleep") => return sleep(args.get(2).is_some_and(|a| a == "setsid")),
        Some("--version") => {
            // On standard error, like llama-server.
            log("version: 0.7.0 (build 11669, fake)");
            return ExitCode::SUCCESS;
        }
        _ if args.iter().any(|arg| arg == "--help") => {
            let text = switch("FAKE_HELP").and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
            let _ = std::io::stdout().lock().write_all(&text);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let kind = match name.as_deref() {
        Some("llama-server") => Kind::LlamaServer,
        Some("ollama") => Kind::Ollama,
        _ => Kind::Vllm,
    };
    run(kind, &args)
}

fn run(kind: Kind, args: &[OsString]) -> ExitCode {
    let began = Instant::now();
    // Before any thread starts, so that all of them inherit the mask.
    signals::prepare(switch("FAKE_IGNORE_TERM").is_some());
    note_pid("engine", std::process::id());
    if let Some(mut file) =
        switch("FAKE_ARGS").and_then(|p| std::fs::File::options().create(true).append(true).open(p).ok())
    {
        let line: Vec<_> = args.iter().skip(1).map(|arg| arg.to_string_lossy()).collect();
        let _ = writeln!(file, "{}", line.join(" "));
    }
    if let Some(mode) = switch("FAKE_GRANDCHILD") {
        grandchild(&mode);
    }
    if args.iter().any(|a| a == "--no-such-flag") {
        return refuse_flag(kind);
    }
    let fails = switch("FAKE_FAIL_ONCE")
        .is_none_or(|file| std::fs::File::options().write(true).create_new(true).open(file).is_ok());
    if let Some(text) = switch("FAKE_LOG").filter(|_| fails).and_then(|file| std::fs::read(file).ok()) {
        let _ = std::io::stderr().lock().write_all(&text);
    }
    let exit = number("FAKE_EXIT").filter(|_| fails).map(|code| code as i32);
    if let Some(after) = number("FAKE_CRASH_AFTER_MS") {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(after));
            std::process::exit(exit.unwrap_or(1));
        });
    } else if let Some(code) = exit {
        std::process::exit(code);
    }
    let ready_at = began + Duration::from_millis(number("FAKE_START_MS").unwrap_or(0));
    if let Some(what) = switch("FAKE_QUIET") {
        quiet::until(ready_at, &what);
    }
    let (host, port) = address(kind, args);
    let model = model(args);
    let told = flag(args, &["--max-model-len"]).and_then(|n| n.parse().ok());
    let context = number("FAKE_CONTEXT").or(told).unwrap_or(32_768);
    match http::serve(kind, &host, port, &model, context, ready_at) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match kind {
                Kind::Vllm => log(&format!("OSError: [Errno 98] Address already in use ({error})")),
                Kind::LlamaServer => {
                    log(&format!("E srv start: couldn't bind HTTP server socket, hostname: {host}, port: {port}"));
                }
                Kind::Ollama => log(&format!("Error: listen tcp {host}:{port}: bind: address already in use")),
            }
            ExitCode::from(1)
        }
    }
}

fn refuse_flag(kind: Kind) -> ExitCode {
    match kind {
        Kind::Vllm => {
            log("vllm: error: unrecognized arguments: --no-such-flag");
            ExitCode::from(2)
        }
        Kind::LlamaServer => {
            log("error: invalid argument: --no-such-flag");
            ExitCode::from(1)
        }
        Kind::Ollama => {
            log("Error: unknown flag: --no-such-flag");
            ExitCode::from(1)
        }
    }
}

/// The value behind one of these flags, `--flag value` or `--flag=value`.
pub fn flag(args: &[OsString], names: &[&str]) -> Option<String> {
    let args: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
    args.iter().enumerate().find_map(|(i, arg)| {
        names.iter().find_map(|name| {
            if arg == name {
                return args.get(i + 1).map(|value| value.to_string());
            }
            arg.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)
        })
    })
}

fn address(kind: Kind, args: &[OsString]) -> (String, u16) {
    if kind == Kind::Ollama {
        let at = std::env::var("OLLAMA_HOST").unwrap_or_default();
        let at = at.rsplit("//").next().unwrap_or_default();
        let (host, port) = at.rsplit_once(':').unwrap_or((at, "11434"));
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        return (host.to_owned(), port.trim_end_matches('/').parse().unwrap_or(11434));
    }
    let default = if kind == Kind::Vllm { 8000 } else { 8080 };
    let port = flag(args, &["--port"]).and_then(|p| p.parse().ok()).unwrap_or(default);
    (flag(args, &["--host"]).unwrap_or_else(|| "127.0.0.1".to_owned()), port)
}

fn model(args: &[OsString]) -> String {
    flag(args, &["--served-model-name", "-a", "--alias"])
        .or_else(|| flag(args, &["-m", "--model"]))
        .or_else(|| args.get(2).map(|a| a.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "fake".to_owned())
}

fn note_pid(role: &str, pid: u32) {
    if let Some(path) = switch("FAKE_PIDS")
        && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path)
    {
        let _ = file.write_all(format!("{role} {pid}\n").as_bytes());
    }
}

fn grandchild(mode: &str) {
    let Ok(exe) = std::env::current_exe() else { return };
    let started = Command::new(exe).args(["__sleep", mode]).stdin(Stdio::null()).spawn();
    if let Ok(child) = started {
        note_pid("grandchild", child.id());
    }
}

fn sleep(new_session: bool) -> ExitCode {
    signals::prepare(true);
    #[cfg(unix)]
    if new_session {
        let _ = nix::unistd::setsid();
    }
    let _ = new_session;
    std::thread::sleep(Duration::from_secs(600));
    ExitCode::SUCCESS
}

/// Runs a program under llmup's supervisor and waits to be killed.
fn supervise(args: &[OsString]) -> ExitCode {
    let [program, log, rest @ ..] = args else { return ExitCode::from(2) };
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::from(1) };
    runtime.block_on(async {
        let mut spec = llmup::supervisor::Spec::new(program, log);
        spec.args = rest.to_vec();
        spec.guard = std::env::current_exe().ok();
        match llmup::supervisor::spawn(spec).await {
            Ok(child) => {
                note_pid("supervised", child.pid());
                child.gone().await;
                ExitCode::SUCCESS
            }
            Err(error) => {
                crate::log(&error.to_string());
                ExitCode::from(1)
            }
        }
    })
}

#[cfg(unix)]
mod signals {
    use nix::sys::signal::{SigSet, Signal};

    /// Blocks SIGTERM (and SIGINT) for all threads to come; unless they are to be ignored, a thread waits for them
    /// and exits 0, as the engines do.
    pub fn prepare(ignore: bool) {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        let _ = set.thread_block();
        if !ignore {
            std::thread::spawn(move || {
                let _ = set.wait();
                std::process::exit(0);
            });
        }
    }
}

#[cfg(not(unix))]
mod signals {
    pub fn prepare(_ignore: bool) {}
}
