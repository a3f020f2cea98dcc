//! The cache of DeepSeek V4: every layer keeps a window of the newest tokens, most keep one entry for every 4 or 128
//! older ones, and while an entry is being made the layer keeps a state for each token of it. vLLM gives all of them
//! blocks of one size out of one pool.
//!
//! The sizes are those vllm#54703 lists for V4-Flash, to the byte (1,002,240 per block). What one sequence needs agrees
//! with the first start of vllm#51041 within 2 %; the second, with other drafting, needs more than this says.

use super::{Cache, CacheGroup};

/// Tokens of a block of compressed ones (`--block-size 256`, as the family's recipes have it).
pub(super) const BLOCK: u64 = 256;
/// Tokens of a block of the window.
const WINDOW_BLOCK: u64 = 64;
/// Pages are multiples of this many bytes.
const ALIGNED: u64 = 576;
/// Elements of one 8-bit scale.
const SCALED: u64 = 64;
/// Up to this ratio entries overlap: each is made of twice as many tokens, and its state is twice as wide.
const OVERLAPPING: u64 = 4;

/// Blocks that hold the newest tokens only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ring {
    /// Tokens that must stay.
    window: u64,
    /// Tokens of one block.
    block: u64,
}

impl Ring {
    /// Blocks for a sequence of `tokens` of which one step reads `batched`.
    pub(super) fn blocks(self, tokens: u64, batched: u64) -> u64 {
        let most = self.window.saturating_sub(1).saturating_add(batched);
        tokens.min(most).div_ceil(self.block.max(1)).saturating_add(1)
    }
}

/// Bytes of one entry: the head in fp8, its rotary part in 16 bits, a scale for every 64 elements and one byte to spare.
pub(super) fn entry(size: u64, rotary: u64) -> u64 {
    let plain = size.saturating_sub(rotary);
    plain.saturating_add(rotary.saturating_mul(2)).saturating_add(plain / SCALED).saturating_add(1)
}

/// The size of all blocks and the rings beside the blocks that grow; `None` when the layers are of another kind.
/// `stage` gives the layers on one pipeline stage.
pub(super) fn blocks(groups: &[CacheGroup], stage: &dyn Fn(u64) -> u64) -> Option<(u64, Vec<Ring>)> {
    let page = |tokens: u64, bytes: u64| tokens.saturating_mul(bytes).checked_next_multiple_of(ALIGNED);
    let (mut growing, mut windows, mut widest, mut rings) = (0u64, 0u64, 0u64, Vec::new());
    let mut window = 0;
    for group in groups {
        let Cache::Compressed { ratio, size, rotary, index } = group.cache else { return None };
        let layers = stage(group.layers);
        window = group.window.unwrap_or(0).max(window);
        windows = windows.saturating_add(layers.saturating_mul(page(WINDOW_BLOCK, entry(size, rotary))?));
        if ratio == 0 {
            continue;
        }
        let overlap = if ratio <= OVERLAPPING { 2 } else { 1 };
        let kept = if ratio <= OVERLAPPING { 4 } else { 8 };
        // Keys and their weights in 32 bits.
        let state = |elements: u64| page(kept, elements.saturating_mul(overlap * 2 * 4));
        let (mut bytes, mut states) = (page(BLOCK / ratio, entry(size, rotary))?, state(size)?);
        if index > 0 {
            let key = index.saturating_add(super::shape::INDEX_SCALE);
            bytes = bytes.saturating_add(page(BLOCK / ratio, key)?);
            states = states.saturating_add(state(index)?);
        }
        growing = growing.saturating_add(layers.saturating_mul(bytes));
        widest = widest.max(layers.saturating_mul(states));
        rings.push(Ring { window: ratio.saturating_mul(overlap), block: kept });
    }
    let bytes = growing.max(widest);
    if bytes == 0 {
        return None;
    }
    // The windows of all layers are cut into groups that are no larger than a block.
    let count = windows.div_ceil(bytes).min(64);
    let ring = Ring { window, block: WINDOW_BLOCK };
    rings.extend((0..count).map(|_| ring));
    Some((bytes, rings))
}

#[cfg(test)]
mod tests {
    use super::super::{CacheTerms, Shape};
    use super::*;

    const GIB: f64 = (1u64 << 30) as f64;

    fn flash() -> Shape {
        let group = |layers, ratio, index| CacheGroup {
            layers,
            cache: Cache::Compressed { ratio, size: 512, rotary: 64, index },
            window: Some(128),
        };
        Shape { layers: 43, cache: vec![group(2, 0, 0), group(21, 4, 128), group(20, 128, 0)], ..Shape::default() }
    }

    #[test]
    fn blocks_are_as_large_as_the_engine_says() {
        assert_eq!(entry(512, 64), 584);
        let shape = flash();
        let (bytes, rings) = blocks(&shape.cache, &|layers| layers).unwrap();
        assert_eq!(bytes, 1_002_240);
        let ring = |window, block| Ring { window, block };
        assert_eq!(rings, [ring(8, 4), ring(128, 8), ring(128, 64), ring(128, 64)]);
        // 912,128 tokens needed 7.01 GiB / 1.107.
        let layout = shape.layout(&CacheTerms { batched_tokens: 8192, element_bytes: 1, ..CacheTerms::default() });
        let needed = layout.needed(912_128) as f64 / GIB;
        assert!((6.33..6.33 * 1.03).contains(&needed), "{needed}");
        assert_eq!(layout.bytes_per_token(), 3915);
    }

    #[test]
    fn what_is_no_compressed_cache_is_left_alone() {
        assert_eq!(blocks(&[], &|layers| layers), None);
        let heads = CacheGroup { layers: 2, cache: Cache::Heads { heads: 1, size: 8 }, window: None };
        assert_eq!(blocks(&[heads], &|layers| layers), None);
        let window = CacheGroup { layers: 2, cache: flash().cache[0].cache, window: Some(4) };
        assert_eq!(blocks(&[window], &|layers| layers), None);
    }
}
