//! A home where the fake engine stands on PATH under the names of the real ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::Home;

/// The fake engine's file.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("fake-engine"))
}

/// The fake client's file.
pub fn client() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("fake-client"))
}

/// An example of the project; built now when only the tests were.
fn example(name: &str) -> PathBuf {
    let llmup = Path::new(env!("CARGO_BIN_EXE_llmup"));
    let path = llmup.parent().unwrap().join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", name])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success() && path.exists(), "no {}", path.display());
    }
    path
}

/// Puts a program into `bin` under that name.
pub fn linked(program: &Path, bin: &Path, name: &str) {
    let link = bin.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !link.exists() {
        #[cfg(unix)]
        let made = std::os::unix::fs::symlink(program, &link);
        #[cfg(not(unix))]
        let made = std::fs::copy(program, &link);
        // Another thread of the same test may have been first.
        assert!(made.is_ok() || link.exists(), "{}: {made:?}", link.display());
    }
}

impl Home {
    /// llmup with the fake engine first on PATH under these names.
    pub fn faked(&self, engines: &[&str], args: &[&str]) -> Command {
        let bin = self.path().join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for name in engines {
            linked(program(), &bin, name);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(bin).chain(std::env::split_paths(&path));
        let path: OsString = std::env::join_paths(all).unwrap();
        let mut command = self.llmup(args);
        command.env("PATH", path).env("FAKE_PIDS", self.path().join("pids"));
        command
    }

    /// The pids the fake engines wrote, with their roles.
    pub fn pids(&self) -> Vec<(String, u32)> {
        let text = std::fs::read_to_string(self.path().join("pids")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.split_once(' '));
        whole.map(|(role, pid)| (role.to_owned(), pid.parse().unwrap())).collect()
    }

    /// Files that say an instance runs.
    pub fn instances(&self) -> usize {
        std::fs::read_dir(self.data.join("run")).map_or(0, Iterator::count)
    }
}
