//! Under a service manager: telling it what it waits for. systemd gives a socket in `NOTIFY_SOCKET` (`sd_notify(3)`);
//! without one nothing is said.

#[cfg(unix)]
#[path = "unix.rs"]
mod os;
#[cfg(windows)]
#[path = "windows.rs"]
mod os;

/// It serves now.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={}", line(status)));
}

/// It ends now.
pub fn stopping() {
    tell("STOPPING=1\nSTATUS=stopping");
}

fn tell(message: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) {
        os::send(&socket, message.as_bytes());
    }
}

/// What stands behind a line end would be another message.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
