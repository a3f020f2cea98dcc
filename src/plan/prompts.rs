//! How large llama.cpp's cache of prompts may grow. It keeps the prompts of other conversations in main memory, so that
//! one who comes back is not computed anew; it starts empty and grows to its limit (8 GiB unless told). What grows after
//! the start is what sends a machine into swap that the model nearly fills.

use super::choose::Choice;
use super::fit::reason;
use super::places::{Places, Pool, main_memory};
use super::{Facts, LaunchPlan, Reason};
use crate::engine::{EngineId, prompt_cache};
use crate::output::bytes;
use crate::profile::PromptCache;

const MIB: u64 = 1 << 20;

/// Limits are whole multiples of this, so that the same machine gives the same command line from day to day; with less a
/// prompt of a coding agent has no room.
const STEP: u64 = 256 * MIB;

/// What was decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Prompts {
    /// Bytes it may grow to; `None`: nobody limits it, or the engine has none.
    pub bytes: Option<u64>,
    /// Flags that say so.
    pub args: Vec<String>,
    /// Why it is less than the engine's own limit.
    pub reason: Option<Reason>,
    /// What may go wrong.
    pub warning: Option<String>,
}

impl Prompts {
    /// Of what a layout leaves of main memory half is given to prompts: agents, compilers and the system's cache of files
    /// need the rest. Flags of the user's are obeyed.
    pub(super) fn new(facts: &Facts<'_>, choice: &Choice<'_>, pool: &Pool<'_>, places: &Places<'_>) -> Prompts {
        let own = facts.installed.iter().filter(|i| i.engine == EngineId::LlamaCpp);
        let built = own.clone().find(|i| i.accelerator == Some(choice.accelerator));
        let has = built.or_else(|| own.clone().next()).is_none_or(|i| i.limits_prompts);
        let Some(known) = prompt_cache(EngineId::LlamaCpp, None).filter(|_| has) else { return Prompts::default() };
        let left = pool.left(places);
        if let Some(asked) = pool.flags.prompts_mib {
            return asked_for(asked, left);
        }
        let most = known.default_mib.saturating_mul(MIB);
        let limit = (left / 2 / STEP * STEP).min(most);
        let why = match limit {
            0 => Some(reason(
                "prompt cache: off",
                "the model leaves no main memory to keep the prompts of other conversations in",
            )),
            limit if limit < most => Some(reason(
                format!("prompt cache: {}", bytes(limit)),
                "for the prompts of other conversations: half of the main memory that the model leaves",
            )),
            _ => None,
        };
        Prompts { bytes: Some(limit), args: said(known, limit), reason: why, warning: None }
    }
}

/// The flag with a limit.
fn said(known: &PromptCache, limit: u64) -> Vec<String> {
    vec![known.flag.clone(), (limit / MIB).to_string()]
}

/// What the user's own flag means; below 0 is no limit at all.
fn asked_for(mib: i64, left: u64) -> Prompts {
    let limit = u64::try_from(mib).ok().map(|mib| mib.saturating_mul(MIB));
    let warning = match limit {
        Some(limit) if limit <= left => None,
        Some(limit) => Some(format!(
            "the prompt cache may grow to {}, and the model leaves {} of main memory",
            bytes(limit),
            bytes(left)
        )),
        None => Some(format!("the prompt cache has no limit, and the model leaves {} of main memory", bytes(left))),
    };
    Prompts { bytes: limit, warning, ..Prompts::default() }
}

impl Pool<'_> {
    /// Main memory that is left beside a model, bytes: what it holds on a GPU that shares main memory counts too.
    fn left(&self, places: &Places<'_>) -> u64 {
        let held = |h: &super::offload::Held| h.weights.saturating_add(h.cache);
        let shared = places.gpus.iter().zip(&places.layout.gpus).filter(|(gpu, held)| gpu.unified && held.weights > 0);
        let shared = shared.map(|(_, h)| held(h).saturating_add(self.overhead)).fold(0, u64::saturating_add);
        let overhead = if places.layout.offload.gpu_layers == 0 { self.overhead } else { 0 };
        let memory = held(&places.layout.memory).saturating_add(overhead);
        main_memory(self.facts).saturating_sub(shared).saturating_sub(memory)
    }
}

impl LaunchPlan {
    /// Leaves the prompt cache this share of its limit: several engines share main memory. What the user's own flags say
    /// stays.
    pub fn share_prompt_cache(&mut self, among: u64) {
        let Some(known) = prompt_cache(self.engine, None).filter(|_| among > 1) else { return };
        let Some(limit) = self.prompt_cache_bytes else { return };
        let own = self.recipe.args.iter().position(|arg| *arg == known.flag);
        let Some(value) = own.and_then(|at| self.recipe.args.get_mut(at + 1)) else { return };
        let share = limit / among / STEP * STEP;
        *value = (share / MIB).to_string();
        self.prompt_cache_bytes = Some(share);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GIB, machine, weights};
    use super::super::*;
    use crate::model::Format;

