//! How llama.cpp lays a model over GPUs and main memory: which layers, and of a mixture of experts which experts, go
//! where. Ollama runs llama.cpp, so the numbers hold for it too; it chooses them itself.
//!
//! Rules from llama.cpp b11669: `-ngl N` puts the output layer and the last N − 1 blocks on the GPUs (since PR 18148),
//! each block's cache lies beside it; `-ncmoe N` keeps the experts of the first N blocks in memory; blocks are dealt
//! out in order, in proportion to the free memory unless `-ts` says otherwise.

use serde::Serialize;

use crate::model::{Shape, Weights};

/// What a launch keeps out of the GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offload {
    /// Blocks of the model.
    pub layers: u64,
    /// Of them on GPUs.
    pub gpu_layers: u64,
    /// Blocks whose experts are in main memory although the rest of them is on a GPU.
    pub cpu_expert_layers: u64,
    /// Blocks (and the output layer) per GPU, where llama.cpp's own proportions would not fit.
    pub tensor_split: Vec<u64>,
}

impl Offload {
    /// Everything is on GPUs.
    pub fn whole(&self) -> bool {
        self.gpu_layers == self.layers && self.cpu_expert_layers == 0
    }
}

/// A model as far as its parts can lie in different places. Bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// All weights.
    pub weights: u64,
    /// Blocks, at least 1.
    pub layers: u64,
    /// Blocks at the start without experts.
    dense: u64,
    /// The output layer.
    output: u64,
    /// One block.
    block: u64,
    /// The experts in it; 0 in a dense model.
    experts: u64,
}

/// Where nobody says how many blocks there are: enough that rounding to whole ones is small.
const LAYERS: u64 = 64;

impl Parts {
    pub(super) fn new(weights: &Weights) -> Parts {
        let all = weights.bytes.unwrap_or(0);
        let shape = weights.shape.as_ref();
        let layers = shape.map_or(LAYERS, |s| s.layers).max(1);
        // The output layer is quantised less than the rest: Q6_K in Q4_K_M, at most Q8_0.
        let element = match weights.quantization.as_deref().map(str::to_lowercase).as_deref() {
            Some("f32") => 4.0,
            None | Some("f16" | "bf16") => 2.0,
            Some(_) => 34.0 / 32.0,
        };
        let matrix = |s: &Shape| (s.vocab.saturating_mul(s.hidden) as f64 * element) as u64;
        let output = shape.map_or(0, matrix).min(all / 4);
        // The input embedding stays in memory. Where it is also the output layer it is in the file once, so nothing is
        // taken off for it.
        let block = (all - output) / layers;
        // What is left over by rounding goes with the output layer, so that the parts are the whole.
        let output = all - block.saturating_mul(layers);
        let share = shape.map_or(0.0, Shape::expert_share).clamp(0.0, 1.0);
        let experts = ((all as f64 * share) as u64 / layers).min(block);
        let dense = shape.map_or(0, |s| s.dense_layers).min(layers - 1);
        Parts { weights: all, layers, dense, output, block, experts }
    }

    /// The number for `-ncmoe` that keeps the experts of `count` average blocks in memory.
    fn counted(&self, count: u64) -> u64 {
        match count {
            0 => 0,
            count => {
                let moved = u128::from(count) * u128::from(self.layers - self.dense);
                let moved = u64::try_from(moved.div_ceil(u128::from(self.layers))).unwrap_or(self.layers);
                self.dense.saturating_add(moved).min(self.layers)
            }
        }
    }
}

/// What one place holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Blocks.
    pub layers: u64,
    /// The output layer too.
    pub output: bool,
    /// Bytes of weights.
    pub weights: u64,
    /// Bytes of cache.
    pub cache: u64,
}

/// One way to lay a model out.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Per GPU, in the order of their rooms.
    pub gpus: Vec<Held>,
    /// In main memory.
    pub memory: Held,
    /// In numbers.
    pub offload: Offload,
}

/// What is fixed by flags.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fixed {
    /// `-ngl`: blocks and the output layer.
    pub gpu_layers: Option<u64>,
    /// `-ncmoe`.
    pub cpu_experts: Option<u64>,
}

/// A GPU as llama.cpp sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes for weights and cache.
    pub room: u64,
    /// Free bytes, after which it deals out blocks.
    pub free: u64,
}

