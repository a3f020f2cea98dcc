//! `profiles/findings/*.yaml`: everything llmup recognises as being wrong, each under a code that never changes its
//! meaning, in English and Chinese. The letter is the part of the chain: `E` engine, `H` hardware, `M` model, `G`
//! gateway, `C` clients.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::ProfileError;
use super::catalog::parse;

static FINDINGS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles/findings");

/// What every code begins with.
const PREFIX: &str = "LLMUP-";

/// One thing that can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// `LLMUP-E012`; never given to another one.
    pub code: String,
    /// Parts of engines', drivers' and clients' own texts by which it is recognised.
    #[serde(default)]
    pub says: Vec<String>,
    /// In English.
    pub en: Told,
    /// In simplified Chinese.
    pub zh: Told,
    /// Where that is known from: logs, sources, threads as `repository#number`.
    pub sources: Vec<String>,
}

/// A finding in one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// A few words.
    pub title: String,
    /// What it means for the user.
    pub meaning: String,
    /// What it comes from.
    pub cause: String,
    /// What to do, best first; commands in backquotes.
    pub cure: Vec<String>,
}

impl Finding {
    /// The letter of its part of the chain.
    pub fn letter(&self) -> char {
        letter(&self.code)
    }

    /// Whether one of its own texts stands in this one.
    pub fn said_in(&self, text: &str) -> bool {
        self.longest_in(&text.to_lowercase()).is_some()
    }

    /// How long the longest of its own texts is that stands in this one, which has small letters; bytes.
    fn longest_in(&self, lower: &str) -> Option<usize> {
        self.says.iter().filter(|said| lower.contains(&said.to_lowercase())).map(String::len).max()
    }

    /// In this language.
    pub fn told(&self, chinese: bool) -> &Told {
        if chinese { &self.zh } else { &self.en }
    }
}

/// The letter behind the prefix.
fn letter(code: &str) -> char {
    code.strip_prefix(PREFIX).and_then(|rest| rest.chars().next()).unwrap_or('?')
}

/// The letters in the order of the chain.
pub const LETTERS: [char; 5] = ['H', 'E', 'M', 'G', 'C'];

/// Every finding, in the order of the chain, then of the numbers.
///
/// # Errors
/// [`ProfileError`] when a built-in file is broken.
pub fn findings() -> Result<&'static [Finding], ProfileError> {
    static ALL: OnceLock<Vec<Finding>> = OnceLock::new();
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let mut all = Vec::new();
    for file in FINDINGS.files() {
        let name = format!("built-in profile findings/{}", file.path().display());
        all.extend(parse::<Vec<Finding>>(&name, file.contents_utf8().unwrap_or_default())?);
    }
    let place = |finding: &Finding| LETTERS.iter().position(|letter| *letter == finding.letter());
    all.sort_by(|a, b| (place(a), &a.code).cmp(&(place(b), &b.code)));
    Ok(ALL.get_or_init(|| all))
}

/// A code as people type it, in its full form: `E012`, `e12`, `llmup-e012`. `None`: that is no code.
pub fn full_code(typed: &str) -> Option<String> {
    let upper = typed.trim().to_ascii_uppercase();
    let rest = upper.strip_prefix(PREFIX).unwrap_or(&upper);
    let mut chars = rest.chars();
    let letter = chars.next().filter(|letter| LETTERS.contains(letter))?;
    let digits = chars.as_str();
    let number: u16 =
        digits.parse().ok().filter(|_| digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()))?;
    Some(format!("{PREFIX}{letter}{number:03}"))
}

/// The finding of this code, in any of its forms.
///
/// # Errors
/// [`ProfileError`] when a built-in file is broken.
pub fn finding(typed: &str) -> Result<Option<&'static Finding>, ProfileError> {
    let Some(code) = full_code(typed) else { return Ok(None) };
    Ok(findings()?.iter().find(|finding| finding.code == code))
}

/// Fewer than this many alike letters say nothing.
const SHORTEST: usize = 3;
/// No error text needs more of it to be recognised.
const LONGEST: usize = 4096;

/// The findings nearest to free text, best first: those whose own texts stand in it, then those that share its rarer
/// words. None when nothing is shared.
///
/// # Errors
/// [`ProfileError`] when a built-in file is broken.
pub fn nearest(text: &str) -> Result<Vec<&'static Finding>, ProfileError> {
    let all = findings()?;
    let lower: String = text.chars().take(LONGEST).collect::<String>().to_lowercase();
    let wanted = words(&lower);
    let texts: Vec<BTreeMap<String, f64>> = all.iter().map(weighed).collect();
    let mut among: BTreeMap<&str, f64> = BTreeMap::new();
    for word in texts.iter().flat_map(BTreeMap::keys) {
        *among.entry(word).or_default() += 1.0;
    }
    let mut scored: Vec<(f64, &Finding)> = all
        .iter()
        .zip(&texts)
        .map(|(finding, known)| {
            let said = finding.longest_in(&lower);
            let shared: f64 = wanted
                .iter()
                .filter_map(|word| {
                    let rare = all.len() as f64 / among.get(word.as_str())?;
                    Some(known.get(word)? * rare.ln().max(0.0))
                })
                .sum();
            // Its own words are certain; the longer the surer.
            (shared + said.map_or(0.0, |length| 100.0 + length as f64), finding)
        })
        .filter(|(score, _)| *score > 1.0)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    Ok(scored.into_iter().filter(|(score, _)| *score >= best / 2.0).take(4).map(|(_, finding)| finding).collect())
}

/// The words of a finding, with how much each counts.
fn weighed(finding: &Finding) -> BTreeMap<String, f64> {
    let mut known = BTreeMap::new();
    let mut add = |text: &str, weight: f64| {
        for word in words(&text.to_lowercase()) {
            let counts: &mut f64 = known.entry(word).or_default();
            *counts = counts.max(weight);
        }
    };
    for told in [&finding.en, &finding.zh] {
        add(&told.title, 3.0);
        add(&told.meaning, 1.0);
        add(&told.cause, 1.0);
        told.cure.iter().for_each(|cure| add(cure, 0.5));
    }
    finding.says.iter().for_each(|said| add(said, 2.0));
    known
}

/// Words without their endings; of Chinese, which has no blanks, every two characters.
fn words(lower: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in lower.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
        if run.is_ascii() {
            let stem = ["ing", "ed", "es", "s"].iter().find_map(|end| run.strip_suffix(end)).unwrap_or(run);
            let word = if stem.len() < SHORTEST { run } else { stem };
            if word.len() >= SHORTEST {
                found.push(word.to_owned());
            }
        } else {
            let chars: Vec<char> = run.chars().collect();
            found.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
#[path = "finding_tests.rs"]
mod tests;
