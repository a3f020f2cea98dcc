//! A start that failed for memory is tried once more, with the number the engine itself named, where the user left
//! that number to llmup. Where he did not, he gets the command that would work.

use crate::cli::StartArgs;
use crate::engine::diagnose::Remedy;
use crate::engine::{Accelerator, EngineId};
use crate::error::paste;
use crate::host::Os;
use crate::plan::{LEAST_CONTEXT, LaunchPlan};

const GIB: f64 = (1u64 << 30) as f64;
/// Other programs' use moves by a little between two looks.
const MARGIN: f64 = 0.01;
/// More of a GPU than this is not asked for: the driver and the desktop need the rest.
const MOST: f64 = 0.97;
/// A share below this holds no model with its cache.
const LEAST: f64 = 0.1;
/// What a GPU is lowered by where the engine names no number.
const STEP: f64 = 0.05;

/// Another start.
#[derive(Debug)]
pub struct Again {
    /// With these numbers.
    pub plan: LaunchPlan,
    /// And why, for the user.
    pub said: String,
}

/// What the user fixed himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    context: bool,
    share: bool,
    graphs: bool,
}

impl Asked {
    fn of(args: &StartArgs) -> Asked {
        let given = |names: &[&str]| {
            args.engine_args.iter().any(|arg| {
                let name = arg.split(['=', '.']).next().unwrap_or_default().replace('_', "-");
                names.contains(&name.as_str())
            })
        };
        const SHARES: &[&str] = &[
            "--gpu-memory-utilization",
            "--device-memory-utilization",
            "--kv-cache-memory-bytes",
            "--kv-cache-memory",
        ];
        const GRAPHS: &[&str] = &["--enforce-eager", "--no-enforce-eager", "--compilation-config", "-cc", "-O"];
        let level = |arg: &String| arg.starts_with("-O");
        Asked {
            context: args.context.is_some() || given(&["--max-model-len"]),
            share: args.gpu_memory_utilization.is_some() || given(SHARES),
            graphs: given(GRAPHS) || args.engine_args.iter().any(level),
        }
    }
}

/// What to try instead; `None`: nothing that the user left open would help.
pub fn again(args: &StartArgs, plan: &LaunchPlan, remedy: Remedy) -> Option<Again> {
    if plan.engine != EngineId::Vllm {
        return None;
    }
    let asked = Asked::of(args);
    let cure = cure(plan, remedy, asked.graphs)?;
    let open = match cure {
        Cure::Context(_) => !asked.context,
        // Less memory may mean less context, which is then not ours to change either.
        Cure::Share(_, context) => !asked.share && (!asked.context || context == plan.max_model_len),
        Cure::NoGraphs => !asked.graphs,
    };
    open.then(|| cure.applied(plan))
}

/// The command that would work, for a start that is not tried again.
pub fn advice(argv: &[String], args: &StartArgs, plan: &LaunchPlan, remedy: Remedy) -> Option<String> {
    if plan.engine != EngineId::Vllm {
        return None;
    }
    let command = match cure(plan, remedy, Asked::of(args).graphs)? {
        Cure::Context(context) => with(argv, &[("--context", Some(context.to_string()))]),
        Cure::Share(share, context) => {
            let mut flags = vec![("--gpu-memory-utilization", Some(format!("{share:.2}")))];
            if context < plan.max_model_len {
                flags.push(("--context", Some(context.to_string())));
            }
            with(argv, &flags)
        }
        Cure::NoGraphs => with(argv, &[("--enforce-eager", None)]),
    };
    Some(format!("try `{command}`"))
}

/// A remedy in this plan's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cure {
    Context(u64),
    /// The share, and the context that goes with it.
    Share(f64, u64),
    NoGraphs,
}

fn cure(plan: &LaunchPlan, remedy: Remedy, graphs_fixed: bool) -> Option<Cure> {
    if plan.accelerator == Accelerator::Cpu && !matches!(remedy, Remedy::Context(_)) {
        return None;
    }
    match remedy {
        Remedy::Context(context) => {
            (context < plan.max_model_len && context >= LEAST_CONTEXT).then_some(Cure::Context(context))
        }
        Remedy::FreeShare(free) => share(plan, free - MARGIN),
        Remedy::MoreShare(missing) => {
            let bill = plan.per_gpu.iter().min_by_key(|bill| bill.total_bytes)?;
            let wanted = missing * GIB + bill.kv_bytes_needed as f64;
            let more = plan.utilization + wanted / bill.total_bytes.max(1) as f64;
            let more = (more * 100.0).ceil() / 100.0;
            (more > plan.utilization && more <= MOST).then_some(Cure::Share(more, plan.max_model_len))
        }
        Remedy::NoGraphs if !graphs_fixed => Some(Cure::NoGraphs),
        Remedy::NoGraphs | Remedy::LessMemory => share(plan, plan.utilization - STEP),
    }
}

