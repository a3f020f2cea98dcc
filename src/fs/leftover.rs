//! What a process that is killed in the middle of a write leaves: a file under a name of its own, which tells whose it
//! was. The next command removes it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::os;

/// How the name of every such file begins; its writer's pid and `-` come next.
const PREFIX: &str = ".tmp";

/// A write takes milliseconds, on a bad network drive seconds. What is older than this is nobody's, whatever has its
/// writer's number now.
const OLD: Duration = Duration::from_secs(60 * 60);

/// The same, where it is known that the writer is gone, but not whether somebody holds the file's lock.
const QUIET: Duration = Duration::from_secs(60);

/// A new file in `dir` to write to before it gets its name. It is locked, so that others see that it is in use, also
/// from a container in which our pid is nobody.
pub(super) fn temporary(dir: &Path) -> io::Result<NamedTempFile> {
    let file = os::private_file(dir, &format!("{PREFIX}{}-", std::process::id()))?;
    // Not every file system has locks; then the pid and the age must do.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes what killed processes left half written in `dir`, never a file that somebody writes. `alive` tells whether
/// there is a process of that number. Whatever cannot be removed is left for the next time.
pub fn sweep(dir: &Path, alive: impl Fn(u32) -> bool) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(writer) = name.to_str().and_then(writer) else { continue };
        let Ok(found) = entry.metadata() else { continue };
        // A time that lies ahead is no age.
        let age = found.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let dead = match writer {
            Writer::Process(pid) => pid != std::process::id() && (age >= OLD || !alive(pid)),
            Writer::Unknown => age >= OLD,
        };
        if found.is_file() && dead && unused(&entry.path(), age) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Who wrote a file.
#[derive(Debug, PartialEq)]
enum Writer {
    Process(u32),
    /// An older llmup, which did not say.
    Unknown,
}

/// `None`: not one of these files.
fn writer(name: &str) -> Option<Writer> {
    let rest = name.strip_prefix(PREFIX)?;
    let random = |text: &str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match rest.split_once('-') {
        Some((pid, end)) if random(end) => pid.parse().ok().map(Writer::Process),
        None if random(rest) => Some(Writer::Unknown),
        _ => None,
    }
}

fn unused(path: &Path, age: Duration) -> bool {
    match File::options().read(true).write(true).open(path).map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock)) => false,
        Ok(Err(TryLockError::Error(_))) | Err(_) => age >= QUIET,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const DEAD: u32 = 4_000_000;
    const OTHER: u32 = 4_000_001;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn file(dir: &Path, name: &str, age: Duration) {
        let file = File::create(dir.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_write_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (own, new) = (std::process::id(), Duration::ZERO);
        file(dir.path(), &format!(".tmp{DEAD}-aBc123"), new);
        file(dir.path(), &format!(".tmp{OTHER}-aBc123"), new);
        // Its number has gone to another since.
        file(dir.path(), &format!(".tmp{OTHER}-old123"), 2 * OLD);
        file(dir.path(), &format!(".tmp{own}-aBc123"), 2 * OLD);
        // Of an older llmup.
        file(dir.path(), ".tmpnew123", new);
        file(dir.path(), ".tmpold123", 2 * OLD);
        // Not llmup's.
        for name in
            ["4000000.json", ".tmp", ".tmp4000000-", ".tmp4000000-long123", ".tmpx-aBc123", "x.tmp4000000-aBc123"]
        {
            file(dir.path(), name, 2 * OLD);
        }
        std::fs::create_dir(dir.path().join(format!(".tmp{DEAD}-folder"))).unwrap();
        let before = names(dir.path());
        sweep(dir.path(), |pid| pid == OTHER || pid == own);
        let gone: Vec<_> = before.into_iter().filter(|name| !names(dir.path()).contains(name)).collect();
        assert_eq!(gone, [".tmp4000000-aBc123", ".tmp4000001-old123", ".tmpold123"]);
        sweep(&dir.path().join("none"), |_| false);
    }

    #[test]
    fn a_file_that_is_being_written_stays_even_where_its_writer_cannot_be_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(format!(".tmp{DEAD}-aBc123"));
        let held = File::create(&path).unwrap();
        held.lock().unwrap();
        sweep(dir.path(), |_| false);
        assert!(path.exists());
        drop(held);
        sweep(dir.path(), |_| false);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_written_here_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let file = temporary(dir.path()).unwrap();
        let name = file.path().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(writer(&name), Some(Writer::Process(std::process::id())), "{name}");
        assert!(matches!(File::open(file.path()).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
    }
}
