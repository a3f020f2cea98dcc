//! Logs that never fill a disk. A file that has grown to the limit is put aside, and so many old ones are kept. Those
//! llmup writes itself are renamed; an engine writes through a handle it was started with, so what its log holds is
//! copied and the file emptied (lines written between the two are lost). All are private to the user.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fs::{self, FileError};

/// MiB a log may grow to.
const MIB: &str = "LLMUP_LOG_MIB";
/// Old files that are kept of each.
const KEEP: &str = "LLMUP_LOG_KEEP";

/// Between two looks at logs that others write.
const LOOK: Duration = Duration::from_secs(5);

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Bytes a file may grow to.
    pub bytes: u64,
    /// Old files beside it.
    pub keep: u32,
}

impl Default for Limit {
    fn default() -> Limit {
        Limit { bytes: 16 << 20, keep: 3 }
    }
}

impl Limit {
    /// As the environment says: `LLMUP_LOG_MIB` and `LLMUP_LOG_KEEP`.
    pub fn of_user() -> Limit {
        Limit::by(&|name| std::env::var(name).ok())
    }

    fn by(env: &dyn Fn(&str) -> Option<String>) -> Limit {
        let number = |name: &str| env(name)?.trim().parse::<u64>().ok();
        let usual = Limit::default();
        Limit {
            bytes: number(MIB).filter(|mib| *mib > 0).map_or(usual.bytes, |mib| mib.saturating_mul(1 << 20)),
            keep: number(KEEP).map_or(usual.keep, |keep| u32::try_from(keep.min(99)).unwrap_or(usual.keep)),
        }
    }
}

/// The `n`th old file: `requests.log.1` is the newest.
pub fn aside(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

/// Makes room for a new first old file. On Windows one that somebody reads may keep its name: then there is none, and
/// nothing is written over.
fn shift(path: &Path, keep: u32) -> io::Result<()> {
    let there = |n: u32| std::fs::symlink_metadata(aside(path, n)).is_ok();
    let free = (1..=keep).find(|n| !there(*n)).unwrap_or(keep);
    if there(free) {
        std::fs::remove_file(aside(path, free))?;
    }
    (1..free).rev().try_for_each(|n| std::fs::rename(aside(path, n), aside(path, n + 1)))
}

/// Opens a log of llmup's own to write at its end. One that has grown to the limit is put aside before. Several llmups
/// may write to the same one: only who holds the lock puts aside.
pub fn open(path: &Path, limit: Limit) -> Result<File, FileError> {
    let opened = || fs::append_private(path);
    let file = opened()?;
    let large = |file: &File| file.metadata().is_ok_and(|found| found.is_file() && found.len() >= limit.bytes);
    if !large(&file) {
        return Ok(file);
    }
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    // Whoever holds it is at it: this piece still goes to the old file.
    let Ok(Some(_held)) = fs::try_lock(Path::new(&lock)) else { return Ok(file) };
    // Closed before anything gets another name: Windows does not take every open file's away.
    drop(file);
    // Another may have done it since.
    let file = opened()?;
    if !large(&file) {
        return Ok(file);
    }
    drop(file);
    if limit.keep == 0 {
        let _ = std::fs::remove_file(path);
    } else if shift(path, limit.keep).is_ok() {
        // Else it grows on, and is put aside by who opens it next.
        let _ = std::fs::rename(path, aside(path, 1));
    }
    opened()
}

/// Puts the log of an engine aside that ended, before the next one begins a log of its own: why it ended stands in it.
/// Where that does not work the old one is lost, and the engine starts all the same.
pub fn put_aside(path: &Path, limit: Limit) {
    let written = std::fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
    if written && limit.keep > 0 && shift(path, limit.keep).is_ok() {
        let _ = std::fs::rename(path, aside(path, 1));
    }
}

/// Empties a log that somebody else writes, once it has grown to the limit; what it held is copied before. A disk
/// without room for the copy is no reason to let it grow.
fn copy_and_empty(path: &Path, limit: Limit) -> io::Result<()> {
    let length = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file).map_or(0, |file| file.len());
    if length < limit.bytes || length == 0 {
        return Ok(());
    }
    let room = if limit.keep > 0 { shift(path, limit.keep) } else { Ok(()) };
    if room.is_err() && length < limit.bytes.saturating_mul(2) {
        // Who holds an old one may have let go at the next look.
        return room;
    }
    if limit.keep > 0 && room.is_ok() {
        let copy = aside(path, 1);
        let copied = fs::write_private(&copy, b"").map_err(io::Error::other).and_then(|()| {
            let mut to = File::options().write(true).open(&copy)?;
            io::copy(&mut File::open(path)?, &mut to)
        });
        if copied.is_err() {
            let _ = std::fs::remove_file(&copy);
        }
    }
    // Its writer appends: it goes on at the new end.
    File::options().write(true).open(path)?.set_len(0)
}

