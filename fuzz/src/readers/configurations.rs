//! Configuration files of several models.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::{self, Backend, Config};
use crate::error::Explain;
use crate::heap::bounded_by;

/// As for profiles; and what is told to the user is held beside it.
const YAML: usize = 1024;

/// A configuration, with one variable that is set.
pub fn configuration(body: &[u8], _: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let variable = |name: &str| (name == "SET").then(|| "value".to_owned());
    match bounded_by(YAML, body.len(), || config::parse("f.yaml", text, &variable)) {
        Ok(read) => promised(&read, text.lines().count()),
        Err(error) => {
            assert!(error.to_string().starts_with("f.yaml"), "{error}");
            let _ = (error.hints(), error.evidence(), error.exit());
        }
    }
}

fn promised(config: &Config, lines: usize) {
    assert!(!config.models.is_empty());
    let names: BTreeSet<&str> = config.models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names.len(), config.models.len());
    for (_, name) in &config.aliases {
        assert!(names.contains(name.as_str()), "{name}");
    }
    for warning in &config.warnings {
        assert!(warning.starts_with("f.yaml:"), "{warning}");
        let line = warning.split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
        // A text may end in a line break that begins a last, empty line.
        assert!(line.is_some_and(|line| (1..=lines + 1).contains(&line)), "{warning}");
    }
    let (mut kept, mut preloaded) = (BTreeSet::new(), BTreeSet::new());
    for model in &config.models {
        let launch = match &model.backend {
            Backend::Launched(launch) => launch,
            Backend::Remote(remote) => {
                assert!(!remote.model.is_empty() && model.place.is_none());
                continue;
            }
        };
        assert!(!model.name.contains('*') && !launch.model.trim().is_empty() && model.place.is_some());
        assert!(launch.context.is_none_or(|tokens| tokens >= 256));
        assert!(launch.gpu_memory_utilization.is_none_or(|share| share > 0.0 && share <= 1.0));
        assert!(launch.tensor_parallel_size != Some(0));
        let policy = &launch.policy;
        assert!(!policy.keep || policy.ttl.is_none());
        let Some(group) = &policy.group else { continue };
        assert!(!policy.keep || kept.insert(group), "two kept models in {group}");
        assert!(!policy.preload || preloaded.insert(group), "two models of {group} are started at once");
        if let Some(ttl) = policy.ttl {
            assert!(!ttl.is_zero() && config::duration(&config::shown(ttl)) == Some(ttl));
            assert!(ttl <= Duration::from_secs(365 * 24 * 60 * 60));
        }
    }
}
