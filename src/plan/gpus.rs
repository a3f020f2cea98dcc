//! vLLM on GPUs: which of them, how the model is spread, which context.

use super::choose::Choice;
use super::fit::{Fitted, reason, wanted_context};
use super::flags::Flags;
use super::memory::{Card, ENCODER_OUTSIDE, Job, Lean, Rank, SMALL, Spread};
use super::{Bill, Facts, LEAST_CONTEXT, PlanError, Reason, Verdict, alternatives, pick, spread};
use crate::engine::Accelerator;
use crate::hardware::Device;
use crate::model::{Cache, CacheGroup};
use crate::output::bytes;
use crate::profile::EngineRecipe;

/// vLLM's default share when nothing was asked (0.20 to 0.33); passed explicitly, because it was 0.9 before. Plug-ins
/// may advise another.
const UTILIZATION: f64 = 0.92;

/// Estimates are off by about this; a plan that fits only when they were too high is tight.
const OPTIMISTIC: f64 = 0.9;

/// Sequences at once that are plenty for coding agents, when the engine's own number leaves too little room.
const FEWER_SEQUENCES: u64 = 64;

pub(super) fn fit(facts: &Facts<'_>, choice: &Choice<'_>, recipe: &EngineRecipe) -> Result<Fitted, PlanError> {
    let flags = Flags::read(recipe.args.iter().chain(&facts.request.engine_args));
    let gpus = pick::emptiest_first(&choice.devices);
    one_instance(facts, &flags, &gpus)?;
    let asked = facts.request.context.or(flags.context);
    let (mut wanted, mut because) = wanted_context(facts, asked)?;
    if let Some((most, why)) = choice.context.clone().filter(|(most, _)| asked.is_none() && *most < wanted) {
        (wanted, because) = (most, why);
    }
    let version = facts.installed.iter().find(|i| i.engine == crate::engine::EngineId::Vllm).and_then(|i| i.version);
    let job = Job {
        shape: facts.weights.shape.as_ref(),
        file_bytes: facts.weights.bytes.unwrap_or(0),
        quantization: facts.weights.quantization.as_deref(),
        flags: &flags,
        version,
        context: wanted,
    };
    let ways = spread::possible(facts, &flags, gpus.len() as u64)?;
    let tries = |job: &Job<'_>, ways: &[Spread], lean: Option<Lean>| -> Vec<Try> {
        let of = |way: &Spread| {
            let chosen = pick::of(facts.hardware, &gpus, usize::try_from(way.gpus()).ok()?)?;
            let share = choice.utilization.unwrap_or(UTILIZATION);
            Some(Try::new(facts, job, &chosen, *way, lean, share))
        };
        ways.iter().filter_map(of).collect()
    };
    let mut all = tries(&job, &ways, None);
    let enough = |all: &[Try]| all.iter().any(|t| t.context >= wanted && t.verdict == Verdict::Fits);
    // What a large GPU's defaults take must not keep out what fits a smaller one.
    if !enough(&all) {
        all.extend(tries(&job, &ways, Some(SMALL)));
    }
    // Where nothing was asked there is freedom: fewer sequences at once leave more room for each.
    if !enough(&all) && asked.is_none() {
        all.extend(tries(&job, &ways, Some(Lean { sequences: FEWER_SEQUENCES, ..SMALL })));
    }
    // Nor must a cache that every GPU would keep whole.
    let apart = if enough(&all) { Vec::new() } else { shared_out(facts, choice, &job, &ways) };
    for (way, flags) in &apart {
        let job = Job { flags, ..job };
        all.extend(tries(&job, &[*way], asked.is_none().then_some(Lean { sequences: FEWER_SEQUENCES, ..SMALL })));
    }
    let good = all.iter().find(|t| t.context >= wanted && t.verdict == Verdict::Fits);
    let best = good.or_else(|| {
        all.iter().max_by_key(|t| {
            (t.context, std::cmp::Reverse(t.spread.gpus()), std::cmp::Reverse(t.spread.pipeline), t.lean.is_none())
        })
    });
    let Some(best) = best else {
        return Err(PlanError::Impossible("there is no usable GPU".into(), vec!["see `llmup doctor`".into()]));
    };
    let least = if asked.is_some() { wanted } else { LEAST_CONTEXT.min(wanted) };
    if best.context < least {
        // The bill of the way that comes nearest.
        let short = |t: &Try| t.bills.first().map_or(u64::MAX, |b| b.needed_bytes().saturating_sub(b.budget_bytes));
        let nearest = if best.context == 0 { all.iter().min_by_key(|t| short(t)).unwrap_or(best) } else { best };
        let mut hints = nearest.hints.clone();
        let lean = Lean { sequences: FEWER_SEQUENCES, ..SMALL };
        if nearest.obstacle.is_none()
            && flags.sequences.is_none()
            && tries(&job, &ways, Some(lean)).iter().any(|t| t.context >= wanted)
        {
            hints.push(format!("serve fewer at once: `-- --max-num-seqs {FEWER_SEQUENCES}`"));
        }
        return Err(refusal(facts, nearest, hints, wanted));
    }
    Ok(chosen(facts, choice, &job, best, wanted, because))
}

