//! ROCR_VISIBLE_DEVICES, HIP_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES. The first is read by the runtime below HIP,
//! which then counts what is left anew; HIP reads the second, and the third where the second is not set.

use super::Card;
use super::devices::Surroundings;
use crate::hardware::holders::setting;

/// What is left, and why not the rest.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Visible {
    /// For each card the variable that hides it.
    pub(super) hidden: Vec<Option<String>>,
    pub(super) problems: Vec<String>,
}

/// Applies the variables as ROCm does.
pub(super) fn apply(cards: &[Card], surroundings: &Surroundings) -> Visible {
    let mut visible = Visible { hidden: vec![None; cards.len()], problems: Vec::new() };
    let mut left: Vec<usize> = (0..cards.len()).collect();
    let (hip, cuda) = (surroundings.hip.as_deref(), surroundings.cuda.as_deref());
    if let (Some(hip), Some(cuda)) = (hip, cuda)
        && hip != cuda
        && !cards.is_empty()
    {
        visible.problems.push(format!(
            "HIP_VISIBLE_DEVICES={hip} and CUDA_VISIBLE_DEVICES={cuda} disagree, and programs for ROCm read one or the \
             other: `unset CUDA_VISIBLE_DEVICES`"
        ));
    }
    let second = hip.map(|spec| ("HIP_VISIBLE_DEVICES", spec)).or(cuda.map(|spec| ("CUDA_VISIBLE_DEVICES", spec)));
    let first = surroundings.rocr.as_deref().map(|spec| ("ROCR_VISIBLE_DEVICES", spec));
    for (name, spec) in first.into_iter().chain(second) {
        let (kept, invalid) = select(spec, cards, &left);
        for at in left.iter().filter(|at| !kept.contains(at)) {
            if let Some(hidden) = visible.hidden.get_mut(*at) {
                *hidden = Some(format!("hidden by {}; to use it: `unset {name}`", setting(name, spec)));
            }
        }
        if let Some(token) = invalid {
            visible.problems.push(format!(
                "{name}={spec} names {token}, which is no card here; it and what follows are hidden; `rocminfo` lists \
                 the cards"
            ));
        }
        left = kept;
    }
    visible
}

/// The cards that are named, of those that are left, and the word that names none and so ends the list.
fn select<'a>(spec: &'a str, cards: &[Card], left: &[usize]) -> (Vec<usize>, Option<&'a str>) {
    let mut kept = Vec::new();
    for token in spec.split(',').map(str::trim) {
        if token.is_empty() || token == "-1" {
            break;
        }
        let found = match token.parse::<usize>() {
            Ok(nth) => left.get(nth).copied(),
            Err(_) => left.iter().copied().find(|at| {
                let uuid = cards.get(*at).and_then(|card| card.uuid.as_deref());
                uuid.is_some_and(|uuid| uuid.eq_ignore_ascii_case(token))
            }),
        };
        match found {
            Some(at) if !kept.contains(&at) => kept.push(at),
            Some(_) => {}
            None => return (kept, Some(token)),
        }
    }
    (kept, None)
}
