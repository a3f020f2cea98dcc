//! vLLM in WSL 2 has a part of the machine's main memory, half of it unless the user's `.wslconfig` says otherwise
//! (learn.microsoft.com/windows/wsl/wsl-config). Where a plan fails for that, the way out is a line in that file.

use super::{Facts, LaunchPlan, PlanError, on};
use crate::hardware::{Hardware, Memory};
use crate::output::bytes;

const GIB: u64 = 1 << 30;

/// Windows keeps at least this, or an eighth of its memory.
const FOR_WINDOWS: u64 = 4 * GIB;

/// Says what to write into `.wslconfig` where that makes a plan of a refusal, or a longer context. `facts` are those of
/// Windows, `inside` what WSL shows of it.
pub(super) fn tell(facts: Facts<'_>, inside: &Hardware, outcome: &mut Result<LaunchPlan, PlanError>) {
    let windows = facts.hardware.memory;
    let have = inside.memory.total_bytes;
    let most = windows.total_bytes.saturating_sub(FOR_WINDOWS.max(windows.total_bytes / 8)) / GIB;
    let least = have.div_ceil(GIB) + 1;
    if least > most {
        return;
    }
    let with = |gib: u64| {
        let total_bytes = gib.saturating_mul(GIB);
        let memory = Memory { total_bytes, available_bytes: windows.available_bytes.min(total_bytes) };
        on(facts, Some(&Hardware { memory, ..inside.clone() })).ok()
    };
    let had = match outcome {
        Ok(plan) if plan.per_gpu.iter().any(|bill| bill.place == super::MEMORY) => plan.max_model_len,
        Err(PlanError::DoesNotFit { .. }) => 0,
        _ => return,
    };
    let Some(best) = with(most).filter(|plan| plan.max_model_len > had) else { return };
    // The fewest GiB that do as much.
    let (mut short, mut enough) = (least - 1, most);
    while enough - short > 1 {
        let middle = short + (enough - short) / 2;
        let does = with(middle).is_some_and(|plan| plan.max_model_len >= best.max_model_len);
        if does { enough = middle } else { short = middle }
    }
    let context = best.max_model_len;
    let said = format!(
        r"WSL 2 has {} of {} memory; with `memory={enough}GB` below `[wsl2]` in %UserProfile%\.wslconfig, then `wsl --shutdown`, {context} tokens fit",
        bytes(have),
        bytes(windows.total_bytes)
    );
    match outcome {
        Ok(plan) => plan.warnings.push(said),
        Err(PlanError::DoesNotFit { nearest, .. }) => nearest.insert(0, said),
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{machine, weights};
    use super::super::*;
    use super::GIB;
    use crate::error::Explain;
    use crate::host::Os;
    use crate::model::Format;
    use crate::wsl::Standing;

    /// Windows with 64 GiB, of which WSL 2 has so many.
    fn windows(wsl: Option<u64>) -> Hardware {
        let memory = crate::hardware::Memory { total_bytes: 64 * GIB, available_bytes: 60 * GIB };
        let wsl_memory_bytes = wsl.map(|gib| gib * GIB);
        Hardware {
            os: Os::Windows,
            memory,
            wsl: Some(Standing::Usable("Ubuntu".into())),
            wsl_memory_bytes,
            ..machine(0, 0)
        }
    }

    fn planned(wsl: Option<u64>, weights_gib: u64) -> Result<LaunchPlan, PlanError> {
        let (request, hardware) = (Request::default(), windows(wsl));
        let weights = weights(Format::Safetensors, weights_gib);
        plan(Facts {
            request: &request,
            hardware: &hardware,
            weights: &weights,
            profile: None,
            profiles: &[],
            installed: &[],
        })
    }

    #[test]
    fn the_plan_counts_with_what_wsl_has() {
        let half = planned(None, 8).unwrap();
        assert_eq!(half.per_gpu[0].total_bytes, 32 * GIB);
        let more = planned(Some(48), 8).unwrap();
        assert_eq!((more.per_gpu[0].total_bytes, more.per_gpu[0].budget_bytes), (48 * GIB, 48 * GIB / 20 * 19));
        // Everything that is wanted fits: nothing is said.
        assert!(!more.warnings.iter().any(|w| w.contains(".wslconfig")), "{:?}", more.warnings);
        let short = planned(Some(20), 8).unwrap();
        assert!(short.max_model_len < more.max_model_len);
        assert!(short.warnings.iter().any(|w| w.contains(r"in %UserProfile%\.wslconfig")), "{:?}", short.warnings);
    }

    #[test]
    fn a_refusal_says_what_to_write_and_what_it_says_is_enough() {
        let refused = planned(None, 28).unwrap_err();
        let hint = refused.hints().remove(0);
        let number = hint.split("`memory=").nth(1).and_then(|rest| rest.split("GB`").next()).unwrap();
        let number: u64 = number.parse().unwrap();
        assert!((33..=60).contains(&number) && hint.contains("`wsl --shutdown`"), "{hint}");
        let told: u64 = hint.rsplit(", ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(planned(Some(number), 28).unwrap().max_model_len, told);
        // More than Windows can spare helps nobody.
        let huge = planned(None, 100).unwrap_err();
        assert!(!huge.hints().iter().any(|hint| hint.contains(".wslconfig")), "{:?}", huge.hints());
    }
}
