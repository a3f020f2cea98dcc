//! The tokenizer: byte-level BPE with GPT-2's byte alphabet. Ids in order: the 256 bytes, one per merge, the pieces
//! of the scripts, the added tokens, padding.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::ModelError;
use super::Scripts;

/// Kinds of tokens, by the number GGUF gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal = 1,
    /// An added token that never shows in text.
    Control = 3,
    /// An added token that does.
    Visible = 4,
    Unused = 5,
}

/// Tokens, merges and the steps of the scripts.
pub(super) struct Vocabulary {
    /// Spelled in the byte alphabet (added tokens: as they are).
    pub(super) tokens: Vec<(String, Kind)>,
    pub(super) merges: Vec<(String, String)>,
    /// `(token, its only successor)`.
    pub(super) successors: Vec<(usize, usize)>,
}

const MERGES_MAX: usize = 1200;
/// Lengths of script pieces, best first: four bytes often cut inside a character, which is what we want to test.
const LENGTHS: [usize; 15] = [4, 5, 3, 6, 7, 8, 9, 10, 2, 12, 14, 16, 11, 13, 15];
/// Attempts before a script counts as too repetitive; the default scripts need a few hundred.
const STEPS_MAX: usize = 200_000;
const SPECIAL: [&str; 6] =
    ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_pad|>"];
const VISIBLE: [&str; 4] = ["<tool_call>", "</tool_call>", "<think>", "</think>"];

impl Vocabulary {
    pub(super) fn build(scripts: &Scripts) -> Result<Vocabulary, ModelError> {
        scripts.check()?;
        let corpus = concat!(include_str!("corpus.txt"), include_str!("chat_template.jinja"));
        let learned = learn(corpus);
        let mut used: HashSet<Vec<u8>> = (0..=255).map(|b| vec![b]).collect();
        used.extend(learned.iter().map(|(a, b)| [a.as_slice(), b].concat()));
        used.extend(SPECIAL.iter().chain(&VISIBLE).map(|t| t.as_bytes().to_vec()));

        let mut tokens: Vec<(String, Kind)> = (0..=255).map(|b| (spell(&[b]), Kind::Normal)).collect();
        tokens.extend(learned.iter().map(|(a, b)| (spell(&[a.as_slice(), b].concat()), Kind::Normal)));
        // Chains first by name of what follows; numbers are known once the added tokens have theirs.
        let mut chains = Vec::new();
        for script in &scripts.list {
            let mut chain = Vec::new();
            for part in parts(&script.text) {
                if VISIBLE.contains(&part) {
                    chain.push(Step::Added(part));
                    continue;
                }
                let pieces = cut(part.as_bytes(), &mut used).ok_or_else(|| ModelError::Script {
                    name: script.name.clone(),
                    why: "it repeats itself (or another script) too much to be cut into unique pieces".into(),
                })?;
                for piece in pieces {
                    chain.push(Step::Piece(tokens.len()));
                    tokens.push((spell(&piece), Kind::Normal));
                }
            }
            chains.push(chain);
        }
        let modes: Vec<String> = scripts.list.iter().map(super::scripts::Script::mode).collect();
        tokens.extend(SPECIAL.iter().map(|t| ((*t).to_owned(), Kind::Control)));
        let first_mode = tokens.len();
        tokens.extend(modes.into_iter().map(|t| (t, Kind::Control)));
        let first_visible = tokens.len();
        tokens.extend(VISIBLE.iter().map(|t| ((*t).to_owned(), Kind::Visible)));
        while !tokens.len().is_multiple_of(64) {
            tokens.push((format!("[PAD{}]", tokens.len()), Kind::Unused));
        }

        let end = first_mode - SPECIAL.len() + 2;
        let mut successors = Vec::new();
        for ((i, script), chain) in scripts.list.iter().enumerate().zip(&chains) {
            let ids: Vec<usize> = chain
                .iter()
                .map(|step| match step {
                    Step::Piece(id) => *id,
                    Step::Added(t) => first_visible + VISIBLE.iter().position(|v| v == t).unwrap_or(0),
                })
                .collect();
            let back = if script.endless { ids.first().copied().unwrap_or(end) } else { end };
            let mut at = first_mode + i;
            for id in ids {
                successors.push((at, id));
                at = id;
            }
            successors.push((at, back));
        }
        let merges = learned.iter().map(|(a, b)| (spell(a), spell(b))).collect();
        Ok(Vocabulary { tokens, merges, successors })
    }

    /// The number of an added token.
    pub(super) fn id(&self, token: &str) -> usize {
        self.tokens.iter().rposition(|(t, kind)| *kind != Kind::Normal && t == token).unwrap_or(0)
    }
}

enum Step<'a> {
    Piece(usize),
    Added(&'a str),
}

