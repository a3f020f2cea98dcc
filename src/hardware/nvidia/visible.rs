//! `CUDA_VISIBLE_DEVICES`: which cards a CUDA program would see. NVML shows all of them whatever it says.

use super::Gpu;

/// What the variable leaves visible.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Positions in the list of cards.
    pub(super) gpus: Vec<usize>,
    /// The card's position and the instance's position on it. A process sees one instance at most.
    pub(super) instance: Option<(usize, usize)>,
    /// The entry CUDA does not understand; it ends the list.
    pub(super) invalid: Option<String>,
    /// Whether cards were chosen by number, which depends on `CUDA_DEVICE_ORDER`.
    pub(super) by_number: bool,
}

/// Reads the variable as CUDA does: numbers, UUIDs or the beginning of one; what it does not know hides the rest.
pub(super) fn select(spec: &str, gpus: &[Gpu]) -> Selection {
    let mut selection = Selection::default();
    for token in spec.split(',').map(str::trim) {
        if token.is_empty() || token == "-1" || token.eq_ignore_ascii_case("NoDevFiles") {
            break;
        }
        let by_uuid = |prefix: &str| gpus.iter().position(|gpu| starts_with(gpu.uuid.as_deref(), prefix));
        let found = if token.starts_with("MIG-") {
            let instance = gpus.iter().enumerate().find_map(|(card, gpu)| {
                let at = gpu.mig.iter().flatten().position(|instance| starts_with(instance.uuid.as_deref(), token))?;
                Some((card, at))
            });
            if instance.is_some() {
                selection.instance = instance;
                selection.gpus.clear();
                break;
            }
            None
        } else if let Ok(index) = token.parse::<u32>() {
            selection.by_number = true;
            gpus.iter().position(|gpu| gpu.index == index)
        } else if token.len() > "GPU-".len() {
            by_uuid(token)
        } else {
            None
        };
        match found {
            Some(at) if !selection.gpus.contains(&at) => selection.gpus.push(at),
            // A card named twice makes CUDA see none.
            Some(_) => return Selection { invalid: Some(token.to_owned()), ..Selection::default() },
            None => {
                selection.invalid = Some(token.to_owned());
                break;
            }
        }
    }
    selection
}

fn starts_with(uuid: Option<&str>, prefix: &str) -> bool {
    uuid.is_some_and(|uuid| uuid.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}
