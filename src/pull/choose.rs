//! Which files of a repository make up the model that was asked for, and nothing beside it.

use serde::{Deserialize, Serialize};

use super::glob;

/// What shall be taken from a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pick {
    /// In which form, when it is known.
    pub form: Option<Form>,
    /// The quantisation, for GGUF: `q4_k_m`.
    pub quantization: Option<String>,
    /// Patterns that replace the choice.
    pub include: Vec<String>,
}

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A model directory: config.json and *.safetensors.
    Safetensors,
    /// One .gguf file or its parts.
    Gguf,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Paths, in the order of the list.
    pub paths: Vec<String>,
    /// The form.
    pub form: Form,
    /// The quantisation in a GGUF's name.
    pub quantization: Option<String>,
}

/// Why there is no choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nothing {
    /// No file of a form llmup can use.
    NoWeights,
    /// No GGUF of that quantisation; these are there.
    NoQuantization(Vec<String>),
    /// No file fits the patterns.
    NoMatch,
}

/// The order in which GGUF files are taken when none is asked for. llama.cpp's own `-hf` begins with Q4_K_M, too
/// (llama.cpp `common/arg.cpp`).
const USUAL: &[&str] =
    &["q4_k_m", "mxfp4", "q4_k_xl", "q4_k_s", "q5_k_m", "q6_k", "q8_0", "q4_0", "iq4_xs", "f16", "bf16"];

/// Files beside the weights that no engine reads, or that hold the same weights again.
const USELESS: &[&str] = &[
    ".bin",
    ".pth",
    ".pt",
    ".ckpt",
    ".h5",
    ".msgpack",
    ".onnx",
    ".onnx_data",
    ".tflite",
    ".ot",
    ".gguf",
    ".mlmodel",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".svg",
    ".mp4",
    ".mp3",
    ".wav",
    ".pdf",
    ".zip",
];
/// Folders with the same weights in another form.
const OTHER_FORMS: &[&str] = &["original", "metal", "onnx", "openvino", "coreml", "gguf", ".git", ".cache"];

/// Chooses among the paths of a repository.
pub fn choose(paths: &[&str], pick: &Pick) -> Result<Choice, Nothing> {
    let keep = |path: &&&str| !path.ends_with(".gitattributes");
    if !pick.include.is_empty() {
        let chosen: Vec<String> = paths
            .iter()
            .filter(|path| pick.include.iter().any(|pattern| glob::matches(pattern, path)))
            .map(|path| (*path).to_owned())
            .collect();
        if chosen.is_empty() {
            return Err(Nothing::NoMatch);
        }
        let gguf = chosen.iter().find(|path| is_model_gguf(path));
        let form = if gguf.is_some() { Form::Gguf } else { Form::Safetensors };
        let quantization = gguf.and_then(|path| quantization_of(path));
        return Ok(Choice { paths: chosen, form: pick.form.unwrap_or(form), quantization });
    }
    let has_safetensors = paths.iter().any(|path| path.ends_with(".safetensors") && !in_other_form(path));
    let ggufs: Vec<&str> = paths.iter().copied().filter(|path| is_model_gguf(path)).collect();
    match pick.form {
        Some(Form::Gguf) => gguf(&ggufs, pick.quantization.as_deref()),
        None if !ggufs.is_empty() && (!has_safetensors || wanted_gguf(&ggufs, pick)) => {
            gguf(&ggufs, pick.quantization.as_deref())
        }
        _ if has_safetensors => {
            let chosen = paths.iter().filter(keep).filter(|path| is_of_safetensors(path, paths));
            let paths = chosen.map(|path| (*path).to_owned()).collect();
            Ok(Choice { paths, form: Form::Safetensors, quantization: None })
        }
        _ => Err(Nothing::NoWeights),
    }
}

/// Whether the asked quantisation is one that a GGUF of the repository has.
fn wanted_gguf(ggufs: &[&str], pick: &Pick) -> bool {
    pick.quantization.as_deref().is_some_and(|asked| ggufs.iter().any(|path| is_of(path, asked)))
}

