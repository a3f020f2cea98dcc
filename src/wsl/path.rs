//! Paths of Windows and of Linux in WSL, as `wslpath` translates them (microsoft/WSL, `src/linux/init/wslpath.cpp`):
//! separators become slashes, `\\?\` goes, doubled separators and `.` and `..` are folded, the drive's letter is looked
//! up among the mounts. Pure functions; whether a file exists is for others to see.

use super::error::PathError;
use super::mounts::Mounts;

/// A whole Windows path, taken apart. `below` has the names in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowsPath {
    /// `D:\models\glm`.
    Drive {
        /// Its letter, upper case.
        drive: char,
        /// What comes after.
        below: Vec<String>,
    },
    /// `\\nas\models\glm`.
    Share {
        /// `nas`.
        server: String,
        /// `models`.
        share: String,
        /// What comes after.
        below: Vec<String>,
    },
    /// `\\wsl.localhost\Ubuntu\home\me` or `\\wsl$\Ubuntu\home\me`.
    Distribution {
        /// `Ubuntu`.
        name: String,
        /// What comes after.
        below: Vec<String>,
    },
}

/// What a text is, seen as a Windows path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A whole path.
    Whole(WindowsPath),
    /// `D:models`: a drive and no separator.
    DriveRelative,
    /// It begins as Windows paths do, and names no file: `\\.\PhysicalDrive0`, `\\nas`.
    Odd,
    /// Nothing that only Windows would write.
    None,
}

/// Where Windows shows the files of distributions; `wsl$` is the older name, which Windows 10 has too.
const HOSTS: [&str; 2] = ["wsl.localhost", "wsl$"];

/// Takes a text apart. Slashes count as separators after a drive's letter; a text that begins with them is a path of
/// Linux, unless it names one of WSL's own hosts.
pub fn kind(text: &str) -> Kind {
    let backslashes = text.replace('/', "\\");
    let unc = if text.starts_with('/') {
        let host = backslashes.strip_prefix("\\\\").and_then(|rest| rest.split('\\').next()).unwrap_or_default();
        if !is_wsl_host(host) {
            return Kind::None;
        }
        backslashes.strip_prefix("\\\\")
    } else if let Some(rest) = strip_ignoring_case(&backslashes, "\\\\?\\UNC\\") {
        Some(rest)
    } else if let Some(rest) = backslashes.strip_prefix("\\\\?\\") {
        return match drive(rest) {
            whole @ Kind::Whole(_) => whole,
            _ => Kind::Odd,
        };
    } else if backslashes.starts_with("\\\\.\\") {
        return Kind::Odd;
    } else {
        backslashes.strip_prefix("\\\\")
    };
    let Some(unc) = unc else { return drive(&backslashes) };
    let mut names = unc.split('\\');
    let host = names.next().unwrap_or_default();
    // Doubled separators can stand anywhere but in front.
    let mut rest = names.filter(|name| !name.is_empty());
    match (host.is_empty(), rest.next()) {
        (false, Some(name)) => {
            let name = name.to_owned();
            let below = folded(rest);
            Kind::Whole(if is_wsl_host(host) {
                WindowsPath::Distribution { name, below }
            } else {
                WindowsPath::Share { server: host.to_owned(), share: name, below }
            })
        }
        _ => Kind::Odd,
    }
}

fn is_wsl_host(host: &str) -> bool {
    HOSTS.iter().any(|known| known.eq_ignore_ascii_case(host))
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// `D:\…`, its separators backslashes already.
fn drive(text: &str) -> Kind {
    let mut chars = text.chars();
    let (Some(letter), Some(':')) = (chars.next().filter(char::is_ascii_alphabetic), chars.next()) else {
        return Kind::None;
    };
    match text[2..].strip_prefix('\\') {
        Some(rest) => {
            let below = folded(rest.split('\\').filter(|name| !name.is_empty()));
            Kind::Whole(WindowsPath::Drive { drive: letter.to_ascii_uppercase(), below })
        }
        // `D:` alone is the drive as people say it.
        None if text.len() == 2 => {
            Kind::Whole(WindowsPath::Drive { drive: letter.to_ascii_uppercase(), below: Vec::new() })
        }
        None => Kind::DriveRelative,
    }
}

/// Without `.`, and with `..` taken back; above the root there is only the root, as Windows has it.
fn folded<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut folded: Vec<String> = Vec::new();
    for name in names {
        match name {
            "." => {}
            ".." => {
                folded.pop();
            }
            name => folded.push(name.to_owned()),
        }
    }
    folded
}

/// A Windows path as Linux in the distribution `own` names it. `None` for `own`: which one that is is not known, and
/// every distribution counts as it.
pub fn to_linux(text: &str, mounts: &Mounts, own: Option<&str>) -> Result<String, PathError> {
    let path = match kind(text) {
        Kind::Whole(path) => path,
        Kind::DriveRelative => return Err(PathError::Relative { path: text.to_owned() }),
        Kind::Odd | Kind::None => return Err(PathError::Form { path: text.to_owned() }),
    };
    match &path {
        WindowsPath::Distribution { name, below } => match own {
            Some(own) if !own.eq_ignore_ascii_case(name) => {
                Err(PathError::OtherDistribution { path: text.to_owned(), name: name.clone(), own: own.to_owned() })
            }
            _ => Ok(joined("/", below)),
        },
        WindowsPath::Share { server, share, .. } => {
            let mounted = mounts.linux(&path).map(|(at, below)| joined(at, below));
            mounted.ok_or_else(|| PathError::Share { path: text.to_owned(), share: format!(r"\\{server}\{share}") })
        }
        WindowsPath::Drive { drive, below } => match mounts.linux(&path) {
            Some((at, below)) => Ok(joined(at, below)),
            None => Ok(joined(&mounts.automatic(*drive), below)),
        },
    }
}

/// A whole Linux path of the distribution `own` as Windows names it. `None`: it is not whole.
pub fn to_windows(path: &str, mounts: &Mounts, own: &str) -> Option<String> {
    let below = folded(path.strip_prefix('/')?.split('/').filter(|name| !name.is_empty()));
    if let Some((windows, rest)) = mounts.windows(&below) {
        let rest = rest.join("\\");
        // A drive alone ends in a backslash, else it would be where Windows is on it.
        let between = if windows.ends_with('\\') || (rest.is_empty() && !windows.ends_with(':')) { "" } else { "\\" };
        return Some(format!("{windows}{between}{rest}"));
    }
    let below = if below.is_empty() { String::new() } else { format!("\\{}", below.join("\\")) };
    Some(format!(r"\\wsl$\{own}{below}"))
}

fn joined(at: &str, below: &[String]) -> String {
    let at = at.trim_end_matches('/');
    if below.is_empty() {
        if at.is_empty() { "/".to_owned() } else { at.to_owned() }
    } else {
        format!("{at}/{}", below.join("/"))
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
