//! Models that are started at once are planned beside each other: each leaves the later ones the least they need, where
//! that costs it neither context nor speed. Where it does, they take turns ([`super::fleet`]).

use super::Chosen;
use super::decide::decide;
use super::room::{self, Bytes};
use crate::engine::find::Found;
use crate::hardware::Hardware;

/// Plans what is to be started at once for what the others leave. The plans so far are for each alone.
pub(super) fn plan(models: &mut [Chosen], hardware: &Hardware, found: &[Found]) {
    // Each alone would give half of what is left to its prompts.
    let caches = models.iter().filter(|model| model.plan.prompt_cache_bytes.is_some_and(|bytes| bytes > 0)).count();
    models.iter_mut().for_each(|model| model.plan.share_prompt_cache(caches as u64));
    let at_once: Vec<usize> = (0..models.len()).filter(|at| models[*at].one.policy.preload).collect();
    if at_once.len() < 2 {
        return;
    }
    let least: Vec<Bytes> = models.iter().map(|model| room::least(&model.plan)).collect();
    let mut taken = Bytes::new();
    for (turn, at) in at_once.iter().enumerate() {
        let mut others = taken.clone();
        at_once[turn + 1..].iter().for_each(|later| room::add(&mut others, &least[*later]));
        one(&mut models[*at], hardware, found, &others);
        room::add(&mut taken, &room::needs(&models[*at].plan));
    }
}

/// Plans one for what `others` leave.
pub(super) fn one(model: &mut Chosen, hardware: &Hardware, found: &[Found], others: &Bytes) {
    let Chosen { one, target, plan, .. } = model;
    let left = room::without(hardware, others);
    if let Ok(Ok(mut smaller)) = decide(&one.args, target, &left, None, found)
        && smaller.engine == plan.engine
        && smaller.max_model_len >= plan.max_model_len
        && smaller.speed() >= plan.speed()
    {
        std::mem::swap(&mut smaller.warnings, &mut plan.warnings);
        *plan = smaller;
    }
}
