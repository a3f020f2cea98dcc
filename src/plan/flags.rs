//! The vLLM flags that change how much memory it takes, read from what the user (after `--`) and the profile pass on.

/// What the flags say; `None` and `false` where they say nothing. The last of several wins, as in the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Flags {
    /// `--kv-cache-dtype`.
    pub cache_dtype: Option<String>,
    /// `--max-num-seqs`.
    pub sequences: Option<u64>,
    /// `--max-num-batched-tokens`.
    pub batched_tokens: Option<u64>,
    /// `--pipeline-parallel-size`.
    pub pipeline: Option<u64>,
    /// `--data-parallel-size`.
    pub data: Option<u64>,
    /// `--decode-context-parallel-size`.
    pub decode_context: Option<u64>,
    /// `--tensor-parallel-size`.
    pub tensor: Option<u64>,
    /// `--max-model-len`.
    pub context: Option<u64>,
    /// `--gpu-memory-utilization`.
    pub utilization: Option<f64>,
    /// Tokens guessed ahead.
    pub speculative: u64,
    /// `--enforce-eager`: no CUDA graphs.
    pub eager: bool,
    /// `--enable-expert-parallel`.
    pub expert_parallel: bool,
    /// `--cpu-offload-gb`: GiB of weights per GPU that stay in main memory.
    pub cpu_offload_gib: u64,
    /// `--language-model-only`: no image encoder.
    pub language_only: bool,
}

impl Flags {
    pub(super) fn read<'a>(args: impl IntoIterator<Item = &'a String>) -> Flags {
        let mut flags = Flags::default();
        let mut args = args.into_iter().peekable();
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with('-') => (name, Some(value.to_owned())),
                _ => (arg.as_str(), None),
            };
            match name.replace('_', "-").as_str() {
                "--enforce-eager" => flags.eager = true,
                "--no-enforce-eager" => flags.eager = false,
                "--enable-expert-parallel" | "-ep" => flags.expert_parallel = true,
                "--language-model-only" => flags.language_only = true,
                name => {
                    let value = inline.or_else(|| args.next_if(|next| !next.starts_with("--")).cloned());
                    if let Some(value) = value {
                        flags.set(name, &value);
                    }
                }
            }
        }
        flags
    }

    fn set(&mut self, name: &str, value: &str) {
        let count = || count(value).filter(|n| *n > 0);
        match name {
            "--kv-cache-dtype" => self.cache_dtype = Some(value.to_owned()),
            "--max-num-seqs" => self.sequences = count(),
            "--max-num-batched-tokens" => self.batched_tokens = count(),
            "--pipeline-parallel-size" | "-pp" => self.pipeline = count(),
            "--data-parallel-size" | "-dp" => self.data = count(),
            "--decode-context-parallel-size" | "-dcp" => self.decode_context = count(),
            "--tensor-parallel-size" | "-tp" => self.tensor = count(),
            "--max-model-len" => self.context = count(),
            // Whole ones only: a part of one is not worth the words.
            "--cpu-offload-gb" => self.cpu_offload_gib = value.parse::<f64>().map_or(0, |gib| gib as u64),
            "--gpu-memory-utilization" | "--device-memory-utilization" => self.utilization = value.parse().ok(),
            "--spec-tokens" | "--speculative-config.num-speculative-tokens" => {
                self.speculative = count().unwrap_or(0);
            }
            "--speculative-config" | "-sc" => {
                let json: serde_json::Value = serde_json::from_str(value).unwrap_or_default();
                self.speculative = json.get("num_speculative_tokens").and_then(serde_json::Value::as_u64).unwrap_or(0);
            }
            _ => {}
        }
    }

    /// Bytes of one element of the cache; `checkpoint_fp8`: what `auto` means where the checkpoint brings scales.
    pub(super) fn element_bytes(&self, checkpoint_fp8: bool) -> u64 {
        match self.cache_dtype.as_deref() {
            Some(dtype) if dtype.starts_with("fp8") || dtype.starts_with("int8") => 1,
            None | Some("auto") if checkpoint_fp8 => 1,
            _ => 2,
        }
    }
}

/// vLLM's numbers: `1k` is 1000, `1K` is 1024.
fn count(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['k', 'K', 'm', 'M']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, ""),
    };
    let unit = match unit {
        "k" => 1000,
        "K" => 1024,
        "m" => 1_000_000,
        "M" => 1 << 20,
        _ => 1,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Flags {
        Flags::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_changes_memory_is_read_in_every_spelling() {
        let flags =
            read("--kv-cache-dtype=fp8 --max-num-seqs 4 --enforce-eager -pp 2 --max-num-batched-tokens 8K --x y");
        assert_eq!((flags.sequences, flags.batched_tokens, flags.pipeline), (Some(4), Some(8192), Some(2)));
        assert!(flags.eager && !flags.expert_parallel);
        assert_eq!(flags.element_bytes(false), 1);
        let flags = read("--speculative-config {\"num_speculative_tokens\":3} --max-model-len 32k");
        assert_eq!((flags.speculative, flags.context), (3, Some(32000)));
        assert_eq!((flags.element_bytes(true), flags.element_bytes(false)), (1, 2));
        assert_eq!(read("--max-num-seqs --enforce-eager"), Flags { eager: true, ..Flags::default() });
    }
}