/// Keeps these logs, which others write, small for as long as it is polled.
pub async fn watch(paths: Vec<PathBuf>, limit: Limit) {
    loop {
        tokio::time::sleep(LOOK).await;
        let paths = paths.clone();
        let look = move || {
            for path in &paths {
                // Tried again at the next look.
                let _ = copy_and_empty(path, limit);
            }
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.retain(|name| !name.ends_with(".lock"));
        names
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_environment_says_how_much_is_kept() {
        let of = |mib: &str, keep: &str| {
            Limit::by(&|name| Some(if name == MIB { mib } else { keep }.to_owned()).filter(|s| !s.is_empty()))
        };
        assert_eq!(of("", ""), Limit::default());
        assert_eq!(of("2", "0"), Limit { bytes: 2 << 20, keep: 0 });
        assert_eq!(of("0", "1000"), Limit { keep: 99, ..Limit::default() });
        assert_eq!(of("many", "-1"), Limit::default());
    }

    #[test]
    fn old_files_move_on_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let limit = Limit { bytes: 4, keep: 2 };
        for text in ["one.", "two.", "three.", "four."] {
            open(&path, limit).unwrap().write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(names(dir.path()), ["a.log", "a.log.1", "a.log.2"]);
        assert_eq!([&path, &aside(&path, 1), &aside(&path, 2)].map(|p| read(p)), ["four.", "three.", "two."]);
        open(&path, Limit { bytes: 4, keep: 0 }).unwrap().write_all(b"five").unwrap();
        assert_eq!(read(&path), "five");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for name in std::fs::read_dir(dir.path()).unwrap() {
                let name = name.unwrap();
                assert_eq!(name.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", name.path());
            }
        }
    }

    #[test]
    fn the_log_of_an_engine_that_ended_is_kept_and_an_empty_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let limit = Limit { bytes: 1 << 20, keep: 2 };
        put_aside(&path, limit);
        for text in ["one", "", "two", "three"] {
            std::fs::write(&path, text).unwrap();
            put_aside(&path, limit);
        }
        assert_eq!([1, 2].map(|n| read(&aside(&path, n))), ["three", "two"]);
        assert_eq!(names(dir.path()).len(), 2);
        std::fs::write(&path, "four").unwrap();
        put_aside(&path, Limit { keep: 0, ..limit });
        assert_eq!(read(&path), "four", "nothing is to be kept");
    }

    #[test]
    fn many_writers_lose_nothing_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        // Room for all: a line that is gone was lost, not put aside too far.
        let limit = Limit { bytes: 300, keep: 90 };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for line in 0..100 {
                        open(path, limit).unwrap().write_all(format!("{writer} {line:03}\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        let all: String = names(dir.path()).iter().map(|name| read(&dir.path().join(name))).collect();
        let mut lines: Vec<&str> = all.lines().collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 400);
    }

    #[cfg(windows)]
    #[test]
    fn an_old_file_that_cannot_be_renamed_is_not_written_over() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let limit = Limit { bytes: 4, keep: 2 };
        for text in ["one.", "two."] {
            open(&path, limit).unwrap().write_all(text.as_bytes()).unwrap();
        }
        // An editor that lets others read, and neither rename nor delete.
        const READ: u32 = 1;
        let editor = File::options().read(true).share_mode(READ).open(aside(&path, 1)).unwrap();
        open(&path, limit).unwrap().write_all(b"three.").unwrap();
        assert_eq!([&path, &aside(&path, 1)].map(|p| read(p)), ["two.three.", "one."]);
        drop(editor);
        open(&path, limit).unwrap().write_all(b"four.").unwrap();
        assert_eq!([&path, &aside(&path, 1), &aside(&path, 2)].map(|p| read(p)), ["four.", "two.three.", "one."]);
    }

    #[test]
    fn a_log_of_another_is_emptied_under_its_hands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.log");
        let limit = Limit { bytes: 6, keep: 2 };
        let mut engine = File::options().create(true).append(true).open(&path).unwrap();
        engine.write_all(b"short").unwrap();
        copy_and_empty(&path, limit).unwrap();
        assert_eq!(names(dir.path()), ["engine.log"]);
        engine.write_all(b" long").unwrap();
        copy_and_empty(&path, limit).unwrap();
        engine.write_all(b"next").unwrap();
        assert_eq!((read(&path), read(&aside(&path, 1))), ("next".to_owned(), "short long".to_owned()));
        // The copy cannot be written: a folder stands in its place.
        std::fs::remove_file(aside(&path, 1)).unwrap();
        std::fs::create_dir_all(aside(&path, 1).join("x")).unwrap();
        std::fs::create_dir_all(aside(&path, 2).join("x")).unwrap();
        engine.write_all(b"over").unwrap();
        copy_and_empty(&path, limit).unwrap_err();
        assert_eq!(read(&path), "nextover", "it may be better at the next look");
        engine.write_all(b"flow").unwrap();
        copy_and_empty(&path, limit).unwrap();
        assert_eq!(read(&path), "");
        // What is no file of ours is left alone.
        copy_and_empty(dir.path(), Limit { bytes: 0, keep: 0 }).unwrap();
    }
}
