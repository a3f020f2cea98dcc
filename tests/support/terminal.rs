//! A program in a terminal of its own, as a user has it: what it shows, keys pressed, and what it leaves behind.
//! `unsafe` for one call between fork and exec, which makes the terminal the program's own.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, OutputFlags, Termios, tcgetattr};

pub const CTRL_C: &str = "\u{3}";
pub const CTRL_D: &str = "\u{4}";

/// Longest wait for what has to come.
const LONG: Duration = Duration::from_secs(180);

/// The terminal, and the program that leads its session.
pub struct Terminal {
    pub child: Child,
    keys: Option<File>,
    /// Held open, so that the terminal can still be looked at when the program is gone.
    screen: Option<OwnedFd>,
    before: Termios,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    closed: Arc<AtomicBool>,
}

impl Terminal {
    /// Starts it in a terminal of 80 columns.
    pub fn start(command: Command) -> Terminal {
        Terminal::of(command, 80, false)
    }

    /// Starts it in a terminal of that many columns; with `no_input` nobody can type.
    pub fn of(mut command: Command, columns: u16, no_input: bool) -> Terminal {
        let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        // Programs that other tests start meanwhile must not hold it.
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        }
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let before = tcgetattr(&pair.slave).unwrap();
        let stdio = || Stdio::from(pair.slave.try_clone().unwrap());
        command.env("TERM", "xterm-256color").stdout(stdio()).stderr(stdio());
        command.stdin(if no_input { Stdio::null() } else { stdio() });
        let (slave, master) = (pair.slave.as_raw_fd(), pair.master.as_raw_fd());
        // SAFETY: only system calls between fork and exec, on descriptors that are open until then.
        unsafe {
            command.pre_exec(move || {
                // As from a shell that somebody types in: what starts the tests may ignore some, as shells do for jobs in
                // the background.
                for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                let own = libc::setsid() >= 0 && libc::ioctl(slave, libc::TIOCSCTTY as _, 0) >= 0;
                libc::close(master);
                libc::close(slave);
                if own { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let child = command.spawn().unwrap();
        // The command holds the terminal's other end, too.
        drop(command);
        let (shown, closed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let mut reading = File::from(pair.master.try_clone().unwrap());
        let (seen, over) = (Arc::clone(&shown), Arc::clone(&closed));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while !over.load(Ordering::SeqCst) {
                match reading.read(&mut bytes) {
                    Ok(count @ 1..) => seen.lock().unwrap().extend_from_slice(&bytes[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        });
        let (keys, screen, reader) = (Some(File::from(pair.master)), Some(pair.slave), Some(reader));
        Terminal { child, keys, screen, before, shown, reader, closed }
    }

    /// All that was written to it.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// The same as text: without colours and movements, `\r` as the beginning of a line.
    pub fn text(&self) -> String {
        let raw = self.raw();
        let (mut text, mut rest) = (String::new(), raw.as_str());
        while let Some(at) = rest.find('\u{1b}') {
            text.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let end = match after.strip_prefix('[') {
                Some(code) => code.find(|c: char| c.is_ascii_alphabetic()).map(|end| end + 2),
                None => after.char_indices().nth(1).map(|(end, _)| end),
            };
            rest = end.and_then(|end| after.get(end..)).unwrap_or("");
        }
        (text + rest).replace("\r\n", "\n").replace('\r', "\n")
    }

    /// Waits until it has shown this.
    pub fn until(&mut self, wanted: &str) -> String {
        let end = Instant::now() + LONG;
        loop {
            let text = self.text();
            if text.contains(wanted) {
                return text;
            }
            let ended = self.child.try_wait().unwrap();
            // What it wrote last may be read a moment later.
            let late = ended.is_none() || self.quiet(wanted);
            assert!(late, "ended ({ended:?}) without {wanted:?}:\n{}", self.text());
            assert!(Instant::now() < end, "no {wanted:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has asked this, and reads the answer key by key: a Ctrl-C before that is a signal to it.
    pub fn asked(&mut self, wanted: &str) {
        self.until(wanted);
        let end = Instant::now() + LONG;
        let signals = |screen: &OwnedFd| tcgetattr(screen).unwrap().local_flags.contains(LocalFlags::ISIG);
        while self.screen.as_ref().is_some_and(signals) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "it reads no keys ({ended:?}):\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn quiet(&self, wanted: &str) -> bool {
        std::thread::sleep(Duration::from_millis(300));
        self.text().contains(wanted)
    }

    pub fn press(&mut self, keys: &str) {
        if let Some(terminal) = &mut self.keys {
            terminal.write_all(keys.as_bytes()).unwrap();
        }
    }

    /// Closes the terminal's window.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.reader.take().map(JoinHandle::join).unwrap().unwrap();
        (self.keys, self.screen) = (None, None);
    }

    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end; its exit code, and what it showed. The terminal is as it was before: it echoes, reads lines, makes
    /// signals of keys, shows the cursor and its first screen.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.wait();
        std::thread::sleep(Duration::from_millis(100));
        let now = tcgetattr(self.screen.as_ref().unwrap()).unwrap();
        let local = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
        assert_eq!(now.local_flags & local, self.before.local_flags & local, "{}", self.text());
        let output = OutputFlags::OPOST;
        assert_eq!(now.output_flags & output, self.before.output_flags & output, "{}", self.text());
        let raw = self.raw();
        for (off, on) in [("\u{1b}[?25l", "\u{1b}[?25h"), ("\u{1b}[?1049h", "\u{1b}[?1049l")] {
            assert!(raw.rfind(off) <= raw.rfind(on), "{off:?} was not undone:\n{raw:?}");
        }
        (status.code(), self.text())
    }
}

/// What a failed test started does not outlive it.
impl Drop for Terminal {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
