//! TCP ports: a free one, the next free one, and who holds a taken one.

use std::io;
use std::net::{IpAddr, TcpListener};

use super::process;
use crate::host::Os;

#[cfg(windows)]
mod windows;

/// Shows which ports Windows keeps back.
pub const EXCLUDED: &str = "netsh interface ipv4 show excludedportrange protocol=tcp";

/// The process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its pid.
    pub pid: u32,
    /// Its name, as the system shows it.
    pub name: String,
}

/// A port that is free right now, chosen by the system.
pub fn free_port(host: IpAddr) -> io::Result<u16> {
    Ok(TcpListener::bind((host, 0))?.local_addr()?.port())
}

/// Why this port cannot be taken right now; nothing when it can.
pub fn refusal(host: IpAddr, port: u16) -> Option<io::Error> {
    // Windows lets one program listen on an address and another one on all of them: clients would reach either.
    #[cfg(windows)]
    if windows::listener(port).is_some() {
        return Some(io::ErrorKind::AddrInUse.into());
    }
    TcpListener::bind((host, port)).err()
}

/// Whether nobody holds this port right now.
pub fn is_free(host: IpAddr, port: u16) -> bool {
    refusal(host, port).is_none()
}

/// Whether the system keeps a port back though nobody listens on it: Hyper-V, WSL and Docker reserve ranges, other
/// ones after each start of Windows, and binding there fails with WSAEACCES (10013).
pub fn kept_back(os: Os, error: &io::Error) -> bool {
    os == Os::Windows && error.kind() == io::ErrorKind::PermissionDenied
}

/// The first free port at or above `from`, within the next hundred.
pub fn next_free(host: IpAddr, from: u16) -> Option<u16> {
    (from..=from.saturating_add(99)).find(|port| is_free(host, *port))
}

/// Who listens on `port`, on any address. `None`: nobody, a process of another user, or a system that will not say
/// (macOS).
#[cfg(windows)]
pub fn holder(port: u16) -> Option<Holder> {
    let pid = windows::listener(port).filter(|pid| *pid != 0)?;
    Some(Holder { pid, name: process::name(pid).unwrap_or_default() })
}

/// Who listens on `port`, on any address. `None`: nobody, a process of another user, or a system that will not say
/// (macOS).
#[cfg(not(windows))]
pub fn holder(port: u16) -> Option<Holder> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        inodes.extend(text.lines().filter_map(|line| listener(line, port)));
    }
    if inodes.is_empty() {
        return None;
    }
    let wanted: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_open(*pid, &wanted))
        .map(|pid| Holder { pid, name: process::name(pid).unwrap_or_default() })
}

/// The inode of a line of `/proc/net/tcp`, when it is a socket that listens on `port`. Columns: number, local
/// address, remote address, state (0A = listening), …, inode as the tenth.
#[cfg_attr(windows, allow(dead_code))]
fn listener(line: &str, port: u16) -> Option<u64> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local) = columns.get(1)?.rsplit_once(':')?;
    if *columns.get(3)? != "0A" || u16::from_str_radix(local, 16) != Ok(port) {
        return None;
    }
    columns.get(9)?.parse().ok()
}

#[cfg(not(windows))]
fn has_open(pid: u32, wanted: &[String]) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    open.flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| wanted.iter().any(|w| w == target)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_taken_port_is_skipped() {
        let held = TcpListener::bind((HOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(!is_free(HOST, port));
        assert_ne!(next_free(HOST, port), Some(port));
        // Held on all addresses it is held on each; macOS sees that differently.
        if Os::current() == Os::Macos {
            return;
        }
        let all = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        assert!(!is_free(HOST, all.local_addr().unwrap().port()));
    }

    #[test]
    #[cfg(any(target_os = "linux", windows))]
    fn the_holder_of_a_port_is_named() {
        let held = TcpListener::bind((HOST, 0)).unwrap();
        let holder = holder(held.local_addr().unwrap().port()).unwrap();
        assert_eq!(holder.pid, std::process::id());
        assert!(!holder.name.is_empty());
    }

    #[test]
    fn a_free_port_has_no_holder() {
        let port = free_port(HOST).unwrap();
        assert_eq!(holder(port), None);
    }

    #[test]
    fn a_port_of_a_reserved_range_is_told_from_a_taken_one() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(kept_back(Os::Windows, &denied));
        // There it means a number below 1024.
        assert!(!kept_back(Os::Linux, &denied));
        assert!(!kept_back(Os::Windows, &io::ErrorKind::AddrInUse.into()));
        #[cfg(windows)]
        assert!(kept_back(Os::Windows, &io::Error::from_raw_os_error(10013)));
    }

    #[test]
    fn only_listening_sockets_count() {
        let listening =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1";
        assert_eq!(listener(listening, 8080), Some(4242));
        assert_eq!(listener(listening, 8081), None);
        assert_eq!(listener(&listening.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(listener("  sl  local_address rem_address   st", 8080), None);
    }
}
