//! The name a backend gets to see. It depends on the tool's own group and name only.

/// Whether a name can stay: `^[a-zA-Z0-9_-]{1,longest}$`.
pub(super) fn fits(name: &str, longest: usize) -> bool {
    !name.is_empty() && name.len() <= longest && name.bytes().all(plain)
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// `group__name`; with a hash at its end where characters were changed or cut off.
pub(super) fn name(group: Option<&str>, name: &str, longest: usize) -> String {
    let whole = joined(group, name);
    if fits(&whole, longest) { whole } else { hashed(group, name, longest) }
}

/// The same, with the hash in any case.
pub(super) fn hashed(group: Option<&str>, name: &str, longest: usize) -> String {
    let mut short: String =
        joined(group, name).chars().map(|c| if c.is_ascii() && plain(c as u8) { c } else { '_' }).collect();
    let hash = format!("_{:08x}", hash(group, name));
    short.truncate(longest.saturating_sub(hash.len()));
    short.push_str(&hash);
    short
}

fn joined(group: Option<&str>, name: &str) -> String {
    match group {
        // Codex ends the groups of some MCP servers with the separator.
        Some(group) if group.ends_with("__") => format!("{group}{name}"),
        Some(group) => format!("{group}__{name}"),
        None => name.to_owned(),
    }
}

/// FNV-1a, folded: the same on every machine and in every version.
fn hash(group: Option<&str>, name: &str) -> u32 {
    let bytes = group.unwrap_or_default().bytes().chain([0]).chain(name.bytes());
    let long =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (long ^ (long >> 32)) as u32
}