/// The ways in which the GPUs of a tensor-parallel group share out the tokens of a cache that does not divide by heads
/// (MLA): `--decode-context-parallel-size`, in vLLM since 0.12 (recipes, moonshotai/Kimi-K2-Instruct: `-dcp 8`). The
/// sparse attention of an indexer is left alone, and so are other vendors' kernels: nobody says that they can.
fn shared_out(facts: &Facts<'_>, choice: &Choice<'_>, job: &Job<'_>, ways: &[Spread]) -> Vec<(Spread, Flags)> {
    let plain = |group: &CacheGroup| matches!(group.cache, Cache::Latent { indexed: false, .. });
    let latent = facts.weights.shape.as_ref().is_some_and(|s| !s.cache.is_empty() && s.cache.iter().all(plain));
    let old = job.version.is_some_and(|version| version < (0, 12));
    if !latent || old || choice.accelerator != Accelerator::Cuda || job.flags.decode_context.is_some() {
        return Vec::new();
    }
    let split = ways.iter().filter(|way| way.tensor > 1 && way.pipeline == 1 && way.data == 1);
    split.map(|way| (*way, Flags { decode_context: Some(way.tensor), ..job.flags.clone() })).collect()
}

/// A process sees one MIG instance at most, so nothing can be spread over several.
fn one_instance(facts: &Facts<'_>, flags: &Flags, gpus: &[&Device]) -> Result<(), PlanError> {
    let tensor = facts.request.tensor_parallel.map(u64::from).or(flags.tensor).unwrap_or(1);
    if tensor > 1 && gpus.first().is_some_and(|d| d.is_instance()) {
        return Err(PlanError::Impossible(
            format!("a tensor-parallel size of {tensor} needs whole GPUs: a process sees one MIG instance at most"),
            vec!["leave out `--tensor-parallel-size`".into(), "or end MIG mode: `sudo nvidia-smi -i 0 -mig 0`".into()],
        ));
    }
    Ok(())
}

fn refusal(facts: &Facts<'_>, best: &Try, nearest: Vec<String>, wanted: u64) -> PlanError {
    let why = match &best.obstacle {
        Some(obstacle) => obstacle.clone(),
        None if best.context == 0 => "the weights leave no room".into(),
        None => format!("{wanted} tokens of context do not fit"),
    };
    let (model, mut bills) = (alternatives::refused_name(facts), best.bills.clone());
    // The bill of what was wanted, not of what would fit.
    for bill in &mut bills {
        bill.kv_bytes_needed = best.rank.layout.as_ref().map_or(0, |l| l.needed(wanted));
    }
    PlanError::DoesNotFit { model, why, bills, nearest, alternatives: Vec::new() }
}