/// The text between and including `<think>` and `</think>`.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((at, tag)) =
        ["<think>", "</think>"].iter().filter_map(|tag| rest.find(tag).map(|at| (at, tag.len()))).min()
    {
        parts.extend([&rest[..at], &rest[at..at + tag]]);
        rest = &rest[at + tag..];
    }
    parts.push(rest);
    parts.retain(|p| !p.is_empty());
    parts
}

/// Cuts `text` into pieces no other token equals, because one token has one successor.
fn cut(text: &[u8], used: &mut HashSet<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    // One entry per piece so far: where it starts and which length comes next when it fails.
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut next = vec![0usize];
    let mut at = 0;
    for _ in 0..STEPS_MAX {
        if at == text.len() {
            return Some(pieces);
        }
        let choice = next.last_mut()?;
        match LENGTHS.get(*choice) {
            Some(&length) => {
                *choice += 1;
                let Some(piece) = text.get(at..at + length) else { continue };
                if used.insert(piece.to_vec()) {
                    pieces.push(piece.to_vec());
                    at += length;
                    next.push(0);
                }
            }
            None => {
                next.pop();
                let piece = pieces.pop()?;
                at -= piece.len();
                used.remove(&piece);
            }
        }
    }
    None
}

/// Bytes in GPT-2's alphabet: printable Latin-1 as itself, the others from U+0100 on, in order.
pub(super) fn spell(bytes: &[u8]) -> String {
    let plain = |b: u8| matches!(b, 33..=126 | 161..=172 | 174..=255);
    bytes
        .iter()
        .map(|&b| {
            let others = (0..b).filter(|x| !plain(*x)).count() as u32;
            if plain(b) { char::from(b) } else { char::from_u32(256 + others).unwrap_or('?') }
        })
        .collect()
}

type Pair = (Vec<u8>, Vec<u8>);

/// Learns merges greedily from words (with the blank before them), the commonest pair first.
fn learn(corpus: &str) -> Vec<Pair> {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words(corpus) {
        *counted.entry(word).or_default() += 1;
    }
    let mut split: Vec<(Vec<Vec<u8>>, usize)> =
        counted.into_iter().map(|(w, n)| (w.bytes().map(|b| vec![b]).collect(), n)).collect();
    let mut counts: BTreeMap<Pair, usize> = BTreeMap::new();
    let mut holders: BTreeMap<Pair, BTreeSet<usize>> = BTreeMap::new();
    for (i, (parts, n)) in split.iter().enumerate() {
        for pair in parts.windows(2) {
            let pair = (pair[0].clone(), pair[1].clone());
            *counts.entry(pair.clone()).or_default() += n;
            holders.entry(pair).or_default().insert(i);
        }
    }
    let mut merges = Vec::new();
    while merges.len() < MERGES_MAX {
        let Some((pair, n)) = counts.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))) else { break };
        if *n < 1 {
            break;
        }
        let pair = pair.clone();
        for i in holders.remove(&pair).unwrap_or_default() {
            let (parts, n) = &mut split[i];
            for old in parts.windows(2) {
                if let Some(count) = counts.get_mut(&(old[0].clone(), old[1].clone())) {
                    *count = count.saturating_sub(*n);
                }
            }
            let mut merged: Vec<Vec<u8>> = Vec::with_capacity(parts.len());
            let mut k = 0;
            while k < parts.len() {
                if k + 1 < parts.len() && parts[k] == pair.0 && parts[k + 1] == pair.1 {
                    merged.push([pair.0.as_slice(), &pair.1].concat());
                    k += 2;
                } else {
                    merged.push(parts[k].clone());
                    k += 1;
                }
            }
            for new in merged.windows(2) {
                let new = (new[0].clone(), new[1].clone());
                *counts.entry(new.clone()).or_default() += *n;
                holders.entry(new).or_default().insert(i);
            }
            *parts = merged;
        }
        counts.remove(&pair);
        // Two ways to the same token would give two ids to one text.
        let whole = [pair.0.as_slice(), &pair.1].concat();
        if !merges.iter().any(|(a, b): &Pair| [a.as_slice(), b].concat() == whole) {
            merges.push(pair);
        }
    }
    merges
}

/// A word is letters, or punctuation, with the one blank before it; near enough to what the engines' regex cuts.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        let class = |c: char| (c.is_alphabetic(), c.is_ascii_digit(), c.is_whitespace());
        // The blank before a word belongs to the word.
        let joined = before == ' ' && !c.is_whitespace();
        let cut = if joined { i.saturating_sub(1) } else { i };
        if cut > start && (joined || class(c) != class(before) || c.is_ascii_digit()) {
            words.push(&text[start..cut]);
            start = cut;
        }
        before = c;
    }
    words.push(&text[start..]);
    words.retain(|w| w.len() > 1);
    words
}
