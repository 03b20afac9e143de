//! In which precision layers compute.

/// The precision in which a network multiplies. Weights that train, sums and what lies between layers are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// 1x1 convolutions, of frozen layers and of those that train, multiply in TensorFloat-32 (10 bits behind the
    /// leading one, <https://docs.nvidia.com/cuda/cublas/>) and add in f32. NVIDIA GPUs have it, processors do not.
    Tf32,
    /// The 1x1 convolutions multiply in bfloat16 and add in f32: faster, and features (of frozen layers) or gradients
    /// (of layers that train) are less exact. Needs a processor with AVX512-BF16, or an NVIDIA GPU, where what lies
    /// between frozen layers is bfloat16, too, and layers that train multiply in TensorFloat-32.
    Bf16,
}

impl Precision {
    /// Its name: `f32`, `tf32` or `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        }
    }
}