    fn planned(args: &str, hardware: &Hardware, gib: u64, limits_prompts: bool) -> LaunchPlan {
        let engine_args = args.split_whitespace().map(str::to_owned).collect();
        let request = Request { context: Some(8192), engine_args, ..Request::default() };
        let weights = Weights { quantization: Some("q4_k_m".into()), ..weights(Format::Gguf, gib) };
        let engine = Installed {
            engine: EngineId::LlamaCpp,
            cpu_build: false,
            accelerator: Some(Accelerator::Cuda),
            version: None,
            limits_prompts,
        };
        let installed = [engine];
        let facts = Facts {
            request: &request,
            hardware,
            weights: &weights,
            profile: None,
            profiles: &[],
            installed: &installed,
        };
        plan(facts).unwrap()
    }

    fn said(plan: &LaunchPlan) -> Option<&str> {
        let at = plan.recipe.args.iter().position(|arg| arg == "--cache-ram")?;
        plan.recipe.args.get(at + 1).map(String::as_str)
    }

    fn with_memory(mut hardware: Hardware, gib: u64) -> Hardware {
        hardware.memory = crate::hardware::Memory { total_bytes: gib * GIB, available_bytes: gib * GIB };
        hardware
    }

    #[test]
    fn it_gets_half_of_what_the_model_leaves_and_never_more_than_the_engines_own_limit() {
        let roomy = planned("", &with_memory(machine(1, 24), 64), 8, true);
        assert_eq!((said(&roomy), roomy.prompt_cache_bytes), (Some("8192"), Some(8 * GIB)));
        assert!(!roomy.reasons.iter().any(|r| r.choice.starts_with("prompt cache")), "{:?}", roomy.reasons);
        // All on the GPU: 95 % of 8 GiB are left.
        let small = planned("", &with_memory(machine(1, 24), 8), 8, true);
        assert_eq!((said(&small), small.prompt_cache_bytes), (Some("3840"), Some(3840 << 20)));
        assert!(small.reasons.iter().any(|r| r.choice == "prompt cache: 3.8 GiB"), "{:?}", small.reasons);
        // On the processor: 9.5 GiB, of which the model takes more than 9.
        let full = planned("", &with_memory(machine(0, 0), 10), 8, true);
        assert_eq!((said(&full), full.prompt_cache_bytes), (Some("0"), Some(0)));
        assert!(full.reasons.iter().any(|r| r.choice == "prompt cache: off"), "{:?}", full.reasons);
    }

    #[test]
    fn memory_that_the_gpu_shares_is_counted_once() {
        let mut hardware = with_memory(machine(1, 48), 64);
        hardware.devices[0].unified = true;
        // 60.8 GiB may be used; 40 of weights, 1 of context and the buffers are on the GPU.
        let plan = planned("", &hardware, 40, true);
        let limit = plan.prompt_cache_bytes.unwrap();
        assert_eq!(limit, 8 * GIB, "half of 19");
        let plan = planned("", &with_memory(hardware, 50), 40, true);
        let limit = plan.prompt_cache_bytes.unwrap();
        assert!((2 * GIB..=3 * GIB).contains(&limit), "half of 5.7, not of 47: {limit}");
    }

    #[test]
    fn the_users_own_limit_stays_and_is_held_against_what_is_there() {
        let hardware = with_memory(machine(1, 24), 8);
        let own = planned("--cache-ram 1000", &hardware, 8, true);
        assert_eq!((said(&own), own.prompt_cache_bytes), (None, Some(1000 << 20)));
        assert!(!own.warnings.iter().any(|w| w.contains("prompt cache")), "{:?}", own.warnings);
        let much = planned("-cram 20000", &hardware, 8, true);
        assert!(much.warnings[0].contains("may grow to 19.5 GiB"), "{:?}", much.warnings);
        let endless = planned("-cram -1", &hardware, 8, true);
        assert!(endless.prompt_cache_bytes.is_none() && endless.warnings[0].contains("no limit"));
    }

    #[test]
    fn a_build_without_the_flag_is_not_given_it() {
        let plan = planned("", &with_memory(machine(1, 24), 8), 8, false);
        assert_eq!((said(&plan), plan.prompt_cache_bytes), (None, None));
    }

    #[test]
    fn several_share_it() {
        let mut plan = planned("", &with_memory(machine(1, 24), 64), 8, true);
        plan.share_prompt_cache(3);
        assert_eq!((said(&plan), plan.prompt_cache_bytes), (Some("2560"), Some(2560 << 20)));
        let mut own = planned("-cram 1000", &with_memory(machine(1, 24), 64), 8, true);
        own.share_prompt_cache(3);
        assert_eq!(own.prompt_cache_bytes, Some(1000 << 20));
    }
}