fn chosen(facts: &Facts<'_>, choice: &Choice<'_>, job: &Job<'_>, best: &Try, wanted: u64, because: String) -> Fitted {
    let Spread { tensor, pipeline, expert_parallel, .. } = best.spread;
    let mut reasons = Vec::new();
    let count = best.devices.len();
    let kind = choice.accelerator.device().rsplit(' ').next().unwrap_or("GPU");
    let over = if count == 1 { format!("1 {kind}") } else { format!("{count} {kind}s") };
    let why = if facts.request.tensor_parallel.is_some() {
        "you asked for it".to_owned()
    } else if best.context >= wanted {
        format!(
            "the fewest that hold {} of weights and the context",
            bytes(best.rank.weights.saturating_mul(tensor * pipeline))
        )
    } else {
        format!("{} the longest context", if count == 1 { "it gives" } else { "they give" })
    };
    reasons.push(reason(over, why));
    reasons.extend(without_links(facts, choice, best));
    let context = best.context.min(wanted);
    let because = if context < wanted { format!("the longest that fits; wanted were {wanted}") } else { because };
    reasons.push(reason(format!("context: {context}"), because));
    let share = match facts.request.utilization.or(job.flags.utilization) {
        Some(_) => "you asked for it".to_owned(),
        None if best.utilization < choice.utilization.unwrap_or(UTILIZATION) => match best.unified {
            true => "it is main memory too, and vLLM refuses to start with a share that is not free".to_owned(),
            false => {
                format!("other programs hold memory on the {kind}; vLLM refuses to start with a share that is not free")
            }
        },
        None if choice.utilization.is_some() => "what the plug-in's makers use".to_owned(),
        None => "vLLM's usual share, passed so that plan and engine agree".to_owned(),
    };
    reasons.push(reason(format!("memory share: {:.2}", best.utilization), share));
    let mut args = Vec::new();
    if pipeline > 1 && job.flags.pipeline.is_none() {
        args.extend(["--pipeline-parallel-size".to_owned(), pipeline.to_string()]);
        let why = "no tensor-parallel size alone divides the model and holds it";
        reasons.push(reason(format!("{pipeline} pipeline stages"), why));
    }
    if expert_parallel && !job.flags.expert_parallel {
        args.push("--enable-expert-parallel".to_owned());
        reasons.push(reason("whole experts on each GPU", "cut in parts they would not be whole quantised blocks"));
    }
    if best.decode_context > 1 && job.flags.decode_context.is_none() {
        args.extend(["--decode-context-parallel-size".to_owned(), best.decode_context.to_string()]);
        let why = "the cache of this model does not divide by heads; without this each GPU would keep all of it";
        reasons.push(reason(format!("a part of the cache on each of {} GPUs", best.decode_context), why));
    }
    if let Some(Lean { steps, sequences }) = best.lean {
        if job.flags.sequences.is_none() && sequences < best.rank.own.sequences {
            args.extend(["--max-num-seqs".to_owned(), sequences.to_string()]);
        }
        if job.flags.batched_tokens.is_none() && steps < best.rank.own.steps {
            args.extend(["--max-num-batched-tokens".to_owned(), steps.to_string()]);
        }
        let why = "vLLM's own numbers are for servers with many users and leave too little memory here";
        reasons.push(reason(format!("{sequences} requests at once"), why));
    }
    let mut warnings = Vec::new();
    if best.verdict == Verdict::Tight {
        warnings.push("this is tight: if the engine runs out of memory, lower --context".into());
    }
    match job.shape {
        None => warnings.push("the model's shape is unknown, so the KV cache is not part of the bill".into()),
        Some(shape) if shape.cache_unknown => {
            warnings.push("this model compresses its KV cache; few starts were compared, the bill may be off".into());
        }
        Some(_) => {}
    }
    Fitted {
        verdict: best.verdict,
        devices: best.devices.clone(),
        tensor_parallel: u32::try_from(tensor).unwrap_or(u32::MAX),
        utilization: best.utilization,
        context,
        kv_bytes_per_token: best.rank.layout.as_ref().map(crate::model::Layout::bytes_per_token),
        kv_cache_gib: 0,
        args,
        bills: best.bills.clone(),
        reasons,
        warnings,
        offload: None,
        prompt_cache_bytes: None,
    }
}

/// What tensor parallelism costs where devices are known to have no direct link. vLLM's docs (serving, parallelism and
/// scaling) say to take tensor parallelism within a machine, and stages for more throughput where there is no NVLink.
fn without_links(facts: &Facts<'_>, choice: &Choice<'_>, best: &Try) -> Option<Reason> {
    let vendor = choice.accelerator.vendor()?;
    let Spread { tensor, pipeline, data, .. } = best.spread;
    if tensor < 2 || facts.hardware.directly_linked(vendor, &best.devices) != Some(false) {
        return None;
    }
    let splits = facts.weights.shape.as_ref().is_none_or(|shape| shape.layers >= tensor * pipeline);
    let stages = format!("`-- --tensor-parallel-size 1 --pipeline-parallel-size {}`", tensor * pipeline);
    let instead = if splits && data == 1 && facts.request.tensor_parallel.is_none() {
        format!("; for many users at once vLLM's docs advise stages: {stages}")
    } else {
        String::new()
    };
    let why = format!(
        "they have no direct link, so each step crosses the PCI bus; one user still gets answers soonest this way{instead}"
    );
    Some(reason(format!("split {tensor} ways"), why))
}

/// One way to spread the model, priced.
struct Try {
    spread: Spread,
    /// GPUs that share out the tokens of the cache.
    decode_context: u64,
    /// They share main memory.
    unified: bool,
    devices: Vec<u32>,
    utilization: f64,
    /// The longest context that fits, at most what is wanted; 0 when the weights alone do not.
    context: u64,
    verdict: Verdict,
    rank: Rank,
    /// What vLLM is told to take on at once, when that is not its own choice.
    lean: Option<Lean>,
    /// What stands in the way although the memory would do.
    obstacle: Option<String>,
    hints: Vec<String>,
    bills: Vec<Bill>,
}

