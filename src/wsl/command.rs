//! How a command of Linux is run from Windows: `wsl.exe -d NAME --exec PROGRAM ARGUMENT…`. With `--exec` there is no shell
//! on the way: `wsl.exe` splits its command line as every program of Windows does and hands the words on (microsoft/WSL,
//! `WslMain` in `src/windows/common/WslClient.cpp`; `--` instead gives them to the shell of the user, who would expand
//! them again). It ends with the program's code, or with -1 when it could not start it.
//!
//! Variables cross over only when `WSLENV` names them (learn.microsoft.com/windows/wsl/filesystems): `/u` is for this
//! direction alone, `/p` translates a path.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The variable that says which others cross over.
pub const WSLENV: &str = "WSLENV";

/// Makes `wsl.exe` itself speak UTF-8, since 0.64 (microsoft/WSL#4607).
pub const UTF8: (&str, &str) = ("WSL_UTF8", "1");

/// The arguments of `wsl.exe` before a command of Linux.
pub fn prefix(distribution: &str) -> [String; 3] {
    ["-d".to_owned(), distribution.to_owned(), "--exec".to_owned()]
}

/// The distribution that a command runs in, by what [`prefix`] made; `None`: it is none of WSL.
pub fn distribution_of<'a>(program: &Path, args: &'a [String]) -> Option<&'a str> {
    // Whatever system this is: a file's stem would be all of `C:\Windows\System32\wsl.exe` on Linux.
    let name = program.to_str()?.rsplit(['/', '\\']).next()?.to_lowercase();
    match args {
        [d, name_of, exec, ..] if name.trim_end_matches(".exe") == "wsl" && d == "-d" && exec == "--exec" => {
            Some(name_of)
        }
        _ => None,
    }
}

/// `WSLENV` with these variables besides those that `now` names. A name that is there already stays as it is.
pub fn crossing<'a>(now: Option<&str>, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut all: Vec<String> =
        now.unwrap_or_default().split(':').filter(|e| !e.is_empty()).map(str::to_owned).collect();
    for name in names {
        let named = |entry: &String| entry.split('/').next() == Some(name);
        if !all.iter().any(named) {
            all.push(format!("{name}/u"));
        }
    }
    all.join(":")
}

/// Puts `WSLENV` into an environment, so that all of it crosses over, and what `also` names.
pub fn carry(env: &mut Vec<(String, OsString)>, now: Option<&str>, also: &[&str]) {
    let names: Vec<String> = env.iter().map(|(name, _)| name.clone()).collect();
    let value = crossing(now, names.iter().map(String::as_str).chain(also.iter().copied()));
    env.push((WSLENV.to_owned(), value.into()));
    env.push((UTF8.0.to_owned(), OsStr::new(UTF8.1).to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_by_its_first_words() {
        let args = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let mut own = prefix("Ubuntu-24.04").to_vec();
        own.push("/home/me/venv/bin/vllm".to_owned());
        for program in [r"C:\Windows\System32\wsl.exe", r"c:\windows\WSL.EXE", "/tmp/bin/wsl.exe", "wsl"] {
            assert_eq!(distribution_of(Path::new(program), &own), Some("Ubuntu-24.04"), "{program}");
        }
        assert_eq!(distribution_of(Path::new("/usr/bin/python3"), &own), None);
        assert_eq!(distribution_of(Path::new("wsl.exe"), &args(&["--list", "-v", "x"])), None);
        assert_eq!(distribution_of(Path::new("wsl.exe"), &[]), None);
    }

    #[test]
    fn what_the_user_lets_cross_stays_and_ours_comes_after() {
        assert_eq!(crossing(None, ["A", "B"]), "A/u:B/u");
        assert_eq!(crossing(Some("GOPATH/l:B/p::A"), ["A", "B", "C"]), "GOPATH/l:B/p:A:C/u");
        let mut env = vec![("VLLM_API_KEY".to_owned(), OsString::from("k"))];
        carry(&mut env, Some("USERPROFILE/p"), &["LLMUP_CHILD"]);
        assert_eq!(env[1], ("WSLENV".to_owned(), "USERPROFILE/p:VLLM_API_KEY/u:LLMUP_CHILD/u".into()));
        assert_eq!(env[2].0, "WSL_UTF8");
    }
}
