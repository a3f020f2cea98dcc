//! Where the drives of Windows are in a distribution: what is mounted now (`/proc/mounts`), else the rule that WSL
//! mounts them by: `root` under `[automount]` of `/etc/wsl.conf`, `/mnt/` unless said otherwise, and the letter in lower
//! case (learn.microsoft.com/windows/wsl/wsl-config).

use super::path::{self, Kind, WindowsPath};
use super::settings;

/// Where drives are mounted unless `/etc/wsl.conf` says otherwise.
const ROOT: &str = "/mnt/";

/// The drives and shares of Windows, as a distribution has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts {
    /// Each with its place in Linux.
    mounted: Vec<(WindowsPath, String)>,
    /// Where drives are mounted by themselves; ends in a slash.
    root: String,
}

impl Default for Mounts {
    fn default() -> Mounts {
        Mounts { mounted: Vec::new(), root: ROOT.to_owned() }
    }
}

impl Mounts {
    /// From the texts of `/proc/mounts` and `/etc/wsl.conf`; empty ones say nothing.
    pub fn read(mounts: &str, conf: &str) -> Mounts {
        let root = settings::value(conf, "automount", "root").filter(|root| root.starts_with('/'));
        let root = root.map_or_else(|| ROOT.to_owned(), |root| format!("{}/", root.trim_end_matches('/')));
        Mounts { mounted: mounts.lines().filter_map(mounted).collect(), root }
    }

    /// Whether a drive, or a folder of it, is mounted somewhere.
    pub fn has(&self, drive: char) -> bool {
        self.mounted.iter().any(|(of, _)| matches!(of, WindowsPath::Drive { drive: known, .. } if *known == drive))
    }

    /// Where WSL mounts a drive by itself.
    pub fn automatic(&self, drive: char) -> String {
        format!("{}{}", self.root, drive.to_ascii_lowercase())
    }

    /// The mount that holds a path, and the names below it; the deepest one counts.
    pub(super) fn linux<'a>(&'a self, path: &'a WindowsPath) -> Option<(&'a str, &'a [String])> {
        let under = self.mounted.iter().filter_map(|(of, at)| Some((at.as_str(), rest(of, path)?)));
        under.min_by_key(|(_, rest)| rest.len())
    }

    /// The Windows path of the mount that holds the Linux path of these names, and the names below it.
    pub(super) fn windows<'a>(&self, names: &'a [String]) -> Option<(String, &'a [String])> {
        let under = self.mounted.iter().filter_map(|(of, at)| {
            let at: Vec<&str> = at.split('/').filter(|name| !name.is_empty()).collect();
            let below = names.len().checked_sub(at.len())?;
            let same = names.iter().zip(&at).all(|(a, b)| a == b);
            same.then(|| (shown(of), &names[names.len() - below..]))
        });
        if let Some(found) = under.min_by_key(|(_, rest)| rest.len()) {
            return Some(found);
        }
        // By the rule: `/mnt/d/…`, where nothing else is known of that drive.
        let root: Vec<&str> = self.root.split('/').filter(|name| !name.is_empty()).collect();
        let (start, rest) = names.split_at_checked(root.len())?;
        let (letter, rest) = rest.split_first()?;
        let drive = letter.chars().next().filter(|c| letter.len() == 1 && c.is_ascii_lowercase())?;
        let drive = drive.to_ascii_uppercase();
        (start.iter().zip(&root).all(|(a, b)| a == b) && !self.has(drive)).then(|| (format!("{drive}:"), rest))
    }
}

/// The names of `path` below `mount`. Windows does not tell upper from lower case, Linux keeps what was typed.
fn rest<'a>(mount: &WindowsPath, path: &'a WindowsPath) -> Option<&'a [String]> {
    let below = |of: &[String], path: &'a [String]| {
        let (start, rest) = path.split_at_checked(of.len())?;
        start.iter().zip(of).all(|(a, b)| same(a, b)).then_some(rest)
    };
    match (mount, path) {
        (WindowsPath::Drive { drive: a, below: of }, WindowsPath::Drive { drive: b, below: path }) if a == b => {
            below(of, path)
        }
        (
            WindowsPath::Share { server: a, share: s, below: of },
            WindowsPath::Share { server: b, share: t, below: path },
        ) if same(a, b) && same(s, t) => below(of, path),
        _ => None,
    }
}

fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn shown(path: &WindowsPath) -> String {
    let (start, below) = match path {
        WindowsPath::Drive { drive, below } => (format!("{drive}:"), below),
        WindowsPath::Share { server, share, below } => (format!(r"\\{server}\{share}"), below),
        WindowsPath::Distribution { name, below } => (format!(r"\\wsl$\{name}"), below),
    };
    std::iter::once(start.as_str()).chain(below.iter().map(String::as_str)).collect::<Vec<_>>().join("\\")
}

/// One line of `/proc/mounts` that is a drive or a share of Windows. WSL 2 has `C:\ /mnt/c 9p …,aname=drvfs;path=C:\;…`,
/// WSL 1 `C: /mnt/c drvfs …`; blanks and backslashes stand as `\040` and `\134` (proc(5)).
fn mounted(line: &str) -> Option<(WindowsPath, String)> {
    let mut fields = line.split(' ');
    let (source, at, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let options = unescaped(options);
    let told = options.split(',').find_map(|option| {
        // `aname=drvfs;path=C:\;uid=1000;…`
        option.strip_prefix("aname=drvfs;")?.split(';').find_map(|part| part.strip_prefix("path=").map(str::to_owned))
    });
    let source = match (kind, told) {
        // A share is `UNC\nas\models`.
        ("9p", Some(told)) => match told.strip_prefix("UNC\\") {
            Some(share) => format!(r"\\{share}"),
            None => told,
        },
        ("drvfs", _) => unescaped(source),
        _ => return None,
    };
    let Kind::Whole(path) = path::kind(&source) else { return None };
    let at = unescaped(at);
    (at.starts_with('/') && !matches!(path, WindowsPath::Distribution { .. })).then_some((path, at))
}

/// With `\ooo` as the character it stands for.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = bytes.get(at + 1..at + 4).filter(|_| *byte == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        });
        plain.push(octal.unwrap_or(*byte));
        at += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