impl Try {
    fn new(facts: &Facts<'_>, job: &Job<'_>, gpus: &[&Device], spread: Spread, lean: Option<Lean>, share: f64) -> Try {
        let card = Card::weakest(gpus, facts.hardware.memory);
        let asked = facts.request.utilization.or(job.flags.utilization);
        let utilization = asked.unwrap_or_else(|| {
            let possible = if card.total == 0 { 0.0 } else { card.free as f64 / card.total as f64 };
            // Rounded down to what is passed on the command line.
            (possible.min(share) * 100.0 + 1e-9).floor() / 100.0
        });
        let budget = (card.total as f64 * utilization) as u64;
        let rank = Rank::price(job, spread, card, lean);
        let wanted = job.context;
        let longest = |room: u64| match &rank.layout {
            None if room > 0 => wanted,
            None => 0,
            // Whole kibitokens, unless all that is wanted fits.
            Some(layout) => match layout.longest(room, wanted) {
                all if all >= wanted => wanted,
                part => part / 1024 * 1024,
            },
        };
        let room = rank.cache_room(budget, 1.0);
        // The overhead is the uncertain part: refuse only when its small end does not fit either.
        let usual = longest(room);
        let (mut context, mut verdict) =
            if usual >= LEAST_CONTEXT.min(wanted) && (usual >= wanted || facts.request.context.is_none()) {
                (usual, Verdict::Fits)
            } else {
                (longest(rank.cache_room(budget, OPTIMISTIC)), Verdict::Tight)
            };
        let mut made = Obstacles::default();
        let mut lean = lean.map(|_| rank.takes);
        if let Some(most) = rank.layout.as_ref().and_then(|l| l.sequences_in(room))
            && !job.flags.eager
            && job.version.is_none_or(|version| version >= (0, 19))
            && most < rank.takes.sequences
            && context > 0
        {
            let free = facts.request.context.or(job.flags.context).is_none() && job.flags.sequences.is_none();
            match most {
                1.. if free => lean = Some(Lean { sequences: most.min(FEWER_SEQUENCES), ..rank.takes }),
                _ => made.states(most, rank.takes.sequences),
            }
        }
        if let Some(share) = asked {
            made.share(share, budget, card, job);
        }
        if made.why.is_some() {
            (context, verdict) = (0, Verdict::Tight);
        }
        let needed = rank.layout.as_ref().map_or(0, |l| l.needed(if context == 0 { wanted } else { context }));
        let bill = |g: &&Device| Bill {
            place: super::place(g),
            weights_bytes: rank.weights,
            kv_bytes_needed: needed,
            kv_bytes_available: room,
            kv_tokens: rank.layout.as_ref().map(|l| l.tokens_in(room, if context == 0 { wanted } else { context })),
            activation_bytes: rank.activation,
            graph_bytes: rank.graphs,
            overhead_bytes: rank.overhead(),
            budget_bytes: budget,
            total_bytes: g.memory_total_bytes,
        };
        let mut devices: Vec<u32> = gpus.iter().map(|g| g.index).collect();
        devices.sort_unstable();
        let bills = gpus.iter().map(bill).collect();
        let unified = gpus.iter().any(|g| g.unified);
        Try {
            spread,
            decode_context: job.flags.decode_context.unwrap_or(1),
            unified,
            devices,
            utilization,
            context,
            verdict,
            lean,
            obstacle: made.why,
            hints: made.hints,
            bills,
            rank,
        }
    }
}

/// Why vLLM would refuse, or fail later, although the sum is right.
#[derive(Default)]
struct Obstacles {
    why: Option<String>,
    hints: Vec<String>,
}

impl Obstacles {
    /// "max_num_seqs (256) exceeds available Mamba cache blocks (75)".
    fn states(&mut self, most: u64, sequences: u64) {
        self.why = Some(format!(
            "there is room for the states of {most} requests at once, and vLLM wants {sequences} for its CUDA graphs"
        ));
        if most > 0 {
            self.hints.push(format!("serve fewer at once: `-- --max-num-seqs {}`", most.min(FEWER_SEQUENCES)));
        }
        self.hints.push("or do without CUDA graphs: `-- --enforce-eager`".into());
    }

    fn share(&mut self, share: f64, budget: u64, card: Card, job: &Job<'_>) {
        let at_most = |free: u64| (free as f64 / card.total.max(1) as f64 * 100.0).floor() / 100.0;
        if budget > card.free {
            self.why = Some(format!(
                "a share of {share} is {}, and only {} of the GPU's memory is free; vLLM refuses that",
                bytes(budget),
                bytes(card.free)
            ));
            self.hints.push(format!("use `--gpu-memory-utilization {:.2}` or less", at_most(card.free)));
        } else if job.shape.is_some_and(|s| s.vision) && !job.flags.language_only && 1.0 - share < ENCODER_OUTSIDE {
            self.why = Some(format!("a share of {share} leaves the image encoder no room while it works"));
            self.hints
                .push("use `--gpu-memory-utilization 0.92`, or do without images: `-- --language-model-only`".into());
        }
    }
}
