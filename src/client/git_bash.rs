//! Git Bash on Windows, in which Claude Code runs its commands. Facts: Claude Code 2.1.329 takes the program that
//! `CLAUDE_CODE_GIT_BASH_PATH` names if it is called bash or sh and is there; else Git's two usual places below
//! `C:\Program Files`; else `bin\bash.exe` two folders above the `git` on PATH; else it has no Bash tool and works with
//! PowerShell's. So it misses scoop's Git (a shim is on PATH), Git's own terminal (`mingw64\bin\git.exe` is) and one that
//! was installed elsewhere and kept from PATH.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::{Host, Os};

/// The variable that names it.
pub(super) const VARIABLE: &str = "CLAUDE_CODE_GIT_BASH_PATH";

/// Where it lies below Git's folder. The one in `usr\bin` does not set what its programs need.
const BASH: &str = r"bin\bash.exe";

/// Claude Code's own list.
const USUAL: [&str; 2] = [r"C:\Program Files\Git\bin\bash.exe", r"C:\Program Files (x86)\Git\bin\bash.exe"];

/// Where Git's installer says in which folder it put it: for the machine, or for the user when it was started without
/// an administrator's rights (git-for-windows/build-extra, `installer/install.iss`).
const KEYS: [&str; 2] = [r"HKLM\SOFTWARE\GitForWindows", r"HKCU\SOFTWARE\GitForWindows"];

/// Longest wait for the registry.
const LIMIT: Duration = Duration::from_secs(2);

/// What Claude Code would do on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GitBash {
    /// Not Windows: it needs none.
    NotNeeded,
    /// It finds one by itself.
    Found,
    /// There is one that it would miss.
    Missed(PathBuf),
    /// There is none.
    None,
}

/// Looks for it as Claude Code does, then further.
pub(super) fn look(host: &dyn Host) -> GitBash {
    if host.os() != Os::Windows {
        return GitBash::NotNeeded;
    }
    let git = host.which("git").map(|path| path.to_string_lossy().into_owned());
    let there = |path: &str| host.exists(Path::new(path));
    let by_itself = named(host).is_some_and(|path| usable(host, &path))
        || USUAL.iter().any(|path| there(path))
        || git.as_deref().is_some_and(|git| above(git).nth(1).is_some_and(|root| there(&below(root))));
    if by_itself {
        return GitBash::Found;
    }
    // scoop sets this variable to Git's folder.
    let told = host.env("GIT_INSTALL_ROOT").filter(|root| !root.is_empty());
    let around = git.iter().flat_map(|git| above(git).take(4).map(str::to_owned));
    let mut roots = around.chain(told).map(|root| below(&root));
    // The registry last: it is a program that has to be started.
    let found = roots.find(|path| there(path)).or_else(|| KEYS.iter().find_map(|key| installed(host, key)));
    found.map_or(GitBash::None, |path| GitBash::Missed(path.into()))
}

/// What the variable says.
pub(super) fn named(host: &dyn Host) -> Option<String> {
    host.env(VARIABLE).filter(|path| !path.is_empty())
}

/// Whether Claude Code takes what the variable says.
pub(super) fn usable(host: &dyn Host, path: &str) -> bool {
    let name = path.rsplit(['\\', '/']).next().unwrap_or_default().to_ascii_lowercase();
    ["bash.exe", "sh.exe", "bash", "sh"].contains(&name.as_str()) && host.exists(Path::new(path))
}

/// The folders above a file, the nearest first. By its text: what is a path on Windows is none elsewhere.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |path| parent(path))
}

fn parent(path: &str) -> Option<&str> {
    path.rfind(['\\', '/']).map(|at| &path[..at])
}

fn below(root: &str) -> String {
    format!(r"{}\{BASH}", root.trim_end_matches(['\\', '/']))
}

/// The one of the Git that the registry knows under this key.
fn installed(host: &dyn Host, key: &str) -> Option<String> {
    let root = registered(host, key, "InstallPath")?;
    Some(below(&root)).filter(|path| host.exists(Path::new(path)))
}

