//! `llmup logs`: the end of a log, and with `-f` what comes.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::request_log::REQUESTS;
use super::stop::NobodyError;
use super::{log_files, running, stop};
use crate::cli::LogsArgs;
use crate::error::{Error, Plain, Result};
use crate::exit::Exit;
use crate::fs::FileError;
use crate::output;
use crate::paths::Paths;
use crate::state::{Instance, Model, Phase};
use crate::supervisor::process;
use crate::supervisor::tail::Tail;

/// The end of the name of what a start without a terminal says.
const STARTS: &str = ".start.log";

/// Longer ends are not looked for.
const MOST: u64 = 4 << 20;

/// Between two looks at a log that is followed.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the subcommand; gives the exit code.
pub fn run(args: &LogsArgs, paths: &Paths) -> Result<u8> {
    let running = running::all(paths)?;
    let (path, owner) = if args.gateway {
        (paths.logs().join(REQUESTS), Owner::Everybody)
    } else {
        match stop::meant_by_any_name(args.name.as_deref(), &running) {
            Ok((instance, name)) => (log_of(name.as_deref(), &instance, paths)?, Owner::One(Box::new(instance))),
            // Any of their logs would be a guess.
            Err(several @ NobodyError::Several { .. }) => return Err(several.of("logs")),
            Err(reached @ NobodyError::Reached { .. }) => return Err(elsewhere(&reached.to_string()).into()),
            // It may have ended; its log has not.
            Err(nobody) => match kept(args.name.as_deref(), paths) {
                Some(path) => (path, Owner::Nobody),
                None => return Err(none(args.name.as_deref(), nobody)),
            },
        }
    };
    let (text, end) = match last(&path, args.lines) {
        Ok(found) => found,
        Err(error) if args.gateway && error.kind() == std::io::ErrorKind::NotFound => {
            output::note("no request has been logged yet");
            (String::new(), 0)
        }
        Err(error) => return Err(FileError::new("read", &path, error).into()),
    };
    output::data(&text);
    let older = log_files::aside(&path, 1);
    if text.lines().count() < args.lines && older.is_file() {
        output::note(&format!("what was written before that: {}", older.display()));
    }
    if !args.follow {
        return Ok(Exit::Ok.code());
    }
    let mut tail = Tail::at(&path, end);
    loop {
        // Asked first: what it wrote until then is still shown.
        let ended = match &owner {
            Owner::Everybody => false,
            Owner::One(instance) => !process::alive(instance.process.pid, &instance.process.birth),
            Owner::Nobody => true,
        };
        for line in tail.poll().map_err(|error| FileError::new("read", &path, error))? {
            if !line.progress {
                output::line(&line.text);
            }
        }
        if ended {
            output::note("the model has ended, and so has its log");
            return Ok(Exit::Ok.code());
        }
        std::thread::sleep(LOOK);
    }
}

/// Who writes a log that is followed.
enum Owner {
    /// All that run, or will.
    Everybody,
    /// This one.
    One(Box<Instance>),
    /// It has ended.
    Nobody,
}

/// The log of the named model's engine, or of the only one that has one.
fn log_of(name: Option<&str>, instance: &Instance, paths: &Paths) -> Result<PathBuf> {
    let has = |model: &Model| model.engine.log.is_some();
    let model = stop::which(name, instance, has).map_err(|nobody| nobody.of("logs"))?;
    let found = model.engine.log.clone().or_else(|| preparing(instance, paths));
    // It sleeps, and ran before.
    let found = found.or_else(|| kept(Some(&model.name), paths).filter(|_| model.phase == Phase::Asleep));
    found.ok_or_else(|| without(model).into())
}

/// What a start that has no engine yet says, when it has no terminal.
fn preparing(instance: &Instance, paths: &Paths) -> Option<PathBuf> {
    let path = start_log(&instance.model.name, paths);
    (instance.phase == Phase::Loading && path.is_file()).then_some(path)
}

