//! Files in the user's own folder, whose rights they inherit.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// To write at its end.
pub(super) fn append_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// What is locked.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}
