//! The one seam through which llmup looks at the machine: run a program, read a file, list a folder, find a name on
//! PATH, read the environment. [`RealHost`] asks the machine; tests and recordings answer instead.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[cfg(unix)]
#[path = "host/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "host/windows.rs"]
mod os;
#[cfg(test)]
mod stand_in;
#[cfg(test)]
pub use stand_in::StandIn;

/// Operating systems that decide differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Linux, WSL2 included.
    Linux,
    /// Native Windows.
    Windows,
    /// macOS.
    Macos,
}

impl Os {
    /// The system this binary was built for.
    pub const fn current() -> Os {
        if cfg!(windows) {
            Os::Windows
        } else if cfg!(target_os = "macos") {
            Os::Macos
        } else {
            Os::Linux
        }
    }
}

/// What a program that ran to its end left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, lossily decoded.
    pub stdout: String,
    /// Standard error, lossily decoded.
    pub stderr: String,
}

/// Everything detection may ask of a machine.
pub trait Host: Send + Sync {
    /// Runs `program` with `args`, without a shell and without standard input, for at most `limit`
    /// ([`io::ErrorKind::TimedOut`] after that; the program is killed).
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran>;
    /// The bytes of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The entries of a folder, sorted by name.
    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// The full path of a program on PATH.
    fn which(&self, name: &str) -> Option<PathBuf>;
    /// An environment variable, when set and valid Unicode.
    fn env(&self, name: &str) -> Option<String>;
    /// The operating system.
    fn os(&self) -> Os;

    /// Whether `path` exists.
    fn exists(&self, path: &Path) -> bool {
        self.read(path).is_ok() || self.entries(path).is_ok()
    }

    /// Whether this user may read and write `path`, asked without opening it: opening a device file can wake or take
    /// the device.
    fn access(&self, path: &Path) -> io::Result<()> {
        if self.exists(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// What neither a file nor a program tells (a driver's library, the processor itself): `ask` asks this machine. A
    /// recording gives what was answered when it was made, `Null` when that was never asked.
    fn told(&self, _name: &str, ask: &dyn Fn() -> Value) -> Value {
        ask()
    }
}

/// [`Host::told`] with a type; `None` when a recording does not know it.
pub fn told<T: Serialize + DeserializeOwned>(host: &dyn Host, name: &str, ask: impl Fn() -> T) -> Option<T> {
    let value = host.told(name, &|| serde_json::to_value(ask()).unwrap_or(Value::Null));
    serde_json::from_value(value).ok()
}

/// The machine llmup runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealHost;

impl Host for RealHost {
    fn run(&self, program: &Path, args: &[&str], limit: Duration) -> io::Result<Ran> {
        // Output goes to files, not pipes: a grandchild that keeps a pipe open must not hold us.
        let mut out = tempfile::tempfile()?;
        let mut err = tempfile::tempfile()?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(err.try_clone()?)
            .spawn()?;
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?}")));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        Ok(Ran { code: status.code(), stdout: slurp(&mut out)?, stderr: slurp(&mut err)? })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn entries(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found: Vec<PathBuf> =
            std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
        found.sort();
        Ok(found)
    }

    fn which(&self, name: &str) -> Option<PathBuf> {
        which::which(name).ok()
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn os(&self) -> Os {
        Os::current()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn access(&self, path: &Path) -> io::Result<()> {
        os::access(path)
    }
}

fn slurp(file: &mut std::fs::File) -> io::Result<String> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(decoded(&bytes))
}

/// What a program wrote, as text: UTF-8, or UTF-16LE, which `wsl.exe` writes into pipes and files without saying so
/// (microsoft/WSL#4607). Text in UTF-8 holds no zero bytes; in UTF-16LE the second half of every ASCII character is one,
/// and so of the ends of lines.
pub fn decoded(bytes: &[u8]) -> String {
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let wide = bytes.starts_with(b"\xff\xfe") || bytes.chunks_exact(2).any(|pair| pair == b"\n\0");
    if bytes.len().is_multiple_of(2) && (wide || zeros(1) > zeros(0)) {
        let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        return text.trim_start_matches('\u{feff}').to_owned();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_program_that_hangs_is_ended_at_its_limit() {
        let error = RealHost.run(Path::new("sleep"), &["30"], Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    #[cfg(unix)]
    fn output_and_exit_code_come_back() {
        let ran = RealHost.run(Path::new("ls"), &["/no/such/folder"], Duration::from_secs(5)).unwrap();
        assert_ne!(ran.code, Some(0));
        assert!(ran.stderr.contains("/no/such/folder"), "{}", ran.stderr);
    }

    /// npm puts `claude`, a script for POSIX shells, beside `claude.cmd`.
    #[test]
    #[cfg(windows)]
    fn a_shim_is_found_and_run_never_the_script_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("Грета's tools");
        std::fs::create_dir(&bin).unwrap();
        std::fs::write(bin.join("claude"), "#!/bin/sh\nexit 9\n").unwrap();
        std::fs::write(bin.join("claude.cmd"), "@echo 2.1.329 %1\r\n@exit /b 3\r\n").unwrap();
        let found = which::which_in("claude", Some(&bin), dir.path()).unwrap();
        assert_eq!(found.extension().unwrap().to_ascii_lowercase(), "cmd");
        let ran = RealHost.run(&found, &["--version"], Duration::from_secs(20)).unwrap();
        assert_eq!((ran.code, ran.stdout.trim()), (Some(3), "2.1.329 --version"), "{}", ran.stderr);
        std::fs::remove_file(bin.join("claude.cmd")).unwrap();
        assert!(which::which_in("claude", Some(&bin), dir.path()).is_err());
    }

    #[test]
    fn what_windows_says_in_its_own_encoding_is_text_too() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        for text in ["* Ubuntu    Running         2\r\n", "一一一一 丁\r\n", "\u{1f600} ж\n", "é\n"] {
            assert_eq!(decoded(&wide(text)), text);
            assert_eq!(decoded(&wide(&format!("\u{feff}{text}"))), text);
            assert_eq!(decoded(text.as_bytes()), text);
        }
        assert_eq!(decoded(b""), "");
        assert_eq!(decoded(b"a\0b"), "a\0b");
        assert_eq!(decoded(b"\xff\xfe"), "");
    }

    #[test]
    fn what_is_not_there_cannot_be_used() {
        assert_eq!(RealHost.access(Path::new("no/such/device")).unwrap_err().kind(), io::ErrorKind::NotFound);
        let file = tempfile::NamedTempFile::new().unwrap();
        RealHost.access(file.path()).unwrap();
    }

    #[test]
    fn what_this_machine_tells_comes_through_as_it_is() {
        assert_eq!(told(&RealHost, "numbers", || vec![1_u32, 2]), Some(vec![1, 2]));
    }
}
