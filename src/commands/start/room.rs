//! Whether a model has room beside those that run, and if not, which of them would have to go: bytes by place, never a
//! count of models. What is needed is the planner's word, what is free the devices' own.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::hardware::Hardware;
use crate::plan::{self, LaunchPlan};

/// Bytes by place; a place is named as in a plan's bills.
pub(super) type Bytes = BTreeMap<String, u64>;

/// What llama.cpp's cache of prompts may grow to in main memory. A place of its own: nobody has to go for it, and two
/// that have one are not in each other's way, but who is planned beside them leaves it to them.
const PROMPTS: &str = "prompts";

/// What a plan takes.
pub(super) fn needs(plan: &LaunchPlan) -> Bytes {
    let mut needs = Bytes::new();
    plan.per_gpu.iter().for_each(|bill| add(&mut needs, &[(bill.place.clone(), plan.takes(bill))].into()));
    // An engine without bills runs already.
    if let Some(grows) = plan.prompt_cache_bytes.filter(|bytes| *bytes > 0 && !needs.is_empty()) {
        needs.insert(PROMPTS.to_owned(), grows);
    }
    needs
}

/// What is where while a model sleeps in main memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nap {
    /// What it holds: its weights in main memory, and of its devices what vLLM does not give back.
    pub holds: Bytes,
    /// What it takes of its devices when it wakes.
    pub wakes: Bytes,
}

/// vLLM gives back the memory of weights and KV cache; the runtime's own, graphs and activations stay
/// (<https://github.com/vllm-project/vllm/pull/11743>).
pub(super) fn nap(plan: &LaunchPlan) -> Nap {
    let (mut holds, mut wakes) = (Bytes::new(), Bytes::new());
    for bill in &plan.per_gpu {
        let back = bill.weights_bytes.saturating_add(bill.kv_bytes_available).min(plan.takes(bill));
        add(&mut wakes, &[(bill.place.clone(), back)].into());
        let stays = plan.takes(bill).saturating_sub(back);
        add(&mut holds, &[(bill.place.clone(), stays), (plan::MEMORY.to_owned(), bill.weights_bytes)].into());
    }
    Nap { holds, wakes }
}

/// What a plan needs at the least, with room for what is not known to the last byte: with less it is another plan.
pub(super) fn least(plan: &LaunchPlan) -> Bytes {
    let margin = |bytes: u64| bytes.saturating_add(bytes / 20).saturating_add(1 << 30);
    let mut least = Bytes::new();
    plan.per_gpu.iter().for_each(|bill| add(&mut least, &[(bill.place.clone(), margin(bill.needed_bytes()))].into()));
    least
}

/// Adds `more` to `all`.
pub(super) fn add(all: &mut Bytes, more: &Bytes) {
    for (place, bytes) in more {
        let sum = all.entry(place.clone()).or_default();
        *sum = sum.saturating_add(*bytes);
    }
}

/// The machine as it would be with that much less free.
pub(super) fn without(hardware: &Hardware, taken: &Bytes) -> Hardware {
    let mut left = hardware.clone();
    for device in &mut left.devices {
        let taken = taken.get(&plan::place(device)).copied().unwrap_or(0);
        let free = device.memory_free_bytes.unwrap_or(device.memory_total_bytes);
        device.memory_free_bytes = Some(free.saturating_sub(taken));
    }
    let taken = [plan::MEMORY, PROMPTS].iter().filter_map(|place| taken.get(*place)).copied().sum::<u64>();
    left.memory.available_bytes = left.memory.available_bytes.saturating_sub(taken);
    left
}

/// What is free now, as far as it is told.
pub(super) fn free(hardware: &Hardware) -> Bytes {
    let devices = hardware.devices.iter().filter_map(|device| Some((plan::place(device), device.memory_free_bytes?)));
    devices.chain([(plan::MEMORY.to_owned(), hardware.memory.available_bytes)]).collect()
}

/// Whether two have a place in common.
pub(super) fn overlap(a: &Bytes, b: &Bytes) -> bool {
    a.keys().any(|place| place != PROMPTS && b.contains_key(place))
}