/// The layout that has the most on the GPUs, the main part of every block before experts. `cache`: bytes of all of it.
/// `None` when flags fix one that does not fit the GPUs. Whether the rest fits main memory is the caller's question.
pub(super) fn lay_out(parts: &Parts, rooms: &[Room], cache: u64, fixed: Fixed) -> Option<Layout> {
    let on = |layers: u64, experts: u64| arrange(parts, rooms, cache, layers, experts);
    let all = parts.layers;
    if let Some(layers) = fixed.gpu_layers {
        let Some(blocks) = layers.checked_sub(1) else { return on(0, 0) };
        return on(blocks.min(all), fixed.cpu_experts.unwrap_or(0).min(all));
    }
    if let Some(experts) = fixed.cpu_experts {
        let experts = experts.min(all);
        return on(all, experts).or_else(|| most(all, |layers| on(layers, experts)));
    }
    if let Some(layout) = on(all, 0) {
        return Some(layout);
    }
    if parts.experts == 0 {
        return most(all, |layers| on(layers, 0));
    }
    // `most` counts blocks that keep their experts on a GPU.
    let keeping = |whole: u64| on(all, all - whole);
    if on(all, all).is_some() { most(all, keeping) } else { most(all, |layers| on(layers, all)) }
}

/// The way with the greatest number below `limit` that is possible; 0 always is.
fn most(limit: u64, way: impl Fn(u64) -> Option<Layout>) -> Option<Layout> {
    let (mut possible, mut too_many) = (0, limit);
    while too_many - possible > 1 {
        let middle = possible + (too_many - possible) / 2;
        if way(middle).is_some() { possible = middle } else { too_many = middle }
    }
    way(possible)
}

/// The last `layers` blocks on the GPUs, the experts of the first `cpu_experts` blocks in memory.
fn arrange(parts: &Parts, rooms: &[Room], cache: u64, layers: u64, cpu_experts: u64) -> Option<Layout> {
    let each_cache = cache.div_ceil(parts.layers);
    let light = layers.min(cpu_experts.saturating_sub(parts.layers - layers));
    let block = |experts: bool| if experts { parts.block } else { parts.block - parts.experts };
    let (counts, split) = match layers {
        0 => (vec![(0, 0); rooms.len()], Vec::new()),
        _ => deal(parts, rooms, each_cache, layers, light)?,
    };
    let last = counts.iter().rposition(|(light, heavy)| light + heavy > 0);
    let output_on = if split.is_empty() { last } else { rooms.len().checked_sub(1) };
    let held = |(index, (light, heavy)): (usize, &(u64, u64))| {
        let output = layers > 0 && output_on == Some(index);
        let weights = light.saturating_mul(block(false)).saturating_add(heavy.saturating_mul(block(true)));
        let blocks = light + heavy;
        Held {
            layers: blocks,
            output,
            weights: weights.saturating_add(if output { parts.output } else { 0 }),
            cache: blocks.saturating_mul(each_cache),
        }
    };
    let gpus: Vec<Held> = counts.iter().enumerate().map(held).collect();
    if gpus.iter().zip(rooms).any(|(held, room)| held.weights.saturating_add(held.cache) > room.room) {
        return None;
    }
    let sum = |of: fn(&Held) -> u64| gpus.iter().map(of).fold(0, u64::saturating_add);
    let whole = layers == parts.layers && cpu_experts == 0;
    let memory = Held {
        layers: parts.layers - layers,
        output: layers == 0,
        weights: if whole { 0 } else { parts.weights.saturating_sub(sum(|h| h.weights)) },
        cache: if layers == parts.layers { 0 } else { cache.saturating_sub(sum(|h| h.cache)) },
    };
    let cpu_expert_layers = if parts.experts == 0 || light == 0 { 0 } else { parts.counted(cpu_experts) };
    let offload = Offload { layers: parts.layers, gpu_layers: layers, cpu_expert_layers, tensor_split: split };
    Some(Layout { gpus, memory, offload })
}

/// Blocks without and with experts.
type Count = (u64, u64);

