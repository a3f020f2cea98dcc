//! A datagram to the service manager.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;

/// Sends it. That nobody listens is no reason not to serve.
pub(super) fn send(socket: &OsStr, message: &[u8]) {
    let _ = go(socket, message);
}

fn go(socket: &OsStr, message: &[u8]) -> std::io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    match socket.as_bytes().strip_prefix(b"@") {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            sender.send_to_addr(message, &address)?;
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => {}
        None => {
            sender.send_to(message, socket)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_it_over_a_file_and_over_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        go(path.as_os_str(), b"READY=1\nSTATUS=x").unwrap();
        let mut got = [0; 64];
        let n = manager.recv(&mut got).unwrap();
        assert_eq!(&got[..n], b"READY=1\nSTATUS=x");
        assert!(go(dir.path().join("none").as_os_str(), b"x").is_err());
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;
            let name = format!("llmup-test-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            go(OsStr::new(&format!("@{name}")), b"STOPPING=1").unwrap();
            let n = manager.recv(&mut got).unwrap();
            assert_eq!(&got[..n], b"STOPPING=1");
        }
    }
}
