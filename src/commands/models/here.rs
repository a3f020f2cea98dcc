//! Which models are on this machine already: pulled by llmup, or left by others in Hugging Face's cache. Ollama's own
//! are not asked for: it would have to run.

use std::path::PathBuf;

use crate::commands::start;
use crate::host::Host;
use crate::paths::Paths;
use crate::profile::ModelProfile;

/// The weights of a profile that are here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// What an engine would be given; the first of several forms.
    pub path: Option<PathBuf>,
    /// The forms: `q4_k_m`.
    pub forms: Vec<String>,
}

/// Looks for all forms of a profile.
pub fn find(profile: &ModelProfile, paths: &Paths, host: &dyn Host) -> Here {
    let mut here = Here::default();
    for variant in profile.variants.iter().filter(|variant| variant.format != "ollama") {
        if let Some(weights) = start::weights_here(&profile.name, variant, paths, host) {
            here.path = here.path.or(weights.path);
            here.forms.push(variant.quantization.clone());
        }
    }
    here
}
