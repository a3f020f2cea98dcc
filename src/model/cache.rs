//! What a KV cache holds and needs, counted as vLLM counts it: in blocks, by groups of layers.
//! Rules from vLLM's `v1/core/kv_cache_utils.py` and `v1/kv_cache_interface.py`, checked against start logs: Gemma 4 31B
//! needs 6.89, 9.54 and 12.04 GiB for 8k, 32k and 64k tokens; a Qwen3.6 35B with 5.98 GiB prints 567,978 tokens.

use super::compressed::{self, Ring};
use super::{Cache, CacheGroup, Shape};

/// Tokens of a block, where no state makes it larger.
const BLOCK: u64 = 16;

/// Blocks a state keeps per sequence: the one it reads and the one it writes.
const STATE_BLOCKS: u64 = 2;

/// How the engine is to run, as far as the cache depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheTerms {
    /// Tensor-parallel size.
    pub tensor: u64,
    /// Pipeline-parallel size.
    pub pipeline: u64,
    /// Decode-context-parallel size.
    pub decode_context: u64,
    /// Bytes of one element: 2 for fp16 and bf16, 1 for fp8.
    pub element_bytes: u64,
    /// Tokens of one step (`max_num_batched_tokens`): a window keeps these beside its own.
    pub batched_tokens: u64,
    /// Tokens guessed ahead (speculative decoding): a state keeps a copy for each.
    pub speculative: u64,
}

impl Default for CacheTerms {
    fn default() -> CacheTerms {
        CacheTerms { tensor: 1, pipeline: 1, decode_context: 1, element_bytes: 2, batched_tokens: 2048, speculative: 0 }
    }
}

/// A model's cache on one GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    token_bytes: u64,
    pages: Pages,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pages {
    /// Blocks of 16 tokens; each window is (bytes per token, tokens at most); `fixed` bytes per sequence come on top.
    Small { windows: Vec<(u64, u64)>, fixed: u64 },
    /// A state's size makes all blocks as large as itself: (tokens, bytes of a block over its group's layers, groups
    /// that grow with the context, blocks of states per sequence).
    State { tokens: u64, bytes: u64, growing: u64, fixed: u64 },
    /// Blocks of one size for compressed tokens and for the rings that hold the newest ones.
    Compressed { bytes: u64, rings: Vec<Ring>, batched: u64 },
}

impl Shape {
    /// The cache on one GPU under `terms`.
    pub fn layout(&self, terms: &CacheTerms) -> Layout {
        let groups = self.groups_under(terms);
        let stage = |layers: u64| layers.div_ceil(terms.pipeline.max(1));
        if let Some((bytes, rings)) = compressed::blocks(&groups, &stage) {
            let pages = Pages::Compressed { bytes, rings, batched: terms.batched_tokens };
            return Layout { token_bytes: bytes.div_ceil(compressed::BLOCK), pages };
        }
        let bytes =
            |cache: Cache| cache.token_bytes(terms.element_bytes, terms.tensor).div_ceil(terms.decode_context.max(1));
        let attends = |g: &&CacheGroup| !matches!(g.cache, Cache::State { .. } | Cache::Fixed { .. });
        let growing = || groups.iter().filter(|g| g.window.is_none()).filter(attends);
        let token_bytes =
            growing().fold(0u64, |sum, g| sum.saturating_add(stage(g.layers).saturating_mul(bytes(g.cache))));
        let state = groups.iter().find_map(|g| match g.cache {
            Cache::State { bytes, .. } if bytes > 0 => Some((g.layers, bytes.div_ceil(terms.tensor.max(1)))),
            _ => None,
        });
        let attention = groups.iter().filter(attends);
        let (layers, widest) =
            attention.fold((0u64, 0), |(n, w), g| (n.saturating_add(g.layers), w.max(bytes(g.cache))));
        if let Some((states, state)) = state
            && layers > 0
            && widest > 0
        {
            let size = stage(layers.min(states)).max(1);
            let tokens = state.div_ceil(widest).max(1).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
            let fixed = stage(states).div_ceil(size).saturating_mul(STATE_BLOCKS.saturating_add(terms.speculative));
            let bytes = tokens.saturating_mul(widest).saturating_mul(size);
            let growing = stage(layers).div_ceil(size);
            return Layout { token_bytes, pages: Pages::State { tokens, bytes, growing, fixed } };
        }
        // Groups are made equally long: a longer kind is filled up to a multiple of the shorter one.
        let full: u64 = growing().map(|g| stage(g.layers)).fold(0, u64::saturating_add);
        let padded = |layers: u64| match full {
            1.. if layers > full => layers.checked_next_multiple_of(full).unwrap_or(layers),
            _ => layers,
        };
        let windows = groups.iter().filter_map(|g| {
            let most = g.window?.saturating_sub(1).saturating_add(terms.batched_tokens);
            Some((padded(stage(g.layers)).saturating_mul(bytes(g.cache)), most))
        });
        let fixed = groups.iter().fold(0u64, |sum, g| match g.cache {
            Cache::Fixed { bytes, .. } => sum.saturating_add(stage(g.layers).saturating_mul(bytes)),
            _ => sum,
        });
        Layout { token_bytes, pages: Pages::Small { windows: windows.collect(), fixed } }
    }
}

