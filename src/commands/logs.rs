//! `llmup logs`: the end of a log, and with `-f` what comes.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::request_log::REQUESTS;
use super::{running, stop};
use crate::cli::LogsArgs;
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fs::FileError;
use crate::output;
use crate::paths::Paths;
use crate::state::{Instance, Phase};
use crate::supervisor::process;
use crate::supervisor::tail::Tail;

/// Longer ends are not looked for.
const MOST: u64 = 4 << 20;

/// Between two looks at a log that is followed.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the subcommand; gives the exit code.
pub fn run(args: &LogsArgs, paths: &Paths) -> Result<u8> {
    let running = running::all(paths)?;
    let (path, owner) = if args.gateway {
        (paths.logs().join(REQUESTS), None)
    } else {
        match stop::meant(args.name.as_deref(), &running) {
            Ok(instance) => match log_of(args.name.as_deref(), &instance).or_else(|| preparing(&instance, paths)) {
                Some(log) => (log, Some(instance)),
                None => return Err(without(&instance).into()),
            },
            // Any of their logs would be a guess.
            Err(several @ stop::NobodyError::Several { .. }) => return Err(several.of("logs")),
            // It may have ended; its log has not.
            Err(nobody) => match kept(args.name.as_deref(), paths) {
                Some(path) => (path, None),
                None => return Err(none(args.name.as_deref(), nobody)),
            },
        }
    };
    let (text, end) = last(&path, args.lines).map_err(|error| FileError::new("read", &path, error))?;
    output::data(&text);
    if !args.follow {
        return Ok(Exit::Ok.code());
    }
    let mut tail = Tail::at(&path, end);
    loop {
        for line in tail.poll().map_err(|error| FileError::new("read", &path, error))? {
            if !line.progress {
                output::line(&line.text);
            }
        }
        if owner.as_ref().is_some_and(|i| !process::alive(i.process.pid, &i.process.birth)) {
            return Ok(Exit::Ok.code());
        }
        std::thread::sleep(LOOK);
    }
}

/// The engine's log of the named model, or of the first.
fn log_of(name: Option<&str>, instance: &Instance) -> Option<PathBuf> {
    let named = instance.models().find(|model| Some(model.name.as_str()) == name);
    named.unwrap_or(&instance.model).engine.log.clone()
}

/// What a start that has no engine yet says, when it has no terminal.
fn preparing(instance: &Instance, paths: &Paths) -> Option<PathBuf> {
    let path = paths.logs().join(format!("{}.start.log", super::start::file_name(&instance.model.name)));
    (instance.phase == Phase::Loading && path.is_file()).then_some(path)
}

fn without(instance: &Instance) -> Plain {
    let model = &instance.model.name;
    if instance.phase == Phase::Loading {
        let message = format!("the engine of {model} has not been started yet, so there is no log");
        return Plain::new(Exit::Missing, message, "see how far it is: `llmup status`");
    }
    let message = format!("the engine of {model} was not started by llmup, so its log is elsewhere");
    Plain::new(Exit::Missing, message, "for the requests: `llmup logs --gateway`")
}

fn none(name: Option<&str>, nobody: stop::NobodyError) -> Error {
    match name {
        Some(name) => {
            let message = format!("{name:?} does not run, and there is no log of it");
            Plain::new(Exit::Missing, message, "see what runs: `llmup status`").into()
        }
        None => nobody.into(),
    }
}

/// The log of a model that no longer runs: the named one's, or the newest.
fn kept(name: Option<&str>, paths: &Paths) -> Option<PathBuf> {
    if let Some(name) = name {
        let path = paths.logs().join(format!("{}.log", super::start::file_name(name)));
        return path.is_file().then_some(path);
    }
    let logs = std::fs::read_dir(paths.logs()).ok()?.flatten().map(|entry| entry.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|e| e == "log") && !path.ends_with(REQUESTS));
    logs.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok())
}

/// The last `lines` lines of a file, and where they end.
fn last(path: &Path, lines: usize) -> std::io::Result<(String, u64)> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    let end = length.saturating_sub(MOST) + bytes.len() as u64;
    let text = String::from_utf8_lossy(&bytes);
    let complete = text.strip_suffix('\n').unwrap_or(&text);
    let begin = complete.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    let shown = if lines == 0 { "" } else { &complete[begin..] };
    Ok((if shown.is_empty() { String::new() } else { format!("{shown}\n") }, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let of = |text: &str, lines: usize| {
            std::fs::write(&path, text).unwrap();
            last(&path, lines).unwrap()
        };
        assert_eq!(of("a\nb\nc\n", 2), ("b\nc\n".to_owned(), 6));
        assert_eq!(of("a\nb\nc", 2), ("b\nc\n".to_owned(), 5));
        assert_eq!(of("a\nb\n", 9), ("a\nb\n".to_owned(), 4));
        assert_eq!(of("", 5), (String::new(), 0));
        assert_eq!(of("a\n", 0), (String::new(), 2));
        assert!(last(&dir.path().join("none"), 1).is_err());
    }
}
