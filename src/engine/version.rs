//! Versions of engines, compared.

use super::EngineId;

/// Whether dotted version `have` is at least `want`; unknown parts count as zero.
pub fn version_at_least(have: &str, want: &str) -> bool {
    let parts = |v: &str| -> Vec<u64> { v.split(['.', '+', '-', 'r', 'p']).map_while(|p| p.parse().ok()).collect() };
    let (have, want) = (parts(have), parts(want));
    (0..want.len().max(have.len()))
        .map(|i| (have.get(i).copied().unwrap_or(0), want.get(i).copied().unwrap_or(0)))
        .find(|(h, w)| h != w)
        .is_none_or(|(h, w)| h > w)
}

/// llama.cpp counts builds: `b11669` of a release and `2026.10.11549` of a wheel are both told by their last number.
pub(super) fn reached(engine: EngineId, version: &str, since: &str) -> bool {
    if engine != EngineId::LlamaCpp {
        return version_at_least(version, since);
    }
    let build =
        |text: &str| text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse::<u64>().ok()).next_back();
    build(version).zip(build(since)).is_none_or(|(have, want)| have >= want)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(version_at_least("0.33.0", "0.9.2"));
        assert!(version_at_least("0.32.0+cpu", "0.32.0"));
        assert!(!version_at_least("0.10.2", "0.11"));
        assert!(version_at_least("0.11", "0.11.0"));
    }
}
