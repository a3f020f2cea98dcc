//! The weights: a machine that knows one successor per token. See the parent for why it works.

use std::collections::BTreeMap;

/// Width of the hidden state.
pub(super) const HIDDEN: usize = 128;
/// Transformer blocks.
pub(super) const LAYERS: usize = 2;
/// Attention heads.
pub(super) const HEADS: usize = 4;
/// Key/value heads.
pub(super) const KV_HEADS: usize = 2;
/// Size of one head.
pub(super) const HEAD_DIM: usize = 32;
/// Width of the MLP.
pub(super) const INTERMEDIATE: usize = 256;

/// Which weight it is; each file format has its own name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Embedding,
    AttentionNorm(usize),
    Query(usize),
    Key(usize),
    Value(usize),
    AttentionOutput(usize),
    /// Norms on queries and keys, which `qwen3` has and `llama` has not.
    QueryNorm(usize),
    KeyNorm(usize),
    MlpNorm(usize),
    Gate(usize),
    Up(usize),
    Down(usize),
    FinalNorm,
    Output,
}

/// One weight, row by row.
pub(super) struct Tensor {
    pub(super) role: Role,
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f32>,
}

/// All weights for a vocabulary of `size` tokens in which each `(from, to)` is a step of a script.
pub(super) fn build(size: usize, successors: &[(usize, usize)]) -> Vec<Tensor> {
    let mut noise = Noise(0x6c6c_6d75_7064_656d);
    let mut embedding = Vec::with_capacity(size * HIDDEN);
    for _ in 0..size {
        let mut row: Vec<f32> = (0..HIDDEN).map(|_| noise.next()).collect();
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
        embedding.extend_from_slice(&row);
    }
    alike(&mut embedding, successors);
    let output = output_rows(&embedding, size, successors);

    let mut all = vec![Tensor { role: Role::Embedding, shape: vec![size, HIDDEN], data: embedding }];
    let flat = |role, len| Tensor { role, shape: vec![len], data: vec![1.0; len] };
    let silent = |role, rows, columns| Tensor { role, shape: vec![rows, columns], data: vec![0.0; rows * columns] };
    for n in 0..LAYERS {
        let mut random = |role, rows: usize| Tensor {
            role,
            shape: vec![rows, HIDDEN],
            data: (0..rows * HIDDEN).map(|_| noise.next() * 0.02).collect(),
        };
        let block = [
            random(Role::Query(n), HEADS * HEAD_DIM),
            random(Role::Key(n), KV_HEADS * HEAD_DIM),
            random(Role::Value(n), KV_HEADS * HEAD_DIM),
            random(Role::Gate(n), INTERMEDIATE),
            random(Role::Up(n), INTERMEDIATE),
        ];
        all.extend(block);
        all.push(flat(Role::AttentionNorm(n), HIDDEN));
        all.push(flat(Role::QueryNorm(n), HEAD_DIM));
        all.push(flat(Role::KeyNorm(n), HEAD_DIM));
        all.push(flat(Role::MlpNorm(n), HIDDEN));
        all.push(silent(Role::AttentionOutput(n), HIDDEN, HEADS * HEAD_DIM));
        all.push(silent(Role::Down(n), HIDDEN, INTERMEDIATE));
    }
    all.push(flat(Role::FinalNorm, HIDDEN));
    all.push(Tensor { role: Role::Output, shape: vec![size, HIDDEN], data: output });
    all
}

/// Tokens with one and the same successor get one embedding, the first's. Else the row of the end, which follows the
/// last piece of every script, would be a sum of so many embeddings that it comes up where it does not belong.
fn alike(embedding: &mut [f32], successors: &[(usize, usize)]) {
    let mut first = BTreeMap::new();
    for &(from, to) in successors {
        let source = *first.entry(to).or_insert(from);
        embedding.copy_within(source * HIDDEN..(source + 1) * HIDDEN, from * HIDDEN);
    }
}

/// Row u: five times the embedding whose successor is u. After the last norm the hidden state is √128 long, so the
/// right token leads by more than 25: the answer does not depend on the temperature.
fn output_rows(embedding: &[f32], size: usize, successors: &[(usize, usize)]) -> Vec<f32> {
    let mut rows = vec![0.0f32; size * HIDDEN];
    let mut followed = vec![false; size];
    for &(from, to) in successors {
        followed[to] = true;
        for k in 0..HIDDEN {
            rows[to * HIDDEN + k] = 5.0 * embedding[from * HIDDEN + k];
        }
    }
    for (token, _) in followed.iter().enumerate().filter(|(_, is)| !**is) {
        let other = (token + 7) % size;
        for k in 0..HIDDEN {
            rows[token * HIDDEN + k] = 0.02 * embedding[other * HIDDEN + k];
        }
    }
    rows
}

/// xorshift64*: the same numbers on every machine.
struct Noise(u64);

impl Noise {
    /// About normal, mean 0, deviation 1: the sum of four uniform numbers, so that no libm rounds differently.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let sum: u32 = (0..4).map(|i| ((bits >> (16 * i)) & 0xffff) as u32).sum();
        (sum as f32 / 65_536.0 - 2.0) * 1.732_050_8
    }
}
