//! `start --detach`: another llmup, in a session of its own and with a log instead of a terminal, does the work; this
//! one shows what it says until it is ready, and ends.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::serve::runtime;
use super::wanted::Wanted;
use super::{entry, file_name, ready};
use crate::cli::StartArgs;
use crate::error::{Plain, Result};
use crate::exit::Exit;
use crate::fs::{self, FileError};
use crate::output::{self, Style, on_stderr};
use crate::paths::Paths;
use crate::state::{self, Phase};
use crate::supervisor::signal::interrupts;
use crate::supervisor::tail::Tail;
use crate::supervisor::{self, process};

/// Set for the llmup that does the work.
pub const DETACHED: &str = "LLMUP_DETACHED";

/// Where it finds the keys.
const API_KEY: &str = "LLMUP_API_KEY";
const ENGINE_KEY: &str = "LLMUP_ENGINE_KEY";

/// Between two looks at what it says and whether it is ready.
const LOOK: Duration = Duration::from_millis(50);

/// Whether this is the llmup that does the work.
pub fn detached() -> bool {
    std::env::var_os(DETACHED).is_some()
}

/// Starts it; returns when it is ready or has failed, with its exit code.
pub fn run(args: &StartArgs, wanted: Wanted, paths: &Paths) -> Result<u8> {
    let models = &wanted.names()[..];
    if output::interactive() && !args.yes && args.engine_url.is_none() && entry::of_models(models, paths)?.is_none() {
        // The other one has nobody to ask.
        super::bring(wanted.models, paths)?;
    }
    let mut lock = entry::lock(paths)?;
    if let Some(instance) = entry::of_models(models, paths)? {
        drop(lock);
        return super::runs_already(args, models, instance, paths);
    }
    let bug = |error: std::io::Error| Plain::new(Exit::Bug, error.to_string(), "run it without `--detach`");
    fs::create_dir(&paths.logs())?;
    let log = log(models, paths);
    fs::write_private(&log, b"")?;
    let open = || std::fs::File::options().append(true).open(&log).map_err(|e| FileError::new("open", &log, e));
    let mut command = Command::new(std::env::current_exe().map_err(bug)?);
    command.args(own_arguments(std::env::args_os())).env(DETACHED, "1");
    // Whoever lists processes sees their arguments, for as long as it runs.
    for (variable, key) in [(API_KEY, &args.api_key), (ENGINE_KEY, &args.engine_key)] {
        if let Some(key) = key {
            command.env(variable, key);
        }
    }
    command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
    supervisor::without_terminal(&mut command);
    let mut child = command.spawn().map_err(bug)?;
    let pid = child.id();
    runtime()?.block_on(async {
        let mut interrupts = interrupts().map_err(bug)?;
        let (mut tail, mut silent) = (Tail::new(&log), true);
        loop {
            let ended = child.try_wait().map_err(bug)?;
            for line in tail.poll().unwrap_or_default() {
                silent = false;
                output::note(&line.text);
            }
            if let Some(status) = ended {
                let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Bug.code());
                drop(lock);
                if silent && code != 0 {
                    // On a full disk it cannot even say that.
                    let error = format!("it ended with code {code} and wrote nothing into {}", log.display());
                    output::note(&format!("{} {error}", on_stderr(Style::Bad, "error:")));
                    output::note("hint: see why: run the same without `--detach`; is the disk full?");
                }
                return Ok(code);
            }
            let found = state::list(&paths.state(), process::alive)?;
            let own = found.running.into_iter().find(|i| i.process.pid == pid);
            if own.is_some() {
                // Whoever looks now finds it.
                lock = None;
            }
            if let Some(instance) = own.filter(|i| i.phase == Phase::Ready) {
                // It says so after it has written everything.
                for line in tail.poll().unwrap_or_default() {
                    output::note(&line.text);
                }
                if args.json {
                    output::json(&ready::as_json(&instance, None));
                }
                return Ok(Exit::Ok.code());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                interrupt = interrupts.next() => {
                    // Its guard takes the engine with it.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Ok(Exit::signal(interrupt.number()));
                }
            }
        }
    })
}

/// The arguments of the other llmup: these, without those that are for this one, and without keys.
fn own_arguments(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const KEYS: [&str; 2] = ["--api-key", "--engine-key"];
    let (mut ours, mut value_of_key) = (true, false);
    args.skip(1)
        .filter(|arg| {
            if std::mem::take(&mut value_of_key) {
                return false;
            }
            ours &= arg != "--";
            value_of_key = ours && KEYS.iter().any(|key| arg == key);
            let text = arg.to_string_lossy();
            let key = KEYS.iter().any(|key| text.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')));
            !(ours && (value_of_key || key || arg == "--detach" || arg == "-d" || arg == "--json"))
        })
        .collect()
}

/// Where the llmup that does the work writes.
pub(super) fn log(models: &[String], paths: &Paths) -> PathBuf {
    let first = models.first().map(String::as_str).unwrap_or_default();
    paths.logs().join(format!("{}.start.log", file_name(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_no_arguments_of_what_runs_on() {
        let line = "llmup start m --api-key one --yes --engine-key=two -d --api-key=three -- --api-key four";
        let own = own_arguments(line.split(' ').map(OsString::from));
        assert_eq!(own, ["start", "m", "--yes", "--", "--api-key", "four"].map(OsString::from));
    }

    #[test]
    fn the_engines_flags_stay() {
        let args = ["llmup", "start", "m", "-d", "--json", "--yes", "--", "--detach", "--json"].map(OsString::from);
        let own = own_arguments(args.into_iter());
        assert_eq!(own, ["start", "m", "--yes", "--", "--detach", "--json"].map(OsString::from));
    }
}
