//! `profiles/accelerators/<vendor>.yaml`: accelerators by name, for plans on machines that are not this one.

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::ProfileError;
use super::catalog::parse;

static ACCELERATORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/accelerators");

/// The accelerators of one vendor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vendor {
    vendor: String,
    devices: Vec<Accelerator>,
}

/// One accelerator as its vendor's tool describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accelerator {
    /// The vendor's id; equals the file's name.
    #[serde(default)]
    pub vendor: String,
    /// Its name as the vendor's tool prints it.
    pub name: String,
    /// What people call it, in lower case without blanks.
    pub aliases: Vec<String>,
    /// All of its memory, MiB.
    pub memory_mib: u64,
    /// Compute capability, gfx name or chip.
    pub architecture: String,
    /// Where the size comes from.
    pub source: String,
}

/// Every accelerator of the table.
///
/// # Errors
/// [`ProfileError`] when a built-in file is broken.
pub fn accelerators() -> Result<Vec<Accelerator>, ProfileError> {
    let mut all = Vec::new();
    for file in ACCELERATORS.files() {
        let name = format!("built-in profile accelerators/{}", file.path().display());
        let vendor: Vendor = parse(&name, file.contents_utf8().unwrap_or_default())?;
        all.extend(vendor.devices.into_iter().map(|device| Accelerator { vendor: vendor.vendor.clone(), ..device }));
    }
    Ok(all)
}

/// The accelerator people call `name`: case, blanks, dashes and the words in front do not matter.
///
/// # Errors
/// [`ProfileError`] when a built-in file is broken.
pub fn accelerator(name: &str) -> Result<Option<Accelerator>, ProfileError> {
    let plain = |text: &str| {
        let text: String = text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let text = text.strip_prefix("nvidia").unwrap_or(&text);
        text.strip_prefix("geforce").unwrap_or(text).to_owned()
    };
    let wanted = plain(name);
    Ok(accelerators()?
        .into_iter()
        .find(|a| plain(&a.name) == wanted || a.aliases.iter().any(|alias| plain(alias) == wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accelerators_are_found_by_what_people_call_them() {
        let of = |name: &str| accelerator(name).unwrap().map(|a| a.memory_mib);
        assert_eq!(of("4090"), Some(24_564));
        assert_eq!(of("RTX 4090"), of("NVIDIA GeForce RTX 4090"));
        assert_eq!(of("A100-80GB"), Some(81_920));
        assert_eq!(of("no such card"), None);
        let mut taken = std::collections::BTreeSet::new();
        for a in accelerators().unwrap() {
            assert!(!a.source.is_empty() && a.memory_mib > 1024 && a.vendor == "nvidia", "{a:?}");
            assert!(a.aliases.into_iter().all(|alias| taken.insert(alias)), "{}", a.name);
        }
    }
}
