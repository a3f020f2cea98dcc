//! `nvidia-smi -L`: the only output of the tool that pairs MIG instances with their profiles and ids.

use super::{Amount, Gpu, Instance, Reading};

/// Reads the lines that name cards and instances; others are passed over.
pub(super) fn parse(text: &str) -> Reading {
    let mut reading = Reading::default();
    for line in text.lines().map(str::trim) {
        let uuid = line.split_once("(UUID:").and_then(|(_, rest)| rest.split(')').next()).map(str::trim);
        let uuid = uuid.filter(|uuid| !uuid.is_empty()).map(str::to_owned);
        if let Some(rest) = line.strip_prefix("GPU ")
            && let Some((index, rest)) = rest.split_once(':')
            && let Ok(index) = index.trim().parse()
        {
            let name = rest.split("(UUID:").next().unwrap_or(rest).trim();
            let name = (!name.is_empty()).then(|| name.to_owned());
            reading.gpus.push(Gpu { index, name, uuid, memory: Amount::Unknown, ..Gpu::default() });
        } else if let Some(rest) = line.strip_prefix("MIG ")
            && let Some(gpu) = reading.gpus.last_mut()
        {
            let profile = rest.split_whitespace().next().map(str::to_owned);
            gpu.mig.get_or_insert_default().push(Instance { profile, uuid, memory: Amount::Unknown });
        }
    }
    reading
}