impl Shape {
    /// Layers by their cache, with those that guess ahead where the engine is told to: they attend to everything, as the
    /// model's own full layers do (`num_nextn_predict_layers` in vLLM's `models/deepseek_mtp.py` and its kin).
    fn groups_under(&self, terms: &CacheTerms) -> Vec<CacheGroup> {
        let mut groups = self.cache_groups().into_owned();
        if terms.speculative > 0 && self.draft_layers > 0 {
            let grows = |g: &&mut CacheGroup| {
                g.window.is_none() && !matches!(g.cache, Cache::State { .. } | Cache::Fixed { .. })
            };
            if let Some(full) = groups.iter_mut().find(grows) {
                full.layers = full.layers.saturating_add(self.draft_layers);
            }
        }
        groups
    }
}

impl Layout {
    /// Bytes one more token takes, windows and states apart.
    pub fn bytes_per_token(&self) -> u64 {
        self.token_bytes
    }

    /// Bytes one sequence of `tokens` needs.
    pub fn needed(&self, tokens: u64) -> u64 {
        let blocks = |tokens: u64| tokens.div_ceil(BLOCK).saturating_mul(BLOCK);
        match &self.pages {
            Pages::Small { windows, fixed } => {
                let growing = self.token_bytes.saturating_mul(blocks(tokens)).saturating_add(*fixed);
                windows.iter().fold(growing, |sum, (bytes, most)| {
                    // A window starts anywhere in a block, so it can touch one more.
                    sum.saturating_add(bytes.saturating_mul(blocks(tokens.min(*most)).saturating_add(BLOCK)))
                })
            }
            Pages::State { bytes, .. } | Pages::Compressed { bytes, .. } => {
                bytes.saturating_mul(self.blocks_of(tokens))
            }
        }
    }

    /// Blocks one sequence of `tokens` needs, where all blocks are of one large size.
    fn blocks_of(&self, tokens: u64) -> u64 {
        match &self.pages {
            Pages::Small { .. } => tokens.div_ceil(BLOCK),
            Pages::State { tokens: each, growing, fixed, .. } => {
                tokens.div_ceil(*each).saturating_mul(*growing).saturating_add(*fixed)
            }
            Pages::Compressed { rings, batched, .. } => {
                let newest = rings.iter().map(|ring| ring.blocks(tokens, *batched));
                newest.fold(tokens.div_ceil(compressed::BLOCK), u64::saturating_add)
            }
        }
    }

    /// "GPU KV cache size" for `available` bytes: how many sequences of `max_len` tokens fit at once, times that.
    pub fn tokens_in(&self, available: u64, max_len: u64) -> u64 {
        let (have, each) = match &self.pages {
            Pages::State { bytes, .. } | Pages::Compressed { bytes, .. } => {
                (available.checked_div(*bytes).unwrap_or(0), self.blocks_of(max_len))
            }
            Pages::Small { windows, fixed: 0 } if windows.is_empty() => {
                let blocks = available.checked_div(self.token_bytes.saturating_mul(BLOCK));
                return blocks.unwrap_or(0).saturating_mul(BLOCK);
            }
            Pages::Small { .. } => (available, self.needed(max_len)),
        };
        if each == 0 {
            return 0;
        }
        u64::try_from(u128::from(have) * u128::from(max_len) / u128::from(each)).unwrap_or(u64::MAX)
    }

