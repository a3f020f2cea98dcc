//! Programs that hold a device's memory, and device files that others hold back.

use std::io;
use std::path::Path;

use super::rows::program_name;
use crate::host::Host;
use crate::output::bytes;

/// Less than this, held by a desktop, disturbs nobody.
const BUSY_BYTES: u64 = 1 << 30;

/// One program on one device.
pub(super) struct Holder<'a> {
    pub(super) pid: u32,
    /// Perhaps a path with arguments behind it.
    pub(super) name: Option<&'a str>,
    pub(super) bytes: Option<u64>,
}

/// `busy: 20 GiB held by python (pid 1) and 1 more`; `None` where they hold little.
pub(super) fn busy(holders: &[Holder<'_>]) -> Option<String> {
    let held = holders.iter().fold(0_u64, |sum, holder| sum.saturating_add(holder.bytes.unwrap_or(0)));
    let most = holders.iter().max_by_key(|holder| holder.bytes.unwrap_or(0))?;
    if held < BUSY_BYTES {
        return None;
    }
    let name = most.name.map(program_name).filter(|name| !name.is_empty()).unwrap_or("a program");
    let more = match holders.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("busy: {} held by {name} (pid {}){more}", bytes(held), most.pid))
}

/// Whether this user is kept from a device file that is there.
pub(super) fn is_denied(host: &dyn Host, path: &Path) -> bool {
    host.access(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Whether a device file is not there.
pub(super) fn is_absent(host: &dyn Host, path: &Path) -> bool {
    host.access(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// How to come to a device file that is held back.
pub(super) fn join_its_group(path: &str) -> String {
    format!(
        "you may not open {path}; `ls -l {path}` shows its group: join it with `sudo usermod -aG GROUP $USER`, then log \
         in again"
    )
}

/// What a variable that hides devices is set to, as one would type it.
pub(super) fn setting(name: &str, value: &str) -> String {
    if value.is_empty() { format!("{name}=\"\"") } else { format!("{name}={value}") }
}
