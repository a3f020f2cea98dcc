//! The settings files of WSL: `/etc/wsl.conf` in a distribution, `%UserProfile%\.wslconfig` on Windows. Both are INI
//! (learn.microsoft.com/windows/wsl/wsl-config).

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
    fn ports_are_relayed_unless_somebody_switched_that_off() {
        assert_eq!(unreachable(""), None);
        assert_eq!(unreachable("[wsl2]\nmemory=8GB\n"), None);
        assert_eq!(unreachable("[wsl2]\nlocalhostForwarding=False\n"), Some("localhostForwarding=false"));
        assert_eq!(unreachable("[wsl2]\nlocalhostForwarding=false\nnetworkingMode=mirrored\n"), None);
        assert_eq!(unreachable("[experimental]\nnetworkingMode=mirrored\n[wsl2]\nlocalhostForwarding=false\n"), None);
        assert_eq!(unreachable("[wsl2]\nnetworkingMode = None\n"), Some("networkingMode=none"));
    }
}
