//! The llama.cpp flags that change how much memory it takes and where, read from what the user (after `--`) and the
//! profile pass on. Names and defaults: `llama-server --help` of build b11669.

use crate::model::{CacheTerms, KvKind, Shape};

/// Layers on the GPU, as a flag says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layers {
    /// So many, the output layer included.
    Some(u64),
    /// All.
    All,
}

/// What the flags say; `None` and `false` where they say nothing. The last of several wins, as in the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LlamaFlags {
    /// `-c`, before it is divided by `-np`.
    pub context: Option<u64>,
    /// `-np`; `None` also for auto.
    pub slots: Option<u64>,
    /// `-kvu`: the slots share the context.
    pub shared: bool,
    /// `-ngl`; `None` also for auto.
    pub gpu_layers: Option<Layers>,
    /// `-ncmoe`, or all with `-cmoe`.
    pub cpu_expert_layers: Option<u64>,
    /// `-ts` is given.
    pub split: bool,
    /// `-ot` is given: tensors are placed by hand.
    pub by_hand: bool,
    /// `-ctk`.
    pub keys: Option<String>,
    /// `-ctv`.
    pub values: Option<String>,
    /// `-ub`, 512 unless given.
    pub step: Option<u64>,
    /// `-cram`: the cache of prompts, MiB; below 0 it has no limit.
    pub prompts_mib: Option<i64>,
}

impl LlamaFlags {
    pub(super) fn read<'a>(args: impl IntoIterator<Item = &'a String>) -> LlamaFlags {
        let mut flags = LlamaFlags::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "-kvu" | "--kv-unified" => flags.shared = true,
                "-no-kvu" | "--no-kv-unified" => flags.shared = false,
                "-cmoe" | "--cpu-moe" => flags.cpu_expert_layers = Some(u64::MAX),
                name => {
                    let Some(set) = setter(name) else { continue };
                    if let Some(value) = args.next() {
                        set(&mut flags, value);
                    }
                }
            }
        }
        flags
    }

    /// The context one request gets, when a flag gives it; `own`: what 0 stands for.
    pub(super) fn context_of_one(&self, own: Option<u64>) -> Option<u64> {
        let all = match self.context? {
            0 => own?,
            tokens => tokens,
        };
        Some(all / self.parts())
    }

    /// Into how many equal parts `-c` is cut.
    fn parts(&self) -> u64 {
        if self.shared { 1 } else { self.slots.unwrap_or(1).max(1) }
    }

    /// Bytes the cache takes when every request has `tokens` of context. It is reserved as a whole at the start.
    pub(super) fn cache_bytes(&self, shape: &Shape, tokens: u64) -> u64 {
        let terms = CacheTerms { batched_tokens: self.step.unwrap_or(512), ..CacheTerms::default() };
        let full = shape.layout(&terms).needed(tokens).saturating_mul(self.parts());
        self.scaled(shape, full)
    }

    /// Bytes one more token takes.
    pub(super) fn token_bytes(&self, shape: &Shape) -> u64 {
        self.scaled(shape, shape.kv_bytes_per_token(2))
    }

    /// 16-bit bytes in the types of the cache.
    fn scaled(&self, shape: &Shape, bytes: u64) -> u64 {
        let (k, v) = (block_bytes(self.keys.as_deref()), block_bytes(self.values.as_deref()));
        // With MLA the values are a view of the keys.
        let sum = if matches!(shape.kv_kind(), KvKind::Latent | KvKind::LatentIndexed) { 2 * k } else { k + v };
        u64::try_from(u128::from(bytes) * u128::from(sum) / 128).unwrap_or(u64::MAX)
    }
}

type Setter = fn(&mut LlamaFlags, &str);

fn setter(name: &str) -> Option<Setter> {
    Some(match name {
        "-c" | "--ctx-size" => |flags, value| flags.context = value.parse().ok(),
        "-np" | "--parallel" => |flags, value| flags.slots = value.parse().ok().filter(|n| *n > 0),
        "-ub" | "--ubatch-size" => |flags, value| flags.step = value.parse().ok().filter(|n| *n > 0),
        "-ngl" | "--gpu-layers" | "--n-gpu-layers" => |flags, value| {
            flags.gpu_layers = match value {
                "all" => Some(Layers::All),
                "auto" => None,
                number => number.parse::<i64>().ok().and_then(|n| match u64::try_from(n) {
                    Ok(layers) => Some(Layers::Some(layers)),
                    // -1 is auto, anything below it all (`common_params`, since `all` exists).
                    Err(_) if n == -1 => None,
                    Err(_) => Some(Layers::All),
                }),
            }
        },
        "-ncmoe" | "--n-cpu-moe" => |flags, value| flags.cpu_expert_layers = value.parse().ok(),
        "-ts" | "--tensor-split" => |flags, _| flags.split = true,
        "-ot" | "--override-tensor" => |flags, _| flags.by_hand = true,
        "-ctk" | "--cache-type-k" => |flags, value| flags.keys = Some(value.to_owned()),
        "-ctv" | "--cache-type-v" => |flags, value| flags.values = Some(value.to_owned()),
        "-cram" | "--cache-ram" => |flags, value| flags.prompts_mib = value.parse().ok(),
        _ => return None,
    })
}

/// Bytes of 32 elements (ggml's blocks: the elements and their scale).
fn block_bytes(kind: Option<&str>) -> u64 {
    match kind {
        Some("f32") => 128,
        Some("q8_0") => 34,
        Some("q5_1") => 24,
        Some("q5_0") => 22,
        Some("q4_1") => 20,
        Some("q4_0" | "iq4_nl") => 18,
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> LlamaFlags {
        LlamaFlags::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_changes_memory_is_read_in_every_spelling() {
        let flags =
            read("-c 65536 --parallel 2 -ngl 20 --n-cpu-moe 7 -ctk q8_0 --cache-type-v q4_0 --temp 0.7 -ts 3,1");
        assert_eq!((flags.context, flags.context_of_one(None)), (Some(65_536), Some(32_768)));
        assert_eq!((flags.gpu_layers, flags.cpu_expert_layers, flags.split), (Some(Layers::Some(20)), Some(7), true));
        assert_eq!(read("-c 65536 -np 2 -kvu").context_of_one(None), Some(65_536));
        assert_eq!(read("-c 0").context_of_one(Some(9000)), Some(9000));
        assert_eq!([read("-ngl auto").gpu_layers, read("-ngl all").gpu_layers], [None, Some(Layers::All)]);
        assert_eq!((read("-c").context, read("-c x").context), (None, None));
        assert_eq!(read("-np -1 -cmoe"), LlamaFlags { cpu_expert_layers: Some(u64::MAX), ..LlamaFlags::default() });
    }

    #[test]
    fn the_cache_is_priced_by_its_types() {
        let shape = Shape { layers: 10, kv_heads: 4, head_dim: 64, ..Shape::default() };
        let plain = read("").cache_bytes(&shape, 1024);
        assert_eq!(plain, 10 * 4 * 64 * 2 * 2 * 1024);
        assert_eq!(read("-ctk q8_0 -ctv q8_0").cache_bytes(&shape, 1024), plain / 64 * 34);
        assert_eq!(read("-ctk q8_0 -ctv q4_0").cache_bytes(&shape, 1024), plain / 128 * 52);
        assert_eq!(read("-np 3").cache_bytes(&shape, 1024), 3 * plain);
    }
}
