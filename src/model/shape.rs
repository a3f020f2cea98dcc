//! The numbers of an architecture that memory arithmetic needs, and which layers keep what kind of cache.

use std::borrow::Cow;

use serde::Serialize;

/// The numbers of the architecture that memory arithmetic needs. Counts are per model, not per GPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Shape {
    /// Transformer blocks.
    pub layers: u64,
    /// Hidden size.
    pub hidden: u64,
    /// Attention heads.
    pub heads: u64,
    /// Key/value heads (= heads without grouping).
    pub kv_heads: u64,
    /// Size of one head.
    pub head_dim: u64,
    /// Vocabulary.
    pub vocab: u64,
    /// Intermediate size of a dense block.
    pub intermediate: Option<u64>,
    /// Experts of one layer (MoE).
    pub experts: Option<u64>,
    /// Experts one token passes through.
    pub experts_per_token: Option<u64>,
    /// Intermediate size of one expert.
    pub moe_intermediate: Option<u64>,
    /// Blocks at the start that are dense although the others have experts.
    pub dense_layers: u64,
    /// Layers by the cache they keep. Empty: every layer keeps keys and values of `kv_heads` × `head_dim`.
    pub cache: Vec<CacheGroup>,
    /// The family compresses its cache in a way whose size was never checked against enough starts; what `cache` says
    /// is then the best there is, or the uncompressed size.
    pub cache_unknown: bool,
    /// Layers that guess tokens ahead (MTP) at the end of the weights. They keep keys and values, like the last layer,
    /// when the engine is told to guess.
    pub draft_layers: u64,
    /// There is an image (or audio) encoder beside the language model.
    pub vision: bool,
    /// The checkpoint brings scales for an 8-bit cache, which vLLM then uses by itself.
    pub kv_fp8: bool,
    /// Quantised weights can be cut only at multiples of this: block FP8's `weight_block_size`, the group of AWQ and
    /// GPTQ.
    pub quant_block: Option<u64>,
}

/// Layers that keep the same cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheGroup {
    /// How many.
    pub layers: u64,
    /// What each keeps.
    pub cache: Cache,
    /// Only for the last so many tokens.
    pub window: Option<u64>,
}

/// What one layer keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// Keys and values per head and token.
    Heads {
        /// Key/value heads.
        heads: u64,
        /// Size of one.
        size: u64,
    },
    /// Keys and values per head and token, and beside them the key by which sparse attention chooses (MiniMax M3), the
    /// same on every rank.
    Indexed {
        /// Key/value heads.
        heads: u64,
        /// Size of one.
        size: u64,
        /// Elements of the index key, which stays in 16 bits.
        index: u64,
    },
    /// One entry for every `ratio` tokens, and a window of uncompressed ones (DeepSeek V4); see `compressed`.
    Compressed {
        /// Tokens of one entry; 0: there is nothing but the window.
        ratio: u64,
        /// Size of the one head.
        size: u64,
        /// How much of it is rotary and stays in 16 bits.
        rotary: u64,
        /// Elements of the index key, for the layers that choose by one.
        index: u64,
    },
    /// MLA: one latent per token, the same on every rank.
    Latent {
        /// kv_lora_rank + qk_rope_head_dim.
        elements: u64,
        /// Sparse attention keeps an index key beside it (DeepSeek V3.2, GLM 5).
        indexed: bool,
    },
    /// Linear attention or Mamba in llama.cpp: a state per sequence beside the cache of the other layers.
    Fixed {
        /// Bytes of one sequence in one layer.
        bytes: u64,
        /// Mamba, not linear attention.
        mamba: bool,
    },
    /// Linear attention or Mamba in vLLM: a state per running sequence, whatever its length, in blocks that all layers
    /// share.
    State {
        /// Bytes on one GPU without tensor parallelism.
        bytes: u64,
        /// Mamba, not linear attention.
        mamba: bool,
    },
}

/// The kind of a model's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KvKind {
    /// Keys and values per head in every layer.
    Heads,
    /// MLA.
    Latent,
    /// MLA with the index of sparse attention.
    LatentIndexed,
    /// Sliding windows in some or all layers.
    Sliding,
    /// Linear attention in some layers.
    Linear,
    /// Mamba in some layers.
    Mamba,
    /// Keys and values per head, with the index of sparse attention in some layers.
    HeadsIndexed,
    /// Compressed in a way without a checked formula.
    Unknown,
}

/// Bytes of the scale beside an index key in fp8.
pub(super) const INDEX_SCALE: u64 = 4;
/// Bytes the index key of sparse attention takes per layer and token: 128 in fp8 and their scale.
const INDEX_BYTES: u64 = 128 + INDEX_SCALE;

impl Cache {
    /// Bytes one token takes in one layer on one GPU of `tensor`. Fewer heads than ranks are replicated, never split.
    pub(super) fn token_bytes(self, element_bytes: u64, tensor: u64) -> u64 {
        match self {
            Cache::Heads { heads, size } => {
                [2, (heads / tensor.max(1)).max(1), size, element_bytes].into_iter().fold(1, u64::saturating_mul)
            }
            Cache::Indexed { heads, size, index } => {
                let plain = Cache::Heads { heads, size }.token_bytes(element_bytes, tensor);
                plain.saturating_add(index.saturating_mul(2))
            }
            Cache::Compressed { ratio, size, rotary, index } => {
                let entry = super::compressed::entry(size, rotary);
                let index = if index > 0 { index.saturating_add(INDEX_SCALE) } else { 0 };
                entry.saturating_add(index).checked_div(ratio).unwrap_or(0)
            }
            Cache::Latent { elements, indexed } => {
                elements.saturating_mul(element_bytes).saturating_add(if indexed { INDEX_BYTES } else { 0 })
            }
            Cache::State { .. } | Cache::Fixed { .. } => 0,
        }
    }
}

