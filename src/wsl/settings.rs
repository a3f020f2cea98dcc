//! The settings files of WSL: `/etc/wsl.conf` in a distribution, `%UserProfile%\.wslconfig` on Windows. Both are INI
//! (learn.microsoft.com/windows/wsl/wsl-config).

use std::path::Path;

use crate::host::Host;

/// A setting of one section, without its quotes. The last one counts; names do not tell upper from lower case.
pub fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut inside = false;
    let mut found = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim().eq_ignore_ascii_case(section);
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside)
            && name.trim().eq_ignore_ascii_case(key)
        {
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found.filter(|value| !value.is_empty())
}

/// The user's `.wslconfig`, as far as there is one.
pub fn of_user(host: &dyn Host) -> String {
    let path = host.env("USERPROFILE").map(|home| Path::new(&home).join(".wslconfig"));
    let bytes = path.and_then(|path| host.read(&path).ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What `memory` of the user's `.wslconfig` gives the machine of WSL 2, bytes. `None`: it says nothing that counts (a whole
/// number with the unit GB or MB does), and WSL takes half of the machine's.
pub fn memory(wslconfig: &str) -> Option<u64> {
    let said = value(wslconfig, "wsl2", "memory")?;
    let digits = said.len() - said.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = said.split_at(digits);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "GB" => 30,
        "MB" => 20,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

/// What the machine of WSL 2 has of `total` bytes of main memory.
pub fn machine_memory(wslconfig: &str, total: u64) -> u64 {
    memory(wslconfig).unwrap_or(total / 2).min(total)
}

/// Why a port that a Linux program opens on 127.0.0.1 is not reached from Windows, by the user's `.wslconfig`. `None`:
/// it is, as far as that file says.
///
/// With NAT, the default, WSL relays such ports unless `localhostForwarding` is off; with `mirrored` both sides share
/// them; `none` has no network (learn.microsoft.com/windows/wsl/networking).
pub fn unreachable(wslconfig: &str) -> Option<&'static str> {
    let mode = value(wslconfig, "wsl2", "networkingMode")
        .or_else(|| value(wslconfig, "experimental", "networkingMode"))
        .unwrap_or_default();
    let off = value(wslconfig, "wsl2", "localhostForwarding").is_some_and(|on| on.eq_ignore_ascii_case("false"));
    match mode.to_lowercase().as_str() {
        "none" => Some("networkingMode=none"),
        "" | "nat" if off => Some("localhostForwarding=false"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_in_its_section_only() {
        let text =
            "\u{feff}# mine\n[boot]\nroot = /no/\n[Automount]\r\nenabled = true\r\nRoot = \"/windir/\" # where\n";
        assert_eq!(value(text, "automount", "root").as_deref(), Some("/windir/"));
        assert_eq!(value(text, "automount", "enabled").as_deref(), Some("true"));
        assert_eq!(value(text, "network", "root"), None);
        assert_eq!(value("[automount]\nroot =\n", "automount", "root"), None);
    }

    #[test]
    fn the_memory_of_the_machine_is_said_in_gb_or_mb_and_nonsense_is_nothing() {
        const GIB: u64 = 1 << 30;
        assert_eq!(memory("\u{feff}[wsl2]\r\n# memory=1GB\r\nmemory=48GB # of 64\r\nprocessors=8\r\n"), Some(48 * GIB));
        assert_eq!(memory("[WSL2]\nMemory = 1536MB\n"), Some(1536 << 20));
        assert_eq!(memory("[wsl2]\nmemory=\"8gb\"\n"), Some(8 * GIB));
        assert_eq!(memory("[wsl2]\nmemory=4GB\nmemory=6GB\n"), Some(6 * GIB), "the last one counts");
        for nothing in [
            "",
            "memory=8GB",
            "[experimental]\nmemory=8GB",
            "[wsl2]\nmemory=",
            "[wsl2]\nmemory=much",
            "[wsl2]\nmemory=8",
            "[wsl2]\nmemory=-8GB",
            "[wsl2]\nmemory=8.5GB",
            "[wsl2]\nmemory=0GB",
            "[wsl2]\nmemory=50%",
            "[wsl2]\nmemory=8 parsecs",
            "[wsl2]\nmemory=99999999999999999999GB",
            "[wsl2]\nmemory=18446744073709551615GB",
            "[wsl2]\nswap=8GB",
        ] {
            assert_eq!(memory(nothing), None, "{nothing:?}");
            assert_eq!(machine_memory(nothing, 64 * GIB), 32 * GIB);
        }
        assert_eq!(machine_memory("[wsl2]\nmemory=48GB", 64 * GIB), 48 * GIB);
        assert_eq!(machine_memory("[wsl2]\nmemory=48GB", 32 * GIB), 32 * GIB, "no more than there is");
    }

    #[test]
    fn ports_are_relayed_unless_somebody_switched_that_off() {
        assert_eq!(unreachable(""), None);
        assert_eq!(unreachable("[wsl2]\nmemory=8GB\n"), None);
        assert_eq!(unreachable("[wsl2]\nlocalhostForwarding=False\n"), Some("localhostForwarding=false"));
        assert_eq!(unreachable("[wsl2]\nlocalhostForwarding=false\nnetworkingMode=mirrored\n"), None);
        assert_eq!(unreachable("[experimental]\nnetworkingMode=mirrored\n[wsl2]\nlocalhostForwarding=false\n"), None);
        assert_eq!(unreachable("[wsl2]\nnetworkingMode = None\n"), Some("networkingMode=none"));
    }
}
