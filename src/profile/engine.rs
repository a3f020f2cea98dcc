//! `profiles/engines/<id>.yaml`: what one version of an engine accepts, so that flags are checked before it is started.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::catalog::parse;
use super::{EngineRecipe, ProfileError};

static ENGINES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/engines");

/// What an engine accepts, as read from one of its versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineProfile {
    /// The engine's id; equals the file's name.
    pub name: String,
    /// The version these lists were read from.
    pub version: String,
    /// Values of `--tool-call-parser`.
    #[serde(default)]
    pub tool_parsers: Vec<String>,
    /// Values of `--reasoning-parser`.
    #[serde(default)]
    pub reasoning_parsers: Vec<String>,
    /// Flags older recipes show and this version refuses.
    #[serde(default)]
    pub removed_flags: Vec<String>,
    /// What took the place of some of them, in words.
    #[serde(default)]
    pub replaced_flags: BTreeMap<String, String>,
    /// What a model without a profile of its own needs, by `architectures[0]`.
    #[serde(default)]
    pub architectures: BTreeMap<String, EngineRecipe>,
    /// By protocol (`chat`, `messages`, `count_tokens`, `responses`): whether its own endpoint is right.
    #[serde(default)]
    pub native: BTreeMap<String, Native>,
    /// llama.cpp: the cache of prompts it keeps in main memory.
    pub prompt_cache: Option<PromptCache>,
    /// By accelerator (`rocm`, `ascend`, …): what this engine needs there.
    #[serde(default)]
    pub platforms: BTreeMap<String, Platform>,
    /// Where the lists come from.
    pub sources: Vec<String>,
}

/// What an engine needs on one kind of accelerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// What must be installed, in words.
    pub needs: String,
    /// Where its makers say how.
    pub guide: String,
    /// The Python package that adds the accelerator to the engine; `None` where it is a build of the engine.
    pub plugin: Option<String>,
    /// Versions that belong together, newest first.
    #[serde(default)]
    pub pairs: Vec<Pair>,
    /// The share of the memory its makers advise, 0..=1.
    pub utilization: Option<f64>,
    /// What it is made for: beginnings of architectures; none: not known.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// The least compute capability.
    pub capability: Option<String>,
    /// Quantisations it loads beside plain 16-bit weights; none: not known.
    #[serde(default)]
    pub loads: Vec<String>,
    /// What becomes of the others.
    #[serde(default, rename = "else")]
    pub others: Others,
    /// What differs between architectures.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// How it puts a model to sleep there; `None`: nobody says that it can.
    pub sleep: Option<Sleep>,
    /// Where that comes from.
    pub source: String,
}

/// Where an engine can move a model to main memory and back while it lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// The oldest version that is known to do it.
    pub since: String,
    /// On these architectures (beginnings); none: on all.
    #[serde(default)]
    pub on: Vec<String>,
    /// Where that comes from.
    pub source: String,
}

/// What an engine does with a quantisation that is not listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Others {
    /// Nobody says.
    #[default]
    Unknown,
    /// It may work, and nobody promises it.
    Doubtful,
    /// It ends with an error.
    Refused,
}

/// Versions that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Of the plug-in.
    pub plugin: String,
    /// Of vLLM.
    pub vllm: String,
    /// What they need beside them.
    pub beside: String,
}

/// What holds for some architectures of a platform, and for some weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// For these weights; none: for all.
    #[serde(default)]
    pub quantizations: Vec<String>,
    /// Below this compute capability.
    pub below: Option<String>,
    /// On these architectures (beginnings).
    #[serde(default)]
    pub on: Vec<String>,
    /// On all but these architectures (beginnings).
    #[serde(default, rename = "except")]
    pub all_but: Vec<String>,
    /// It does not run at all.
    #[serde(default)]
    pub refused: bool,
    /// It may not run.
    #[serde(default)]
    pub doubtful: bool,
    /// Flags that are needed then, as argv.
    #[serde(default)]
    pub args: Vec<String>,
    /// The longest context to plan unless more is asked for, tokens.
    pub context: Option<u64>,
    /// In words.
    pub note: String,
    /// Where that comes from.
    pub source: String,
}

/// A cache in main memory of the prompts of other conversations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptCache {
    /// The flag that limits it, in MiB; 0 switches it off.
    pub flag: String,
    /// Its limit unless it is told, MiB.
    pub default_mib: u64,
    /// The oldest version that is known to have the flag.
    pub since: String,
    /// Where that comes from.
    pub source: String,
}

/// Whether an engine's own endpoint for a protocol is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Native {
    /// The oldest version known to be right.
    pub since: Option<String>,
    /// Why it is not right in any version.
    pub not: Option<String>,
    /// Where that comes from.
    pub source: String,
}