/// Deals `layers` blocks out, `light` of them (the first) without their experts: as llama.cpp would where that fits,
/// else as full as each GPU can be, with the proportions to say so.
fn deal(parts: &Parts, rooms: &[Room], each_cache: u64, layers: u64, light: u64) -> Option<(Vec<Count>, Vec<u64>)> {
    if rooms.is_empty() {
        return None;
    }
    let size = |experts: bool| {
        let weights = if experts { parts.block } else { parts.block - parts.experts };
        weights.saturating_add(each_cache).max(1)
    };
    let needed =
        |(light, heavy): Count| light.saturating_mul(size(false)).saturating_add(heavy.saturating_mul(size(true)));
    let own = proportional(rooms, layers, light);
    let last = own.iter().rposition(|(light, heavy)| light + heavy > 0);
    let fits = own.iter().zip(rooms).enumerate().all(|(index, (count, room))| {
        needed(*count).saturating_add(if Some(index) == last { parts.output } else { 0 }) <= room.room
    });
    if fits {
        return Some((own, Vec::new()));
    }
    let (mut light, mut heavy) = (light, layers - light);
    let mut counts = Vec::with_capacity(rooms.len());
    for (index, room) in rooms.iter().enumerate() {
        let output = if index + 1 == rooms.len() { parts.output } else { 0 };
        let mut left = room.room.checked_sub(output)?;
        let some = light.min(left / size(false));
        left -= some.saturating_mul(size(false)).min(left);
        light -= some;
        // Blocks go out in order.
        let whole = if light == 0 { heavy.min(left / size(true)) } else { 0 };
        heavy -= whole;
        counts.push((some, whole));
    }
    if light + heavy > 0 {
        return None;
    }
    let mut split: Vec<u64> = counts.iter().map(|(light, heavy)| light + heavy).collect();
    if let Some(last) = split.last_mut() {
        *last += 1;
    }
    Some((counts, if rooms.len() > 1 { split } else { Vec::new() }))
}

