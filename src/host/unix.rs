//! Rights on Unix.

use std::io;
use std::path::Path;

use nix::unistd::AccessFlags;

/// Whether this user may read and write it.
pub(super) fn access(path: &Path) -> io::Result<()> {
    nix::unistd::access(path, AccessFlags::R_OK | AccessFlags::W_OK).map_err(io::Error::from)
}