impl Platform {
    /// Whether it is made for a device of this architecture; unknown ones are given the benefit of the doubt.
    pub fn made_for(&self, architecture: Option<&str>) -> bool {
        let Some(architecture) = architecture else { return true };
        let listed = self.architectures.is_empty() || begins(architecture, &self.architectures);
        listed && !self.capability.as_deref().is_some_and(|least| below(architecture, least))
    }

    /// What it does with weights of this quantisation.
    pub fn loading(&self, quantization: &str) -> Others {
        let listed = self.loads.is_empty() || self.loads.iter().any(|name| name == quantization);
        if listed { Others::Unknown } else { self.others }
    }
}

impl Sleep {
    /// Whether it is there on a device of this architecture; an unknown one is not counted on.
    pub fn on(&self, architecture: Option<&str>) -> bool {
        self.on.is_empty() || architecture.is_some_and(|architecture| begins(architecture, &self.on))
    }
}

impl Limit {
    /// Whether it holds for weights of this quantisation on a device of this architecture.
    pub fn holds(&self, quantization: Option<&str>, architecture: Option<&str>) -> bool {
        let Some(architecture) = architecture else { return false };
        let weights = self.quantizations.is_empty()
            || quantization.is_some_and(|q| self.quantizations.iter().any(|name| name == q));
        weights
            && (self.on.is_empty() || begins(architecture, &self.on))
            && !begins(architecture, &self.all_but)
            && self.below.as_deref().is_none_or(|limit| below(architecture, limit))
    }
}

fn begins(architecture: &str, beginnings: &[String]) -> bool {
    beginnings.iter().any(|beginning| architecture.starts_with(beginning.as_str()))
}

/// Whether a compute capability such as `8.6` is below another; what is none is not.
fn below(capability: &str, limit: &str) -> bool {
    let parts = |text: &str| -> Option<(u32, u32)> {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    parts(capability).zip(parts(limit)).is_some_and(|(have, limit)| have < limit)
}

impl EngineProfile {
    /// Whether this version refuses `flag`, given with or without a value (`--task=generate`), dashes or underscores.
    pub fn removed(&self, flag: &str) -> bool {
        self.removed_flags.contains(&plain(flag))
    }

    /// What took the place of `flag`, in words.
    pub fn instead(&self, flag: &str) -> Option<&str> {
        self.replaced_flags.get(&plain(flag)).map(String::as_str)
    }
}

/// A flag's name, without a value.
fn plain(flag: &str) -> String {
    flag.split('=').next().unwrap_or(flag).replace('_', "-")
}

/// The facts about an engine by its id (`vllm`); `None` when there is no file for it.
pub fn engine(id: &str) -> Result<Option<EngineProfile>, ProfileError> {
    let file = format!("{id}.yaml");
    let Some(text) = ENGINES.get_file(&file).and_then(|f| f.contents_utf8()) else {
        return Ok(None);
    };
    parse(&format!("built-in profile engines/{file}"), text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_told_apart_by_architecture_and_weights() {
        let vllm = engine("vllm").unwrap().unwrap();
        for (name, platform) in &vllm.platforms {
            assert!(!platform.needs.is_empty() && platform.guide.starts_with("https://"), "{name}");
            assert!(!platform.source.is_empty() && platform.limits.iter().all(|l| !l.source.is_empty()), "{name}");
            assert!(platform.loads.is_empty() == (platform.others == Others::Unknown), "{name}");
        }
        let rocm = &vllm.platforms["rocm"];
        assert!(rocm.made_for(Some("gfx942")) && rocm.made_for(None));
        assert!(!rocm.made_for(Some("gfx1031")));
        assert_eq!((rocm.loading("fp8"), rocm.loading("awq")), (Others::Unknown, Others::Doubtful));
        let cuda = &vllm.platforms["cuda"];
        assert!(cuda.made_for(Some("12.0")) && !cuda.made_for(Some("6.1")));
        let limits =
            |q: Option<&'static str>, a: &'static str| cuda.limits.iter().filter(|l| l.holds(q, Some(a))).count();
        assert_eq!((limits(Some("fp8"), "8.6"), limits(Some("fp8"), "9.0"), limits(None, "8.6")), (1, 0, 0));
        assert_eq!((limits(Some("nvfp4"), "9.0"), limits(Some("nvfp4"), "10.0")), (1, 0));
        assert!(!below("gfx942", "9.0"));
        let sleep = |name: &str| vllm.platforms[name].sleep.as_ref();
        assert!(sleep("cuda").is_some_and(|s| s.on(Some("8.9")) && s.on(None)) && sleep("metal").is_none());
        assert!(sleep("rocm").is_some_and(|s| s.on(Some("gfx942")) && !s.on(Some("gfx1100")) && !s.on(None)));
        assert!(vllm.platforms.values().filter_map(|p| p.sleep.as_ref()).all(|s| s.source.contains("vllm")));
    }
}