fn gguf(ggufs: &[&str], asked: Option<&str>) -> Result<Choice, Nothing> {
    if ggufs.is_empty() {
        return Err(Nothing::NoWeights);
    }
    let stems = |of: &dyn Fn(&str) -> bool| {
        let mut stems: Vec<&str> = ggufs.iter().copied().filter(|path| of(path)).map(stem).collect();
        // `Q4_K_M` rather than `UD-Q4_K_M`, and rather than a file with more in its name.
        stems.sort_by_key(|stem| (stem.len(), *stem));
        stems
    };
    let found = match asked {
        Some(asked) => stems(&|path| is_of(path, asked)),
        None => {
            let usual = USUAL.iter().map(|usual| stems(&|path| is_of(path, usual))).find(|stems| !stems.is_empty());
            usual.unwrap_or_else(|| stems(&|_| true))
        }
    };
    let mut all = stems(&|_| true);
    all.dedup();
    // A repository of one model need not say in its name how that is quantised.
    let only =
        all.first().copied().filter(|_| all.len() == 1 && ggufs.iter().all(|path| quantization_of(path).is_none()));
    let Some(chosen) = found.first().copied().or(only) else {
        let mut there: Vec<String> = ggufs.iter().filter_map(|path| quantization_of(path)).collect();
        there.sort();
        there.dedup();
        return Err(Nothing::NoQuantization(there));
    };
    let paths: Vec<String> = ggufs.iter().filter(|path| stem(path) == chosen).map(|path| (*path).to_owned()).collect();
    let quantization = paths.first().and_then(|path| quantization_of(path));
    Ok(Choice { paths, form: Form::Gguf, quantization })
}

/// A GGUF that is a language model: no projector, importance matrix or draft head.
fn is_model_gguf(path: &str) -> bool {
    let path = path.to_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    name.ends_with(".gguf")
        && !["mmproj", "imatrix", "mtp-"].iter().any(|start| name.starts_with(start))
        && !name.contains("-mmproj")
        && !name.contains("imatrix")
}

/// The number a GGUF part has, and how many there are: `x-00002-of-00005.gguf` (llama.cpp's `gguf-split`).
fn part(path: &str) -> Option<(&str, usize)> {
    let lower = path.get(..path.len().checked_sub(5)?)?;
    let (rest, of) = lower.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| (text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit())).then_some(());
    digits(of).and_then(|()| digits(number))?;
    Some((stem, number.parse().ok()?))
}

/// A GGUF's path without its number and ending: the same for all parts of one model.
fn stem(path: &str) -> &str {
    part(path).map_or_else(|| path.get(..path.len().saturating_sub(5)).unwrap_or(path), |(stem, _)| stem)
}

/// The file an engine is given: the only GGUF or its first part.
pub fn first_gguf<'a>(paths: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut ggufs = paths.filter(|path| is_model_gguf(path));
    ggufs.find(|path| part(path).is_none_or(|(_, number)| number == 1))
}

/// Whether a path names a quantisation, as a word of its own: `x-Q4_K_M.gguf`, `Q4_K_M/x.gguf`, not `x-IQ4_K_M`.
fn is_of(path: &str, quantization: &str) -> bool {
    let (path, wanted) = (path.to_lowercase(), quantization.to_lowercase());
    if wanted.is_empty() {
        return false;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    path.match_indices(&wanted).any(|(at, found)| {
        let before = path.get(..at).and_then(|head| head.chars().next_back());
        let after = path.get(at + found.len()..).and_then(|tail| tail.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The quantisation a GGUF's name ends with: `q4_k_m`.
fn quantization_of(path: &str) -> Option<String> {
    let stem = stem(path).to_lowercase();
    let words: Vec<&str> = stem.split(['-', '.', '/']).collect();
    let is_one = |word: &&&str| {
        let rest = word.strip_prefix("iq").or_else(|| word.strip_prefix("tq")).or_else(|| word.strip_prefix('q'));
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains('_'))
            || matches!(**word, "f16" | "bf16" | "f32" | "mxfp4" | "fp16")
    };
    words.iter().rev().find(is_one).map(|word| (*word).to_owned())
}

/// Whether a file belongs to a model directory.
fn is_of_safetensors(path: &str, all: &[&str]) -> bool {
    let lower = path.to_lowercase();
    if in_other_form(&lower) || USELESS.iter().any(|end| lower.ends_with(end)) {
        return false;
    }
    if !lower.ends_with(".safetensors") {
        return true;
    }
    // Weights in folders are adapters, drafts or other sizes, unless there are none beside config.json.
    let at_top = |path: &&str| !path.contains('/') && path.ends_with(".safetensors");
    let sharded = |path: &&str| at_top(path) && !path.starts_with("consolidated");
    if lower.starts_with("consolidated") {
        // Mistral's own form of the same weights.
        return !all.iter().any(sharded);
    }
    !lower.contains('/') || !all.iter().any(at_top)
}

fn in_other_form(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, _)| OTHER_FORMS.contains(&folder.to_lowercase().as_str()))
}
