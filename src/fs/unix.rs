//! Our own files on Linux and macOS.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

const PRIVATE: u32 = 0o600;

/// A new file in `dir` that only the user may read (tempfile creates 0600); its name begins with `prefix`.
pub(super) fn private_file(dir: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    Builder::new().prefix(prefix).tempfile_in(dir)
}

/// Gives the file its name, in the place of what had it.
pub(super) fn replace(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path)?;
    Ok(())
}

/// Free bytes on the disk that holds this existing file or folder.
pub(super) fn free_bytes(at: &Path) -> Option<u64> {
    let at = at.canonicalize().ok()?;
    let disks = sysinfo::Disks::new_with_refreshed_list().ok()?;
    disks
        .iter()
        .filter(|disk| at.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
        .map(sysinfo::Disk::available_space)
}

/// To write at its end.
pub(super) fn append_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
    let found = file.metadata()?;
    // Devices and pipes have an owner of their own.
    if found.is_file() && found.permissions().mode() & 0o077 != 0 {
        let _ = file.set_permissions(Permissions::from_mode(PRIVATE));
    }
    Ok(file)
}

/// What is locked.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE).open(path)
}