/// A text in the registry; `reg` prints a line `    NAME    REG_SZ    TEXT`.
fn registered(host: &dyn Host, key: &str, name: &str) -> Option<String> {
    let ran = host.run(Path::new("reg"), &["query", key, "/v", name], LIMIT).ok()?;
    let (_, text) = ran.stdout.lines().find_map(|line| line.split_once("    REG_SZ    "))?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::Recorded;

    /// A machine on which these files lie.
    fn with(files: &[&str]) -> Recorded {
        files.iter().fold(Recorded::new(Os::Windows), |host, file| host.file(file, ""))
    }

    fn missed(path: &str) -> GitBash {
        GitBash::Missed(path.into())
    }

    #[test]
    fn where_claude_code_looks_itself_nothing_has_to_be_said() {
        assert_eq!(look(&Recorded::new(Os::Linux).file("/bin/bash", "")), GitBash::NotNeeded);
        for usual in USUAL {
            assert_eq!(look(&with(&[usual])), GitBash::Found);
        }
        let other = with(&[r"D:\Git\bin\bash.exe"]).program("git", r"D:\Git\cmd\git.exe", None);
        assert_eq!(look(&other), GitBash::Found);
        let named = with(&[r"D:\msys64\usr\bin\BASH.EXE"]).var(VARIABLE, r"D:\msys64\usr\bin\BASH.EXE");
        assert_eq!(look(&named), GitBash::Found);
    }

    #[test]
    fn what_it_would_miss_is_found() {
        let bash = r"D:\Грета's tools\Git\bin\bash.exe";
        // Git's own terminal has this one first on PATH.
        let inner = with(&[bash]).program("git", r"D:\Грета's tools\Git\mingw64\bin\git.exe", None);
        assert_eq!(look(&inner), missed(bash));
        let scoop = r"C:\Users\u\scoop\apps\git\current";
        let shim = with(&[&format!(r"{scoop}\bin\bash.exe")])
            .program("git", r"C:\Users\u\scoop\shims\git.exe", None)
            .var("GIT_INSTALL_ROOT", &format!(r"{scoop}\"));
        assert_eq!(look(&shim), missed(&format!(r"{scoop}\bin\bash.exe")));
        let said = "\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\GitForWindows\r\n    InstallPath    REG_SZ    D:\\My Git\r\n\r\n";
        let registered = with(&[r"D:\My Git\bin\bash.exe"]).program("reg", "reg", Some(said));
        assert_eq!(look(&registered), missed(r"D:\My Git\bin\bash.exe"));
    }

    #[test]
    fn what_is_no_bash_or_not_there_does_not_count() {
        assert_eq!(look(&with(&[])), GitBash::None);
        let other = with(&[r"D:\Git\git-bash.exe"]).var(VARIABLE, r"D:\Git\git-bash.exe");
        assert_eq!(look(&other), GitBash::None);
        assert_eq!(look(&with(&[]).var(VARIABLE, r"D:\Git\bin\bash.exe")), GitBash::None);
        // Uninstalled, and the registry still has it.
        let gone = with(&[]).program("reg", "reg", Some("    InstallPath    REG_SZ    D:\\Git\r\n"));
        assert_eq!(look(&gone), GitBash::None);
        // WSL's, which is on every PATH of a Windows with WSL, is another machine's.
        let wsl = with(&[r"C:\Windows\System32\bash.exe"]).program("bash", r"C:\Windows\System32\bash.exe", None);
        assert_eq!(look(&wsl), GitBash::None);
    }

    #[test]
    #[cfg(windows)]
    fn the_registry_answers_in_these_words() {
        let key = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
        let name = registered(&crate::host::RealHost, key, "ProductName").unwrap();
        assert!(name.contains("Windows"), "{name:?}");
        assert_eq!(registered(&crate::host::RealHost, key, "NoSuchValueOfLlmup"), None);
    }
}
