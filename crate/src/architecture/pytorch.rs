//! Names that PyTorch's programs have in common.

/// PyTorch's name of a variable within its layer.
pub(super) fn pytorch_variable(variable: &str) -> &str {
    match variable {
        "kernel" | "depthwise_kernel" | "gamma" => "weight",
        "beta" => "bias",
        "moving_mean" => "running_mean",
        "moving_variance" => "running_var",
        other => other,
    }
}

/// The stage of block `block`, counted over all stages, and its number in it; stage `i` has `repeats[i]` blocks.
pub(super) fn stage_and_repeat(repeats: &[usize], block: usize) -> (usize, usize) {
    let mut left = block;
    for (stage, &count) in repeats.iter().enumerate() {
        if left < count {
            return (stage, left);
        }
        left -= count;
    }
    (repeats.len(), left)
}

/// A convolution of a block, or the BatchNormalization behind it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Expand,
    ExpandNorm,
    Depthwise,
    DepthwiseNorm,
    Project,
    ProjectNorm,
}

impl Part {
    /// timm's name; a block without expansion counts its BatchNormalization layers from the depthwise convolution on.
    pub(super) fn timm(self, expands: bool) -> &'static str {
        match (self, expands) {
            (Part::Expand, _) | (Part::Project, false) => "conv_pw",
            (Part::Depthwise, _) => "conv_dw",
            (Part::Project, true) => "conv_pwl",
            (Part::ExpandNorm, _) | (Part::DepthwiseNorm, false) => "bn1",
            (Part::DepthwiseNorm, true) | (Part::ProjectNorm, false) => "bn2",
            (Part::ProjectNorm, true) => "bn3",
        }
    }
}
