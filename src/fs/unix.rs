//! Files that only their user may read.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

const PRIVATE: u32 = 0o600;

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