/// A lower share, and the context that is left with it.
fn share(plan: &LaunchPlan, wanted: f64) -> Option<Cure> {
    let share = (wanted * 100.0).floor() / 100.0;
    if plan.per_gpu.is_empty() || share >= plan.utilization || share < LEAST {
        return None;
    }
    let mut context = plan.max_model_len;
    for bill in &plan.per_gpu {
        let lost = ((plan.utilization - share) * bill.total_bytes as f64) as u64;
        let left = bill.kv_bytes_available.saturating_sub(lost);
        if bill.kv_bytes_needed > left {
            // In proportion, which is right where every token costs the same and careful elsewhere.
            let part = left as f64 / bill.kv_bytes_needed as f64;
            context = context.min((plan.max_model_len as f64 * part) as u64 / 1024 * 1024);
        }
    }
    (context >= LEAST_CONTEXT).then_some(Cure::Share(share, context))
}

impl Cure {
    fn applied(self, plan: &LaunchPlan) -> Again {
        let mut plan = plan.clone();
        let said = match self {
            Cure::Context(context) => {
                let said = format!("only {context} of {} tokens fit; starting again with those", plan.max_model_len);
                plan.max_model_len = context;
                said
            }
            Cure::Share(share, context) => {
                let mut said = format!(
                    "a share of {:.2} of the GPU's memory does not work; starting again with {share:.2}",
                    plan.utilization
                );
                if context < plan.max_model_len {
                    said += &format!(" and {context} of {} tokens", plan.max_model_len);
                }
                (plan.utilization, plan.max_model_len) = (share, context);
                said
            }
            Cure::NoGraphs => {
                plan.recipe.args.push("--enforce-eager".to_owned());
                "no memory was left for CUDA graphs; starting again without them (slower answers)".to_owned()
            }
        };
        Again { plan, said }
    }
}

/// The command line as it was typed, with flags of llmup's set and the engine's own of the same meaning taken out. A
/// flag without a value goes to the engine. Keys are not repeated.
pub(super) fn with(argv: &[String], flags: &[(&str, Option<String>)]) -> String {
    let engine_names = |name: &str| match name {
        "--context" => &["--max-model-len"][..],
        "--gpu-memory-utilization" => {
            &["--gpu-memory-utilization", "--device-memory-utilization", "--kv-cache-memory-bytes", "--kv-cache-memory"]
        }
        "--enforce-eager" => &["--no-enforce-eager"],
        _ => &[],
    };
    let split = argv.iter().position(|arg| arg == "--").unwrap_or(argv.len());
    let (ours, engines) = argv.split_at(split);
    let mut own = Vec::new();
    let mut rest = ours.iter().skip(1).peekable();
    while let Some(arg) = rest.next() {
        let (name, inline) = arg.split_once('=').map_or((arg.as_str(), false), |(name, _)| (name, true));
        let replaced = flags.iter().any(|(flag, value)| *flag == name && value.is_some());
        let secret = matches!(name, "--api-key" | "--engine-key");
        if (replaced || secret) && !inline {
            rest.next();
        }
        if secret {
            own.push(format!("{name}=KEY"));
        } else if !replaced {
            own.push(paste::word(arg, Os::current()));
        }
    }
    for (flag, value) in flags {
        if let Some(value) = value {
            own.push(format!("{flag} {value}"));
        }
    }
    let mut engine = Vec::new();
    let mut rest = engines.iter().skip(1).peekable();
    while let Some(arg) = rest.next() {
        let name = arg.split('=').next().unwrap_or_default().replace('_', "-");
        if flags.iter().any(|(flag, _)| engine_names(flag).contains(&name.as_str())) {
            rest.next_if(|next| !arg.contains('=') && !next.starts_with('-'));
        } else {
            engine.push(paste::word(arg, Os::current()));
        }
    }
    engine.extend(flags.iter().filter(|(_, value)| value.is_none()).map(|(flag, _)| (*flag).to_owned()));
    let mut line = format!("llmup {}", own.join(" "));
    if !engine.is_empty() {
        line += &format!(" -- {}", engine.join(" "));
    }
    line
}

#[cfg(test)]
#[path = "retry_tests.rs"]
pub(super) mod tests;
