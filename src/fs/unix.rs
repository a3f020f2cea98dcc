//! Our own files on Linux and macOS.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
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

/// Mode and owner of the file it will replace.
pub(super) fn take_after(file: &File, old: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if own.uid() != old.uid() {
        fchown(file, Some(old.uid()), None)?;
    }
    if own.gid() != old.gid() {
        // A group the user is not in cannot be given; the mode then must not open the file to another one.
        if fchown(file, None, Some(old.gid())).is_err() {
            return file.set_permissions(Permissions::from_mode(old.mode() & 0o707));
        }
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))
}

/// Which files the folder has.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Whether the file belongs to this user; to root all do.
pub(super) fn is_own(found: &Metadata) -> bool {
    let user = nix::unistd::Uid::effective();
    user.is_root() || found.uid() == user.as_raw()
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

/// Whether two open files are the same one.
pub(super) fn same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
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

/// A symbolic link.
pub(super) fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}
