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
    /// All of its memory, MiB; `None` where it shares main memory, whose size people say (`m3max-64`).
    pub memory_mib: Option<u64>,
    /// Compute capability, gfx name or chip.
    pub architecture: Option<String>,
    /// Shares the system's memory.
    #[serde(default)]
    pub unified: bool,
    /// All of the system's memory, where that is known with it, MiB.
    pub system_memory_mib: Option<u64>,
    /// How fast it reads its memory, GB (10^9 bytes) a second; `None` where no source says it.
    pub bandwidth_gbs: Option<f64>,
    /// Where the size comes from.
    pub source: String,
}

/// An accelerator by the name people gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Which.
    pub accelerator: Accelerator,
    /// The gigabytes after the dash of `m3max-64`, times 2^30 bytes: memory is sold in these.
    pub system_bytes: Option<u64>,
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

/// Makers' and series' words that people leave out.
const WORDS: &[&str] = &["nvidia", "geforce", "amd", "instinct", "radeon", "huawei", "ascend", "apple", "intel", "arc"];

/// The accelerator people call `name`: case, blanks, dashes and the words in front do not matter. Where it shares main
/// memory, `-64` or `-64gb` at the end is how much of that there is.
///
/// # Errors
/// [`ProfileError`] when a built-in file is broken.
pub fn accelerator(name: &str) -> Result<Option<Named>, ProfileError> {
    let plain = |text: &str| {
        let text: String = text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let mut rest = text.as_str();
        while let Some(shorter) = WORDS.iter().find_map(|word| rest.strip_prefix(word)).filter(|rest| !rest.is_empty())
        {
            rest = shorter;
        }
        rest.to_owned()
    };
    let all = accelerators()?;
    let find = |wanted: &str| {
        let wanted = plain(wanted);
        all.iter().find(|a| plain(&a.name) == wanted || a.aliases.iter().any(|alias| plain(alias) == wanted)).cloned()
    };
    if let Some(accelerator) = find(name) {
        return Ok(Some(Named { accelerator, system_bytes: None }));
    }
    let sized = name.rsplit_once(['-', ' ', '_']).and_then(|(chip, size)| {
        let size = size.to_lowercase();
        let gigabytes: u64 = size.strip_suffix("gb").or(size.strip_suffix('g')).unwrap_or(&size).parse().ok()?;
        let accelerator = find(chip).filter(|a| a.unified && (1..=16_384).contains(&gigabytes))?;
        Some(Named { accelerator, system_bytes: Some(gigabytes << 30) })
    });
    Ok(sized)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accelerators_are_found_by_what_people_call_them() {
        let of = |name: &str| accelerator(name).unwrap().and_then(|a| a.accelerator.memory_mib);
        assert_eq!(of("4090"), Some(24_564));
        assert_eq!(of("RTX 4090"), of("NVIDIA GeForce RTX 4090"));
        assert_eq!(of("A100-80GB"), Some(81_920));
        assert_eq!(of("Ascend 910B"), Some(65_536));
        assert_eq!(of("910b4"), Some(32_768));
        assert_eq!(of("Radeon RX 7900 XTX"), Some(24_560));
        assert_eq!(of("no such card"), None);
        assert_eq!(of(""), None);
        let named = |name: &str| accelerator(name).unwrap().map(|n| (n.accelerator.name, n.system_bytes));
        assert_eq!(named("m3max-64"), Some(("Apple M3 Max".to_owned(), Some(64 << 30))));
        assert_eq!(named("Apple M3 Max 64GB"), named("m3max-64"));
        assert_eq!(named("m3max"), Some(("Apple M3 Max".to_owned(), None)));
        for wrong in ["m3max-x", "m3max-0", "m3max-99999999999999999999", "h100-96", "-"] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
        let (mut taken, mut vendors) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for a in accelerators().unwrap() {
            assert!(!a.source.is_empty() && a.memory_mib.is_none_or(|mib| mib > 1024), "{a:?}");
            assert!(a.memory_mib.is_some() || a.unified, "{} has no memory", a.name);
            assert!(a.aliases.into_iter().all(|alias| taken.insert(alias)), "{}", a.name);
            vendors.insert(a.vendor);
        }
        assert_eq!(vendors.len(), ACCELERATORS.files().count(), "{vendors:?}");
    }
}
