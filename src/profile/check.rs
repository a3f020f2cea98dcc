//! What the types alone cannot say about a profile, told with the place in the file.

use super::{ModelProfile, ProfileError};

/// What a variant can be.
const FORMATS: &[&str] = &["safetensors", "gguf", "ollama"];
/// What a model can take and do.
const CAPABILITIES: &[&str] = &["tools", "thinking", "images"];
/// Engines that have recipes.
const ENGINES: &[&str] = &["vllm", "llama-cpp", "ollama", "sglang"];
/// Vendors whose accelerators have recipes; NVIDIA's are those of the engines.
const VENDORS: &[&str] = &["amd", "ascend", "apple", "intel", "moorethreads", "metax", "cambricon", "hygon"];

/// Finds the first thing that is wrong in `text`, which was read as `profile` from a file called `stem`.
pub(super) fn check(file: &str, text: &str, stem: &str, profile: &ModelProfile) -> Result<(), ProfileError> {
    let found = Checker { file, text };
    if !profile.name.eq_ignore_ascii_case(stem) {
        let message = format!("the name {:?} must equal the file's name, {stem:?}", profile.name);
        return Err(found.invalid("name", &profile.name, message));
    }
    found.all_of("capabilities", profile.capabilities.iter(), CAPABILITIES)?;
    found.all_of("engines", profile.engines.keys(), ENGINES)?;
    found.all_of("accelerators", profile.accelerators.keys(), VENDORS)?;
    found.all_of("format", profile.variants.iter().map(|v| &v.format), FORMATS)?;
    for variant in &profile.variants {
        if variant.format == "ollama" && variant.ollama.is_none() {
            let message = "a variant of format ollama needs its tag, as in `ollama: llama3.1:8b`".to_owned();
            return Err(found.invalid("format", "ollama", message));
        }
        found.positive("weights_gb", variant.weights_gb)?;
        found.positive("memory_min_gb", variant.memory_min_gb)?;
    }
    found.positive("parameters_b", profile.parameters_b)?;
    found.positive("active_b", profile.active_b)?;
    if let (Some(active), Some(all)) = (profile.active_b, profile.parameters_b)
        && active > all
    {
        let message = format!("more parameters are active ({active}) than there are ({all})");
        return Err(found.invalid("active_b", "", message));
    }
    if profile.context_max == Some(0) {
        return Err(found.invalid("context_max", "", "must be more than 0".into()));
    }
    if let Some(shape) = &profile.shape {
        for (key, value) in [("layers", shape.layers), ("hidden", shape.hidden), ("heads", shape.heads)] {
            if value == 0 {
                return Err(found.invalid(key, "", format!("{key} must be more than 0")));
            }
        }
    }
    if let Some(sampling) = &profile.sampling {
        found.between("temperature", sampling.temperature, 0.0, 2.0)?;
        found.between("top_p", sampling.top_p, 0.0, 1.0)?;
    }
    Ok(())
}

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
}

impl Checker<'_> {
    fn all_of<'v>(
        &self,
        key: &str,
        values: impl Iterator<Item = &'v String>,
        known: &[&str],
    ) -> Result<(), ProfileError> {
        for value in values {
            if !known.contains(&value.as_str()) {
                let message = format!("{key}: {value:?} is none of {}", known.join(", "));
                return Err(self.invalid(key, value, message));
            }
        }
        Ok(())
    }

    fn positive(&self, key: &str, value: Option<f64>) -> Result<(), ProfileError> {
        match value {
            Some(value) if !value.is_finite() || value <= 0.0 => {
                Err(self.invalid(key, "", format!("{key} must be a number above 0, not {value}")))
            }
            _ => Ok(()),
        }
    }

    fn between(&self, key: &str, value: Option<f64>, least: f64, most: f64) -> Result<(), ProfileError> {
        match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(self.invalid(key, "", format!("{key} must be between {least} and {most}, not {value}")))
            }
            _ => Ok(()),
        }
    }

    fn invalid(&self, key: &str, value: &str, message: String) -> ProfileError {
        let place = place(self.text, key, value);
        ProfileError::Invalid {
            file: self.file.to_owned(),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            message,
        }
    }
}

/// Line and column, from 1, where `value` stands at or below the first `key:`; with an empty value, of the key.
fn place(text: &str, key: &str, value: &str) -> Option<(usize, usize)> {
    let mut below_key = false;
    for (index, line) in text.lines().enumerate() {
        let at_key = find_key(line, key);
        below_key |= at_key.is_some();
        if !below_key {
            continue;
        }
        let from = at_key.map_or(0, |at| at + key.len() + 1);
        let found = match (value.is_empty(), at_key) {
            (true, at) => at,
            (false, _) => line.get(from..).and_then(|rest| rest.find(value)).map(|at| from + at),
        };
        if let Some(at) = found {
            return Some((index + 1, line.get(..at)?.chars().count() + 1));
        }
    }
    None
}

/// Where `key:` begins in a line, when it is a key there and not the end of a longer one.
fn find_key(line: &str, key: &str) -> Option<usize> {
    line.match_indices(key).map(|(at, _)| at).find(|at| {
        let before = line.get(..*at).and_then(|head| head.chars().next_back());
        let comment = line.get(..*at).is_some_and(|head| head.contains('#'));
        !comment
            && before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '-'))
            && line.get(at + key.len()..).is_some_and(|rest| rest.starts_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let profile: ModelProfile = serde_yaml::from_str(text).unwrap();
        check("f.yaml", text, "m", &profile).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column() {
        for (rest, place) in [
            ("capabilities: [tools, flying]", "f.yaml:3:23: capabilities: \"flying\" is none of tools"),
            ("engines:\n  vlm: {}", "f.yaml:4:3: engines: \"vlm\""),
            ("accelerators: {abacus: {}}", "f.yaml:3:16: accelerators: \"abacus\""),
            (
                "variants:\n  - {quantization: q4, format: gguf}\n  - {quantization: q4, format: onnx}",
                "f.yaml:5:32: format: \"onnx\"",
            ),
            ("variants:\n  - quantization: q4\n    format: ollama", "f.yaml:5:13: a variant of format ollama"),
            ("variants: [{quantization: q4, format: gguf, weights_gb: -1}]", "f.yaml:3:45: weights_gb must"),
            ("variants: [{quantization: q4, format: gguf, weights_gb: .nan}]", "f.yaml:3:45: weights_gb must"),
            ("parameters_b: 3\nactive_b: 4", "f.yaml:4:1: more parameters are active (4)"),
            ("# active_b: 1\nactive_b: 0", "f.yaml:4:1: active_b must"),
            ("sampling: {top_p: 1.5}", "f.yaml:3:12: top_p must be between 0 and 1, not 1.5"),
            ("context_max: 0", "f.yaml:3:1: must be more"),
        ] {
            let said = refused(&format!("name: m\ntitle: t\n{rest}\n"));
            assert!(said.starts_with(place), "{rest}: {said}");
        }
        assert!(refused("title: t\nname:   other\n").starts_with("f.yaml:2:9: the name \"other\""));
    }

    #[test]
    fn a_value_the_text_spells_differently_has_no_place_and_is_still_refused() {
        assert!(
            refused("name: m\ntitle: t\ncapabilities: [\"\\x66ly\"]\n").starts_with("f.yaml: capabilities: \"fly\"")
        );
    }
}