impl Shape {
    /// Layers by their cache.
    pub fn cache_groups(&self) -> Cow<'_, [CacheGroup]> {
        if self.cache.is_empty() {
            let cache = Cache::Heads { heads: self.kv_heads, size: self.head_dim };
            return Cow::Owned(vec![CacheGroup { layers: self.layers, cache, window: None }]);
        }
        Cow::Borrowed(&self.cache)
    }

    /// The kind of its cache.
    pub fn kv_kind(&self) -> KvKind {
        let groups = self.cache_groups();
        let any = |test: fn(&CacheGroup) -> bool| groups.iter().any(test);
        match () {
            () if self.cache_unknown => KvKind::Unknown,
            () if any(|g| matches!(g.cache, Cache::State { mamba: true, .. } | Cache::Fixed { mamba: true, .. })) => {
                KvKind::Mamba
            }
            () if any(|g| matches!(g.cache, Cache::State { .. } | Cache::Fixed { .. })) => KvKind::Linear,
            () if any(|g| g.window.is_some()) => KvKind::Sliding,
            () if any(|g| matches!(g.cache, Cache::Latent { indexed: true, .. })) => KvKind::LatentIndexed,
            () if any(|g| matches!(g.cache, Cache::Latent { .. })) => KvKind::Latent,
            () if any(|g| matches!(g.cache, Cache::Indexed { .. })) => KvKind::HeadsIndexed,
            () => KvKind::Heads,
        }
    }

    /// Bytes one more token of context takes over all layers and heads, on one GPU without tensor parallelism, for
    /// cache elements of `element_bytes` (2 for fp16 and bf16, 1 for fp8). Windows and states do not grow with the
    /// context and are not in it; see [`Shape::layout`] for what a whole sequence needs.
    pub fn kv_bytes_per_token(&self, element_bytes: u64) -> u64 {
        self.token_bytes(element_bytes, 1, |group| group.window.is_none())
    }

    /// The same of the layers with a sliding window, for a token inside it.
    pub fn kv_bytes_per_window_token(&self, element_bytes: u64) -> u64 {
        self.token_bytes(element_bytes, 1, |group| group.window.is_some())
    }

    pub(super) fn token_bytes(&self, element_bytes: u64, tensor: u64, which: impl Fn(&CacheGroup) -> bool) -> u64 {
        let groups = self.cache_groups();
        let sizes = groups.iter().filter(|g| which(g));
        sizes.fold(0, |sum: u64, g| {
            sum.saturating_add(g.layers.saturating_mul(g.cache.token_bytes(element_bytes, tensor)))
        })
    }

    /// Whether the heads can be spread over `tensor` ranks: vLLM wants the attention heads divided, and the key/value
    /// heads either divided or each replicated equally often.
    pub fn splits_into(&self, tensor: u64) -> bool {
        let even = |a: u64, b: u64| b > 0 && a.is_multiple_of(b);
        let latent = self.cache_groups().iter().any(|g| matches!(g.cache, Cache::Latent { .. }));
        even(self.heads, tensor)
            && (latent || self.kv_heads == 0 || even(self.kv_heads, tensor) || even(tensor, self.kv_heads))
    }

    /// Whether quantised blocks stay whole on `tensor` ranks (`experts_whole`: expert parallelism does not cut them).
    pub fn blocks_split_into(&self, tensor: u64, experts_whole: bool) -> bool {
        let Some(block) = self.quant_block.filter(|block| *block > 1 && tensor > 1) else { return true };
        let inner = match self.moe_intermediate {
            Some(_) if experts_whole => None,
            Some(inner) => Some(inner),
            None => self.intermediate,
        };
        inner.is_none_or(|inner| inner.is_multiple_of(tensor) && (inner / tensor).is_multiple_of(block))
    }

    /// The share of all weights that are experts, 0..=1, by counting parameters. Expert parallelism spreads only these.
    pub fn expert_share(&self) -> f64 {
        let (Some(experts), Some(inner)) = (self.experts, self.moe_intermediate) else { return 0.0 };
        let f = |n: u64| n as f64;
        let sparse = f(self.layers.saturating_sub(self.dense_layers));
        let experts = sparse * f(experts) * 3.0 * f(self.hidden) * f(inner);
        let heads = f(self.heads) * f(self.head_dim);
        let attention = f(self.layers) * f(self.hidden) * (2.0 * heads + 2.0 * f(self.kv_heads) * f(self.head_dim));
        let dense = f(self.dense_layers) * 3.0 * f(self.hidden) * f(self.intermediate.unwrap_or(0));
        let all = experts + attention + dense + 2.0 * f(self.vocab) * f(self.hidden);
        if all > 0.0 { experts / all } else { 0.0 }
    }
}