    /// The longest sequence of at most `limit` tokens that `available` bytes hold.
    pub fn longest(&self, available: u64, limit: u64) -> u64 {
        if self.needed(limit) <= available {
            return limit;
        }
        let (mut fits, mut over) = (0, limit);
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            if self.needed(middle) <= available { fits = middle } else { over = middle }
        }
        if fits > 0 && self.needed(fits) <= available { fits } else { 0 }
    }

    /// Where layers keep states: the sequences that can run at once, which vLLM holds against `max_num_seqs` before it
    /// captures CUDA graphs ("exceeds available Mamba cache blocks", since vllm#38270).
    pub fn sequences_in(&self, available: u64) -> Option<u64> {
        match self.pages {
            Pages::State { bytes, .. } => available.checked_div(bytes),
            Pages::Small { .. } | Pages::Compressed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CacheGroup;
    use super::*;

    const GIB: f64 = (1u64 << 30) as f64;

    fn group(layers: u64, cache: Cache, window: Option<u64>) -> CacheGroup {
        CacheGroup { layers, cache, window }
    }

    #[test]
    fn windows_need_what_the_engine_says_they_need() {
        let cache = vec![
            group(10, Cache::Heads { heads: 4, size: 512 }, None),
            group(50, Cache::Heads { heads: 16, size: 256 }, Some(1024)),
        ];
        let shape = Shape { layers: 60, cache, ..Shape::default() };
        let layout = shape.layout(&CacheTerms { batched_tokens: 8192, ..CacheTerms::default() });
        for (tokens, gib) in [(8192, 6.89), (32768, 9.54), (65536, 12.04)] {
            let needed = layout.needed(tokens) as f64 / GIB;
            assert!((needed - gib).abs() < 0.01, "{tokens}: {needed}");
        }
        assert_eq!(layout.longest((7.25 * GIB) as u64, 65536) / 16, 8624 / 16);
    }

    #[test]
    fn states_make_blocks_large_and_cost_blocks_of_their_own() {
        // A state of 2,146,304 bytes beside 1024 bytes per token: blocks of 2096 tokens.
        let cache = vec![
            group(10, Cache::Heads { heads: 2, size: 256 }, None),
            group(30, Cache::State { bytes: 3 * 8192 * 2 + 32 * 128 * 128 * 4, mamba: false }, None),
        ];
        let shape = Shape { layers: 40, cache, ..Shape::default() };
        let layout = shape.layout(&CacheTerms { element_bytes: 1, ..CacheTerms::default() });
        assert_eq!(layout.bytes_per_token(), 10 * 1024);
        assert_eq!(layout.needed(131_072), 69 * 10 * 2096 * 1024);
        assert_eq!(layout.tokens_in((5.98 * GIB) as u64, 131_072), 567_978);
        assert_eq!(layout.sequences_in((5.98 * GIB) as u64), Some(299));
    }

    #[test]
    fn a_latent_is_on_every_rank_and_heads_are_shared_out() {
        let latent = Cache::Latent { elements: 576, indexed: true };
        let shape = Shape { cache: vec![group(78, latent, None)], ..Shape::default() };
        let on = |tensor, decode_context| CacheTerms { tensor, decode_context, ..CacheTerms::default() };
        assert_eq!(shape.layout(&on(8, 1)).bytes_per_token(), 78 * (1152 + 132));
        assert_eq!(shape.layout(&on(8, 4)).bytes_per_token(), 78 * 321);
        let heads = Shape { layers: 10, kv_heads: 4, head_dim: 64, ..Shape::default() };
        assert_eq!(heads.layout(&on(8, 1)).bytes_per_token(), 10 * 2 * 64 * 2);
    }

    proptest::proptest! {
        #[test]
        fn longest_is_the_last_that_fits(available in 0u64..1 << 40, layers in 1u64..100, window in 1u64..5000, limit in 1u64..1 << 22) {
            let heads = Cache::Heads { heads: 2, size: 64 };
            let cache = vec![group(layers, heads, None), group(layers * 3, heads, Some(window))];
            let layout = Shape { cache, ..Shape::default() }.layout(&CacheTerms::default());
            let longest = layout.longest(available, limit);
            proptest::prop_assert!(longest == 0 || layout.needed(longest) <= available);
            proptest::prop_assert!(longest == limit || layout.needed(longest + 1) > available);
        }

        #[test]
        fn hostile_numbers_never_panic(numbers in proptest::collection::vec(proptest::prelude::any::<u64>(), 12)) {
            let n = |i: usize| numbers[i];
            let cache = vec![
                group(n(0), Cache::Heads { heads: n(1), size: n(2) }, Some(n(3))),
                group(n(4), Cache::State { bytes: n(5), mamba: false }, None),
                group(n(6), Cache::Latent { elements: n(7), indexed: true }, None),
            ];
            let shape = Shape { layers: n(0), hidden: n(1), heads: n(8), kv_heads: n(9), cache, ..Shape::default() };
            let terms = CacheTerms { tensor: n(8), pipeline: n(9), decode_context: n(10), element_bytes: n(11), batched_tokens: n(3), speculative: n(4) };
            let layout = shape.layout(&terms);
            let _ = (layout.needed(n(0)), layout.tokens_in(n(1), n(2)), layout.longest(n(3), n(4)), layout.sequences_in(n(5)));
            let _ = (shape.splits_into(n(0)), shape.blocks_split_into(n(1), false), shape.expert_share(), shape.kv_bytes_per_token(n(2)));
        }
    }
}