/// Blocks per GPU as llama.cpp deals them: block `i` of `n` (the output layer is the last) goes to the first GPU whose
/// share of the free memory, with those before it, is more than `i / n`.
fn proportional(rooms: &[Room], layers: u64, light: u64) -> Vec<Count> {
    let all: u128 = rooms.iter().map(|r| u128::from(r.free)).sum::<u128>().max(1);
    let units = u128::from(layers) + 1;
    let mut free = 0u128;
    let mut dealt = 0u64;
    let mut counts = Vec::with_capacity(rooms.len());
    for (index, room) in rooms.iter().enumerate() {
        free += u128::from(room.free);
        let until =
            if index + 1 == rooms.len() { u128::from(layers) } else { free.saturating_mul(units).div_ceil(all) };
        let until = u64::try_from(until).unwrap_or(layers).clamp(dealt, layers);
        let light_here = light.min(until).saturating_sub(dealt);
        counts.push((light_here, until - dealt - light_here));
        dealt = until;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Format;

    const GIB: u64 = 1 << 30;

    fn weights(gib: u64, experts: bool) -> Weights {
        let shape = Shape {
            layers: 48,
            hidden: 2048,
            heads: 32,
            kv_heads: 4,
            head_dim: 128,
            vocab: 150_000,
            experts: experts.then_some(128),
            moe_intermediate: experts.then_some(768),
            ..Shape::default()
        };
        Weights {
            format: Format::Gguf,
            path: None,
            tag: None,
            bytes: Some(gib * GIB),
            architecture: None,
            quantization: Some("q4_k_m".into()),
            context_max: None,
            shape: Some(shape),
            chat_template: true,
        }
    }

    fn rooms(gib: &[u64]) -> Vec<Room> {
        gib.iter().map(|gib| Room { room: gib * GIB, free: (gib + 2) * GIB }).collect()
    }

    fn laid(gib: u64, experts: bool, on: &[u64]) -> Layout {
        lay_out(&Parts::new(&weights(gib, experts)), &rooms(on), 4 * GIB, Fixed::default()).unwrap()
    }

    #[test]
    fn what_fits_is_whole_and_dealt_as_the_engine_does() {
        let one = laid(17, false, &[22]);
        assert!(one.offload.whole() && one.memory.weights == 0 && one.gpus[0].output);
        let two = laid(17, false, &[12, 12]);
        assert_eq!((two.gpus[0].layers, two.gpus[1].layers, two.gpus[1].output), (25, 23, true));
        assert!(two.offload.tensor_split.is_empty());
        assert_eq!(two.gpus[0].weights + two.gpus[1].weights, 17 * GIB);
    }

    #[test]
    fn a_dense_model_leaves_blocks_in_memory() {
        let layout = laid(40, false, &[22]);
        assert!((20..26).contains(&layout.offload.gpu_layers), "{layout:?}");
        assert_eq!(layout.memory.layers, 48 - layout.offload.gpu_layers);
        assert_eq!(layout.memory.weights + layout.gpus[0].weights, 40 * GIB);
        assert_eq!(layout.memory.cache + layout.gpus[0].cache, 4 * GIB);
    }

    #[test]
    fn of_a_mixture_only_experts_stay_in_memory() {
        let layout = laid(40, true, &[22]);
        assert_eq!(layout.offload.gpu_layers, 48);
        assert!((20..32).contains(&layout.offload.cpu_expert_layers), "{layout:?}");
        assert_eq!(layout.memory.cache, 0, "the cache lies beside its block");
        // Without room for even the main parts, blocks follow their experts.
        let small = laid(40, true, &[4]);
        assert!(small.offload.gpu_layers < 48 && small.offload.cpu_expert_layers == 48, "{small:?}");
        // Blocks are not alike any more, so llama.cpp is told how to deal them.
        let two = laid(60, true, &[22, 22]);
        assert_eq!(two.offload.tensor_split.iter().sum::<u64>(), 49, "{two:?}");
        assert!(two.gpus[0].layers > two.gpus[1].layers, "{two:?}");
    }

    #[test]
    fn flags_fix_it_or_fail() {
        let parts = Parts::new(&weights(40, true));
        let with = |gpu_layers, cpu_experts| lay_out(&parts, &rooms(&[22]), GIB, Fixed { gpu_layers, cpu_experts });
        assert_eq!(with(Some(11), None).unwrap().offload.gpu_layers, 10);
        assert_eq!(with(Some(0), None).unwrap().memory.weights, 40 * GIB);
        assert!(with(Some(99), None).is_none(), "40 GiB do not fit 22");
        assert_eq!(with(Some(99), Some(99)).unwrap().offload.cpu_expert_layers, 48);
        assert_eq!(with(None, Some(40)).unwrap().offload.cpu_expert_layers, 40);
    }

    #[test]
    fn leading_dense_blocks_are_counted_but_have_nothing_to_move() {
        let mut model = weights(40, true);
        model.shape.as_mut().unwrap().dense_layers = 3;
        let parts = Parts::new(&model);
        assert_eq!([parts.counted(0), parts.counted(1), parts.counted(48)], [0, 4, 48]);
    }

    proptest::proptest! {
        /// More room never means less on the GPUs, no place is overfilled, and nothing is lost.
        #[test]
        fn more_room_never_moves_anything_off_the_gpus(
            gib in 1u64..200, cache in 0u64..32, on in proptest::collection::vec(0u64..90, 1..5), more in 0u64..40, experts in proptest::prelude::any::<bool>()
        ) {
            let parts = Parts::new(&weights(gib, experts));
            let larger: Vec<u64> = on.iter().map(|gib| gib + more).collect();
            let lay = |on: &[u64]| lay_out(&parts, &rooms(on), cache * GIB, Fixed::default()).unwrap();
            let (small, large) = (lay(&on), lay(&larger));
            proptest::prop_assert!(large.offload.gpu_layers >= small.offload.gpu_layers);
            if large.offload.gpu_layers == small.offload.gpu_layers {
                proptest::prop_assert!(large.offload.cpu_expert_layers <= small.offload.cpu_expert_layers);
            }
            for layout in [&small, &large] {
                let dealt: u64 = layout.gpus.iter().map(|g| g.layers).sum();
                proptest::prop_assert_eq!(dealt, layout.offload.gpu_layers);
                let all = layout.gpus.iter().map(|g| g.weights).sum::<u64>() + layout.memory.weights;
                proptest::prop_assert!(all >= parts.weights && all < parts.weights + GIB, "{all}");
            }
            for (held, gib) in small.gpus.iter().zip(&on) {
                proptest::prop_assert!(held.weights + held.cache <= gib * GIB);
            }
        }

        #[test]
        fn hostile_numbers_never_panic(numbers in proptest::collection::vec(proptest::prelude::any::<u64>(), 8)) {
            let n = |i: usize| numbers[i];
            let mut model = weights(1, true);
            model.bytes = Some(n(0));
            let shape = model.shape.as_mut().unwrap();
            (shape.layers, shape.hidden, shape.vocab, shape.dense_layers) = (n(1), n(2), n(3), n(4));
            let rooms = [Room { room: n(5), free: n(6) }, Room { room: n(6), free: n(5) }];
            let parts = Parts::new(&model);
            let fixed = Fixed { gpu_layers: Some(n(1)), cpu_experts: Some(n(2)) };
            let _ = (lay_out(&parts, &rooms, n(7), Fixed::default()), lay_out(&parts, &rooms, n(7), fixed));
        }
    }
}