/// One that runs.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// Which.
    pub at: usize,
    /// What would be free without it.
    pub holds: Bytes,
    /// For how long nobody has used it; `None` while somebody does.
    pub idle: Option<Duration>,
    /// It is never stopped for others.
    pub keep: bool,
}

/// What has to happen before a model has room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fits,
    /// These idle ones have to go.
    After(Vec<usize>),
    /// This one has to go, and is in use.
    Busy(usize),
    /// It would not fit even if all went that may.
    Never,
}

/// Whether `needs` has room beside `holders`, of which those are stopped first that were not used for longest.
pub(super) fn verdict(needs: &Bytes, free: &Bytes, holders: &[Holder]) -> Verdict {
    // A place that does not tell what is free of it is taken at its word: the engine will see.
    let fits = |gone: &[&Holder]| {
        needs.iter().all(|(place, bytes)| {
            let Some(free) = free.get(place) else { return true };
            let freed = gone.iter().filter_map(|holder| holder.holds.get(place)).sum::<u64>();
            free.saturating_add(freed) >= *bytes
        })
    };
    if fits(&[]) {
        return Verdict::Fits;
    }
    let mut may_go: Vec<&Holder> = holders.iter().filter(|h| !h.keep && overlap(&h.holds, needs)).collect();
    if !fits(&may_go) {
        return Verdict::Never;
    }
    may_go.sort_by_key(|holder| std::cmp::Reverse(holder.idle));
    let idle: Vec<&Holder> = may_go.iter().copied().filter(|holder| holder.idle.is_some()).collect();
    let enough = (1..=idle.len()).map(|n| idle[..n].to_vec()).find(|gone| fits(gone));
    let Some(mut gone) = enough else {
        let busy = may_go.iter().find(|holder| holder.idle.is_none());
        return busy.map_or(Verdict::Never, |holder| Verdict::Busy(holder.at));
    };
    // Those that were taken on the way and are not needed stay, the last used first.
    for at in (0..gone.len()).rev() {
        let mut fewer = gone.clone();
        fewer.remove(at);
        if fits(&fewer) {
            gone = fewer;
        }
    }
    Verdict::After(gone.iter().map(|holder| holder.at).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(pairs: &[(&str, u64)]) -> Bytes {
        pairs.iter().map(|(place, bytes)| ((*place).to_owned(), *bytes)).collect()
    }

    fn holder(at: usize, holds: &[(&str, u64)], idle: Option<u64>) -> Holder {
        Holder { at, holds: bytes(holds), idle: idle.map(Duration::from_secs), keep: false }
    }

    #[test]
    fn what_fits_disturbs_nobody_and_what_does_not_takes_the_longest_unused_first() {
        let holders = [
            holder(0, &[("GPU 0", 30)], Some(5)),
            holder(1, &[("GPU 0", 30)], Some(50)),
            holder(2, &[("GPU 1", 60)], None),
        ];
        let is = |needs: &[(&str, u64)], expected| {
            assert_eq!(
                verdict(&bytes(needs), &bytes(&[("GPU 0", 20), ("GPU 1", 20)]), &holders),
                expected,
                "{needs:?}"
            );
        };
        is(&[("GPU 0", 20)], Verdict::Fits);
        is(&[("GPU 0", 21)], Verdict::After(vec![1]));
        is(&[("GPU 0", 50)], Verdict::After(vec![1]));
        is(&[("GPU 0", 51)], Verdict::After(vec![1, 0]));
        is(&[("GPU 0", 81)], Verdict::Never);
        is(&[("GPU 1", 21)], Verdict::Busy(2));
        is(&[("GPU 0", 50), ("GPU 1", 21)], Verdict::Busy(2));
        is(&[("GPU 7", 1 << 50)], Verdict::Fits);
    }

    #[test]
    fn who_sleeps_in_main_memory_holds_that_and_is_ended_for_who_needs_it() {
        let asleep = holder(0, &[("GPU 0", 2), (plan::MEMORY, 40)], Some(9));
        let awake = holder(1, &[("GPU 0", 60)], Some(1));
        let free = bytes(&[("GPU 0", 18), (plan::MEMORY, 10)]);
        let holders = [asleep, awake];
        // The card alone: the sleeping one has nothing there that would help.
        assert_eq!(verdict(&bytes(&[("GPU 0", 70)]), &free, &holders), Verdict::After(vec![1]));
        assert_eq!(verdict(&bytes(&[("GPU 0", 80)]), &free, &holders), Verdict::After(vec![0, 1]));
        assert_eq!(verdict(&bytes(&[(plan::MEMORY, 30)]), &free, &holders), Verdict::After(vec![0]));
    }

    #[test]
    fn nobody_goes_for_nothing_and_what_is_kept_stays() {
        let small = holder(0, &[("GPU 0", 5)], Some(99));
        let large = holder(1, &[("GPU 0", 50)], Some(1));
        let free = bytes(&[("GPU 0", 10)]);
        // The small one is older, but alone it is not enough, and beside the large one it is not needed.
        assert_eq!(verdict(&bytes(&[("GPU 0", 60)]), &free, &[small.clone(), large.clone()]), Verdict::After(vec![1]));
        let kept = Holder { keep: true, ..large };
        assert_eq!(verdict(&bytes(&[("GPU 0", 60)]), &free, &[small, kept]), Verdict::Never);
    }

    #[test]
    fn prompts_are_left_to_those_who_keep_them_and_nobody_goes_for_them() {
        let caches = [("GPU 0", 30), (PROMPTS, 8 << 30)];
        let holders = [holder(0, &caches, Some(5))];
        let needs = bytes(&[("GPU 1", 10), (PROMPTS, 99 << 30)]);
        assert_eq!(verdict(&needs, &bytes(&[("GPU 1", 20), (plan::MEMORY, 1 << 30)]), &holders), Verdict::Fits);
        assert!(!overlap(&bytes(&caches), &needs));
        let machine = crate::hardware::described::Machine { memory_bytes: Some(64 << 30), ..Default::default() };
        let left = without(&machine.hardware(), &bytes(&[(plan::MEMORY, 10 << 30), (PROMPTS, 8 << 30)]));
        assert_eq!(left.memory.available_bytes, 46 << 30);
    }

    proptest! {
        #[test]
        fn those_that_go_are_enough_idle_and_none_too_many(
            needs in proptest::collection::btree_map("[ab]", 0u64..100, 1..3),
            free in proptest::collection::btree_map("[ab]", 0u64..50, 2),
            all in proptest::collection::vec(
                (proptest::collection::btree_map("[ab]", 0u64..60, 1..3), proptest::option::of(0u64..9), any::<bool>()), 0..6),
        ) {
            let holders: Vec<Holder> = all.into_iter().enumerate().map(|(at, (holds, idle, keep))| {
                Holder { at, holds, idle: idle.map(Duration::from_secs), keep }
            }).collect();
            let fits = |gone: &[usize]| needs.iter().all(|(place, bytes)| {
                free.get(place).is_none_or(|free| {
                    free + gone.iter().map(|at| holders[*at].holds.get(place).unwrap_or(&0)).sum::<u64>() >= *bytes
                })
            });
            match verdict(&needs, &free, &holders) {
                Verdict::Fits => prop_assert!(fits(&[])),
                Verdict::After(gone) => {
                    prop_assert!(!fits(&[]) && fits(&gone));
                    prop_assert!(gone.iter().all(|at| holders[*at].idle.is_some() && !holders[*at].keep));
                    for at in 0..gone.len() {
                        let mut fewer = gone.clone();
                        fewer.remove(at);
                        prop_assert!(!fits(&fewer));
                    }
                }
                Verdict::Busy(at) => prop_assert!(holders[at].idle.is_none() && !holders[at].keep),
                Verdict::Never => {
                    let all: Vec<usize> = holders.iter().filter(|h| !h.keep).map(|h| h.at).collect();
                    prop_assert!(!fits(&all));
                }
            }
        }
    }
}