fn start_log(model: &str, paths: &Paths) -> PathBuf {
    paths.logs().join(format!("{}{STARTS}", super::start::file_name(model)))
}

fn without(model: &Model) -> Plain {
    let name = &model.name;
    match model.phase {
        Phase::Loading => {
            let message = format!("the engine of {name} has not been started yet, so there is no log");
            Plain::new(Exit::Missing, message, "see how far it is: `llmup status`")
        }
        Phase::Asleep => {
            let message = format!("the engine of {name} has not been asked for yet, so there is no log");
            Plain::new(Exit::Missing, message, "see what runs: `llmup status`")
        }
        _ => elsewhere(&format!("the engine of {name} was not started by llmup, so its log is elsewhere")),
    }
}

fn elsewhere(message: &str) -> Plain {
    Plain::new(Exit::Missing, message, "for the requests: `llmup logs --gateway`")
}

fn none(name: Option<&str>, nobody: NobodyError) -> Error {
    match name {
        Some(name) => {
            let message = format!("{name:?} does not run, and there is no log of it");
            Plain::new(Exit::Missing, message, "see what runs: `llmup status`").into()
        }
        None => nobody.into(),
    }
}

/// The log of a model that no longer runs: the named one's, or that of the one that ran last.
fn kept(name: Option<&str>, paths: &Paths) -> Option<PathBuf> {
    if let Some(name) = name {
        let path = paths.logs().join(format!("{}.log", super::start::file_name(name)));
        return of_last_start(path, start_log(name, paths));
    }
    let logs = std::fs::read_dir(paths.logs()).ok()?.flatten().map(|entry| entry.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|e| e == "log") && !path.ends_with(REQUESTS));
    let newest = logs.max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok())?;
    let name = newest.file_name()?.to_str().and_then(|name| name.strip_suffix(STARTS)).map(str::to_owned);
    match name {
        // Its last words are that it ends; its engine has more to say.
        Some(name) => of_last_start(newest.with_file_name(format!("{name}.log")), newest),
        None => Some(newest),
    }
}

/// The engine's log; but what the start said when that start brought up no engine.
fn of_last_start(engine: PathBuf, start: PathBuf) -> Option<PathBuf> {
    let began = start.metadata().and_then(|file| file.created()).ok();
    let wrote = engine.metadata().and_then(|file| file.modified()).ok();
    match (engine.is_file(), start.is_file()) {
        (true, true) if began.zip(wrote).is_some_and(|(began, wrote)| wrote < began) => Some(start),
        (true, _) => Some(engine),
        (false, there) => there.then_some(start),
    }
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
    fn of_what_ended_the_engine_has_the_word_unless_its_last_start_had_none() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths { data: dir.path().to_owned(), config: dir.path().to_owned() };
        std::fs::create_dir(paths.logs()).unwrap();
        let write = |name: &str| {
            std::fs::write(paths.logs().join(name), name).unwrap();
            // So that no two files are of one moment, whatever the file system counts in.
            std::thread::sleep(Duration::from_millis(30));
        };
        let shown = |name| kept(name, &paths).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        assert_eq!((shown(None), shown(Some("m"))), (None, None));
        write("m.start.log");
        assert_eq!((shown(None), shown(Some("m"))), (Some("m.start.log".into()), Some("m.start.log".into())));
        write("m.log");
        write("m.start.log");
        write("requests.log");
        assert_eq!((shown(None), shown(Some("m"))), (Some("m.log".into()), Some("m.log".into())));
        // The next start ends before it has an engine. Not on systems that give a new file the birth of the old one, or none.
        std::fs::remove_file(paths.logs().join("m.start.log")).unwrap();
        write("m.start.log");
        let born = std::fs::metadata(paths.logs().join("m.start.log")).unwrap().created();
        if cfg!(target_os = "linux") && born.is_ok() {
            assert_eq!((shown(None), shown(Some("m"))), (Some("m.start.log".into()), Some("m.start.log".into())));
        }
        assert_eq!(shown(Some("other")), None);
    }

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
