//! Files written so that a crash at any moment leaves the old or the new one: atomic replace, private mode, locks.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Explain, paste};
use crate::exit::Exit;
use crate::host::Os;

#[cfg(unix)]
#[path = "fs/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "fs/windows.rs"]
mod os;

#[path = "fs/leftover.rs"]
mod leftover;

pub use leftover::sweep;

/// What can go wrong with one of our own files.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading, writing or creating failed.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// "write", "read", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    /// Wraps the system's reason with what was tried on which path.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        FileError::Io { action, path: path.to_owned(), source }
    }
}

impl Explain for FileError {
    fn exit(&self) -> Exit {
        Exit::Config
    }

    fn hints(&self) -> Vec<String> {
        let FileError::Io { action, path, source } = self;
        let folder = path.parent().unwrap_or(path);
        let dir = folder.display();
        match source.kind() {
            io::ErrorKind::PermissionDenied => {
                vec![format!("no permission on {dir}: see whose it is: `ls -ld {}`", paste::path(folder)), elsewhere()]
            }
            io::ErrorKind::StorageFull => {
                vec![format!("the disk that holds {dir} is full; free some space on it"), elsewhere()]
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                vec![format!("{dir} cannot be written to"), elsewhere()]
            }
            io::ErrorKind::NotADirectory => {
                vec![format!("{dir} is no folder or lies in none"), elsewhere()]
            }
            io::ErrorKind::NotFound if *action == "create" => {
                vec![format!("nothing can be made in {dir}"), elsewhere()]
            }
            io::ErrorKind::AlreadyExists if *action == "create" => {
                vec![format!("{} is a file, and a folder is needed there", path.display()), elsewhere()]
            }
            // A limit on the size of files (`ulimit -f`).
            io::ErrorKind::FileTooLarge => {
                vec!["this shell allows no larger files: see its limit with `ulimit -f`".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// How llmup's own files come to another place.
fn elsewhere() -> String {
    match Os::current() {
        Os::Windows => {
            "if it is llmup's own: `$env:LLMUP_DATA_DIR = \"D:\\llmup\"`, or another folder that you may write"
        }
        _ => "if it is llmup's own: `export LLMUP_DATA_DIR=/path/to/llmup`, a folder that you may write",
    }
    .to_owned()
}

/// Creates a folder and its parents.
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(|e| FileError::new("create", path, e))
}

/// Replaces `path` by `bytes` in one step; the file is private to the user (0600) where the system knows modes.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    create_dir(dir)?;
    let go = || -> io::Result<()> {
        let mut file = leftover::temporary(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        os::replace(file, path)
    };
    go().map_err(|e| FileError::new("write", path, e))
}

/// Replaces a file that belongs to the user by `bytes` in one step, and sees it to the disk: it keeps its mode and owner;
/// one that was not there is private to the user. Its folder must be there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = leftover::temporary(dir)?;
    file.write_all(bytes)?;
    match std::fs::metadata(path) {
        Ok(old) => os::take_after(file.as_file(), &old)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    file.as_file().sync_all()?;
    os::replace(file, path)?;
    sync_dir(dir);
    Ok(())
}

/// Sees to the disk which files a folder has, where the system can be asked to.
pub fn sync_dir(dir: &Path) {
    // A file system that cannot has done what it can.
    let _ = os::sync_dir(dir);
}

/// Whether the file is this user's to replace: nobody else's, and not closed to writing.
pub fn replaceable(found: &std::fs::Metadata) -> Result<(), &'static str> {
    if !os::is_own(found) {
        return Err("belongs to another user");
    }
    if found.permissions().readonly() { Err("is read-only") } else { Ok(()) }
}

/// Opens a file to write at its end; private to the user (0600) from its beginning on, also when an older llmup made it
/// readable for others.
pub fn append_private(path: &Path) -> Result<File, FileError> {
    if let Some(dir) = path.parent() {
        create_dir(dir)?;
    }
    os::append_private(path).map_err(|e| FileError::new("open", path, e))
}

/// Opens (creating) a lock file and takes it. `None`: somebody else holds it. The lock ends with the returned file.
pub fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    if let Some(dir) = path.parent() {
        create_dir(dir)?;
    }
    let file = os::open_lock(path).map_err(|e| FileError::new("open", path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(FileError::new("lock", path, e)),
    }
}

/// Whether there is a file at `path`, and it is not this open one: that one was put aside.
pub fn is_another(open: &File, path: &Path) -> bool {
    File::open(path).is_ok_and(|there| os::same(open, &there).is_ok_and(|same| !same))
}

/// Makes `at` another name of `to`, by a symbolic link. What stands at `at` already stays.
pub fn link(to: &Path, at: &Path) -> io::Result<()> {
    match os::link(to, at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Free bytes on the disk that holds `path` (its nearest existing parent); `None` when the system will not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let mut at = path;
    while !at.exists() {
        at = at.parent()?;
    }
    os::free_bytes(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_replaced_whole_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/key");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_of_the_user_keeps_its_mode_and_a_new_one_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.json");
        replace(&path, b"one").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&path), 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            replace(&path, b"two").unwrap();
            assert_eq!(mode(&path), 0o640);
        }
        replace(&path, b"three").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(replaceable(&std::fs::metadata(&path).unwrap()), Ok(()));
        let mut closed = std::fs::metadata(&path).unwrap().permissions();
        closed.set_readonly(true);
        std::fs::set_permissions(&path, closed).unwrap();
        assert_eq!(replaceable(&std::fs::metadata(&path).unwrap()), Err("is read-only"));
        assert!(replace(&dir.path().join("none/x"), b"").is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_that_is_being_read_is_replaced_and_its_reader_keeps_the_old_one() {
        use std::io::Read;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_private(&path, b"old").unwrap();
        let mut reader = File::open(&path).unwrap();
        write_private(&path, b"new").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), std::fs::read(&path).unwrap()), ("old", b"new".to_vec()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn long_paths_blanks_and_every_script_are_names_like_others() {
        let dir = tempfile::tempdir().unwrap();
        // Windows programs that are not careful end at 260 characters.
        let deep = (0..12)
            .fold(dir.path().join("Users/Грета Müller/模型"), |path, _| path.join("folder ".repeat(4) + "x"));
        let path = deep.join("key.json");
        assert!(path.as_os_str().len() > 300);
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(try_lock(&deep.join("lock")).unwrap().is_some());
        assert!(free_bytes(dir.path()).is_some_and(|free| free > 0), "{:?}", free_bytes(dir.path()));
    }

    #[test]
    fn a_file_is_told_from_a_new_one_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "same").unwrap();
        let open = File::open(&path).unwrap();
        assert!(!is_another(&open, &path));
        std::fs::rename(&path, dir.path().join("aside")).unwrap();
        assert!(!is_another(&open, &path), "there is none");
        std::fs::write(&path, "same").unwrap();
        assert!(is_another(&open, &path));
    }

    #[test]
    fn a_lock_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = try_lock(&path).unwrap();
        assert!(held.is_some());
        assert!(try_lock(&path).unwrap().is_none());
        drop(held);
        assert!(try_lock(&path).unwrap().is_some());
    }
}
