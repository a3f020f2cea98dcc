//! Ways to spread a model over GPUs that are possible at all: what divides, and what quantised blocks allow.

use super::flags::Flags;
use super::memory::Spread;
use super::{Facts, PlanError};

/// The ways to try on `gpus` GPUs, the fewest GPUs first: tensor parallelism alone, then with whole experts where FP8
/// blocks forbid to cut them, then with pipeline stages.
pub(super) fn possible(facts: &Facts<'_>, flags: &Flags, gpus: u64) -> Result<Vec<Spread>, PlanError> {
    let shape = facts.weights.shape.as_ref();
    let (pipeline, data) = (flags.pipeline.unwrap_or(1), flags.data.unwrap_or(1));
    // Of an unknown model only halves are likely to divide.
    let divides = |tp: u64| shape.map_or(tp.is_power_of_two(), |s| s.splits_into(tp));
    let whole = |tp: u64, experts: bool| shape.is_none_or(|s| s.blocks_split_into(tp, experts));
    let spread = |tensor, pipeline, expert_parallel| Spread { tensor, pipeline, data, expert_parallel };
    if let Some(asked) = facts.request.tensor_parallel.map(u64::from).or(flags.tensor) {
        let way = spread(asked, pipeline, flags.expert_parallel);
        if asked == 0 || way.gpus() > gpus {
            return Err(PlanError::Impossible(
                format!("a tensor-parallel size of {asked} needs as many usable GPUs; there are {gpus}"),
                vec!["leave out `--tensor-parallel-size`, or see `llmup doctor`".into()],
            ));
        }
        let nearest = (1..=gpus.min(64)).rev().find(|t| divides(*t) && whole(*t, flags.expert_parallel));
        let instead: Vec<String> = nearest.map(|t| format!("use `--tensor-parallel-size {t}`")).into_iter().collect();
        if !divides(asked) {
            let heads = shape.map_or(0, |s| s.heads);
            let why = format!("a tensor-parallel size of {asked} does not divide the model's {heads} attention heads");
            return Err(PlanError::Impossible(why, instead));
        }
        if !whole(asked, flags.expert_parallel) {
            let block = shape.and_then(|s| s.quant_block).unwrap_or(0);
            let mut instead = instead;
            if whole(asked, true) {
                instead.push("or keep the experts whole: `-- --enable-expert-parallel`".into());
            }
            let why = format!("a tensor-parallel size of {asked} cuts the quantised blocks of {block}");
            return Err(PlanError::Impossible(why, instead));
        }
        return Ok(vec![way]);
    }
    let most = (gpus / pipeline.saturating_mul(data).max(1)).min(64);
    let mut ways = Vec::new();
    for tensor in (1..=most).filter(|tp| divides(*tp)) {
        if whole(tensor, flags.expert_parallel) {
            ways.push(spread(tensor, pipeline, flags.expert_parallel));
        } else if whole(tensor, true) {
            ways.push(spread(tensor, pipeline, true));
        }
    }
    if flags.pipeline.is_none() && data == 1 {
        let layers = shape.map_or(1, |s| s.layers);
        let mut stages: Vec<Spread> = (1..=most)
            .filter(|tp| divides(*tp) && whole(*tp, flags.expert_parallel))
            .flat_map(|tp| (2..=most / tp).map(move |pp| spread(tp, pp, flags.expert_parallel)))
            .filter(|way| way.pipeline <= layers)
            .collect();
        stages.sort_by_key(|way| (way.gpus(), way.pipeline));
        ways.extend(stages);
    }
    Ok(ways)
}
