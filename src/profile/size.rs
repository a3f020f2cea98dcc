//! How large the weights of a variant are: as published, else from the count of parameters.

use super::{ModelProfile, Variant};

/// Bytes of all weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes.
    pub bytes: u64,
    /// Counted from the parameters, or the memory that is asked for, because nobody says the size.
    pub estimated: bool,
}

/// Above this many billions of parameters nearly all are experts or other large matrices, which are what is quantised.
const LARGE_B: f64 = 60.0;

impl ModelProfile {
    /// The size of one of its variants, when it is said or can be estimated.
    pub fn size(&self, variant: &Variant) -> Option<Size> {
        if let Some(gb) = variant.weights_gb {
            return Some(Size { bytes: (gb * 1e9) as u64, estimated: false });
        }
        let counted =
            self.parameters_b.and_then(|count| Some(count * bytes_per_parameter(&variant.quantization, count)?));
        // The memory a publisher asks for is more than the weights, so with it nothing is promised that does not fit.
        let gb = counted.or(variant.memory_min_gb)?;
        Some(Size { bytes: (gb * 1e9) as u64, estimated: true })
    }
}

/// Bytes per parameter, averaged over a whole checkpoint: embeddings and norms stay in 16 bits. Read off published
/// sizes: FP8 is 1.00 to 1.11 (MiniMax-M2, GLM-5, Qwen3.8-27B), 4 bits 0.60 to 0.70 (Kimi-K2.5, Qwen3.8-27B INT4),
/// NVFP4 of large mixtures 0.63 (GLM-5.2), Q4_K_M 0.61 to 0.63 (Ollama's tags of Qwen3). NVFP4 of small models is
/// anything from 0.8 to 1.1, so there is no number for those.
pub(super) fn bytes_per_parameter(quantization: &str, parameters_b: f64) -> Option<f64> {
    let large = parameters_b >= LARGE_B;
    match quantization {
        "f32" => Some(4.0),
        "bf16" | "f16" | "fp16" => Some(2.0),
        "fp8" | "int8" | "mxfp8" | "w8a8" => Some(1.05),
        "q8_0" => Some(1.0625),
        "awq" | "gptq" | "int4" => Some(if large { 0.6 } else { 0.7 }),
        "nvfp4" if large => Some(0.63),
        "q4_k_m" => Some(0.62),
        _ => None,
    }
}
