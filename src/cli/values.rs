//! What values of several flags have in common.

use std::path::PathBuf;
use std::time::Duration;

use super::EnginePort;
use crate::config;
use crate::engine::Accelerator;

pub(super) fn engine_port(text: &str) -> Result<EnginePort, String> {
    match text {
        "auto" => Ok(EnginePort::Auto),
        number => match number.parse() {
            Ok(0) | Err(_) => Err("a port from 1 to 65535, or auto".into()),
            Ok(port) => Ok(EnginePort::Fixed(port)),
        },
    }
}

/// No path is longer, and it is shown again in messages.
const LONGEST: usize = 4096;

pub(super) fn name(text: &str) -> Result<String, String> {
    match text.trim().len() {
        1..=LONGEST => Ok(text.to_owned()),
        0 => Err("it is empty; see the models llmup knows with `llmup models`".into()),
        length => Err(format!("it is longer ({length} bytes) than any name or path")),
    }
}

/// What the parser is given for a model that was not named. No argument of a process can hold it.
pub(super) const NOT_NAMED: &str = "\0";

/// A name, or the empty text that stands for none.
pub(super) fn name_if_any(text: &str) -> Result<String, String> {
    if text == NOT_NAMED { Ok(String::new()) } else { name(text) }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).ok_or_else(|| format!("it is no length of time: {}", config::DURATION))
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share between 0 and 1, e.g. 0.9".into()),
    }
}

pub(super) fn accelerator(text: &str) -> Result<Accelerator, String> {
    let names = || Accelerator::ALL.map(Accelerator::name).join(", ");
    Accelerator::of_build(&text.to_lowercase()).ok_or_else(|| format!("there are {}", names()))
}

pub(super) fn recording(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((kind, path)) if !kind.is_empty() && !path.is_empty() => Ok((kind.to_owned(), path.into())),
        // The folder of a whole machine needs no word before it.
        None if std::path::Path::new(text).is_dir() => Ok((crate::hardware::WHOLE.to_owned(), text.into())),
        _ => Err("a kind and a path, e.g. nvidia-smi-xml=gpus.xml".into()),
    }
}
