//! In which precision frozen layers compute.

/// The precision of a network without gradients; what trains is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// The 1x1 convolutions of frozen layers multiply in bfloat16 and add in f32: faster, and
    /// features are less exact. Needs a processor with AVX512-BF16.
    Bf16,
}

impl Precision {
    /// Its name, `f32` or `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
}
