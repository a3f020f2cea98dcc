//! Our own files on Windows. `unsafe` for two system calls: how much space is left, and which file is open.
#![allow(unsafe_code)]

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, GetDiskFreeSpaceExW, GetFileInformationByHandle,
};

/// How often a file that somebody holds is tried again, and after which rest: scanners and editors let go soon.
const TRIES: u32 = 40;
const REST: Duration = Duration::from_millis(25);

/// A new file in `dir`, private as far as the folder is: the user's folders are closed to other users. Not tempfile's
/// own, which is marked as temporary and knows no paths above 260 characters. Its name begins with `prefix`.
pub(super) fn private_file(dir: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let open = |path: &Path| File::options().read(true).write(true).create_new(true).open(path);
    Builder::new().prefix(prefix).make_in(dir, open).map(|file| {
        let (file, path) = file.into_parts();
        NamedTempFile::from_parts(file, path)
    })
}

/// Gives the file its name, in the place of what had it. A file that is open without leave to delete it cannot be
/// replaced for as long; that is waited for a second.
pub(super) fn replace(file: NamedTempFile, path: &Path) -> io::Result<()> {
    // Closed first: an open file keeps its name.
    let mut temporary = file.into_temp_path();
    let mut tries = 0;
    loop {
        match std::fs::rename(&temporary, path) {
            Ok(()) => {
                temporary.disable_cleanup(true);
                return Ok(());
            }
            Err(error) if held(&error) && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
        std::thread::sleep(REST);
    }
}

/// A file takes what its folder gives.
pub(super) fn take_after(_file: &File, _old: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Folders are seen to the disk by the system itself.
pub(super) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether the file may be replaced is told by the attempt.
pub(super) fn is_own(_found: &Metadata) -> bool {
    true
}

/// Access denied (5), or a sharing violation (32).
fn held(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(5 | 32))
}

/// Free bytes for this user on the disk or share that holds this existing folder or file.
pub(super) fn free_bytes(at: &Path) -> Option<u64> {
    let folder = if at.is_dir() { at } else { at.parent()? };
    let wide: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    let mut free = 0;
    // SAFETY: `wide` ends with a zero, `free` outlives the call, the other two results are not asked for.
    let done = unsafe { GetDiskFreeSpaceExW(wide.as_ptr(), &raw mut free, std::ptr::null_mut(), std::ptr::null_mut()) };
    (done != 0).then_some(free)
}

/// Whether two open files are the same one: the volume's number and the file's on it.
pub(super) fn same(one: &File, other: &File) -> io::Result<bool> {
    let numbers = |file: &File| {
        let mut told = BY_HANDLE_FILE_INFORMATION::default();
        // SAFETY: the handle is open for as long as `file` is borrowed, and `told` outlives the call.
        let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut told) };
        let numbers = (told.dwVolumeSerialNumber, told.nFileIndexHigh, told.nFileIndexLow);
        if done != 0 { Ok(numbers) } else { Err(io::Error::last_os_error()) }
    };
    Ok(numbers(one)? == numbers(other)?)
}

/// To write at its end.
pub(super) fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// What is locked.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// A symbolic link; Windows has one kind for folders and one for files.
pub(super) fn link(to: &Path, at: &Path) -> io::Result<()> {
    if to.is_dir() { std::os::windows::fs::symlink_dir(to, at) } else { std::os::windows::fs::symlink_file(to, at) }
}

#[cfg(test)]
mod tests {
    use std::os::windows::fs::OpenOptionsExt;

    use crate::fs::write_private;

    #[test]
    fn a_file_that_somebody_holds_for_a_moment_is_replaced_when_he_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_private(&path, b"old").unwrap();
        // Nobody else may open, rename or replace it now.
        let held = std::fs::File::options().read(true).share_mode(0).open(&path).unwrap();
        let letting_go = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            drop(held);
        });
        write_private(&path, b"new").unwrap();
        letting_go.join().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
